"""Git over http: `git http-backend` on the bare repositories, behind the server's own tokens.

Requests are spooled to a file and answers streamed, so that neither a large push nor a large clone is held in
memory.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from bzzz_github_server import git
from bzzz_github_server.accounts import Account, at_least
from bzzz_github_server.errors import GitError, Refusal
from bzzz_github_server.pulls import follow_refs
from bzzz_github_server.wire import Request
from bzzz_github_server.world import Hosted, World

PATH = re.compile(r"^/([^/]+/[^/]+?)\.git(/(?:info/refs|git-upload-pack|git-receive-pack|HEAD|objects/.*))$")
CHUNK = 65_536
HEADER_LIMIT = 16_384
CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitHub"'}


class Stream:
    """An answer whose body is still being made. Closing it ends git, and after a push lets pull requests follow."""

    def __init__(
        self, process: subprocess.Popen[bytes], output: IO[bytes], then: Callable[[], None] | None
    ) -> None:
        self._process = process
        self._output = output
        self._then = then
        self.status, self.headers = _head(output)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes. The last of it waits until `close` has done its work, so that who reads the API
        after `git push` returned sees the new head.
        """
        held = b""
        while chunk := self._output.read(CHUNK):
            if held:
                yield held
            held = chunk
        self.close()
        if held:
            yield held

    def close(self) -> None:
        """Wait for git's end and follow its push; again does nothing."""
        self._output.close()
        try:
            self._process.wait(git.GIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Whatever its exit code: a push that was broken off may have moved refs.
        then, self._then = self._then, None
        if then is not None:
            then()


def authorise(world: World, request: Request, account: Account | None) -> tuple[Hosted, str]:
    """Decide whether a git request may be served; return the repository and the path within it.

    Raises:
        Refusal: 401 (say who you are), 403 (may not push), 404 (not there, or not for you), in git's words.
    """
    match = PATH.match(request.path)
    hosted = world.find(match[1]) if match else None
    if match is None:
        raise Refusal(404, "Repository not found.")
    pushes = "git-receive-pack" in request.path or "git-receive-pack" in request.raw_query
    if account is None and (hosted is None or hosted.private or pushes):
        # The same for what is private and what is not there, as on GitHub.
        raise Refusal(401, "Authentication required.", headers=CHALLENGE)
    access = world.accounts.access(account, hosted.name, "contents") if hosted else "none"
    if hosted is None or access == "none":
        raise Refusal(404, "Repository not found.")
    if pushes and not at_least(access, "write"):
        login = account.login if account else ""
        raise Refusal(403, f"Permission to {hosted.name}.git denied to {login}.")
    return hosted, match[2]


def serve(world: World, request: Request, body: IO[bytes], size: int, account: Account | None) -> Stream:
    """Answer a git request whose body of `size` bytes is in the file `body`.

    Raises:
        Refusal: as `authorise`.
        GitError: `git http-backend` said nothing that is an answer.
    """
    hosted, path = authorise(world, request, account)
    folder = hosted.repository.folder
    variables = {
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "QUERY_STRING": request.raw_query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(size),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
        # With a user http-backend allows a push; whether this one may was decided above.
        **({"REMOTE_USER": account.login} if account else {}),
    }
    process = subprocess.Popen(
        ["git", "http-backend"],
        stdin=body,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=git.environment(variables),
    )
    if process.stdout is None:  # pragma: no cover - it was asked for
        raise GitError("expected a pipe from git http-backend")
    pushed = path == "/git-receive-pack"
    try:
        return Stream(process, process.stdout, (lambda: follow_refs(world, hosted)) if pushed else None)
    except GitError:
        process.kill()
        process.wait()
        raise


def _head(output: IO[bytes]) -> tuple[int, dict[str, str]]:
    status, headers, size = 200, dict[str, str](), 0
    while (line := output.readline(HEADER_LIMIT).rstrip(b"\r\n")) and (
        size := size + len(line)
    ) < HEADER_LIMIT:
        name, _, value = line.decode("latin-1").partition(": ")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value
    if not headers:
        raise GitError("expected an answer of git http-backend, got none")
    return status, headers


def folder_of(root: Path, name: str) -> Path:
    """Where a repository's bare repository is."""
    return root / "repositories" / f"{name.lower()}.git"
