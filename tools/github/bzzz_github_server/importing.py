"""Making the bare repositories: from a user's checkout, or with a README of our own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bzzz_github_server import git
from bzzz_github_server.errors import GitError, SettingsError
from bzzz_github_server.repository import BareRepository, Person, TreeChange
from bzzz_github_server.settings import RepositorySettings

_SERVED = {
    "http.receivepack": "true",
    # Objects made by REST are on no ref until a ref is moved to them: never collect.
    "gc.auto": "0",
    "receive.autogc": "false",
    # As on GitHub: any object may be asked for by its id, partial clones work, pull refs are the server's.
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "receive.hideRefs": "refs/pull",
    "core.hooksPath": "/dev/null",
}


def make(settings: RepositorySettings, folder: Path) -> tuple[BareRepository, str]:
    """Make the repository at `folder`; return it and the name of its default branch.

    Raises:
        SettingsError: the source is no git repository or has no commit.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    branch = "main" if settings.source is None else _copy(settings.source, folder, settings.name)
    if settings.source is None:
        git.check(folder.parent, "init", "-q", "--bare", "--template=", "-b", branch, str(folder))
    repository = BareRepository(folder)
    for name, value in _SERVED.items():
        git.check(folder, "config", name, value)
    if settings.source is None:
        _first_commit(repository, settings.name, branch)
    return repository, branch


def _copy(source: Path, folder: Path, name: str) -> str:
    """Clone the branch of the source's HEAD with its tags; a detached HEAD becomes `main`."""
    head = git.run(source, "rev-parse", "--verify", "-q", "HEAD^{commit}") if source.is_dir() else None
    if head is None or head.returncode != 0:
        raise SettingsError(
            f"repository {name}: expected a git repository with a commit at {source}; commit first"
        )
    commit = head.stdout.decode().strip()
    branch = git.run(source, "symbolic-ref", "--short", "-q", "HEAD").stdout.decode().strip() or "main"
    try:
        # A local clone links the object files: fast however large the history is, and git never edits them.
        git.check(
            folder.parent, "clone", "-q", "--bare", "--template=", "--single-branch", str(source), str(folder)
        )
        for ref in BareRepository(folder).refs("refs/heads/"):
            if ref.name != f"refs/heads/{branch}":
                git.check(folder, "update-ref", "-d", ref.name)
        git.check(folder, "update-ref", f"refs/heads/{branch}", commit)
        git.check(folder, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        git.run(folder, "remote", "remove", "origin")
    except GitError as problem:
        raise SettingsError(f"repository {name}: expected to copy {source}, got {problem}") from problem
    return branch


def _first_commit(repository: BareRepository, name: str, branch: str) -> None:
    readme = repository.write_blob(f"# {name.partition('/')[2]}\n".encode())
    tree = repository.write_tree(None, [TreeChange("README.md", "100644", "blob", readme)])
    who = Person("GitHub", "noreply@localhost", int(time.time()), "+0000")
    commit = repository.write_commit(tree, (), "Initial commit\n", who, who)
    repository.move_ref(f"refs/heads/{branch}", commit, git.ZERO)
