"""REST's repositories as people see them: the repository itself, branches, commits, comparisons, files."""

from __future__ import annotations

from bzzz_github_server import diffs
from bzzz_github_server.errors import Refusal, not_found
from bzzz_github_server.formats import Formats, base64_lines
from bzzz_github_server.gitobjects import caller, decode, valid_path
from bzzz_github_server.paging import bounds, links, paged
from bzzz_github_server.people import permissions
from bzzz_github_server.pulls import follow_refs
from bzzz_github_server.repository import Commit, Entry, TreeChange
from bzzz_github_server.shapes import repository_shape
from bzzz_github_server.wire import Json, Response, reply
from bzzz_github_server.world import Call, Route, World

INLINE_LIMIT = 1_048_576
"""Bytes of a file that `contents` sends in JSON; larger ones come raw or as a blob (GitHub's rule)."""
COMPARE_LIMIT = 250
FILES_LIMIT = 300


def get_repository(world: World, call: Call) -> Response:
    """The repository, with what the caller may do in it."""
    shape = repository_shape(world, call.hosted)
    account = call.account
    if account is not None and not account.is_app:
        shape["permissions"] = permissions(call.access)
    return reply(shape)


def list_branches(world: World, call: Call) -> Response:
    """All branches, short form."""
    formats = Formats(world.origin, call.hosted.name)
    shapes = [
        {
            "name": ref.name.removeprefix("refs/heads/"),
            "commit": {"sha": ref.sha, "url": f"{formats.api}/commits/{ref.sha}"},
            "protected": False,
        }
        for ref in call.hosted.repository.refs("refs/heads/")
    ]
    return paged(call.request, shapes, world.origin)


def get_branch(world: World, call: Call) -> Response:
    """A branch with its newest commit."""
    ref = call.hosted.repository.ref(f"refs/heads/{call.args[0]}")
    if ref is None:
        raise Refusal(404, "Branch not found")
    return reply(Formats(world.origin, call.hosted.name).branch(call.args[0], _commit(call, ref.sha)))


def list_commits(world: World, call: Call) -> Response:
    """Commits from a branch or commit (`sha`) backwards, those of one `path` if given."""
    start = _resolve(call, call.request.query.get("sha") or call.hosted.default_branch)
    page, size = bounds(call.request)
    path = call.request.query.get("path", "")
    found = call.hosted.repository.commits([start], skip=(page - 1) * size, limit=size + 1, path=path)
    formats = Formats(world.origin, call.hosted.name)
    shapes = [formats.commit(commit) for commit in found[:size]]
    # The number of the last page is not known without counting all; one more page is enough to go on.
    headers = links(call.request, world.origin, page, last=page + 1 if len(found) > size else page)
    return reply(shapes, headers=headers)


def get_commit(world: World, call: Call) -> Response:
    """A commit by branch, tag or id, with what it changed; as a diff or patch if asked for."""
    commit = _commit(call, _resolve(call, call.args[0]))
    repository = call.hosted.repository
    if "sha" in call.request.accept.rpartition("vnd.github.")[2].split("+")[0]:
        return Response(
            200, commit.sha.encode(), {"Content-Type": "application/vnd.github.sha; charset=utf-8"}
        )
    if "diff" in call.request.accept:
        return _text(diffs.text(repository, diffs.parent_of(commit), commit.sha), "diff")
    files = diffs.files(repository, diffs.parent_of(commit), commit.sha)[:FILES_LIMIT]
    return reply(Formats(world.origin, call.hosted.name).commit(commit, files))


def compare(world: World, call: Call) -> Response:
    """What `head` has that `base` has not (`base...head`), from their common ancestor."""
    base_name, dots, head_name = call.args[0].partition("...")
    if not dots:
        raise not_found()
    base, head = _resolve(call, base_name), _resolve(call, head_name)
    repository = call.hosted.repository
    ancestor = repository.merge_base(base, head)
    if ancestor is None:
        raise Refusal(404, f"No common ancestor between {base_name} and {head_name}.")
    if "diff" in call.request.accept:
        return _text(diffs.text(repository, ancestor, head), "diff")
    ahead, behind = repository.count([head, f"^{base}"]), repository.count([base, f"^{head}"])
    formats = Formats(world.origin, call.hosted.name)
    url = f"{formats.api}/compare/{call.args[0]}"
    html = f"{formats.html}/compare/{call.args[0]}"
    newest_last = repository.commits([head, f"^{base}"], limit=COMPARE_LIMIT)[::-1]
    return reply(
        {
            "url": url,
            "html_url": html,
            "permalink_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "base_commit": formats.commit(_commit(call, base)),
            "merge_base_commit": formats.commit(_commit(call, ancestor)),
            "status": _status(ahead, behind),
            "ahead_by": ahead,
            "behind_by": behind,
            "total_commits": ahead,
            "commits": [formats.commit(commit) for commit in newest_last],
            "files": [
                formats.file(file, head) for file in diffs.files(repository, ancestor, head)[:FILES_LIMIT]
            ],
        }
    )


def _status(ahead: int, behind: int) -> str:
    if ahead and behind:
        return "diverged"
    return "ahead" if ahead else "behind" if behind else "identical"


def get_content(world: World, call: Call) -> Response:
    """A file or a folder at a branch, tag or commit (`ref`)."""
    path = call.args[0].strip("/") if call.args else ""
    commit = _resolve(call, call.request.query.get("ref") or call.hosted.default_branch)
    if path and not valid_path(path):
        raise not_found()
    entry = call.hosted.repository.entry(commit, path)
    if entry is None:
        raise not_found()
    formats = Formats(world.origin, call.hosted.name)
    if entry.kind == "tree":
        below = call.hosted.repository.tree(entry.sha) or []
        prefix = f"{path}/" if path else ""
        return reply([formats.content(member, prefix + member.path, commit) for member in below])
    return _file(call, formats, entry, path, commit)


def _file(call: Call, formats: Formats, entry: Entry, path: str, commit: str) -> Response:
    shape = formats.content(entry, path, commit)
    if entry.kind == "commit":
        return reply({**shape, "submodule_git_url": ""})
    content = call.hosted.repository.blob(entry.sha) or b""
    if "vnd.github.raw" in call.request.accept or "vnd.github.v3.raw" in call.request.accept:
        return Response(200, content, {"Content-Type": "application/vnd.github.raw; charset=utf-8"})
    if len(content) > INLINE_LIMIT:
        return reply({**shape, "content": "", "encoding": "none"})
    return reply({**shape, "content": base64_lines(content), "encoding": "base64"})


def put_content(world: World, call: Call) -> Response:
    """Create or replace a file by a commit on a branch; `sha` must be that of the file it replaces."""
    body = call.request.json()
    content = body.get("content")
    if not isinstance(content, str):
        raise Refusal(422, 'Invalid request.\n\n"content" wasn\'t supplied.')
    sha = call.hosted.repository.write_blob(decode(content, "base64"))
    existed, commit = _change_file(world, call, body, sha)
    formats = Formats(world.origin, call.hosted.name)
    entry = call.hosted.repository.entry(commit.sha, call.args[0])
    shape = formats.content(entry, call.args[0], commit.sha) if entry else None
    return reply({"content": shape, "commit": formats.git_commit(commit)}, 200 if existed else 201)


def delete_content(world: World, call: Call) -> Response:
    """Delete a file by a commit on a branch."""
    body = call.request.json() if call.request.body else dict(call.request.query)
    _, commit = _change_file(world, call, body, None)
    return reply({"content": None, "commit": Formats(world.origin, call.hosted.name).git_commit(commit)})


def _change_file(world: World, call: Call, body: Json, sha: str | None) -> tuple[bool, Commit]:
    """Commit one changed path; return whether there was a file before, and the commit."""
    path, message = call.args[0], body.get("message")
    if not valid_path(path) or not isinstance(message, str):
        raise Refusal(422, 'Invalid request.\n\n"message" wasn\'t supplied or the path is malformed.')
    branch = str(body.get("branch") or call.hosted.default_branch)
    repository = call.hosted.repository
    ref = repository.ref(f"refs/heads/{branch}")
    if ref is None:
        raise Refusal(404, f"Branch {branch} not found")
    before = repository.entry(ref.sha, path)
    if before is None and sha is None:
        raise not_found()
    if before is not None and body.get("sha") is None:
        raise Refusal(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if before is not None and body.get("sha") != before.sha:
        raise Refusal(409, f"{path} does not match {body.get('sha')}")
    mode = before.mode if before is not None and before.kind == "blob" else "100644"
    tree = repository.write_tree(ref.sha, [TreeChange(path, mode, "blob", sha)])
    who = caller(call)
    new = repository.write_commit(tree, [ref.sha], message, who, who)
    if not repository.move_ref(ref.name, new, ref.sha):
        raise Refusal(409, f"{branch} was updated by another request; try again")
    follow_refs(world, call.hosted)
    return before is not None, _commit(call, new)


def _resolve(call: Call, name: str) -> str:
    sha = call.hosted.repository.resolve(name)
    if sha is None:
        raise Refusal(404, f"No commit found for the ref {name}")
    return sha


def _commit(call: Call, sha: str) -> Commit:
    commit = call.hosted.repository.commit(sha)
    if commit is None:
        raise not_found()
    return commit


def _text(content: bytes, kind: str) -> Response:
    return Response(200, content, {"Content-Type": f"application/vnd.github.{kind}; charset=utf-8"})


ROUTES = (
    Route("GET", r"", get_repository, "metadata"),
    Route("GET", r"/branches", list_branches, "contents"),
    Route("GET", r"/branches/(.+)", get_branch, "contents"),
    Route("GET", r"/commits", list_commits, "contents"),
    Route("GET", r"/commits/(.+)", get_commit, "contents"),
    Route("GET", r"/compare/(.+)", compare, "contents"),
    Route("GET", r"/contents/?", get_content, "contents"),
    Route("GET", r"/contents/(.+)", get_content, "contents"),
    Route("PUT", r"/contents/(.+)", put_content, "contents", "write"),
    Route("DELETE", r"/contents/(.+)", delete_content, "contents", "write"),
)
