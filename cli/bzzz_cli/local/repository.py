"""The copy of a checkout that the local GitHub server serves.

The user's own checkout is read and never written. The copy's default branch gets one commit on top, which pins the
hive's public key in `.bzzz/hive.pub`: `bzzz verify` needs a key from outside the evidence (architecture §4).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from bzzz_cli.errors import CommandError, UsageError
from hmmm.errors import excerpt

PIN: Final = ".bzzz/hive.pub"
GIT_TIMEOUT_S: Final = 120
IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "bzzz local",
    "GIT_AUTHOR_EMAIL": "bzzz-local@localhost",
    "GIT_COMMITTER_NAME": "bzzz local",
    "GIT_COMMITTER_EMAIL": "bzzz-local@localhost",
}


def serve_copy(source: Path | None, target: Path, repository: str, hive_public_key: str) -> Path:
    """Make a bare repository with the head branch of a checkout (or a README) and the pinned key; return it.

    Raises UsageError for a folder that is no git repository with a commit, CommandError when git fails.
    """
    with tempfile.TemporaryDirectory(prefix="bzzz-git-") as scratch:
        git = _Git(target, Path(scratch))
        branch = "main" if source is None else _branch_of(git, source)
        target.mkdir(parents=True, exist_ok=True)
        git.run("init", "--quiet", "--bare", f"--initial-branch={branch}", str(target), folder=target)
        if source is not None:
            git.run("fetch", "--quiet", "--no-tags", str(source.resolve()), f"+HEAD:refs/heads/{branch}")
            git.run("read-tree", f"refs/heads/{branch}")
        else:
            git.add("README.md", f"# {repository}\n".encode())
        git.add(PIN, f"{hive_public_key}\n".encode())
        parents = [] if source is None else ["-p", f"refs/heads/{branch}"]
        message = f"Pin the hive's public key in {PIN}"
        commit = git.run("commit-tree", *parents, "-m", message, git.run("write-tree"))
        git.run("update-ref", f"refs/heads/{branch}", commit)
    return target


def _branch_of(git: _Git, source: Path) -> str:
    if not source.is_dir():
        raise UsageError(f"--repo {source}: expected a folder, found none")
    try:
        git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", folder=source)
    except CommandError as error:
        raise UsageError(
            f"--repo {source}: expected a git checkout with at least one commit; "
            "run git init, git add and git commit there"
        ) from error
    try:
        return git.run("symbolic-ref", "--quiet", "--short", "HEAD", folder=source)
    except CommandError:
        return "main"  # a detached head has no name of its own


class _Git:
    """git with no configuration but ours: nobody's hooks, helpers or aliases."""

    def __init__(self, repository: Path, scratch: Path) -> None:
        self._repository = repository
        config = scratch / "gitconfig"
        # By file, because git passes -c options on to no other repository. The checkout may be another user's.
        config.write_text("[safe]\n\tdirectory = *\n")
        self._environment = {
            **IDENTITY,
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(scratch),
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_INDEX_FILE": str(scratch / "index"),
            "LC_ALL": "C.UTF-8",
        }

    def add(self, path: str, content: bytes) -> None:
        """Put a file into the index."""
        blob = self.run("hash-object", "-w", "--stdin", stdin=content)
        self.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")

    def run(self, *arguments: str, folder: Path | None = None, stdin: bytes = b"") -> str:
        """Run git and return what it printed. Raises CommandError."""
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=folder or self._repository,
                env=self._environment,
                input=stdin,
                capture_output=True,
                timeout=GIT_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise CommandError("expected git; install it with the system's package manager") from error
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"git {arguments[0]}: expected an end within {GIT_TIMEOUT_S} s") from error
        if done.returncode != 0:
            said = excerpt(done.stderr.decode(errors="replace").strip())
            raise CommandError(f"git {arguments[0]} failed with exit code {done.returncode}: {said}")
        return done.stdout.decode(errors="replace").strip()
