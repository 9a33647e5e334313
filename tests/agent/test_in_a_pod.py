"""The agent as a pod starts it: flags, files that arrive late, probes, metrics, credentials, leaving, last words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.agent.rig import METRICS_TOKEN, NODE, Rig, hear
from tests.support.discussions import Hive
from tests.support.processes import Processes, eventually
from tests.support.sidecar import Logs

DRAIN = 'bzzz.dev/config-hash="a\\"b"\nbzzz.dev/drain="true"\n'


@pytest.fixture
def rig(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A pod whose log runs and whose card is there."""
    with Processes(tmp_path_factory.mktemp("out")) as processes:
        folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/bzXXXXXX"], text=True).strip())
        try:
            rig = Rig(processes, Logs(processes, folder), tmp_path)
            rig.log.start()
            rig.write_card()
            yield rig
        finally:
            subprocess.run(["rm", "-rf", str(folder)], check=True)


def there(rig: Rig, name: str) -> bool:
    return Path(rig.path(name)).exists()


def test_name_card_and_address_come_by_flags(rig: Rig) -> None:
    agent = rig.start("--announce", "/ip4/10.1.2.3/tcp/4001", "--announce", "/dns4/bzzz-0.bzzz/tcp/4001")
    assert agent.ready["nodeId"] == NODE
    addresses = {address.partition("/p2p/")[0] for address in agent.ready["addresses"]}
    assert addresses == {"/ip4/10.1.2.3/tcp/4001", "/dns4/bzzz-0.bzzz/tcp/4001"}
    assert there(rig, "alive")
    eventually(lambda: there(rig, "ready"))
    assert agent.stop() == 0
    assert not there(rig, "ready")


def test_an_agent_whose_card_is_revoked_is_not_ready_until_it_has_another(rig: Rig) -> None:
    rig.config["revocationsFile"] = rig.path("revocations.json")
    rig.start()
    eventually(lambda: there(rig, "ready"))
    revoked = Path(rig.path("revocations.new"))
    revoked.write_bytes(rig.hive.revoke(rig.node.card.serial, at=datetime.now(UTC)))
    revoked.replace(rig.path("revocations.json"))
    eventually(lambda: not there(rig, "ready"), within=15, what="the agent knows that it is put out")
    again = rig.hive.node(NODE, serial=rig.node.card.serial + 1000, not_after=rig.node.card.not_after)
    card = Path(rig.path("card.new"))
    card.write_bytes(again.card_bytes)
    card.replace(rig.path("card.json"))
    eventually(lambda: there(rig, "ready"), within=15, what="the agent is a member again")


def test_what_the_kubelet_and_the_log_bring_late_is_waited_for(rig: Rig) -> None:
    rig.log.live.stop()
    for name in ("card.json", "members.json"):
        Path(rig.path(name)).unlink()
    Path(rig.path("ready")).touch()  # an earlier life of this container was killed
    agent = rig.start(ready_within=None)
    eventually(lambda: there(rig, "alive"))
    eventually(lambda: not there(rig, "ready"))
    eventually(lambda: agent.logged("waiting"), within=15, what="it says what it waits for")
    assert agent.logged("waiting")[0]["what"] == "own membership card"
    # a card of before the node's keys were changed does not fit, and a better one is on its way
    Path(rig.path("card.json")).write_bytes(Hive("test").node("bzzz-7").card_bytes)
    rig.write_card()
    Path(rig.path("members.json")).write_text("[]")
    rig.log.start()
    agent.wait_ready(20)
    assert agent.running


def test_metrics_ask_for_their_token(rig: Rig) -> None:
    agent = rig.start()
    url = f"http://127.0.0.1:{agent.ready['metricsPort']}/metrics"
    for headers in ({}, {"Authorization": "Bearer nothing"}, {"Authorization": METRICS_TOKEN}):
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "bzzz_" not in answer.text
    answer = httpx.get(url, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200
    assert "bzzz_log_up 1.0" in answer.text


@pytest.mark.parametrize("first", ["a-token-that-was-revoked", None])
async def test_an_agent_that_github_refuses_says_so_and_works_once_it_may(
    rig: Rig, first: str | None
) -> None:
    token = Path(rig.path("github-token"))
    good = token.read_text()
    if first is None:
        token.unlink()
    else:
        token.write_text(first)
    agent = rig.start()
    async with rig.ear(agent) as ear:
        said = await hear(ear, "unhealthy: ")
        assert said.healthy is False
        assert "credential" in said.phase
        assert there(rig, "ready"), "it is on the mesh"
        assert agent.running
        token.write_text(good)
        said = await hear(ear, "idle")
        assert said.healthy is True
    assert good not in agent.err.read_text()


async def test_an_agent_with_nothing_to_do_is_drained_at_once_and_comes_back(rig: Rig) -> None:
    agent = rig.start()
    annotations = Path(rig.path("annotations"))
    async with rig.ear(agent) as ear:
        await hear(ear, "idle")
        annotations.write_text('bzzz.dev/drain="false"\nother="bzzz.dev/drain=\\"true\\""\n')
        eventually(lambda: there(rig, "ready"))
        annotations.write_text(DRAIN)
        await hear(ear, "drained")
        eventually(lambda: not there(rig, "ready"))
        annotations.write_text("")
        await hear(ear, "idle")
        eventually(lambda: there(rig, "ready"))
    annotations.write_text(DRAIN)
    eventually(lambda: not there(rig, "ready"))
    started = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - started < 5


async def test_a_suspended_agent_says_so(rig: Rig) -> None:
    rig.config["spec"]["suspend"] = True
    async with rig.ear(rig.start()) as ear:
        assert (await hear(ear, "suspended")).healthy is True


async def test_a_renewed_card_is_taken_into_use_and_logged(rig: Rig) -> None:
    agent = rig.start()
    async with rig.ear(agent) as ear:
        await hear(ear, "idle")
        rig.node = rig.hive.node(NODE, not_after=rig.node.card.not_after)
        rig.write_card()
        renewed = rig.node.card_bytes.decode()
        with_card = eventually(lambda: agent.logged("own card was renewed"), within=15)
        assert with_card[0]["serial"] == rig.node.card.serial
    started = [row["record"] for row in rig.log.records() if row["record"]["kind"] == "agent_started"]
    assert [record["data"]["card"] == renewed for record in started] == [False, True]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"meshSeedFile": "/nowhere/seed"}, "/nowhere/seed: the secret cannot be read"),
        ({"listen": None}, "listen"),
        ({"metrics": {"tokenFile": "/nowhere/token"}}, "/nowhere/token: the secret cannot be read"),
        ({"stateDir": "/proc/nowhere"}, "stateDir: /proc/nowhere cannot be made"),
        ({"nothing": 1}, "nothing"),
    ],
)
def test_the_reason_of_an_early_end_is_one_line_where_kubernetes_looks(
    rig: Rig, fault: dict[str, object], words: str
) -> None:
    rig.config |= fault
    agent = rig.start(ready_within=None)
    assert agent.wait(30) == 1
    last = agent.err.read_text().strip().splitlines()[-1]
    assert last.startswith("bzzz-agent: ")
    assert words in last
    if "listen" not in fault and "nothing" not in fault:  # else nobody knew where to write it
        assert Path(rig.path("termination-log")).read_text() == last


def test_the_help_names_the_flags() -> None:
    argv = [sys.executable, "-m", "bzzz_agent", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env=dict(os.environ))
    assert all(flag in done.stdout for flag in ("--node-id", "--card-file", "--announce", "--config"))
