"""What the hive cannot settle is stated on the issue and left for a human."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.hive import BZZZ, Hive, agent, issue
from tests.support.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_an_objection_that_no_plan_can_meet_escalates_and_parks_the_issue(
    hive_of: Callable[..., Hive],
) -> None:
    stubborn = agent(
        "edit",
        capabilities={"tools": ["edit"]},
        execution={"plan": "command", "planCommand": ["python3", "plan.py"]},
    )
    guard = agent(
        "guard", execution={"limits": {"protectedPaths": ["src/**"]}}, capabilities={"tools": ["none"]}
    )
    hive = hive_of([stubborn, guard], [issue("Mend a", "touch: src/a.py", labels=("bzzz", "tool:edit"))])
    hive.files["plan.py"] = (
        'print(\'{"summary": "as ever", "footprint": ["src/a.py"], "tests": ["check.py"]}\')\n'
    )
    hive.start(once=False)
    escalated = hive.wait_phase(1, "Escalated", within=120)
    assert "no plan meets the objections" in escalated["reason"]
    assert escalated["objections"][0]["nodeId"] == "guard-0"
    assert escalated["pullRequest"] is None
    comments = _wait_for_comment(hive, 1)
    assert "needs a human's decision" in comments[0]
    assert "protected paths: src/a.py" in comments[0].replace("\\", "")
    assert hive.interrupt() in {0, 130}


def answer(hive: Hive, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Answer an escalation as a person does."""
    argv = [*BZZZ, "answer", *arguments, "--state", str(hive.state)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=90)


def test_a_plan_that_a_human_must_approve_is_executed_once_it_is(hive_of: Callable[..., Hive]) -> None:
    editor = agent(
        "edit", capabilities={"tools": ["edit"]}, reviewers=1, discussion={"requireHuman": "always"}
    )
    hive = hive_of([editor], [issue("Mend a", "touch: src/a.py", labels=("bzzz", "tool:edit"))])
    hive.start(once=False)
    waits = hive.wait_phase(1, "Escalated", within=120)
    assert "approval of every plan" in waits["reason"]
    assert waits["pullRequest"] is None
    done = answer(hive, "acme/attic#1", "proceed", "--text", "looks good", "--by", "ana")
    assert done.returncode == 0, done.stderr
    assert "acme/attic#1: the claimant obeys" in done.stdout
    closed = hive.wait_phase(1, "Closed", within=120)
    assert closed["verdict"] == "proceed"
    number = closed["pullRequest"].rsplit("/", 1)[1]
    url = f"http://127.0.0.1:{hive.config('github')['port']}/repos/acme/attic/pulls/{number}"
    body = httpx.get(url).json()["body"]
    assert "proceed" in body
    assert "looks good" in body
    assert hive.interrupt() in {0, 130}


def test_a_human_who_abandons_has_the_issue_given_back(hive_of: Callable[..., Hive]) -> None:
    editor = agent(
        "edit", capabilities={"tools": ["edit"]}, reviewers=1, discussion={"requireHuman": "always"}
    )
    hive = hive_of([editor], [issue("Mend a", "touch: src/a.py", labels=("bzzz", "tool:edit"))])
    hive.start(once=False)
    hive.wait_phase(1, "Escalated", within=120)
    assert "there is no such discussion" in answer(hive, "#2", "proceed").stderr
    assert answer(hive, "#1", "abandon", "--text", "not now", "--by", "ana").returncode == 0
    ended = hive.wait_phase(1, "Abandoned", within=60)
    assert ended["verdict"] == "abandon"
    assert ended["pullRequest"] is None
    assert "expected it to wait for a human, it is Abandoned" in answer(hive, "#1", "proceed").stderr
    assert hive.interrupt() in {0, 130}


def test_a_planner_that_leads_back_to_what_was_objected_to_leaves_it_to_a_human_at_once(
    hive_of: Callable[..., Hive],
) -> None:
    stubborn = agent(
        "edit",
        capabilities={"tools": ["edit"]},
        reviewers=1,
        execution={"plan": "command", "planCommand": ["python3", "plan.py"]},
    )
    peer = agent("peer", capabilities={"tools": ["none"]})
    vague = issue("Mend a", "test_a fails", "touch: src/a.py", labels=("bzzz", "tool:edit"))
    hive = hive_of([stubborn, peer], [vague])
    hive.files["plan.py"] = (
        'print(\'{"summary": "as ever", "footprint": ["src/a.py"], "tests": ["check.py"]}\')\n'
    )
    hive.start(once=False)
    escalated = hive.wait_phase(1, "Escalated", within=120)
    assert escalated["round"] == 1, "no rounds are spent on saying the same again"
    assert "no plan meets the objections" in escalated["reason"]
    assert "that of round 1" in escalated["reason"]
    assert escalated["objections"][0]["rule"] == "failing_test_not_named"
    assert hive.interrupt() in {0, 130}


def test_after_three_failures_an_issue_is_left_to_a_human(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", replicas=2, reviewers=1)], [issue("Cannot be done", "fail: the attic is locked")]
    )
    issues = hive.check_all(hive.start().wait(300))
    assert issues[1]["outcome"] == "needs_human"
    assert issues[1]["epoch"] == 3
    assert "the attic is locked" in issues[1]["reason"]


def _wait_for_comment(hive: Hive, number: int) -> list[str]:
    url = f"http://127.0.0.1:{hive.config('github')['port']}/repos/acme/attic/issues/{number}/comments"
    found = eventually(lambda: httpx.get(url).json(), within=30, what="a comment on the issue")
    return [comment["body"] for comment in found or []]
