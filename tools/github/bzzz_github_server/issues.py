"""Issues: written to the emulator one at a time, read from what it last said.

The lists hold pull requests too, as GitHub's do. Assignees who cannot be assigned are dropped in silence, and
what only people with push access may set (labels, assignees, milestone) is dropped for others.
"""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import quote

from bzzz_github_server.errors import Refusal, not_found, validation_failed
from bzzz_github_server.paging import paged
from bzzz_github_server.pulls import check_words, number_of, refresh
from bzzz_github_server.shapes import issue_shape, tidy
from bzzz_github_server.wire import Json, Response, empty, reply
from bzzz_github_server.world import Call, Hosted, Route, World, as_actor, as_admin

MOST_ASSIGNEES = 10
_PUSHERS_ONLY = ("labels", "assignees", "milestone")


def refresh_issue(world: World, hosted: Hosted, number: int) -> Json:
    """Read an issue (or pull request) from the emulator and make that what everybody sees. Under the lock."""
    if number in hosted.states:
        refresh(world, hosted, number)
        return hosted.issues.get(number) or {}
    shape = issue_shape(hosted, as_admin(world, hosted, "GET", f"/issues/{number}").json())
    hosted.issues.put(number, shape)
    return shape


# ---- reading ----------------------------------------------------------------------------------------------


def list_issues(world: World, call: Call) -> Response:
    """Issues and pull requests by state, assignee, labels, creator, milestone and time of change."""
    query = call.request.query
    found = [issue for issue in call.hosted.issues.all(call.lag_s).values() if _matches(issue, query)]
    sort = query.get("sort", "created")
    field = "comments" if sort == "comments" else f"{sort if sort == 'updated' else 'created'}_at"
    newest_first = query.get("direction", "desc") != "asc"
    found.sort(key=lambda issue: (issue[field], issue["number"]), reverse=newest_first)
    return paged(call.request, found, world.origin)


def _matches(issue: Json, query: dict[str, str]) -> bool:
    labels = {label["name"].lower() for label in issue["labels"]}
    wanted = {name.strip().lower() for name in query.get("labels", "").split(",") if name.strip()}
    assignees = [user["login"] for user in issue["assignees"]]
    milestone = issue["milestone"] and str(issue["milestone"]["number"])
    return (
        query.get("state", "open") in ("all", issue["state"])
        and wanted <= labels
        and _one_of(query.get("assignee"), assignees)
        and _one_of(query.get("milestone"), [milestone] if milestone else [])
        and query.get("creator") in (None, "", issue["user"]["login"])
        and issue["updated_at"] >= query.get("since", "")
    )


def _one_of(wanted: str | None, values: list[str]) -> bool:
    if wanted in (None, ""):
        return True
    if wanted == "none":
        return not values
    return bool(values) if wanted == "*" else wanted in values


def get_issue(_: World, call: Call) -> Response:
    """One issue or pull request."""
    issue = call.hosted.issues.get(number_of(call), call.lag_s)
    if issue is None:
        raise not_found()
    return reply(issue)


def list_labels(world: World, call: Call) -> Response:
    """An issue's labels."""
    return paged(call.request, get_issue(world, call).json()["labels"], world.origin)


# ---- writing ----------------------------------------------------------------------------------------------


def create_issue(world: World, call: Call) -> Response:
    """Open an issue; labels that are not there are made."""
    body = _settable(world, call)
    check_words("Issue", body)
    title = body.get("title")
    if not isinstance(title, str | int) or not str(title).strip():
        raise validation_failed("Issue", "missing_field", field="title")
    with call.hosted.lock:
        labels = body.pop("labels", [])
        made = as_actor(world, call, "POST", "/issues", {**body, "title": str(title)}).json()
        if labels:
            # Apart from the issue itself, so that there are `labeled` events, as on GitHub.
            make_labels(world, call.hosted, labels)
            as_actor(world, call, "POST", f"/issues/{made['number']}/labels", {"labels": labels})
        shape = refresh_issue(world, call.hosted, int(made["number"]))
    return reply(shape, 201, {"Location": shape["url"]})


def edit_issue(world: World, call: Call) -> Response:
    """Change an issue, by those with push access or its author."""
    body, number = _settable(world, call), number_of(call)
    check_words("Issue", body)
    if body.get("state") not in (None, "open", "closed"):
        raise validation_failed("Issue", "invalid", field="state")
    with call.hosted.lock:
        issue = _existing(call, number)
        make_labels(world, call.hosted, body.get("labels", []))
        if not call.may_push and issue["user"]["login"] != call.actor.login:
            raise Refusal(403, "Must have push access to repository")
        if "pull_request" in issue:
            _edit_pull_as_issue(world, call, number, body)
        else:
            as_actor(world, call, "PATCH", f"/issues/{number}", body)
        shape = refresh_issue(world, call.hosted, number)
    return reply(shape)


def _edit_pull_as_issue(world: World, call: Call, number: int, body: Json) -> None:
    changes = {name: body[name] for name in ("title", "body", "state") if name in body}
    if changes:
        as_actor(world, call, "PATCH", f"/pulls/{number}", changes)
    if "labels" in body:
        as_actor(world, call, "PUT", f"/issues/{number}/labels", {"labels": body["labels"]})


def _settable(world: World, call: Call) -> Json:
    """The request without what this caller may not set, and with labels and assignees in one form."""
    body = call.request.json()
    kept = {name: value for name, value in body.items() if call.may_push or name not in _PUSHERS_ONLY}
    if "labels" in kept:
        kept["labels"] = label_names(kept["labels"])
    if kept.get("assignee") and "assignees" not in kept:
        kept["assignees"] = [kept["assignee"]]
    kept.pop("assignee", None)
    if "assignees" in kept:
        kept["assignees"] = _logins(world, call, kept["assignees"])[:MOST_ASSIGNEES]
    return kept


def label_names(given: object) -> list[str]:
    """Labels as names; GitHub takes names and objects with a name.

    Raises:
        Refusal: 422, neither.
    """
    items = cast("list[Any]", given) if isinstance(given, list) else [given]
    names: list[Any] = [cast("Json", item).get("name") if isinstance(item, dict) else item for item in items]
    if not all(isinstance(name, str) and 0 < len(name) <= 50 for name in names):
        raise validation_failed("Label", "invalid", field="name")
    return names


def make_labels(world: World, hosted: Hosted, names: list[str]) -> None:
    """Make the labels that are not there, in GitHub's grey; emulate would choose colours by chance."""
    for name in names:
        if name not in hosted.labels:
            body = {"name": name, "color": "ededed"}
            # 422: somebody made it by the labels endpoint.
            world.emulator.call("POST", f"{hosted.api}/labels", body=body)
            hosted.labels.add(name)


def _existing(call: Call, number: int) -> Json:
    issue = call.hosted.issues.get(number)
    if issue is None:
        raise not_found()
    return issue


def add_assignees(world: World, call: Call) -> Response:
    """Add assignees; additive, and no compare-and-set."""
    return _change_assignees(world, call, "POST", 201)


def remove_assignees(world: World, call: Call) -> Response:
    """Remove assignees."""
    return _change_assignees(world, call, "DELETE", 200)


def _change_assignees(world: World, call: Call, method: str, status: int) -> Response:
    number = number_of(call)
    with call.hosted.lock:
        issue = _existing(call, number)
        have = [user["login"] for user in issue["assignees"]]
        logins = _logins(world, call, call.request.json().get("assignees", []))
        if method == "POST":
            logins = [login for login in logins if login not in have][: max(0, MOST_ASSIGNEES - len(have))]
        else:
            logins = [login for login in logins if login in have]
        if logins and "pull_request" not in issue:
            as_actor(world, call, method, f"/issues/{number}/assignees", {"assignees": logins})
        shape = refresh_issue(world, call.hosted, number)
    return reply(shape, status)


def _logins(world: World, call: Call, given: object) -> list[str]:
    """Those of the logins given that may be assigned."""
    items = cast("list[object]", given) if isinstance(given, list) else [given]
    return [
        login
        for login in items
        if isinstance(login, str) and world.accounts.assignable(login, call.hosted.name)
    ]


def change_labels(world: World, call: Call) -> Response:
    """Add (POST), set (PUT) or remove (DELETE, one or all) labels; answers with what the issue has then."""
    number, method = number_of(call), call.request.method
    with call.hosted.lock:
        _existing(call, number)
        path = f"/issues/{number}/labels"
        if method == "DELETE":
            name = call.args[1] if len(call.args) > 1 else ""
            as_actor(world, call, "DELETE", f"{path}/{quote(name, safe='')}" if name else path)
        else:
            body: Any = call.request.json() if call.request.body.lstrip()[:1] == b"{" else _array(call)
            labels: Any = cast("Json", body).get("labels", []) if isinstance(body, dict) else body
            names = label_names(labels)
            make_labels(world, call.hosted, names)
            as_actor(world, call, method, path, {"labels": names})
        shape = refresh_issue(world, call.hosted, number)
    return empty() if method == "DELETE" and len(call.args) == 1 else reply(shape["labels"])


def _array(call: Call) -> object:
    """A bare JSON array, which GitHub takes here besides an object."""
    try:
        return json.loads(call.request.body or b"[]")
    except ValueError as problem:
        raise Refusal(400, "Problems parsing JSON") from problem


def create_comment(world: World, call: Call) -> Response:
    """Comment on an issue or pull request."""
    number, body = number_of(call), call.request.json()
    check_words("IssueComment", body)
    if not isinstance(body.get("body"), str) or not body["body"].strip():
        raise validation_failed("IssueComment", "missing_field", field="body")
    with call.hosted.lock:
        _existing(call, number)
        made = tidy(
            as_actor(world, call, "POST", f"/issues/{number}/comments", {"body": body["body"]}).json()
        )
        _count_comment(call.hosted, number, 1)
        refresh_issue(world, call.hosted, number)
    return reply(made, 201, {"Location": made["url"]})


def _count_comment(hosted: Hosted, number: int, change: int) -> None:
    if number in hosted.states:
        hosted.states[number].comments += change


def change_comment(world: World, call: Call) -> Response:
    """Edit or delete a comment, by those with push access or its author."""
    path = f"/issues/comments/{number_of(call)}"
    with call.hosted.lock:
        comment = as_admin(world, call.hosted, "GET", path).json()
        if not call.may_push and comment["user"]["login"] != call.actor.login:
            raise Refusal(403, "Must have push access to repository")
        body = call.request.json()
        check_words("IssueComment", body)
        answer = as_actor(world, call, call.request.method, path, body or None)
        number = int(comment["issue_url"].rpartition("/")[2])
        if call.request.method == "DELETE":
            _count_comment(call.hosted, number, -1)
        refresh_issue(world, call.hosted, number)
    return reply(tidy(answer.json())) if answer.body else empty()


ROUTES = (
    Route("GET", r"/issues", list_issues, "issues"),
    Route("POST", r"/issues", create_issue, "issues", signed_in=True),
    Route("GET", r"/issues/(\d+)", get_issue, "issues"),
    Route("PATCH", r"/issues/(\d+)", edit_issue, "issues", signed_in=True),
    Route("POST", r"/issues/(\d+)/assignees", add_assignees, "issues", "write"),
    Route("DELETE", r"/issues/(\d+)/assignees", remove_assignees, "issues", "write"),
    Route("GET", r"/issues/(\d+)/labels", list_labels, "issues"),
    Route("POST", r"/issues/(\d+)/labels", change_labels, "issues", "write"),
    Route("PUT", r"/issues/(\d+)/labels", change_labels, "issues", "write"),
    Route("DELETE", r"/issues/(\d+)/labels", change_labels, "issues", "write"),
    Route("DELETE", r"/issues/(\d+)/labels/(.+)", change_labels, "issues", "write"),
    Route("POST", r"/issues/(\d+)/comments", create_comment, "issues", signed_in=True),
    Route("PATCH", r"/issues/comments/(\d+)", change_comment, "issues", signed_in=True),
    Route("DELETE", r"/issues/comments/(\d+)", change_comment, "issues", signed_in=True),
)
