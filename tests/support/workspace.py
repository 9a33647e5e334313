"""A real runner for tests, and real git repositories for it to work on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from bzzz_agent.execution import Runner
from tests.support.processes import Process, Processes

RUNNER = Path(__file__).parents[2] / "workspace" / "bzzz_runner.py"
TOKEN = "a-token-of-the-runner-0123456789"
COMMAND_UID = 20_000 + os.getpid() % 20_000
"""Another one in each test run: a runner without namespaces kills everything that its UID runs."""
OTHER_UID = COMMAND_UID + 20_000
"""A UID for runners that are not started as root."""
GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def isolations() -> list[str]:
    """Return what separates commands on this machine and can be tested here."""
    found = ["namespaces", "user"] if os.geteuid() == 0 else []
    return found + (["bubblewrap"] if shutil.which("bwrap") else [])


@dataclass
class Workspace:
    """A runner's process, and how to talk to it."""

    process: Process
    folder: Path
    socket: Path
    root: Path

    def client(self) -> Runner:
        """Return a client with the right token; one a trio run."""
        return Runner(self.socket, TOKEN)

    @property
    def isolation(self) -> str:
        """What the runner says that it isolates by."""
        return str(self.process.ready["isolation"])


def start_runner(
    processes: Processes,
    *options: str,
    isolation: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Workspace:
    """Start a runner in a folder that is gone when `processes` is.

    The folder is not pytest's: that one is closed to other UIDs, which a runner without namespaces switches to.
    """
    folder = Path(tempfile.mkdtemp(prefix="runner-test-"))
    folder.chmod(0o755)
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    argv: list[str] = [sys.executable, str(RUNNER)]
    as_other: list[str] = []
    if os.geteuid() == 0 and isolation in ("bubblewrap", "none"):
        for path in (folder, folder / "token"):
            os.chown(path, OTHER_UID, OTHER_UID)
        # root's own Python may lie where another UID cannot go
        argv[0] = "/usr/bin/python3"
        as_other = ["setpriv", f"--reuid={OTHER_UID}", f"--regid={OTHER_UID}", "--clear-groups"]
        argv[1] = str(shutil.copy(RUNNER, folder / "bzzz_runner.py"))
        options = (*options, "--peer-uid", "0")
    elif os.geteuid() == 0:
        options = (*options, "--user", str(COMMAND_UID))
    if isolation is not None:
        options = (*options, "--isolation", isolation)
    socket, root = folder / "run" / "runner.sock", folder / "workspace"
    command = [
        *as_other,
        *argv,
        "--socket",
        socket,
        "--root",
        root,
        "--token-file",
        folder / "token",
        *options,
    ]
    process = processes.start("runner", command, env=environment)
    return Workspace(process, folder, socket, root)


def a_tar(files: Mapping[str, str | bytes], extra: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """Return a tar of files and whatever entries a test wants besides."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
        for info in extra:
            tar.addfile(info)
    return out.getvalue()


@dataclass
class Repository:
    """A git repository with a work tree, as a user has one."""

    folder: Path
    head: str = field(default="")

    @classmethod
    def make(cls, folder: Path, files: Mapping[str, str | bytes]) -> Repository:
        """Make one with a first commit on `main`."""
        folder.mkdir(parents=True)
        repository = cls(folder)
        repository.git("init", "-q", "-b", "main")
        repository.commit(files)
        return repository

    def git(self, *arguments: str) -> str:
        """Run git in it."""
        return subprocess.run(
            [*GIT, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, files: Mapping[str, str | bytes]) -> str:
        """Write files and commit everything; returns the commit."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a commit")
        self.head = self.git("rev-parse", "HEAD")
        return self.head

    def bare(self, folder: Path) -> Path:
        """Return a bare clone, as a server has it."""
        subprocess.run(
            [*GIT, "clone", "-q", "--bare", str(self.folder), str(folder)], check=True, capture_output=True
        )
        return folder


def python(source: str, *arguments: str) -> Sequence[str]:
    """Return the command line of a Python program that runs in any workspace."""
    return ["python3", "-c", source, *arguments]
