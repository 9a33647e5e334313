"""A bare git repository: refs as compare-and-set, objects by their ids.

It is the truth for everything git. REST and `git push` meet here, so there is nothing to keep in step.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bzzz_github_server import git
from bzzz_github_server.errors import GitError

SHA = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class Ref:
    """A ref and what it points to; `kind` is `commit` or `tag`."""

    name: str
    sha: str
    kind: str


@dataclass(frozen=True)
class Person:
    """An author or committer; `date` as git has it: seconds and offset."""

    name: str
    email: str
    seconds: int
    offset: str


@dataclass(frozen=True)
class Commit:
    """A commit object."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True)
class Entry:
    """One entry of a tree; `size` is that of blobs only."""

    path: str
    mode: str
    kind: str
    sha: str
    size: int | None = None


@dataclass(frozen=True)
class TreeChange:
    """What to put at a path of a new tree; `sha` None takes the path away."""

    path: str
    mode: str
    kind: str
    sha: str | None


_PERSON = re.compile(r"^(.*) ?<(.*)> (-?\d+) ([+-]\d{4})$")


class BareRepository:
    """Git operations on one bare repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # ---- refs ---------------------------------------------------------------------------------------------

    def refs(self, prefix: str = "refs/") -> list[Ref]:
        """All refs whose full name begins with `prefix`, in the order of their names."""
        # for-each-ref matches whole path components, GitHub any prefix: ask for the folder, then filter.
        folder = prefix.rpartition("/")[0] + "/"
        form = "%(refname) %(objectname) %(objecttype)"
        lines = git.check(self.folder, "for-each-ref", f"--format={form}", folder).decode().splitlines()
        return [Ref(*line.split(" ")) for line in lines if line.startswith(prefix)]

    def ref(self, name: str) -> Ref | None:
        """One ref by its full name."""
        return next((ref for ref in self.refs(name) if ref.name == name), None)

    def valid_ref_name(self, name: str) -> bool:
        """Whether git would have a ref of this full name."""
        return name.startswith("refs/") and git.run(self.folder, "check-ref-format", name).returncode == 0

    def move_ref(self, name: str, new: str, old: str) -> bool:
        """Compare-and-set: from `old` (zeros: must not exist) to `new` (zeros: delete). False if it lost."""
        arguments = ("-d", name, old) if new == git.ZERO else (name, new, old)
        return git.run(self.folder, "update-ref", *arguments).returncode == 0

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, tag, full ref or commit id stands for."""
        candidates = [name] if SHA.match(name) else [f"refs/heads/{name}", f"refs/tags/{name}"]
        if name.startswith(("heads/", "tags/", "pull/")):
            candidates.append(f"refs/{name}")
        if name.startswith("refs/"):
            candidates.append(name)
        if re.fullmatch(r"[0-9a-f]{7,39}", name):
            candidates.append(name)
        for candidate in candidates:
            done = git.run(
                self.folder, "rev-parse", "--verify", "-q", "--end-of-options", f"{candidate}^{{commit}}"
            )
            if done.returncode == 0:
                return done.stdout.decode().strip()
        return None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether a fast-forward leads from one commit to the other."""
        return git.run(self.folder, "merge-base", "--is-ancestor", ancestor, descendant).returncode == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor."""
        done = git.run(self.folder, "merge-base", one, other)
        return done.stdout.decode().split("\n")[0] if done.returncode == 0 else None

    # ---- reading objects ----------------------------------------------------------------------------------

    def kind(self, sha: str) -> str | None:
        """The type of an object, None if there is none of this id."""
        if not SHA.match(sha):
            return None
        done = git.run(self.folder, "cat-file", "-t", sha)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def commit(self, sha: str) -> Commit | None:
        """A commit by its id."""
        if not SHA.match(sha):
            return None
        done = git.run(self.folder, "cat-file", "commit", sha)
        return _parse_commit(sha, done.stdout) if done.returncode == 0 else None

    def commits(
        self, revisions: Sequence[str], *, skip: int = 0, limit: int = 250, path: str = ""
    ) -> list[Commit]:
        """Commits reachable by `revisions` (ids, or `^id` to leave out), newest first."""
        where = ("--", f":(literal){path}") if path else ("--",)
        listed = git.check(self.folder, "rev-list", f"--skip={skip}", f"-n{limit}", *revisions, *where)
        found = (self.commit(sha) for sha in listed.decode().split())
        return [commit for commit in found if commit is not None]

    def count(self, revisions: Sequence[str]) -> int:
        """How many commits are reachable by `revisions`."""
        return int(git.check(self.folder, "rev-list", "--count", *revisions, "--"))

    def blob(self, sha: str) -> bytes | None:
        """A file's content by its id."""
        if not SHA.match(sha):
            return None
        done = git.run(self.folder, "cat-file", "blob", sha)
        return done.stdout if done.returncode == 0 else None

    def tree(self, sha: str, *, recursive: bool = False) -> list[Entry] | None:
        """A tree's entries, or None; `recursive` adds those of its sub-trees."""
        deep = ("-r", "-t") if recursive else ()
        done = git.run(self.folder, "ls-tree", "-l", "-z", "--full-tree", *deep, sha)
        if done.returncode != 0:
            return None
        return [
            _parse_entry(line) for line in done.stdout.decode("utf-8", "surrogateescape").split("\0") if line
        ]

    def entry(self, commit: str, path: str) -> Entry | None:
        """What is at a path of a commit; the root for an empty path."""
        if not path:
            tree = git.check(self.folder, "rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()
            return Entry("", "040000", "tree", tree)
        done = git.run(
            self.folder, "--literal-pathspecs", "ls-tree", "-l", "-z", "--full-tree", commit, "--", path
        )
        lines = [line for line in done.stdout.decode("utf-8", "surrogateescape").split("\0") if line]
        return _parse_entry(lines[0]) if done.returncode == 0 and lines else None

    # ---- writing objects ----------------------------------------------------------------------------------

    def write_blob(self, content: bytes) -> str:
        """Store a file's content."""
        return git.check(self.folder, "hash-object", "-w", "--stdin", stdin=content).decode().strip()

    def write_tree(self, base: str | None, changes: Iterable[TreeChange]) -> str:
        """Store the tree that comes of `base` (None: empty) and the changes.

        Raises:
            GitError: an object is missing, a path is not allowed, or paths contradict each other.
        """
        with tempfile.TemporaryDirectory(prefix="index-", dir=self.folder) as folder:
            extra = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            git.check(self.folder, "read-tree", *([base] if base else ["--empty"]), extra=extra)
            lines = [line for change in changes for line in self._index_lines(base, change)]
            order = "".join(lines).encode("utf-8", "surrogateescape")
            git.check(self.folder, "update-index", "-z", "--index-info", stdin=order, extra=extra)
            return git.check(self.folder, "write-tree", extra=extra).decode().strip()

    def _index_lines(self, base: str | None, change: TreeChange) -> list[str]:
        """A change as `update-index --index-info` takes it."""
        lines: list[str] = []
        if base is not None and (change.sha is None or change.kind == "tree"):
            # What replaces or takes away a folder takes away all that is in it.
            arguments = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", base, "--", change.path)
            below = git.check(self.folder, "--literal-pathspecs", *arguments)
            names = below.decode("utf-8", "surrogateescape").split("\0")
            lines += [f"0 {git.ZERO}\t{name}\0" for name in names if name]
        if change.sha is None:
            return lines
        if change.kind != "tree":
            return [*lines, f"{change.mode} {change.sha}\t{change.path}\0"]
        entries = self.tree(change.sha, recursive=True)
        if entries is None:
            raise GitError(f"expected a tree, got {change.sha}")
        files = (entry for entry in entries if entry.kind != "tree")
        return [*lines, *(f"{entry.mode} {entry.sha}\t{change.path}/{entry.path}\0" for entry in files)]

    def write_commit(
        self, tree: str, parents: Sequence[str], message: str, author: Person, committer: Person
    ) -> str:
        """Store a commit with its message exactly as given, as GitHub does.

        Raises:
            GitError: git finds the commit malformed.
        """
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {_person(author)}", f"committer {_person(committer)}", "", message]
        content = "\n".join(lines).encode("utf-8", "surrogateescape")
        return (
            git.check(self.folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=content)
            .decode()
            .strip()
        )

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of a clean merge of two commits, None where they conflict."""
        done = git.run(self.folder, "merge-tree", "--write-tree", base, head)
        return done.stdout.decode().split("\n")[0] if done.returncode == 0 else None


def _person(person: Person) -> str:
    return f"{_plain(person.name)} <{_plain(person.email)}> {person.seconds} {person.offset}"


def _plain(text: str) -> str:
    """A name without what would end its field."""
    return re.sub(r"[<>\x00-\x1f]", "", text).strip() or "unknown"


def _parse_commit(sha: str, content: bytes) -> Commit:
    text = content.decode("utf-8", "replace")
    head, _, message = text.partition("\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.split("\n"):
        name, _, value = line.partition(" ")
        fields.setdefault(name, []).append(value)
    try:
        return Commit(
            sha,
            fields["tree"][0],
            tuple(fields.get("parent", [])),
            _parse_person(fields["author"][0]),
            _parse_person(fields["committer"][0]),
            message,
        )
    except KeyError as problem:
        raise GitError(
            f"expected a commit with tree, author and committer, got {sha} without {problem}"
        ) from problem


def _parse_person(text: str) -> Person:
    match = _PERSON.match(text)
    if match is None:
        return Person(text, "", 0, "+0000")
    return Person(match[1].strip(), match[2], int(match[3]), match[4])


def _parse_entry(line: str) -> Entry:
    meta, _, path = line.partition("\t")
    mode, kind, sha, size = meta.split()
    return Entry(path, mode, kind, sha, int(size) if size.isdigit() else None)
