"""kill -9 of anything, any time: one pull request an issue, none held for ever, every PR's evidence verifies."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from bzzz_agent.failpoints import POINTS
from tests.e2e.hive import Hive, agent, issue
from tests.support.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("BZZZ_CHAOS_KILLS", "12"))
SEED = int(os.environ.get("BZZZ_CHAOS_SEED", str(random.SystemRandom().randrange(2**32))))


def editor(name: str, **spec: Any) -> dict[str, Any]:
    """An agent that takes the issues with its own label only."""
    return agent(name, capabilities={"tools": [name]}, **spec)


def test_killed_at_each_named_point_a_claimant_goes_on_from_its_log(hive_of: Callable[..., Hive]) -> None:
    guard = agent(
        "guard", execution={"limits": {"protectedPaths": ["generated/**"]}}, capabilities={"tools": ["none"]}
    )
    names = ("one", "two", "three")
    hive = hive_of(
        [*(editor(name) for name in names), guard],
        [
            issue(
                f"Work for {name}",
                f"touch: src/{name}.py",
                f"touch: generated/{name}.txt",
                labels=("bzzz", f"tool:{name}"),
            )
            for name in names
        ],
    )
    points = sorted(POINTS)
    armed = {f"{name}-0": points[index :: len(names)] for index, name in enumerate(names)}
    arguments = [f"--failpoint={node}={point}" for node, mine in armed.items() for point in mine]
    issues = hive.check_all(hive.start(*arguments).wait(600))
    assert [issues[n]["outcome"] for n in (1, 2, 3)] == ["pull_request"] * 3, json.dumps(issues, indent=1)
    assert [issues[n]["epoch"] for n in (1, 2, 3)] == [1] * 3, "a restarted claimant keeps its claim"
    hit = {
        marker.name.replace(".", ":")
        for node in armed
        for marker in (hive.state / "agents" / node / "state" / "failpoints").iterdir()
    }
    print(f"killed at {len(hit)} of {len(POINTS)} points")
    assert hit == set(POINTS)


def test_random_kills_of_agents_logs_and_archive_double_nothing(hive_of: Callable[..., Hive]) -> None:
    dice = random.Random(SEED)
    hive = hive_of(
        [agent("edit", replicas=3, window="2s")],
        [issue(f"Mend {n}", f"touch: src/{n}.py", "sleep: 1") for n in range(1, 5)],
    ).start()
    eventually(lambda: len(hive.discussions()) > 0, within=90, what="the hive is up and at work")
    victims = [f"{kind}/edit-{n}" for kind in ("agent", "agent", "log") for n in range(3)] + [
        "archive",
        "scribe",
    ]
    killed: list[str] = []

    def strike() -> bool:
        if hive.running().poll() is not None:
            return True
        name = dice.choice(victims)
        if dice.random() < 0.2 and hive.kill(name):
            killed.append(name)
        return len(killed) >= KILLS

    try:
        eventually(strike, within=300, what=f"{KILLS} kills")
        issues = hive.check_all(hive.wait(420))
    finally:
        print(f"seed {SEED}: killed {len(killed)}: {', '.join(killed)}")
    assert all(issues[n]["outcome"] == "pull_request" for n in issues), hive.output[-3000:]
    assert killed


def test_a_claimant_that_never_comes_back_is_taken_over(hive_of: Callable[..., Hive]) -> None:
    hive = hive_of(
        [agent("edit", replicas=2, reviewers=1, window="8s")], [issue("Mend a", "touch: src/a.py")]
    ).start()
    first = hive.wait_phase(1, "Listening")
    frozen = f"agent/{first['claimant']}"
    assert hive.kill(frozen, signal.SIGSTOP)
    successor = hive.wait_phase(1, "Reporting", "Closed", within=180)
    assert successor["claimant"] != first["claimant"]
    assert successor["epoch"] == first["epoch"] + 1
    hive.kill(frozen, signal.SIGCONT)
    issues = hive.check_all(hive.wait(200))
    assert issues[1]["outcome"] == "pull_request"
    assert issues[1]["claimant"] == successor["claimant"]
    assert len(hive.pull_requests()) == 1
