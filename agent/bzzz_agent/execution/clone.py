"""The agent's own clone of one repository: bare, never a work tree that anything else can write to.

What git stores is what travels: attributes that would convert contents (line endings, filters, export rules) are
switched off, so that a file that nobody touched comes back byte for byte.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import trio

from bzzz_agent.execution.errors import GitError, PatchRefusedError, PushRefusedError
from bzzz_agent.execution.git import Git, Remote
from bzzz_agent.execution.tarball import unpack
from hmmm.errors import excerpt

JUNK: Final = (
    "__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    ".hypothesis",
    ".tox",
    ".nox",
    ".venv",
    "node_modules",
    ".DS_Store",
)
"""Names that tools leave behind; where the repository itself has none of a name, such files are no change of it."""

_ATTRIBUTES: Final = "* -text -eol -ident -filter -working-tree-encoding -export-ignore -export-subst\n"
RETRY_PAUSES_S: Final = (1.0, 4.0)
_TRANSIENT: Final = re.compile(
    r"error: (5\d\d|429)|could not resolve|failed to connect|couldn't connect|timed out|timeout|early eof|hung up"
    r"|connection (reset|refused)|rpc failed|broken pipe",
    re.IGNORECASE,
)
"""What git says where a second try may help."""
FILE, EXECUTABLE, SYMLINK, GITLINK, ABSENT = "100644", "100755", "120000", "160000", "000000"


@dataclass(frozen=True)
class Entry:
    """A file of a tree, as `git ls-tree` has it."""

    mode: str
    sha: str
    path: str


@dataclass(frozen=True)
class Change:
    """A file that differs between two trees, as `git diff-tree --raw` has it."""

    old_mode: str
    new_mode: str
    old_sha: str
    new_sha: str
    path: str


@dataclass(frozen=True)
class Export:
    """A tree as a tar, and what of it cannot be in a workspace."""

    tar: Path
    absent: tuple[Entry, ...]
    """Symlinks that lead out of the repository, and submodules: left out, and put back afterwards."""
    junk: tuple[str, ...]
    """The names of `JUNK` that this tree has not."""


class Clone:
    """Plumbing over one bare repository. All paths are relative, with forward slashes, undecodable bytes escaped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scratch = folder / "scratch"
        self.git = Git(folder / "repository.git")

    async def prepare(self) -> None:
        """Make the clone where there is none, and clear what an earlier life left half done."""
        await trio.to_thread.run_sync(self._clear_scratch)
        if not (self.git.repository / "HEAD").exists():
            self.git.repository.mkdir(parents=True, exist_ok=True)
            await self.git.run("init", "--quiet", "--bare", "--template=", str(self.git.repository))
        info = self.git.repository / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(_ATTRIBUTES)
        (info / "exclude").write_text("".join(f"{name}\n" for name in JUNK))
        for lock in self.git.repository.rglob("*.lock"):  # of a git that was killed; no other uses this clone
            lock.unlink(missing_ok=True)

    def _clear_scratch(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        self._folder.chmod(0o700)

    @asynccontextmanager
    async def scratch(self) -> AsyncGenerator[Path]:
        """Lend an empty folder."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            yield folder
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))

    async def fetch(self, remote: Remote, commit: str) -> None:
        """Have a commit with its tree, from the remote where it is not here yet.

        The commit is asked for by name, alone; where a server refuses that, its branches are fetched instead.
        """
        kept = f"refs/bzzz/base/{commit}"
        if await self._has(kept):
            return
        try:
            await self._fetch(remote, f"{commit}:{kept}", "--depth=1")
        except GitError:
            await self._fetch(remote, "+refs/heads/*:refs/remotes/origin/*")
            await self.git.run("update-ref", kept, commit)

    async def _fetch(self, remote: Remote, refspec: str, *options: str) -> None:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", *options)
        await self._remotely("fetch", *options, remote.url, refspec, remote=remote)

    async def _remotely(self, *arguments: str, remote: Remote) -> None:
        """Run what may fail on the way, again where network or server are at fault: it changes nothing twice."""
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                await self.git.run(*arguments, remote=remote)
            except GitError as error:
                if pause_s is None or not _TRANSIENT.search(error.output):
                    raise
                await trio.sleep(pause_s)
            else:
                return

    async def _has(self, name: str) -> bool:
        try:
            await self.git.run("rev-parse", "--verify", "--quiet", f"{name}^{{tree}}")
        except GitError:
            return False
        return True

    async def has_tree(self, tree: str) -> bool:
        """Return whether a tree is here."""
        return await self._has(tree)

    async def entries(self, tree: str) -> tuple[Entry, ...]:
        """Return every file of a tree, symlinks and submodules included."""
        out = await self.git.run("ls-tree", "-r", "-z", "--full-tree", tree)
        entries: list[Entry] = []
        for line in _records(out):
            head, _, path = line.partition("\t")
            mode, _kind, sha = head.split()
            entries.append(Entry(mode, sha, path))
        return tuple(entries)

    async def read(self, sha: str) -> bytes:
        """Return a blob."""
        return await self.git.run("cat-file", "blob", sha)

    async def sizes(self, shas: Iterable[str]) -> dict[str, int]:
        """Return the size in bytes of each blob."""
        names = "".join(f"{sha}\n" for sha in shas).encode()
        out = await self.git.run("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=names)
        return {sha: int(size) for sha, size in (line.split() for line in out.decode().splitlines())}

    async def export(self, tree: str, folder: Path) -> Export:
        """Write a commit's or tree's files as a tar into a folder."""
        entries = await self.entries(tree)
        absent = [entry for entry in entries if entry.mode == GITLINK]
        for entry in entries:
            if entry.mode == SYMLINK and leads_out(
                entry.path, (await self.read(entry.sha)).decode(errors="replace")
            ):
                absent.append(entry)
        without = [f":(top,exclude,literal){entry.path}" for entry in absent]
        tar = folder / "export.tar"
        await self.git.run("archive", "--format=tar", tree, "--", ".", *without, stdout=tar)
        names = {part for entry in entries for part in entry.path.split("/")}
        return Export(tar, tuple(absent), tuple(name for name in JUNK if name not in names))

    async def tree_from(self, base: str, tar: Path, absent: tuple[Entry, ...]) -> str:
        """Store what came back from a workspace and return its tree.

        Files that the repository ignores, and tools' junk, stay out unless the base tracks them. Raises
        PatchRefusedError where the tar holds what no repository may.
        """
        async with self.scratch() as folder:
            work, index = folder / "work", {"GIT_INDEX_FILE": str(folder / "index")}
            work.mkdir()
            await trio.to_thread.run_sync(_unpack_file, tar, work)
            _check_absent(work, absent)
            await self.git.run("read-tree", base, env=index)
            try:
                await self.git.run("add", "--all", ".", env=index | {"GIT_WORK_TREE": str(work)}, cwd=work)
            except GitError as error:
                raise PatchRefusedError("bad_tree", f"git takes no such files: {error}") from error
            await self._set(index, (f"{e.mode} {e.sha}\t{e.path}" for e in absent))
            return (await self.git.run("write-tree", env=index)).decode().strip()

    async def with_changes(self, base: str, changes: Iterable[Change]) -> str:
        """Return the tree of the base with just these changes."""
        async with self.scratch() as folder:
            index = {"GIT_INDEX_FILE": str(folder / "index")}
            await self.git.run("read-tree", base, env=index)
            ordered = sorted(changes, key=lambda change: change.new_mode != ABSENT)  # make room first
            await self._set(index, (f"{c.new_mode} {c.new_sha}\t{c.path}" for c in ordered))
            return (await self.git.run("write-tree", env=index)).decode().strip()

    async def _set(self, index: dict[str, str], lines: Iterable[str]) -> None:
        data = "".join(f"{line}\0" for line in lines).encode(errors="surrogateescape")
        await self.git.run("update-index", "--add", "--replace", "-z", "--index-info", env=index, stdin=data)

    async def apply(self, base: str, patch: bytes) -> str:
        """Return the tree that a patch makes of the base. Raises PatchRefusedError when it does not apply."""
        async with self.scratch() as folder:
            index = {"GIT_INDEX_FILE": str(folder / "index")}
            await self.git.run("read-tree", base, env=index)
            try:
                await self.git.run("apply", "--cached", "--binary", "-", env=index, stdin=patch)
            except GitError as error:
                raise PatchRefusedError(
                    "does_not_apply", f"the patch does not fit its base: {error}"
                ) from error
            return (await self.git.run("write-tree", env=index)).decode().strip()

    async def changes(self, base: str, tree: str) -> tuple[Change, ...]:
        """Return how a tree differs from the base; a renamed file is one gone and one new."""
        out = await self.git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tree)
        parts = _records(out)
        changes: list[Change] = []
        for head, path in zip(parts[::2], parts[1::2], strict=True):
            old_mode, new_mode, old_sha, new_sha, _status = head.removeprefix(":").split()
            changes.append(Change(old_mode, new_mode, old_sha, new_sha, path))
        return tuple(changes)

    async def diff(self, base: str, tree: str, limit: int) -> bytes:
        """Return the patch from base to tree as GitHub shows it (renames found, binary files named only).

        Raises PatchRefusedError when the whole patch, binary content included, is larger than `limit` bytes.
        """
        async with self.scratch() as folder:
            whole, shown = folder / "whole", folder / "shown"
            plain = ("-p", "-r", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color")
            await self.git.run("diff-tree", *plain, "--binary", "--no-renames", base, tree, stdout=whole)
            size = whole.stat().st_size
            if size > limit:
                raise PatchRefusedError(
                    "too_large", f"the patch: expected at most {limit} bytes (limits.patchBytes), came {size}"
                )
            await self.git.run("diff-tree", *plain, "-M", base, tree, stdout=shown)
            return shown.read_bytes()

    async def commit(
        self, tree: str, parent: str, message: str, at: datetime, author: tuple[str, str]
    ) -> str:
        """Make a commit and return it. The same arguments make the same commit."""
        name, email = author
        when = f"{int(at.timestamp())} +0000"
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in
               (("NAME", name), ("EMAIL", email), ("DATE", when))}  # fmt: skip
        out = await self.git.run(
            "commit-tree", tree, "-p", parent, "-F", "-", env=who, stdin=message.encode()
        )
        return out.decode().strip()

    async def push(self, remote: Remote, commit: str, branch: str, expected: str | None) -> None:
        """Move a remote branch to a commit, if it is where it is expected (None: if there is none).

        A branch that is at the commit already is a success. Raises PushRefusedError, GitError.
        """
        ref = f"refs/heads/{branch}"
        try:
            options = ("--porcelain", "--no-verify", f"--force-with-lease={ref}:{expected or ''}")
            await self._remotely("push", *options, remote.url, f"{commit}:{ref}", remote=remote)
        except GitError as error:
            if "stale info" in error.output or "rejected]" in error.output:
                there = expected or "no branch"
                raise PushRefusedError(
                    "push_refused",
                    f"{branch}: expected {there} on the remote; somebody moved it; nothing was pushed",
                ) from error
            raise


def leads_out(path: str, target: str) -> bool:
    """Return whether a symlink at a path leads out of the repository."""
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return target.startswith("/") or not target


def _check_absent(work: Path, absent: Iterable[Entry]) -> None:
    for entry in absent:
        there = work / entry.path
        if there.is_symlink() or there.is_file() or (there.is_dir() and any(there.iterdir())):
            raise PatchRefusedError(
                "left_out",
                f"{excerpt(entry.path)}: a submodule or a symlink out of the repository cannot be changed",
            )


def _unpack_file(tar: Path, folder: Path) -> None:
    with tar.open("rb") as source:
        unpack(source, folder)


def _records(out: bytes) -> list[str]:
    return [part.decode(errors="surrogateescape") for part in out.split(b"\0") if part]
