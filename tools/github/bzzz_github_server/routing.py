"""The table of everything below /repos/{owner}/{repo}, and who may call what."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from bzzz_github_server import contents, events, gitobjects, issues, merging, people, pulls, refs
from bzzz_github_server.accounts import Account, at_least
from bzzz_github_server.errors import Refusal, not_found
from bzzz_github_server.shapes import tidy
from bzzz_github_server.wire import Request, Response, reply
from bzzz_github_server.world import Call, Route, World, accepted, as_actor

REPOSITORY = re.compile(r"^/repos/([^/]+/[^/]+)(/.*)?$")


def passed_on(world: World, call: Call) -> Response:
    """Let the emulator answer, in the caller's name."""
    request = call.request
    target = f"{call.hosted.api}{_below(request)}"
    if request.raw_query:
        target = f"{target}?{request.raw_query}"
    if call.account is None:
        answer = accepted(world.emulator.call("GET", target))
    else:
        rest = target.removeprefix(call.hosted.api)
        answer = as_actor(world, call, request.method, rest, request.json() if request.body else None)
    link = {"Link": answer.headers["Link"]} if "Link" in answer.headers else {}
    return reply(tidy(answer.json()), answer.status, link) if answer.body else Response(answer.status)


def _below(request: Request) -> str:
    match = REPOSITORY.match(request.path)
    return (match[2] or "") if match else ""


_PASSED_ON = (
    Route("GET", r"/issues/comments(?:/\d+)?", passed_on, "issues"),
    Route("GET", r"/issues/\d+/comments", passed_on, "issues"),
    Route("GET", r"/labels(?:/[^/]+)?", passed_on, "issues"),
    Route("POST", r"/labels", passed_on, "issues", "write"),
    Route("GET", r"/milestones(?:/\d+)?", passed_on, "issues"),
    Route("POST", r"/milestones", passed_on, "issues", "write"),
    Route("GET", r"/pulls/\d+/(?:comments|reviews)", passed_on, "pull_requests"),
    Route("POST", r"/pulls/\d+/(?:comments|reviews)", passed_on, "pull_requests", signed_in=True),
    Route("GET", r"/hooks(?:/\d+)?", passed_on, "metadata", "admin"),
    Route("POST", r"/hooks", passed_on, "metadata", "admin"),
    Route("DELETE", r"/hooks/\d+", passed_on, "metadata", "admin"),
)

_TABLE = tuple(
    (re.compile(rf"^{route.pattern}$"), route)
    for module in (refs, gitobjects, contents, pulls, merging, issues, events, people)
    for route in module.ROUTES
) + tuple((re.compile(rf"^{route.pattern}$"), route) for route in _PASSED_ON)


def dispatch(world: World, request: Request, account: Account | None, lag_s: float) -> Response:
    """Answer a request below /repos.

    Raises:
        Refusal: 401, 403 or 404 by who asks for what; 501 for what this server does not supply.
    """
    match = REPOSITORY.match(request.path)
    hosted = world.find(unquote(match[1])) if match else None
    if match is None or hosted is None or world.accounts.access(account, hosted.name, "metadata") == "none":
        raise not_found()
    below = match[2] or ""
    method = "GET" if request.method == "HEAD" else request.method
    for pattern, route in _TABLE:
        found = pattern.match(below) if route.method == method else None
        if found is not None:
            access = world.accounts.access(account, hosted.name, route.scope)
            args = tuple(unquote(group) for group in found.groups() if group is not None)
            call = Call(request, account, hosted, access, args, lag_s)
            _admit(route, call)
            return route.handler(world, call)
    what = f"{request.method} {quote(below or '/')}"
    raise Refusal(
        501, f"The local GitHub server does not supply {what} of a repository (docs/local-github.md)."
    )


def _admit(route: Route, call: Call) -> None:
    """Decide whether the caller may use a route.

    Raises:
        Refusal: 401 who is not signed in, 403 whose role does not suffice.
    """
    if call.account is None and (route.signed_in or route.need != "read"):
        raise Refusal(401, "Requires authentication")
    writes = route.method != "GET"
    need = "write" if writes and call.account is not None and call.account.is_app else route.need
    if not at_least(call.access, need):
        integration = call.account is not None and call.account.is_app
        raise Refusal(
            403,
            "Resource not accessible by integration"
            if integration
            else "Must have push access to repository",
        )
