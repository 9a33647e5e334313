"""What happened to an issue: who put on or took off which label, who was assigned by whom.

Other kinds of events are left out: GitHub's description of this list does not know most of them either.
"""

from __future__ import annotations

from typing import Any

from bzzz_github_server.errors import not_found
from bzzz_github_server.paging import MOST_PER_PAGE, paged
from bzzz_github_server.pulls import number_of
from bzzz_github_server.shapes import tidy
from bzzz_github_server.wire import Json, Response
from bzzz_github_server.world import Call, Hosted, Route, World, as_admin

MOST_PAGES = 100
_SAME = ("id", "node_id", "url", "actor", "event", "commit_id", "commit_url", "created_at")
_LABELS = frozenset({"labeled", "unlabeled"})
_ASSIGNEES = frozenset({"assigned", "unassigned"})


def list_events(world: World, call: Call) -> Response:
    """An issue's events, oldest first; none of pull requests, which the emulator does not keep."""
    number = number_of(call)
    if call.hosted.issues.get(number) is None:
        raise not_found()
    raw = [] if number in call.hosted.states else _all(world, call.hosted, number)
    return paged(call.request, [shape for event in raw if (shape := _shape(event))], world.origin)


def _all(world: World, hosted: Hosted, number: int) -> list[Json]:
    found: list[Json] = []
    for page in range(1, MOST_PAGES + 1):
        path = f"/issues/{number}/events?per_page={MOST_PER_PAGE}&page={page}"
        part: list[Json] = as_admin(world, hosted, "GET", path).json()
        found += part
        if len(part) < MOST_PER_PAGE:
            break
    return found


def _shape(event: Json) -> Json | None:
    shape: dict[str, Any] = {name: event[name] for name in _SAME} | {"performed_via_github_app": None}
    if event["event"] in _LABELS:
        return tidy({**shape, "label": event["label"]})
    if event["event"] in _ASSIGNEES:
        return tidy({**shape, "assignee": event["assignee"], "assigner": event["actor"]})
    return None


ROUTES = (Route("GET", r"/issues/(\d+)/events", list_events, "issues"),)
