"""From an issue that is seen to its pull request: what the hive itself takes, and how much it writes on GitHub.

Issues are opened one after the other on a hive at work, so that none waits for a free agent. The executor is instant
and nobody asks a model: rules review. An issue is seen when an answer of GitHub first lists it; its pull request is
there when GitHub has answered the request that opens it. Overhead is the time in between without the objection window.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from tools.bench.local_hive import running, wait_for
from tools.bench.rows import BrokenError, Context, Row, at_most, histogram, percentile

Json = dict[str, Any]

AGENTS = 3
ISSUES = 6
WINDOW_S = 1.0
PATIENCE_S = 90.0
BOUNDS_S = (0.1, 0.2, 0.5, 1, 2, 5)
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
PHASES = {
    "Planning": "claimed, planned, reviewers there",
    "Listening": "window and countersigning, without the window",
    "Executing": "executed, tested, committed",
    "Reporting": "archived, fenced, pushed, opened",
}


def measure(context: Context) -> Iterator[Row]:
    """Give a hive one issue after the other."""
    with running(context, AGENTS, WINDOW_S) as hive:
        opened: dict[int, float] = {}
        for turn in range(context.times(ISSUES)):
            number, at = hive.open_issue(f"Note {turn}")
            opened[number] = at
            wait_for(lambda n=number: hive.settled([n]), PATIENCE_S, f"a pull request for issue {number}")
        views = hive.settled(list(opened)) or {}
        exchanges = hive.exchanges()
    _check_single(exchanges, list(opened))
    times = {number: _spans(number, views[number], exchanges) for number in opened}
    yield from _rows(opened, times)
    writes = _writes(exchanges, list(opened))
    most = max(writes.values(), key=lambda kinds: kinds.total())
    story = ", ".join(f"{kind} {count}" for kind, count in most.most_common())
    yield Row("GitHub writes for one issue, most", most.total(), "", promise=at_most(12), note=story)


def _rows(opened: dict[int, float], times: dict[int, dict[str, float]]) -> Iterator[Row]:
    overhead = [spans["total"] - WINDOW_S for spans in times.values()]
    note = f"{len(opened)} issues: {histogram(overhead, BOUNDS_S)}; p50 {percentile(overhead, 50):.2f} s"
    yield Row(
        "issue seen → pull request without the window, worst", max(overhead), "s", at_most(5), note=note
    )
    wait = [times[number]["seen"] - at for number, at in opened.items()]
    yield Row("opened → seen, p50", percentile(wait, 50), "s", note="the poll, 1 s on a local server")
    for name in ("Claiming", *PHASES):
        values = [spans[name] for spans in times.values()]
        story = PHASES.get(name, "seen, waited for its turn, claimed")
        yield Row(
            f"phase {name}, p50",
            percentile(values, 50),
            "s",
            note=f"{story}: {histogram(values, BOUNDS_S)}",
            detail={"seconds": values},
        )


def _spans(number: int, view: Json, exchanges: list[Json]) -> dict[str, float]:
    """Return when an issue was seen (wall clock), and the seconds of each phase up to the pull request."""
    seen = min(e["at"] for e in exchanges if _lists(e, number))
    pull = min(e["at"] for e in exchanges if _opens(e, number))
    began = [(phase, datetime.fromisoformat(at).timestamp()) for phase, at in view["phases"]]
    ends = [*began, ("end", pull)]
    spans = dict.fromkeys(PHASES, 0.0)
    for (phase, start), (_, end) in pairwise(ends):
        if phase in spans:
            spans[phase] += max(0.0, min(end, pull) - start)
    spans["Listening"] -= WINDOW_S
    claimed = began[0][1]
    return spans | {"seen": seen, "Claiming": claimed - seen, "total": pull - seen}


def _lists(exchange: Json, number: int) -> bool:
    """Whether an answer is a list of issues with this one in it."""
    if exchange["method"] != "GET" or exchange["status"] != 200:
        return False
    if re.search(r"/issues(\?|$)", exchange["path"]) is None:
        return False
    return any(issue["number"] == number for issue in json.loads(exchange["response"]))


def _opens(exchange: Json, number: int) -> bool:
    """Whether a request opened an issue's pull request."""
    if exchange["method"] != "POST" or exchange["status"] != 201 or not exchange["path"].endswith("/pulls"):
        return False
    return json.loads(exchange["request"])["head"] == f"bzzz/issue-{number}"


def _check_single(exchanges: list[Json], numbers: list[int]) -> None:
    """Raise BrokenError where an issue got more than one pull request."""
    doubled = [number for number in numbers if sum(_opens(e, number) for e in exchanges) != 1]
    if doubled:
        raise BrokenError(f"expected one pull request an issue, not so for {doubled}")


def _writes(exchanges: list[Json], numbers: list[int]) -> dict[int, Counter[str]]:
    """Return the hive's writes for each issue, by kind; what cannot be told apart counts for every issue."""
    writes = {number: Counter[str]() for number in numbers}
    for exchange in exchanges:
        if exchange["method"] not in WRITES or exchange["login"] == "hive-admin":
            continue
        kind = next(
            (k for k in ("commits", "refs", "assignees", "labels", "pulls") if f"/{k}" in exchange["path"]),
            "other",
        )
        about = _issue_of(exchange)
        for number in numbers if about is None else [about]:
            writes[number][kind] += 1
    return writes


def _issue_of(exchange: Json) -> int | None:
    text = f"{exchange['path']} {exchange['request']}"
    found = re.search(r'issues?[-/](\d+)|\\?"issue\\?":\s*(\d+)', text)
    return None if found is None else int(found[1] or found[2])
