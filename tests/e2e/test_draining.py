"""An agent that is asked to leave: it ends what it has begun, begins nothing, and says when it is done."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.hive import REPOSITORY, Hive, agent, issue
from tests.support.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

DRAIN = 'kubernetes.io/config.seen="2026-01-01T00:00:00Z"\nbzzz.dev/drain="true"\n'


def of(hive: Hive, node_id: str, name: str) -> Path:
    """A file by which an agent and its surroundings talk; their names are in its configuration."""
    return Path(hive.config(f"agent-{node_id}")[f"{name}File"])


def annotate(hive: Hive, node_id: str, text: str) -> None:
    file = of(hive, node_id, "podinfo")
    temporary = file.with_suffix(".new")
    temporary.write_text(text)
    temporary.rename(file)


def phase_of(hive: Hive, node_id: str) -> str:
    try:
        agents = httpx.get(f"{hive.scribe_url()}/api/state", timeout=5).json()["agents"]
    except httpx.HTTPError:
        return ""
    return next((str(a["phase"]) for a in agents if a["nodeId"] == node_id), "")


def claim_of(hive: Hive, number: int) -> dict[str, Any]:
    """What the tip of an issue's claim ref says; {} where nobody ever claimed it."""
    github = hive.config("agent-edit-0")["github"]
    headers = {"Authorization": f"Bearer {Path(github['tokenFile']).read_text().strip()}"}
    with httpx.Client(base_url=f"{github['apiUrl']}/repos/{REPOSITORY}/git", headers=headers) as api:
        refs = api.get(f"/matching-refs/claims/issue-{number}").json()
        tips = [r["object"]["sha"] for r in refs if r["ref"] == f"refs/claims/issue-{number}"]
        return json.loads(api.get(f"/commits/{tips[0]}").json()["message"]) if tips else {}


def test_an_agent_that_leaves_ends_its_issue_and_takes_no_other(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", reviewers=0)],
        [issue("Mend a", "touch: src/a.py", "sleep: 4"), issue("Mend b", "touch: src/b.py", "sleep: 4")],
    ).start(once=False)
    first = eventually(
        lambda: next((d["number"] for d in hive.discussions()), 0), within=90, what="an issue is on the desk"
    )
    other = 3 - first
    assert of(hive, "edit-0", "ready").exists()
    annotate(hive, "edit-0", DRAIN)
    eventually(lambda: phase_of(hive, "edit-0") == "draining", within=20, what="it says that it leaves")
    closed = hive.wait_phase(first, "Closed")
    assert closed["pullRequest"]
    eventually(lambda: not of(hive, "edit-0", "ready").exists(), within=20, what="it is not ready any more")
    eventually(lambda: phase_of(hive, "edit-0") == "drained", within=20, what="it says that it is done")
    assert claim_of(hive, other) == {}
    assert of(hive, "edit-0", "alive").exists()
    annotate(hive, "edit-0", "")  # somebody wanted it back
    eventually(lambda: claim_of(hive, other), within=30, what="it takes the other issue after all")
    assert of(hive, "edit-0", "ready").exists()
    assert hive.interrupt() in {0, 130}


def test_an_agent_that_must_go_before_it_is_done_gives_its_issue_back(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", replicas=2, reviewers=0)], [issue("Mend a", "touch: src/a.py", "sleep: 50")]
    ).start(once=False)
    held = eventually(
        lambda: claim_of(hive, 1) if _agents_are_up(hive) else {}, within=90, what="it is claimed"
    )
    assert held is not None
    leaver = held["agent"]
    stayer = next(name for name in ("edit-0", "edit-1") if name != leaver)
    eventually(lambda: hive.discussions(), within=30, what="the scribe knows of it")
    annotate(hive, leaver, DRAIN)
    eventually(lambda: phase_of(hive, leaver) == "draining", within=20, what="it says that it leaves")
    before = hive.pids()[f"agent/{leaver}"]
    assert hive.kill(f"agent/{leaver}", signal.SIGTERM)
    eventually(
        lambda: hive.pids().get(f"agent/{leaver}") not in {None, before},
        within=45,
        what="the leaver has ended",
    )
    taken = eventually(
        lambda: next((c for c in [claim_of(hive, 1)] if c.get("agent") == stayer), None),
        within=30,
        what="the other agent takes it",
    )
    assert taken is not None
    assert (taken["epoch"], taken["failures"]) == (held["epoch"] + 1, 0)
    given_back = next(d for d in hive.discussions() if d["epoch"] == held["epoch"])
    assert (given_back["outcome"], given_back["claimant"]) == ("released", leaver)
    assert "leaves the hive" in given_back["reason"]
    assert hive.interrupt() in {0, 130}


def _agents_are_up(hive: Hive) -> bool:
    return {"agent/edit-0", "agent/edit-1"} <= set(hive.pids())
