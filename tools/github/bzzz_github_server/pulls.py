"""Pull requests: the emulator keeps their words, git their heads, bases and diffs.

The emulator cannot see our commits, so each of its pull requests is laid over with what git says before
anybody sees it, and only its state (open, draft, merged, by whom) is believed.
"""

from __future__ import annotations

import time

from bzzz_github_server import diffs, git
from bzzz_github_server.errors import Refusal, not_found, validation_failed
from bzzz_github_server.formats import Formats, utc
from bzzz_github_server.paging import paged
from bzzz_github_server.repository import Ref
from bzzz_github_server.shapes import pull_as_issue, pull_in_list, repository_shape, tidy
from bzzz_github_server.wire import Json, Response, reply
from bzzz_github_server.world import Call, Hosted, PullState, Route, World, as_actor, as_admin

BODY_LIMIT = 65_536
"""Characters of a body or comment (GitHub's limit)."""
TITLE_LIMIT = 256


def head_name(number: int) -> str:
    """The ref that follows a pull request's head and outlives its branch."""
    return f"refs/pull/{number}/head"


def head_of(hosted: Hosted, number: int) -> str:
    """A pull request's head commit."""
    ref = hosted.repository.ref(head_name(number))
    if ref is None:
        raise not_found()
    return ref.sha


def number_of(call: Call) -> int:
    """The number in the path.

    Raises:
        Refusal: 404, too large to be one.
    """
    if len(call.args[0]) > 9:
        raise not_found()
    return int(call.args[0])


def check_words(resource: str, body: Json) -> None:
    """Check the length of a title and body.

    Raises:
        Refusal: 422 in GitHub's words.
    """
    for field, limit in (("title", TITLE_LIMIT), ("body", BODY_LIMIT)):
        value = body.get(field)
        if isinstance(value, str) and len(value) > limit:
            message = f"{field} is too long (maximum is {limit} characters)"
            raise validation_failed(resource, "custom", field=field, message=message)


# ---- reading ----------------------------------------------------------------------------------------------


def list_pulls(world: World, call: Call) -> Response:
    """Pull requests by state, head (`owner:branch`) and base."""
    query = call.request.query
    state, head, base = query.get("state", "open"), query.get("head", ""), query.get("base", "")
    found = [
        pull_in_list(pull)
        for pull in call.hosted.pulls.all(call.lag_s).values()
        if state in ("all", pull["state"])
        and (not base or pull["base"]["ref"] == base)
        and (not head or head in (pull["head"]["label"], pull["head"]["ref"]))
    ]
    field = "updated_at" if query.get("sort") == "updated" else "created_at"
    newest_first = query.get("direction", "desc") != "asc"
    found.sort(key=lambda pull: (pull[field], pull["number"]), reverse=newest_first)
    return paged(call.request, found, world.origin)


def get_pull(_: World, call: Call) -> Response:
    """One pull request; as diff or patch if asked for."""
    number = number_of(call)
    pull = call.hosted.pulls.get(number, call.lag_s)
    if pull is None:
        raise not_found()
    if "diff" in call.request.accept:
        return Response(
            200, diff(call.hosted, number), {"Content-Type": "application/vnd.github.diff; charset=utf-8"}
        )
    if "patch" in call.request.accept:
        content = diffs.patches(call.hosted.repository, *_span(call.hosted, number))
        return Response(200, content, {"Content-Type": "application/vnd.github.patch; charset=utf-8"})
    return reply({**pull, **_mergeable(call.hosted, pull)})


def _mergeable(hosted: Hosted, pull: Json) -> Json:
    if pull["state"] != "open":
        return {"mergeable": None, "rebaseable": None, "mergeable_state": "unknown"}
    base = hosted.repository.ref(f"refs/heads/{pull['base']['ref']}")
    clean = base is not None and hosted.repository.merged_tree(base.sha, pull["head"]["sha"]) is not None
    state = "dirty" if not clean else "draft" if pull["draft"] else "clean"
    return {"mergeable": clean, "rebaseable": clean, "mergeable_state": state}


def _span(hosted: Hosted, number: int) -> tuple[str, str]:
    """From which commit to which a pull request leads: the common ancestor with its base, and its head."""
    state = hosted.states.get(number)
    if state is None:
        raise not_found()
    head = head_of(hosted, number)
    return hosted.repository.merge_base(state.base_sha, head) or diffs.EMPTY_TREE, head


def diff(hosted: Hosted, number: int) -> bytes:
    """A pull request's changes as git prints them."""
    return diffs.text(hosted.repository, *_span(hosted, number))


def list_files(world: World, call: Call) -> Response:
    """The files that a pull request changes, each with its patch."""
    base, head = _span(call.hosted, number_of(call))
    formats = Formats(world.origin, call.hosted.name)
    shapes = [formats.file(file, head) for file in diffs.files(call.hosted.repository, base, head)]
    return paged(call.request, shapes, world.origin)


def list_commits(world: World, call: Call) -> Response:
    """The commits of a pull request, oldest first, 250 at most."""
    base, head = _span(call.hosted, number_of(call))
    formats = Formats(world.origin, call.hosted.name)
    oldest_first = call.hosted.repository.commits([head, f"^{base}"])[::-1]
    return paged(call.request, [formats.commit(commit) for commit in oldest_first], world.origin)


def is_merged(_: World, call: Call) -> Response:
    """204 if merged, else 404."""
    pull = call.hosted.pulls.get(number_of(call), call.lag_s)
    if pull is None or not pull["merged"]:
        raise not_found()
    return Response(204)


# ---- writing ----------------------------------------------------------------------------------------------


def create_pull(world: World, call: Call) -> Response:
    """Open a pull request; one may be open for a head and base."""
    body = call.request.json()
    check_words("PullRequest", body)
    hosted = call.hosted
    if not isinstance(body.get("title"), str) or not body["title"].strip():
        raise validation_failed("PullRequest", "missing_field", field="title")
    head_ref, head = _branch(hosted, body, "head")
    base_ref, base = _branch(hosted, body, "base")
    if body.get("draft") is True and not hosted.drafts:
        raise Refusal(422, "Draft pull requests are not supported in this repository.")
    with hosted.lock:
        for pull in hosted.pulls.all().values():
            if pull["state"] == "open" and (pull["head"]["ref"], pull["base"]["ref"]) == (head_ref, base_ref):
                message = f"A pull request already exists for {pull['head']['label']}."
                raise validation_failed("PullRequest", "custom", message=message)
        if hosted.repository.count([head, f"^{base}"]) == 0:
            message = f"No commits between {base_ref} and {head_ref}"
            raise validation_failed("PullRequest", "custom", message=message)
        order = {name: body[name] for name in ("title", "body", "draft") if name in body}
        made = as_actor(world, call, "POST", "/pulls", {**order, "head": head_ref, "base": base_ref}).json()
        number = int(made["number"])
        hosted.states[number] = PullState(number, head_ref, base_ref, base)
        hosted.repository.move_ref(head_name(number), head, git.ZERO)
        hosted.refs.replace({ref.name: ref for ref in hosted.repository.refs()})
        shape = refresh(world, hosted, number)
    return reply({**shape, **_mergeable(hosted, shape)}, 201, {"Location": shape["url"]})


def _branch(hosted: Hosted, body: Json, field: str) -> tuple[str, str]:
    """A branch named in a request (`owner:` may stand before it) and its tip."""
    name = body.get(field)
    owner, colon, branch = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not colon:
        owner, branch = hosted.name.partition("/")[0], owner
    ref = hosted.repository.ref(f"refs/heads/{branch}") if branch else None
    if ref is None or owner.lower() != hosted.name.partition("/")[0].lower():
        raise validation_failed("PullRequest", "invalid", field=field)
    return branch, ref.sha


def edit_pull(world: World, call: Call) -> Response:
    """Change title, body, state or base."""
    body = call.request.json()
    check_words("PullRequest", body)
    hosted, number = call.hosted, number_of(call)
    with hosted.lock:
        pull = hosted.pulls.get(number)
        if pull is None:
            raise not_found()
        if not call.may_push and pull["user"]["login"] != call.actor.login:
            raise Refusal(403, "Must have push access to repository")
        if pull["merged"] and body.get("state") == "open":
            raise validation_failed("PullRequest", "invalid", field="state")
        changes = {name: body[name] for name in ("title", "body", "state") if body.get(name) is not None}
        if isinstance(body.get("base"), str):
            state = hosted.states[number]
            state.base_ref, state.base_sha = _branch(hosted, body, "base")
        as_actor(world, call, "PATCH", f"/pulls/{number}", changes)
        shape = refresh(world, hosted, number)
    return reply({**shape, **_mergeable(hosted, shape)})


def refresh(world: World, hosted: Hosted, number: int) -> Json:
    """Read a pull request from the emulator and git, and make that what everybody sees. Under `hosted.lock`."""
    shape: Json = tidy(as_admin(world, hosted, "GET", f"/pulls/{number}").json())
    state, head = hosted.states[number], head_of(hosted, number)
    repository = repository_shape(world, hosted)
    changes = diffs.files(hosted.repository, *_span(hosted, number))
    owner = hosted.name.partition("/")[0]
    for end, ref, sha in (("head", state.head_ref, head), ("base", state.base_ref, state.base_sha)):
        shape[end] = {
            **shape[end],
            "label": f"{owner}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": repository["owner"],
            "repo": repository,
        }
    shape["statuses_url"] = f"{repository['url']}/statuses/{head}"
    shape["_links"]["statuses"] = {"href": shape["statuses_url"]}
    shape["merge_commit_sha"] = state.merge_sha
    shape["updated_at"] = max(shape["updated_at"], state.pushed_at or "")
    shape["commits"] = hosted.repository.count([head, f"^{state.base_sha}"])
    shape["comments"] = state.comments
    shape["changed_files"] = len(changes)
    shape["additions"] = sum(change.additions for change in changes)
    shape["deletions"] = sum(change.deletions for change in changes)
    hosted.pulls.put(number, shape)
    hosted.issues.put(number, pull_as_issue(shape))
    return shape


def follow_refs(world: World, hosted: Hosted) -> None:
    """Take note that refs moved, by push or by REST: heads of open pull requests go with their branches, and
    a pull request whose branch is gone is closed.
    """
    with hosted.lock:
        refs = {ref.name: ref for ref in hosted.repository.refs()}
        changed = hosted.refs.replace(refs)
        branches = {name.removeprefix("refs/heads/") for name in changed if name.startswith("refs/heads/")}
        if not branches:
            return
        hosted.pushed_at = utc(time.time())
        for number, pull in hosted.pulls.all().items():
            state = hosted.states[number]
            if pull["state"] == "open" and state.head_ref in branches:
                _follow(world, hosted, state, refs.get(f"refs/heads/{state.head_ref}"))


def _follow(world: World, hosted: Hosted, state: PullState, branch: Ref | None) -> None:
    if branch is None:
        as_admin(world, hosted, "PATCH", f"/pulls/{state.number}", {"state": "closed"})
    else:
        hosted.repository.move_ref(head_name(state.number), branch.sha, head_of(hosted, state.number))
        base = hosted.repository.ref(f"refs/heads/{state.base_ref}")
        state.base_sha = base.sha if base else state.base_sha
        state.pushed_at = hosted.pushed_at
        hosted.refs.replace({ref.name: ref for ref in hosted.repository.refs()})
    refresh(world, hosted, state.number)


ROUTES = (
    Route("GET", r"/pulls", list_pulls, "pull_requests"),
    Route("POST", r"/pulls", create_pull, "pull_requests", "write"),
    Route("GET", r"/pulls/(\d+)", get_pull, "pull_requests"),
    Route("PATCH", r"/pulls/(\d+)", edit_pull, "pull_requests", signed_in=True),
    Route("GET", r"/pulls/(\d+)/files", list_files, "pull_requests"),
    Route("GET", r"/pulls/(\d+)/commits", list_commits, "pull_requests"),
    Route("GET", r"/pulls/(\d+)/merge", is_merged, "pull_requests"),
)
