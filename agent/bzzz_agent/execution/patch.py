"""From what came back to what may be committed: every check is made on the resulting git tree (architecture §9).

The workspace is not believed: not its `.git`, not its word on what it changed. What counts is how the tree that git
stored differs from the base.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bzzz_agent.execution.clone import ABSENT, EXECUTABLE, FILE, GITLINK, SYMLINK, Change, Clone, Export
from bzzz_agent.execution.errors import PatchRefusedError
from bzzz_agent.review.paths import matches
from hmmm.errors import excerpt
from hmmm.plan import Plan

MAX_BLOB_BYTES: Final = 10 * 1024 * 1024
"""Largest single file; a patch can be small and still unpack to a large one."""
MAX_PATH_CHARACTERS: Final = 240

_HFS_IGNORED: Final = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF], None
)
"""Characters that Apple's HFS+ leaves out of names: `.g\\u200cit` is `.git` there (git's own `is_hfs_dotgit`)."""


@dataclass(frozen=True)
class PatchRules:
    """What a patch may be."""

    patch_bytes: int
    max_files: int
    protected_paths: tuple[str, ...]
    outside_footprint: Literal["refuse", "revert"]


@dataclass(frozen=True)
class Patch:
    """A change that holds every rule."""

    tree: str
    diff: bytes
    files: tuple[str, ...]
    reverted: tuple[str, ...]


async def patch_from(
    clone: Clone, base: str, tar: Path, export: Export, plan: Plan | None, rules: PatchRules
) -> Patch:
    """Turn the workspace's tar into a checked patch on the base.

    `plan` is the agreed plan whose footprint binds, or None while a plan is still being looked for. Raises
    PatchRefusedError; its reason `empty` means that nothing changed.
    """
    tree = await clone.tree_from(base, tar, export.absent)
    changes = await clone.changes(base, tree)
    reverted: tuple[str, ...] = ()
    if plan is not None:
        outside = tuple(c.path for c in changes if not any(matches(c.path, glob) for glob in plan.footprint))
        if outside and rules.outside_footprint == "refuse":
            raise PatchRefusedError(
                "outside_footprint", f"expected changes of the plan's footprint only, came {_list(outside)}"
            )
        if outside:
            reverted = outside
            changes = tuple(c for c in changes if c.path not in set(outside))
            tree = await clone.with_changes(base, changes)
    return await check(clone, base, tree, changes, reverted, rules)


async def tree_with(clone: Clone, base: str, patch: bytes, plan: Plan, rules: PatchRules) -> str:
    """Return the tree that somebody else's patch makes of the base, held to every rule and to the plan's footprint.

    Raises PatchRefusedError.
    """
    tree = await clone.apply(base, patch)
    changes = await clone.changes(base, tree)
    outside = tuple(c.path for c in changes if not any(matches(c.path, glob) for glob in plan.footprint))
    if outside:
        raise PatchRefusedError(
            "outside_footprint", f"expected changes of the plan's footprint only, came {_list(outside)}"
        )
    await check(clone, base, tree, changes, (), rules)
    return tree


async def check(
    clone: Clone,
    base: str,
    tree: str,
    changes: Sequence[Change],
    reverted: tuple[str, ...],
    rules: PatchRules,
) -> Patch:
    """Hold a changed tree against every rule. Raises PatchRefusedError."""
    if not changes:
        raise PatchRefusedError("empty", "expected a change, came none")
    if len(changes) > rules.max_files:
        raise PatchRefusedError(
            "too_many_files", f"expected at most {rules.max_files} files, came {len(changes)}"
        )
    for change in changes:
        check_path(change.path)
        check_mode(change)
        check_protected(change.path, rules.protected_paths)
    added = [change.path for change in changes if change.old_mode == ABSENT]
    check_collisions(added, [entry.path for entry in await clone.entries(tree)])
    blobs = {change.new_sha: change.path for change in changes if change.new_mode != ABSENT}
    for sha, size in (await clone.sizes(blobs)).items():
        if size > MAX_BLOB_BYTES:
            raise PatchRefusedError(
                "too_large", f"{excerpt(blobs[sha])}: expected at most {MAX_BLOB_BYTES} bytes, came {size}"
            )
    diff = await clone.diff(base, tree, rules.patch_bytes)
    return Patch(tree, diff, tuple(change.path for change in changes), reverted)


def check_path(path: str) -> None:
    """Refuse names that mean something else on another system, or steer git itself."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise PatchRefusedError("bad_path", f"{excerpt(path)}: expected a name in UTF-8") from error
    if len(path) > MAX_PATH_CHARACTERS or "\\" in path or any(unicodedata.category(c) == "Cc" for c in path):
        raise PatchRefusedError(
            "bad_path",
            f"{excerpt(path)}: expected at most {MAX_PATH_CHARACTERS} characters, no backslash, no control characters",
        )
    for part in path.split("/"):
        plain = part.translate(_HFS_IGNORED).casefold().rstrip(". ").split(":")[0]
        if plain in (".git", ".gitmodules") or plain.startswith(("git~", "gitmod~", "gi7eba~")):
            raise PatchRefusedError(
                "git_path", f"{excerpt(path)}: expected nothing of git's own, here {excerpt(part)}"
            )


def check_mode(change: Change) -> None:
    """Refuse everything but plain and executable files; a symlink may go, none may come."""
    if GITLINK in (change.old_mode, change.new_mode):
        raise PatchRefusedError("submodule", f"{excerpt(change.path)}: expected no change of a submodule")
    if change.new_mode == SYMLINK:
        raise PatchRefusedError("symlink", f"{excerpt(change.path)}: expected no new or changed symlink")
    if change.new_mode not in (FILE, EXECUTABLE, ABSENT):
        raise PatchRefusedError(
            "bad_mode", f"{excerpt(change.path)}: expected mode 644 or 755, came {change.new_mode}"
        )


def check_protected(path: str, globs: Iterable[str]) -> None:
    """Refuse a path that the manifest protects."""
    for glob in globs:
        if matches(path, glob):
            raise PatchRefusedError(
                "protected_path", f"{excerpt(path)}: is protected by {glob} (limits.protectedPaths)"
            )


def check_collisions(added: Iterable[str], all_paths: Iterable[str]) -> None:
    """Refuse an added path that is another one's where letter case or Unicode form do not tell names apart."""
    spellings: dict[str, set[str]] = {}
    for path in all_paths:
        for name in _with_folders(path):
            spellings.setdefault(_folded(name), set()).add(name)
    for path in added:
        for name in _with_folders(path):
            others = spellings.get(_folded(name), set()) - {name}
            if others:
                raise PatchRefusedError(
                    "case_collision",
                    f"{excerpt(path)}: is {excerpt(min(others))} on systems that ignore letter case",
                )


def _with_folders(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[: n + 1]) for n in range(len(parts)))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _list(paths: Sequence[str]) -> str:
    return ", ".join(excerpt(path) for path in paths[:5]) + (
        f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    )
