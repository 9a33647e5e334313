"""Git objects in the shapes of GitHub's REST API (schemas: GitHub's OpenAPI description)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from bzzz_github_server.diffs import FileChange
from bzzz_github_server.repository import Commit, Entry, Person, Ref
from bzzz_github_server.wire import Json

_UNSIGNED: Json = {
    "verified": False,
    "reason": "unsigned",
    "signature": None,
    "payload": None,
    "verified_at": None,
}


def utc(seconds: float) -> str:
    """A moment as GitHub writes it: UTC, whole seconds, Z."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"


def node_id(kind: str, name: str) -> str:
    """An opaque id, the same each time."""
    return base64.b64encode(f"{kind}:{name}".encode()).decode()


class Formats:
    """The shapes of one repository, whose URLs begin with `origin`."""

    def __init__(self, origin: str, name: str) -> None:
        self.api = f"{origin}/repos/{name}"
        self.html = f"{origin}/{name}"
        self.name = name

    def ref(self, ref: Ref) -> Json:
        """`git-ref`."""
        plural = "tags" if ref.kind == "tag" else "commits"
        return {
            "ref": ref.name,
            "node_id": node_id("Ref", f"{self.name}:{ref.name}"),
            "url": f"{self.api}/git/{quote(ref.name)}",
            "object": {"sha": ref.sha, "type": ref.kind, "url": f"{self.api}/git/{plural}/{ref.sha}"},
        }

    def git_commit(self, commit: Commit) -> Json:
        """`git-commit`."""
        return {
            "sha": commit.sha,
            "node_id": node_id("Commit", commit.sha),
            "url": f"{self.api}/git/commits/{commit.sha}",
            "html_url": f"{self.html}/commit/{commit.sha}",
            "author": self.person(commit.author),
            "committer": self.person(commit.committer),
            "tree": {"sha": commit.tree, "url": f"{self.api}/git/trees/{commit.tree}"},
            "message": commit.message,
            "parents": [
                {
                    "sha": parent,
                    "url": f"{self.api}/git/commits/{parent}",
                    "html_url": f"{self.html}/commit/{parent}",
                }
                for parent in commit.parents
            ],
            "verification": _UNSIGNED,
        }

    def person(self, person: Person) -> Json:
        """Name, e-mail address and date."""
        return {"name": person.name, "email": person.email, "date": utc(person.seconds)}

    def commit(self, commit: Commit, files: Sequence[FileChange] | None = None) -> Json:
        """`commit`; with `files` also `stats`, as when one commit is asked for."""
        shape: Json = {
            "sha": commit.sha,
            "node_id": node_id("Commit", commit.sha),
            "commit": {
                "author": self.person(commit.author),
                "committer": self.person(commit.committer),
                "message": commit.message.rstrip("\n"),
                "tree": {"sha": commit.tree, "url": f"{self.api}/git/trees/{commit.tree}"},
                "url": f"{self.api}/git/commits/{commit.sha}",
                "comment_count": 0,
                "verification": _UNSIGNED,
            },
            "url": f"{self.api}/commits/{commit.sha}",
            "html_url": f"{self.html}/commit/{commit.sha}",
            "comments_url": f"{self.api}/commits/{commit.sha}/comments",
            "author": None,
            "committer": None,
            "parents": [
                {
                    "sha": parent,
                    "url": f"{self.api}/commits/{parent}",
                    "html_url": f"{self.html}/commit/{parent}",
                }
                for parent in commit.parents
            ],
        }
        if files is not None:
            added = sum(file.additions for file in files)
            deleted = sum(file.deletions for file in files)
            shape["stats"] = {"additions": added, "deletions": deleted, "total": added + deleted}
            shape["files"] = [self.file(file, commit.sha) for file in files]
        return shape

    def file(self, file: FileChange, commit: str) -> Json:
        """`diff-entry`."""
        path = quote(file.path)
        shape: Json = {
            "sha": file.sha,
            "filename": file.path,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{self.html}/blob/{commit}/{path}",
            "raw_url": f"{self.html}/raw/{commit}/{path}",
            "contents_url": f"{self.api}/contents/{path}?ref={commit}",
        }
        if file.previous is not None:
            shape["previous_filename"] = file.previous
        if file.patch:
            shape["patch"] = file.patch
        return shape

    def tree(self, sha: str, entries: Sequence[Entry], *, truncated: bool) -> Json:
        """`git-tree`."""
        return {
            "sha": sha,
            "url": f"{self.api}/git/trees/{sha}",
            "tree": [self._tree_entry(entry) for entry in entries],
            "truncated": truncated,
        }

    def _tree_entry(self, entry: Entry) -> Json:
        shape: Json = {"path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha}
        if entry.kind == "commit":  # a submodule: its commit is elsewhere
            return shape
        if entry.size is not None:
            shape["size"] = entry.size
        plural = "trees" if entry.kind == "tree" else "blobs"
        return {**shape, "url": f"{self.api}/git/{plural}/{entry.sha}"}

    def blob(self, sha: str, content: bytes) -> Json:
        """`blob`, always in base64."""
        return {
            "sha": sha,
            "node_id": node_id("Blob", sha),
            "size": len(content),
            "url": f"{self.api}/git/blobs/{sha}",
            "content": base64_lines(content),
            "encoding": "base64",
        }

    def content(self, entry: Entry, path: str, commit: str) -> Json:
        """What `content-file` and the members of `content-directory` share."""
        kind = {"tree": "dir", "commit": "submodule"}.get(
            entry.kind, "symlink" if entry.mode == "120000" else "file"
        )
        quoted = quote(path)
        url = f"{self.api}/contents/{quoted}?ref={commit}"
        plural = "trees" if entry.kind == "tree" else "blobs"
        git_url = f"{self.api}/git/{plural}/{entry.sha}"
        html = f"{self.html}/{'tree' if kind == 'dir' else 'blob'}/{commit}/{quoted}"
        return {
            "type": kind,
            "size": entry.size or 0,
            "name": path.rpartition("/")[2],
            "path": path,
            "sha": entry.sha,
            "url": url,
            "git_url": git_url,
            "html_url": html,
            "download_url": f"{self.html}/raw/{commit}/{quoted}" if kind in ("file", "symlink") else None,
            "_links": {"self": url, "git": git_url, "html": html},
        }

    def branch(self, name: str, commit: Commit) -> Json:
        """`branch-with-protection`."""
        url = f"{self.api}/branches/{quote(name)}"
        return {
            "name": name,
            "commit": self.commit(commit),
            "_links": {"self": url, "html": f"{self.html}/tree/{quote(name)}"},
            "protected": False,
            "protection": {
                "enabled": False,
                "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
            },
            "protection_url": f"{url}/protection",
        }


def base64_lines(content: bytes) -> str:
    """Base64 in lines of 60 characters, as GitHub sends it."""
    text = base64.b64encode(content).decode()
    return "".join(f"{text[start : start + 60]}\n" for start in range(0, len(text), 60))
