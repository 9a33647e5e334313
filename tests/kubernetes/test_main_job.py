"""The main job in pods: an issue becomes a pull request whose evidence verifies, seen by kubectl as it happens."""

from __future__ import annotations

import pytest

from tests.kubernetes.hive import PodHive

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

COLUMNS = ["NAME", "ISSUE", "PHASE", "CLAIMANT", "ROUND", "OBJECTIONS", "VERDICT", "PR", "AGE"]


def test_issues_become_pull_requests_with_evidence_and_every_column_is_there(hive: PodHive) -> None:
    first = hive.open_issue("Mend a", "touch: src/a.py")
    second = hive.open_issue("Mend b", "touch: src/b.py")
    hopeless = hive.open_issue("Cannot be done", "fail: the attic is locked")
    for number in (first, second):
        status = hive.wait_pull_request(number)
        assert status["round"] >= 1
        assert status["claimant"].startswith("edit-")
        assert status["transcript"]["logKey"]
    failed = hive.wait_status(hopeless, "has ended", lambda s: s.get("outcome") is not None)
    assert "the attic is locked" in failed["reason"]
    assert not hive.pulls(hopeless)
    header, *rows = hive.kube.kubectl("get", "metadiscussions").splitlines()
    assert header.split() == COLUMNS
    assert len([row for row in rows if "Closed" in row]) >= 2
    agents = hive.kube.kubectl("get", "ha").splitlines()
    assert agents[0].split() == ["NAME", "READY", "MODEL", "ISSUES", "AGE"]
    assert "2/2" in agents[1]


def test_the_agents_are_listed_with_their_keys_and_presence(hive: PodHive) -> None:
    agents = hive.kube.get("hiveagent", "edit")["status"]["agents"]
    assert [agent["nodeId"] for agent in agents] == ["edit-0", "edit-1"]
    assert all(agent["present"] and len(agent["logKey"]) == 64 and agent["peerId"] for agent in agents)
