"""Whatever is killed, deleted, cut off or doubled in the cluster: one pull request an issue, and right statuses."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kubernetes.chaos import LEASE_S, RENEWED_S, Chaos, is_ready, restarts, stays
from tests.kubernetes.hive import Json, PodHive, hive_agent
from tests.support.processes import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

KILLS = min(int(os.environ.get("BZZZ_CHAOS_KILLS", "4")), 1000)
SEED = int(os.environ.get("BZZZ_CHAOS_SEED", str(random.SystemRandom().randrange(2**32))))
CUT_S = 25.0
WINDOW_S = 6


@pytest.fixture(scope="module")
def chaos(hive: PodHive) -> Iterator[Chaos]:
    """Two agents for issues of this module, with a window that is long enough to hit."""
    made = Chaos.on(hive)
    agent = hive_agent(made.name, window=f"{WINDOW_S}s", capabilities={"tools": [made.name]})
    made.hive.apply(agent, ready_within=180)
    made.wait_right(made.name)
    try:
        yield made
    finally:
        print(f"measured: {json.dumps(made.measured)}")
        hive.kube.kubectl("delete", "hiveagent", made.name, "--timeout=60s")
        hive.kube.kubectl(
            "delete", "pvc,secret", "-l", f"app.kubernetes.io/instance={made.name}", "--wait=false"
        )
        # a pod on its way out is Running still, and the next module looks at every one that is
        eventually(lambda: not made.pods(), within=120, what="the module's pods are gone")
        made.kube.close()


def same_claim(status: Json, first: Json, away_s: float) -> None:
    """Check who ended an issue: the same claimant under the same claim, if it was back before its lease ended."""
    if away_s < LEASE_S - RENEWED_S - 1:
        assert status["epoch"] == first["epoch"] == 1
        assert status["claimant"] == first["claimant"]
    assert status["epoch"] - first["epoch"] <= 1


def test_a_deleted_pod_of_a_claimant_that_listens_is_followed_by_one_that_keeps_the_claim(
    chaos: Chaos,
) -> None:
    number = chaos.open_issue("Mend a", "touch: src/a.py")
    first = chaos.hive.wait_phase(number, "Listening")
    away_s = chaos.wait_successor(chaos.delete_pod(first["claimant"]))
    chaos.measured["pod deleted while it listens, until ready"] = round(away_s, 1)
    (status,) = chaos.ends_well(number)
    same_claim(status, first, away_s)


def test_a_pod_that_is_gone_at_once_while_it_executes_is_followed_by_one_that_keeps_the_claim(
    chaos: Chaos,
) -> None:
    number = chaos.open_issue("Mend b", "sleep: 4", "touch: src/b.py")
    first = chaos.hive.wait_phase(number, "Executing")
    away_s = chaos.wait_successor(chaos.delete_pod(first["claimant"], force=True))
    chaos.measured["pod force-deleted while it executes, until ready"] = round(away_s, 1)
    (status,) = chaos.ends_well(number)
    same_claim(status, first, away_s)


@pytest.mark.parametrize(
    ("container", "phase"),
    [
        ("agent", "Listening"),
        ("hypercore", "Listening"),
        ("workspace", "Listening"),
        ("workspace", "Executing"),
    ],
)
def test_a_killed_container_of_the_claimant_runs_again_and_the_debate_goes_on(
    chaos: Chaos, container: str, phase: str
) -> None:
    number = chaos.open_issue(f"Kill {container}", "sleep: 3", f"touch: src/{container}.py")
    first = chaos.hive.wait_phase(number, phase)
    pod = chaos.pod(first["claimant"])
    assert pod is not None
    chaos.kill_container(pod, container)
    away_s = chaos.wait_restarted(pod, container)
    chaos.measured[f"{container} killed while {phase}, until ready"] = round(away_s, 1)
    (status,) = chaos.ends_well(number)
    same_claim(status, first, away_s)


def test_a_node_that_is_cut_off_with_its_claimant_comes_back_to_one_pull_request(chaos: Chaos) -> None:
    nodes = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in chaos.pods()}
    lonely = [name for name, node in sorted(nodes.items()) if node == "n2"]
    assert lonely, f"expected an agent on node n2, the agents are on {nodes}"
    claimants: list[str] = []
    numbers: list[int] = []
    while not claimants or claimants[-1] not in lonely:
        assert len(numbers) < 4, f"claimants {claimants}: expected one of {lonely}"
        others = [name for name in nodes if name not in lonely]
        numbers.append(
            chaos.open_issue_for(lonely[0], others, "Mend far away", f"touch: src/far{len(numbers)}.py")
        )
        claimants.append(chaos.hive.wait_phase(numbers[-1], "Listening")["claimant"])
    chaos.hive.cluster.cut("n2")
    try:
        ends = time.monotonic() + CUT_S
        eventually(lambda: time.monotonic() >= ends, within=CUT_S + 5, what="the node is away for a while")
    finally:
        chaos.hive.cluster.heal("n2")
    with chaos.timed("node cut off 25 s, from healing to pull request"):
        eventually(lambda: chaos.hive.status(numbers[-1]).get("phase") == "Closed", within=240)
    for status in chaos.ends_well(*numbers):
        assert status["epoch"] <= 2


def test_agents_do_not_care_about_an_api_server_that_is_killed_and_the_others_connect_again(
    chaos: Chaos,
) -> None:
    before = {pod["metadata"]["name"]: restarts(pod) for pod in chaos.kube.items("pods")}
    number = chaos.open_issue("Mend on", "touch: src/on.py")
    first = chaos.hive.wait_phase(number, "Listening")
    with chaos.timed("API server killed, until it answers"):
        chaos.hive.cluster.restart_apiserver()
    with chaos.timed("API server back, until the status tells of the pull request"):
        chaos.hive.wait_phase(number, "Closed", within=240)
    (status,) = chaos.ends_well(number)
    assert (status["epoch"], status["claimant"]) == (1, first["claimant"])
    assert {pod["metadata"]["name"]: restarts(pod) for pod in chaos.kube.items("pods")} == before


@pytest.mark.parametrize("part", ["operator", "scribe"])
def test_an_operator_or_scribe_that_is_gone_at_once_is_followed_by_one_that_catches_up(
    chaos: Chaos, part: str
) -> None:
    number = chaos.open_issue(f"Mend without {part}", f"touch: src/{part}.py")
    chaos.hive.wait_phase(number, "Listening")
    was = chaos.delete_pod(chaos.part(part)["metadata"]["name"], force=True)
    with chaos.timed(f"{part} force-deleted, until its successor is ready"):
        eventually(
            lambda: any(
                is_ready(pod) and pod["metadata"]["uid"] != was["metadata"]["uid"]
                for pod in chaos.parts(part)
            ),
            within=180,
            what=f"another {part} is ready",
        )
    with chaos.timed(f"{part}'s successor ready, until the debate is Closed"):
        chaos.hive.wait_phase(number, "Closed", within=240)
    chaos.ends_well(number)


def test_deleted_debates_come_back_as_they_were(chaos: Chaos) -> None:
    number = chaos.open_issue("Mend again", "touch: src/again.py")
    chaos.hive.wait_phase(number, "Listening")
    kube = chaos.kube
    before = {found["metadata"]["name"]: found for found in kube.items("metadiscussions")}
    closed = {name for name, found in before.items() if found["status"]["phase"] == "Closed"}
    kube.kubectl("delete", "metadiscussions", "--all")

    def back() -> bool:
        now = {found["metadata"]["name"]: found for found in kube.items("metadiscussions")}
        return now.keys() == before.keys() and all(
            found["spec"] == before[name]["spec"]
            and (found.get("status") == before[name]["status"] if name in closed else found.get("status"))
            for name, found in now.items()
        )

    with chaos.timed(f"{len(before)} MetaDiscussions deleted, until all are back as they were"):
        eventually(back, within=180, what=f"the debates are back: {sorted(before)}")
    chaos.ends_well(number)


def degraded(chaos: Chaos) -> tuple[str, str]:
    """Return status and reason of our HiveAgent's condition Degraded."""
    conditions = chaos.kube.get("hiveagent", chaos.name)["status"]["conditions"]
    (found,) = [c for c in conditions if c["type"] == "Degraded"]
    return found["status"], found["reason"]


def phases_of_agents(chaos: Chaos) -> list[str]:
    """Return what the module's agents say that they do, as the scribe hears it on the mesh."""
    agents = chaos.kube.get("hiveagent", chaos.name).get("status", {}).get("agents", [])
    return [str(agent.get("phase")) for agent in agents]


def test_while_the_archive_is_away_a_pull_request_waits_and_the_status_says_why(chaos: Chaos) -> None:
    kube, archive = chaos.kube, f"statefulset/{chaos.pod_name('archive')}"
    number = chaos.open_issue("Mend for ever", "touch: src/ever.py")
    chaos.hive.wait_phase(number, "Listening")
    kube.kubectl("scale", archive, "--replicas=0")
    try:
        with chaos.timed("archive away, until the HiveAgent says ArchiveUnavailable"):
            eventually(
                lambda: degraded(chaos) == ("True", "ArchiveUnavailable"),
                within=120,
                what="the HiveAgent says that the archive is away",
            )
        # The debate is read from the archive, so its own status stands still; the mesh tells how far the agent is.
        eventually(
            lambda: "reporting" in phases_of_agents(chaos), within=120, what="the agent waits to report"
        )
        assert not chaos.hive.status(number).get("pullRequest")
        assert not chaos.hive.pulls(number)
    finally:
        kube.kubectl("scale", archive, "--replicas=1")
    with chaos.timed("archive wanted back, until the pull request is there"):
        chaos.hive.wait_phase(number, "Closed", within=240)
    with chaos.timed("pull request there, until the HiveAgent says that nothing is wrong"):
        eventually(lambda: degraded(chaos)[0] == "False", within=120, what="the condition clears")
    (status,) = chaos.ends_well(number)
    assert status["epoch"] == 1


def test_of_two_operators_one_acts_and_the_other_takes_over_without_a_write_too_many(chaos: Chaos) -> None:
    kube, operator = chaos.kube, f"deployment/{chaos.pod_name('operator')}"
    chaos.ends_well()
    holder = chaos.lease_holder()
    kube.kubectl("scale", operator, "--replicas=2")
    try:
        kube.kubectl("rollout", "status", operator, "--timeout=90s", timeout_s=100)
        assert len(chaos.parts("operator")) == 2
        quiet = [stays(lambda: (chaos.lease_holder(), chaos.written()), 20)]
        while (
            len(quiet[-1]) > 1 and len(quiet) < 3
        ):  # a pod that was not ready for a moment is news, a fight never ends
            quiet.append(stays(lambda: (chaos.lease_holder(), chaos.written()), 20))
        assert len(quiet[-1]) == 1, "two operators: nothing is written while nothing changes"
        assert quiet[-1][0][0] == holder
        before = quiet[-1][0][1]
        chaos.delete_pod(holder, force=True)
        with chaos.timed("acting operator gone at once, until the other acts"):
            eventually(
                lambda: chaos.lease_holder() not in {holder, ""}, within=120, what="another operator acts"
            )
        assert chaos.lease_holder() in {pod["metadata"]["name"] for pod in chaos.parts("operator")}
        for after in stays(chaos.written, 8):
            changed = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
            assert not {name for name in changed if not name.endswith(" status")}, (
                "nothing is left to be done"
            )
    finally:
        kube.kubectl("scale", operator, "--replicas=1")
    eventually(lambda: len(chaos.parts("operator")) == 1, within=120, what="one operator is left")
    left = chaos.part("operator")["metadata"]["name"]
    with chaos.timed("back to one operator, until it acts"):
        eventually(lambda: chaos.lease_holder() == left, within=120, what="the one that is left acts")


def blows(chaos: Chaos) -> dict[str, Callable[[], object]]:
    """Return everything that can be done to the hive's pods, by name."""
    agents = [pod["metadata"]["name"] for pod in chaos.pods()]

    def kill(name: str, container: str) -> None:
        pod = chaos.pod(name)
        assert pod is not None
        chaos.kill_container(pod, container)

    found: dict[str, Callable[[], object]] = {}
    for name in agents:
        for container in ("agent", "hypercore", "workspace"):
            found[f"kill {name}/{container}"] = lambda n=name, c=container: kill(n, c)
        for force in (False, True):
            found[f"delete {name}{' by force' if force else ''}"] = lambda n=name, f=force: chaos.delete_pod(
                n, force=f
            )
    for part in ("operator", "scribe", "archive"):
        found[f"delete {part} by force"] = lambda p=part: chaos.delete_pod(
            chaos.part(p)["metadata"]["name"], force=True
        )
    return found


def test_random_kills_double_nothing_and_leave_nothing_behind(chaos: Chaos) -> None:
    dice = random.Random(SEED)
    numbers = [chaos.open_issue(f"Mend {n}", f"touch: src/random{n}.py", "sleep: 1") for n in range(3)]
    done: list[str] = []

    def strike() -> bool:
        pods = [*chaos.pods(), *chaos.parts("operator"), *chaos.parts("scribe"), *chaos.parts("archive")]
        steady = len(chaos.pods()) == 2 and all(is_ready(pod) for pod in pods)
        if steady and dice.random() < 0.3:
            name, blow = dice.choice(sorted(blows(chaos).items()))
            blow()
            done.append(name)
        return len(done) >= KILLS or all(chaos.hive.pulls(number) for number in numbers)

    try:
        chaos.hive.wait_phase(numbers[0], "Planning", "Listening")
        eventually(strike, within=60 + 60 * KILLS, what=f"{KILLS} kills")
        chaos.ends_well(*numbers, within=300)
    finally:
        print(f"seed {SEED}: {len(done)} kills: {', '.join(done)}")
    assert done
