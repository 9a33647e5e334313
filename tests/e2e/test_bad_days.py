"""Services that are away, slow or lie: the truth is read again, and nothing happens twice."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.hive import Hive, agent, issue
from tests.support.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TROUBLE = [
    {"kind": "lostAnswer", "probability": 0.15, "methods": ["POST", "PATCH", "DELETE"]},
    {"kind": "staleReads", "probability": 0.3, "seconds": 0.5},
    {"kind": "unavailable", "probability": 0.08},
    {"kind": "drop", "probability": 0.05},
]


def test_while_the_archive_is_away_pull_requests_wait_and_the_rest_goes_on(
    hive_of: Callable[..., Hive],
) -> None:
    hive = hive_of(
        [agent("edit", replicas=2, reviewers=1, window="3s")], [issue("Mend a", "touch: src/a.py")]
    ).start()
    hive.wait_phase(1, "Listening")
    assert hive.kill("archive", signal.SIGSTOP)
    log = hive.state / "process-logs"

    def waits() -> bool:
        texts = [path.read_text(errors="replace") for path in log.glob("agent-edit-*.log")]
        return any("the pull request waits" in text for text in texts)

    eventually(waits, within=90, what="an agent waits for the archive")
    server = hive.config("github")
    pulls = httpx.get(f"http://127.0.0.1:{server['port']}/repos/acme/attic/pulls").json()
    assert pulls == []
    hive.kill("archive", signal.SIGCONT)
    issues = hive.check_all(hive.wait(120))
    assert issues[1]["outcome"] == "pull_request"


def test_a_github_that_loses_answers_lags_and_fails_doubles_nothing(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", replicas=3)], [issue(f"Mend {n}", f"touch: src/{n}.py") for n in range(1, 4)]
    ).start()
    eventually(lambda: "agent/edit-0" in hive.pids(), within=60, what="the agents run")
    config = hive.config("github")
    admin = next(user["token"] for user in config["users"] if user["permission"] == "admin")
    url = f"http://127.0.0.1:{config['port']}/_faults"
    headers = {"authorization": f"Bearer {admin}"}
    assert httpx.put(url, json={"seed": 7, "rules": TROUBLE}, headers=headers).status_code == 200

    def settled() -> bool:
        ended = [d for d in hive.discussions() if d["phase"] == "Closed"]
        return len({d["number"] for d in ended}) == 3 or hive.running().poll() is not None

    eventually(settled, within=300, what="three issues are closed")
    if hive.running().poll() is None:
        bitten = sum(rule["bitten"] for rule in httpx.get(url, headers=headers).json()["rules"])
        assert bitten > 0
        httpx.put(url, json={"seed": 7, "rules": []}, headers=headers)
    issues = hive.check_all(hive.wait(120))
    assert [issues[n]["outcome"] for n in (1, 2, 3)] == ["pull_request"] * 3, json.dumps(issues, indent=1)


def test_a_human_who_closes_the_issue_stops_the_work(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", replicas=2, reviewers=1, window="12s")], [issue("Mend a", "touch: src/a.py")]
    ).start(once=False)
    hive.wait_phase(1, "Listening")
    config = hive.config("github")
    admin = next(user["token"] for user in config["users"] if user["permission"] == "admin")
    api = f"http://127.0.0.1:{config['port']}/repos/acme/attic"
    answer = httpx.patch(
        f"{api}/issues/1", json={"state": "closed"}, headers={"authorization": f"Bearer {admin}"}
    )
    assert answer.status_code == 200
    stopped = hive.wait_phase(1, "Abandoned", within=60)
    assert stopped["reason"] == "a human changed the issue meanwhile: closed"
    assert httpx.get(f"{api}/pulls", params={"state": "all"}).json() == []
    assert hive.interrupt() in {0, 130}
