"""Running git: one place that fixes its environment, bounds its time and turns failures into errors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bzzz_github_server.errors import GitError

GIT_S = 120.0
OUTPUT_LIMIT = 2000
ZERO = "0" * 40

# Nothing of the caller's git (hooks, credential helpers, identity, GIT_DIR) may reach the server's.
_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # The source of an import may belong to another user than the server.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every git command of the server."""
    return {**_ENVIRONMENT, **(extra or {})}


def run(
    folder: Path, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a repository; the exit code is the caller's to judge.

    Raises:
        GitError: git did not end within 120 s.
    """
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=stdin,
            capture_output=True,
            env=environment(extra),
            timeout=GIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise GitError(f"git {arguments[0]} did not end within {GIT_S:.0f} s") from problem


def check(folder: Path, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
    """Run git in a repository and return what it printed.

    Raises:
        GitError: it failed or took too long.
    """
    done = run(folder, *arguments, stdin=stdin, extra=extra)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-OUTPUT_LIMIT:]
        raise GitError(f"git {arguments[0]} failed with exit code {done.returncode}", said)
    return done.stdout
