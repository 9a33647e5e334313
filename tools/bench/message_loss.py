"""Do rounds complete when messages get lost? A hive in which every agent misses 10 % of what the mesh brings it.

The loss is at delivery, beyond all that gossip repairs by itself: what is lost does not come again unless somebody
says it again. The agents are the product's own, started by a launcher that throws messages away (lossy_agent.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.bench.local_hive import running, wait_for
from tools.bench.lossy_agent import EVENT
from tools.bench.rows import Context, Row, at_least

Json = dict[str, Any]

AGENTS = 4
ISSUES = 12
WINDOW_S = 8.0
"""A claimant repeats its round every 2 s: three times in this window, fourteen times in the default one of 30 s."""
PATIENCE_S = 240.0
LAUNCHER = ("-m", "tools.bench.lossy_hive")


def measure(context: Context) -> Iterator[Row]:
    """Let a hive work through its issues."""
    issues = context.times(ISSUES)
    with running(context, AGENTS, WINDOW_S, LAUNCHER) as hive:
        numbers = [hive.open_issue(f"Note {turn}")[0] for turn in range(issues)]
        try:
            patience = PATIENCE_S * max(1.0, context.scale)
            wait_for(lambda: hive.settled(numbers), patience, "every issue has its pull request")
        except TimeoutError as error:
            context.say(str(error))  # what did not complete is what is counted
        views = hive.discussions()
        logs = hive.state_dir / "process-logs"
    yield from _rows(views, issues, _loss(logs))


def _loss(logs: Path) -> tuple[int, int]:
    """Return how many messages the agents lost and how many came, by what they said at their end."""
    lines = (line for path in logs.glob("agent-*.log") for line in path.read_text().splitlines())
    said = [json.loads(line) for line in lines if f'"{EVENT}"' in line]
    return sum(line["lost"] for line in said), sum(line["lost"] + line["heard"] for line in said)


def _rows(views: list[Json], issues: int, loss: tuple[int, int]) -> Iterator[Row]:
    opened = sum(view["round"] for view in views)
    closed = [(view, entry) for view in views for entry in view["rounds"]]
    named = sum(len(view["reviewers"]) for view, _ in closed)
    silent = sum(len(set(entry["silent"]) & set(view["reviewers"])) for view, entry in closed)
    expected = sum(len(entry["expected"]) for _, entry in closed)
    signed = sum(len(set(entry["countersigned"]) & set(entry["expected"])) for _, entry in closed)
    pulls = {view["number"] for view in views if view["pullRequest"]}
    lost, came = loss
    story = f"window {WINDOW_S:g} s, {AGENTS} agents; {lost} of {came} messages thrown away"
    rest = [view for view in views if view["round"] > len(view["rounds"])]
    detail = {"notCompleted": rest}
    yield Row(
        "rounds completed", _percent(len(closed), opened), "%", at_least(100), note=story, detail=detail
    )
    yield Row("named reviewers' answers weighed", _percent(named - silent, named), "%", note=f"of {named}")
    yield Row("accounts countersigned", _percent(signed, expected), "%", note=f"of {expected}")
    yield Row("issues with a pull request", _percent(len(pulls), issues), "%", note=f"of {issues}")


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
