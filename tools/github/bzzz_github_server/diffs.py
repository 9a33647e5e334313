"""What changed between two commits, file by file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bzzz_github_server import git
from bzzz_github_server.repository import BareRepository, Commit

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
PATCH_LIMIT = 100_000
"""Characters of one file's patch; GitHub too leaves large ones out."""

_OPTIONS = ("--no-ext-diff", "--no-textconv", "--no-color", "-M")
_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


@dataclass(frozen=True)
class FileChange:
    """One file of a diff; `patch` begins at its first hunk and is empty for binary files."""

    path: str
    previous: str | None
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str


def parent_of(commit: Commit) -> str:
    """What a commit is compared with: its first parent, else nothing at all."""
    return commit.parents[0] if commit.parents else EMPTY_TREE


def text(repository: BareRepository, base: str, head: str) -> bytes:
    """The diff as git prints it."""
    return git.check(repository.folder, "-c", "core.quotePath=true", "diff", *_OPTIONS, base, head, "--")


def patches(repository: BareRepository, base: str, head: str) -> bytes:
    """The commits between as mails (`git format-patch`)."""
    return git.check(repository.folder, "format-patch", "--stdout", f"{base}..{head}", "--")


def files(repository: BareRepository, base: str, head: str) -> list[FileChange]:
    """The files that differ, in git's order."""
    raw = _fields(repository, "--raw", "--no-abbrev", base, head)
    numbers = _fields(repository, "--numstat", base, head)
    hunks = _hunks(text(repository, base, head).decode("utf-8", "replace"))
    changes: list[FileChange] = []
    while raw:
        _, mode, _, new, status = raw.pop(0).removeprefix(":").split(" ")
        previous = raw.pop(0) if status[0] in "RC" else None
        path = raw.pop(0)
        added, deleted, name = numbers.pop(0).split("\t")
        if not name:  # a rename: both paths follow in fields of their own
            del numbers[:2]
        sha = new if mode != "000000" else git.ZERO
        patch = hunks[len(changes)] if len(changes) < len(hunks) else ""
        changes.append(
            FileChange(
                path,
                previous,
                _STATUS.get(status[0], "changed"),
                sha,
                int(added) if added.isdigit() else 0,
                int(deleted) if deleted.isdigit() else 0,
                patch if len(patch) <= PATCH_LIMIT else "",
            )
        )
    return changes


def _fields(repository: BareRepository, *arguments: str) -> list[str]:
    printed = git.check(repository.folder, "diff", "-z", *_OPTIONS, *arguments, "--")
    return [field for field in printed.decode("utf-8", "replace").split("\0") if field]


def _hunks(diff: str) -> list[str]:
    """Each file's part of a diff from its first hunk on."""
    parts = re.split(r"^diff --git .*\n", diff, flags=re.MULTILINE)[1:]
    starts = [re.search(r"^@@ ", part, flags=re.MULTILINE) for part in parts]
    return [
        part[start.start() :].rstrip("\n") if start else "" for part, start in zip(parts, starts, strict=True)
    ]
