"""git as a subprocess that obeys nobody's configuration and leaves no credential where others can look.

Neither the system's nor the user's configuration is read, no hook runs, no helper is asked, no redirect followed,
and of all transports only the one of the remote's own URL is allowed. A token travels in git's environment
(`GIT_CONFIG_*`), which only this UID can read: never in an argument, a URL or a file of the clone.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio

from bzzz_agent.execution.errors import GitError
from hmmm.errors import excerpt

LOCAL_TIMEOUT_S: Final = 120.0
REMOTE_TIMEOUT_S: Final = 600.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Largest listing that git may print into memory; archives and diffs go to files."""

_CONFIG: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.quotePath": "false",
    "core.symlinks": "true",
    "core.fileMode": "true",
    "core.autocrlf": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "commit.gpgSign": "false",
    "push.gpgSign": "false",
    "protocol.version": "2",
    "advice.detachedHead": "false",
}
_PASSED_ON: Final = (
    "PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
)
"""How the machine reaches the network; nothing else of our environment is git's business."""


@dataclass(frozen=True)
class Remote:
    """Where to fetch from and push to. The token is kept out of the representation."""

    url: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Remote({self.url})"

    @property
    def scheme(self) -> str:
        """The transport, as git names it."""
        return urlsplit(self.url).scheme or "file"

    def config(self) -> dict[str, str]:
        """Return the setting that carries the token, bound to the remote's own host."""
        if self.token is None or self.scheme not in ("http", "https"):
            return {}
        parts = urlsplit(self.url)
        basic = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        return {f"http.{parts.scheme}://{parts.netloc}/.extraHeader": f"Authorization: Basic {basic}"}


class Git:
    """Runs git in one bare repository of the agent's own."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository

    async def run(
        self,
        *arguments: str,
        remote: Remote | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        stdout: Path | None = None,
        timeout_s: float | None = None,
        cwd: Path | None = None,
    ) -> bytes:
        """Run a git command and return what it printed (nothing where `stdout` names a file for it).

        Raises GitError: timeout, too large an answer, or git's own error with its text shortened.
        """
        limit = timeout_s or (REMOTE_TIMEOUT_S if remote else LOCAL_TIMEOUT_S)
        name = arguments[0]
        try:
            with trio.fail_after(limit):
                ended = await self._run(arguments, self._environment(remote, env or {}), stdin, stdout, cwd)
        except trio.TooSlowError as error:
            raise GitError(
                "git_timeout", f"git {name}: expected an end within {limit:.0f} s; stopped"
            ) from error
        code, out, err = ended
        if code != 0:
            said = " ".join(err.decode(errors="replace").split())
            text = f"git {name}: ended with {code}: {excerpt(said)}"
            raise GitError("git_failed", text, f"{said} {out[:65536].decode(errors='replace')}")
        return out

    async def _run(
        self,
        arguments: Sequence[str],
        env: dict[str, str],
        stdin: bytes,
        stdout: Path | None,
        cwd: Path | None,
    ) -> tuple[int, bytes, bytes]:
        with contextlib.ExitStack() as stack:
            out = subprocess.PIPE if stdout is None else stack.enter_context(stdout.open("wb"))
            process = await trio.lowlevel.open_process(
                ["git", "--no-replace-objects", *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd or self.repository,
                start_new_session=True,  # so that its helpers, git-remote-https above all, end with it
            )
            try:
                printed, complained = bytearray(), bytearray()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_feed, process, stdin)
                    nursery.start_soon(_collect, process.stderr, complained, 65536, False)
                    nursery.start_soon(_collect, process.stdout, printed, MAX_ANSWER_BYTES, True)
                    await process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                with trio.CancelScope(shield=True):
                    await process.wait()
        return process.returncode or 0, bytes(printed), bytes(complained)

    def _environment(self, remote: Remote | None, env: Mapping[str, str]) -> dict[str, str]:
        config = _CONFIG | (remote.config() if remote else {})
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        settings = {"GIT_CONFIG_COUNT": str(len(config))}
        for index, (key, value) in enumerate(config.items()):
            settings |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        return {
            **passed_on,
            "HOME": str(self.repository),
            "LC_ALL": "C",
            "GIT_DIR": str(self.repository),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": remote.scheme if remote else "none",
            **settings,
            **env,
        }


async def _feed(process: trio.Process, data: bytes) -> None:
    if process.stdin is None:
        return
    async with process.stdin:
        with contextlib.suppress(trio.BrokenResourceError):
            await process.stdin.send_all(data)


async def _collect(stream: trio.abc.ReceiveStream | None, into: bytearray, limit: int, refuse: bool) -> None:
    """Read a stream to its end into `into`, of which at most `limit` bytes are kept (or the rest refused)."""
    if stream is None:
        return
    async with stream:
        async for chunk in stream:
            if refuse and len(into) + len(chunk) > limit:
                raise GitError("git_too_large", f"git: expected at most {limit} bytes, came more")
            into += chunk[: limit - len(into)]
