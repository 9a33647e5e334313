"""REST's git objects: commits, trees and blobs by their ids, read from and written to the bare repository."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from bzzz_github_server.errors import GitError, Refusal, not_found
from bzzz_github_server.formats import Formats
from bzzz_github_server.repository import SHA, Person, TreeChange
from bzzz_github_server.wire import Json, Response, reply
from bzzz_github_server.world import Call, Route, World

TREE_LIMIT = 100_000
"""Entries of a recursive listing; GitHub too says `truncated` beyond."""

_MODES = {"100644": "blob", "100755": "blob", "120000": "blob", "040000": "tree", "160000": "commit"}
_BAD_PATH = re.compile(r"(^|/)(\.{0,2}|\.git)(/|$)", re.IGNORECASE)


def get_commit(world: World, call: Call) -> Response:
    """A commit object."""
    commit = call.hosted.repository.commit(call.args[0])
    if commit is None:
        raise not_found()
    return reply(Formats(world.origin, call.hosted.name).git_commit(commit))


def create_commit(world: World, call: Call) -> Response:
    """Store a commit; author and committer default to the caller, now."""
    body = call.request.json()
    repository = call.hosted.repository
    message, tree, parents = body.get("message"), body.get("tree"), body.get("parents", [])
    if not isinstance(message, str) or "\0" in message:
        raise Refusal(422, 'Invalid request.\n\n"message" wasn\'t supplied.')
    if not isinstance(tree, str) or repository.kind(tree) != "tree":
        raise Refusal(422, "Tree SHA does not exist")
    if not isinstance(parents, list) or not all(
        isinstance(parent, str) and repository.kind(parent) == "commit"
        for parent in cast("list[object]", parents)
    ):
        raise Refusal(422, "Parent SHA does not exist or is not a commit object")
    author = _person(body.get("author"), caller(call))
    committer = _person(body.get("committer"), author)
    sha = repository.write_commit(tree, cast("list[str]", parents), message, author, committer)
    commit = repository.commit(sha)
    if commit is None:
        raise GitError(f"expected the commit {sha} that was just written")
    return reply(Formats(world.origin, call.hosted.name).git_commit(commit), 201)


def caller(call: Call) -> Person:
    """The caller as author of a commit made now."""
    login = call.actor.login
    return Person(login, f"{login}@users.noreply.github.com", int(time.time()), "+0000")


def _person(given: object, default: Person) -> Person:
    if given is None:
        return default
    fields: dict[str, Any] = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    name, email, date = fields.get("name"), fields.get("email"), fields.get("date")
    if not isinstance(name, str) or not isinstance(email, str):
        raise Refusal(422, 'Invalid request.\n\n"email", "name" weren\'t supplied.')
    if date is None:
        return Person(name, email, default.seconds, default.offset)
    try:
        moment = datetime.fromisoformat(str(date))
    except ValueError as problem:
        raise Refusal(422, 'Invalid request.\n\n"date" is not a date-time.') from problem
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Person(name, email, int(moment.timestamp()), moment.strftime("%z")[:5])


def get_tree(world: World, call: Call) -> Response:
    """A tree by its id, or that of a commit or branch; `recursive` goes into sub-trees."""
    repository = call.hosted.repository
    name = call.args[0]
    sha = name if repository.kind(name) == "tree" else repository.resolve(name)
    if sha is None:
        raise not_found()
    root = repository.entry(sha, "").sha if repository.kind(sha) == "commit" else sha  # type: ignore[union-attr]
    entries = repository.tree(root, recursive="recursive" in call.request.query)
    if entries is None:
        raise not_found()
    truncated = len(entries) > TREE_LIMIT
    return reply(
        Formats(world.origin, call.hosted.name).tree(root, entries[:TREE_LIMIT], truncated=truncated)
    )


def create_tree(world: World, call: Call) -> Response:
    """Store a tree made of entries, on top of `base_tree` if given."""
    body = call.request.json()
    repository = call.hosted.repository
    base, given = body.get("base_tree"), body.get("tree")
    if base is not None and (not isinstance(base, str) or repository.kind(base) not in ("tree", "commit")):
        raise Refusal(422, "base_tree is not a valid tree oid")
    if not isinstance(given, list) or not given:
        raise Refusal(422, "Invalid tree info")
    try:
        sha = repository.write_tree(base, list(_changes(call, cast("list[object]", given))))
    except GitError as problem:
        raise Refusal(422, "GitRPC::BadObjectState") from problem
    entries = repository.tree(sha) or []
    return reply(Formats(world.origin, call.hosted.name).tree(sha, entries, truncated=False), 201)


def _changes(call: Call, given: list[object]) -> Iterator[TreeChange]:
    for item in given:
        entry: Json = cast("Json", item) if isinstance(item, dict) else {}
        path, mode, content = entry.get("path"), entry.get("mode"), entry.get("content")
        if not isinstance(path, str) or not valid_path(path):
            raise Refusal(422, "tree.path contains a malformed path component")
        if not isinstance(mode, str) or mode not in _MODES:
            raise Refusal(422, "Must supply a valid tree.mode")
        if isinstance(content, str):
            sha = call.hosted.repository.write_blob(content.encode("utf-8", "surrogatepass"))
            yield TreeChange(path, mode, "blob", sha)
            continue
        sha = entry.get("sha")
        if sha is None and "sha" in entry:
            yield TreeChange(path, mode, _MODES[mode], None)
        elif isinstance(sha, str) and SHA.match(sha):
            yield TreeChange(path, mode, _MODES[mode], sha)
        else:
            raise Refusal(422, "Must supply either tree.sha or tree.content")


def valid_path(path: str) -> bool:
    """Whether a path stays inside a repository and names no part of git's own folder."""
    return bool(path) and "\0" not in path and not _BAD_PATH.search(path)


def get_blob(world: World, call: Call) -> Response:
    """A file's content by its id."""
    content = call.hosted.repository.blob(call.args[0])
    if content is None:
        raise not_found()
    if "raw" in call.request.accept:
        return Response(200, content, {"Content-Type": "application/octet-stream"})
    return reply(Formats(world.origin, call.hosted.name).blob(call.args[0], content))


def create_blob(world: World, call: Call) -> Response:
    """Store a file's content."""
    body = call.request.json()
    content = body.get("content")
    if not isinstance(content, str):
        raise Refusal(422, 'Invalid request.\n\n"content" wasn\'t supplied.')
    sha = call.hosted.repository.write_blob(decode(content, str(body.get("encoding", "utf-8"))))
    return reply({"sha": sha, "url": f"{world.origin}{call.hosted.api}/git/blobs/{sha}"}, 201)


def decode(content: str, encoding: str) -> bytes:
    """Content as sent in JSON.

    Raises:
        Refusal: 422, no base64 although said to be.
    """
    if encoding != "base64":
        return content.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Refusal(422, "content is not valid Base64") from problem


ROUTES = (
    Route("GET", r"/git/commits/([^/]+)", get_commit, "contents"),
    Route("POST", r"/git/commits", create_commit, "contents", "write"),
    Route("GET", r"/git/trees/(.+)", get_tree, "contents"),
    Route("POST", r"/git/trees", create_tree, "contents", "write"),
    Route("GET", r"/git/blobs/([^/]+)", get_blob, "contents"),
    Route("POST", r"/git/blobs", create_blob, "contents", "write"),
)
