"""HiveAgents scaled, changed, suspended, deleted, put out of the hive: nothing is lost, nothing is done twice."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from tests.kubernetes.chaos import stays
from tests.kubernetes.hive import Json, PodHive, eventually, hive_agent
from tests.kubernetes.membership import ask, entry, is_revoked, seen, wait_present
from tests.kubernetes.stories import Stories

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

PATIENCE_S = 420.0
"""For an issue, while other stories keep the machine busy."""


def kind_of_agent(name: str, **more: object) -> Json:
    """Return a HiveAgent of one agent that takes the issues with its own label, and no others of these stories."""
    return hive_agent(name, 1, capabilities={"tools": [name]}, **more)  # pyright: ignore[reportArgumentType]


def open_for(hive: PodHive, name: str, *lines: str) -> int:
    """Open an issue that only one HiveAgent's agents take."""
    return hive.open_issue(f"Mend it with {name}", *lines, labels=("bzzz", f"tool:{name}"))


def merge(hive: PodHive, name: str, spec: Json) -> None:
    """Change a HiveAgent's spec as `kubectl patch` does."""
    hive.kube.kubectl("patch", "hiveagent", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def uid(hive: PodHive, pod: str) -> str:
    """Return a pod's identity, empty when there is none of that name."""
    return hive.kube.kubectl(
        "get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}"
    ).strip()


def condition(hive: PodHive, name: str, kind: str) -> Json:
    """Return a condition of a HiveAgent, empty when there is none."""
    found: list[Json] = hive.kube.get("hiveagent", name).get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind), Json())


def wait_claimed(hive: PodHive, number: int) -> str:
    """Wait until an issue is on somebody's desk and return whose."""
    status = hive.wait_status(number, "is claimed", lambda s: bool(s.get("claimant")), PATIENCE_S)
    return status["claimant"]


# Stories


def scaling(hive: PodHive) -> None:
    """One agent comes, leaves with an issue on its desk, and comes again."""
    hive.apply(kind_of_agent("grow"), ready_within=PATIENCE_S)
    hive.kube.kubectl("scale", "hiveagent", "grow", "--replicas=2")
    hive.wait_ready("grow", PATIENCE_S)
    assert wait_present(hive, "grow-0")["nodeId"] == "grow-0"
    before = wait_present(hive, "grow-1")
    card = entry(hive, "grow-1")
    issues = [open_for(hive, "grow", f"touch: src/grow-{n}.py", "sleep: 10") for n in (1, 2)]
    desks = {wait_claimed(hive, number): number for number in issues}
    assert set(desks) == {"grow-0", "grow-1"}

    hive.kube.kubectl("scale", "hiveagent", "grow", "--replicas=1")
    eventually(lambda: _is_asked_to_leave(hive, "grow-1"), within=60, what="grow-1 is asked to leave")
    assert hive.status(desks["grow-1"])["phase"] != "Closed"
    later = open_for(hive, "grow", "touch: src/grow-3.py")
    left = hive.wait_pull_request(desks["grow-1"], PATIENCE_S)
    assert (left["claimant"], left["epoch"]) == ("grow-1", 1)
    assert hive.wait_pull_request(desks["grow-0"], PATIENCE_S)["epoch"] == 1
    assert hive.wait_pull_request(later, PATIENCE_S)["claimant"] == "grow-0"
    eventually(lambda: not uid(hive, "grow-1"), within=120, what="pod grow-1 is gone")
    eventually(lambda: is_revoked(hive, card["serial"]), within=60, what="the card of grow-1 is revoked")
    assert not is_revoked(hive, entry(hive, "grow-0")["serial"])
    eventually(
        # who left counts as present for 75 s after its last word, as roll-0 below
        lambda: not seen(hive, "grow-1").get("present"),
        within=150,
        what="the mesh does not hear grow-1",
    )

    hive.kube.kubectl("scale", "hiveagent", "grow", "--replicas=2")
    hive.wait_ready("grow", PATIENCE_S)
    after = wait_present(hive, "grow-1")
    assert (after["logKey"], after["peerId"]) == (before["logKey"], before["peerId"])
    assert entry(hive, "grow-1")["serial"] > card["serial"]
    issues = [open_for(hive, "grow", f"touch: src/grow-{n}.py", "sleep: 8") for n in (4, 5)]
    desks = {wait_claimed(hive, number): number for number in issues}
    assert set(desks) == {"grow-0", "grow-1"}
    ends = [hive.wait_pull_request(number, PATIENCE_S) for number in (desks["grow-0"], desks["grow-1"])]
    assert ends[1]["transcript"]["logKey"] == before["logKey"]
    assert ends[1]["transcript"]["firstSeq"] > left["transcript"]["lastSeq"]


def _is_asked_to_leave(hive: PodHive, pod: str) -> bool:
    annotations = hive.kube.get("pod", pod)["metadata"].get("annotations", {})
    return annotations.get("bzzz.dev/drain") == "true"


def rolling(hive: PodHive) -> None:
    """The spec changes while an issue is discussed: the pod's next life goes on with it."""
    hive.apply(kind_of_agent("roll", window="30s"), ready_within=PATIENCE_S)
    number = open_for(hive, "roll", "touch: src/roll-1.py")
    hive.wait_phase(number, "Listening", within=PATIENCE_S)
    first = uid(hive, "roll-0")
    merge(hive, "roll", {"discussion": {"window": "1s"}, "capabilities": {"languages": ["python"]}})
    eventually(lambda: uid(hive, "roll-0") not in {"", first}, within=90, what="another pod roll-0 is there")
    assert hive.status(number)["phase"] == "Listening"
    status = hive.wait_pull_request(number, PATIENCE_S)
    assert (status["claimant"], status["epoch"], status["round"]) == ("roll-0", 1, 1)
    hive.wait_ready("roll", PATIENCE_S)


def suspending(hive: PodHive) -> None:
    """A suspended HiveAgent takes nothing; once it is no longer, it takes what there is."""
    merge(hive, "roll", {"suspend": True})
    eventually(
        lambda: seen(hive, "roll-0").get("phase") == "suspended",
        within=PATIENCE_S,
        what="roll-0 is suspended",
    )
    number = open_for(hive, "roll", "touch: src/roll-2.py")
    control = open_for(hive, "edit", "touch: src/edit-1.py")
    hive.wait_pull_request(control, PATIENCE_S)
    assert not hive.status(number)
    assert "Suspended" in {condition(hive, "roll", kind)["reason"] for kind in ("Ready", "Progressing")}
    merge(hive, "roll", {"suspend": False})
    assert hive.wait_pull_request(number, PATIENCE_S)["claimant"] == "roll-0"


def revoking(hive: PodHive) -> None:
    """A revoked agent is out of the mesh and claims nothing; rotated, it is a new member with a new log."""
    hive.wait_ready("roll", PATIENCE_S)
    before = wait_present(hive, "roll-0")
    serial = entry(hive, "roll-0")["serial"]
    assert "roll-0" in ask(hive, "revoke", "roll-0")
    assert is_revoked(hive, serial)
    eventually(
        lambda: not seen(hive, "roll-0").get("present"), within=150, what="the mesh does not hear roll-0"
    )
    _look_now(hive, "roll-0", "revoked")
    eventually(
        lambda: condition(hive, "roll", "Ready")["status"] == "False", within=150, what="roll is not Ready"
    )
    number = open_for(hive, "roll", "touch: src/roll-3.py")
    hive.wait_pull_request(open_for(hive, "edit", "touch: src/edit-2.py"), PATIENCE_S)
    assert not hive.status(number)

    assert "roll-0" in ask(hive, "rotate", "roll-0")
    after = wait_present(hive, "roll-0", PATIENCE_S)
    assert after["logKey"] != before["logKey"]
    assert after["peerId"] != before["peerId"]
    status = hive.wait_pull_request(number, PATIENCE_S)
    assert status["claimant"] == "roll-0"
    assert status["transcript"]["logKey"] == after["logKey"]


def retaining(hive: PodHive) -> None:
    """What is retained outlives the HiveAgent: the next one of its name is the same member with the same log."""
    kept, dropped = kind_of_agent("keep"), kind_of_agent("drop", storage={"retain": False})
    hive.apply(kept, dropped, ready_within=PATIENCE_S)
    first = hive.wait_pull_request(open_for(hive, "keep", "touch: src/keep-1.py"), PATIENCE_S)
    before = wait_present(hive, "keep-0")
    serial = entry(hive, "keep-0")["serial"]
    hive.kube.kubectl("delete", "hiveagent", "keep", "drop", "--timeout=60s")
    eventually(
        lambda: not _belongings(hive, "drop"), within=150, what="all of drop is gone; what is retained is not"
    )
    kept_too = {
        "persistentvolumeclaim/data-keep-0",
        "secret/keep-log-seeds",
        "secret/keep-mesh-keys",
    }
    eventually(lambda: _belongings(hive, "keep") == kept_too, within=150, what=f"only {kept_too} is left")
    eventually(lambda: is_revoked(hive, serial), within=60, what="the card of keep-0 is revoked")

    hive.apply(kept, ready_within=PATIENCE_S)
    after = wait_present(hive, "keep-0", PATIENCE_S)
    assert (after["logKey"], after["peerId"]) == (before["logKey"], before["peerId"])
    second = hive.wait_pull_request(open_for(hive, "keep", "touch: src/keep-2.py"), PATIENCE_S)
    assert second["transcript"]["logKey"] == first["transcript"]["logKey"] == before["logKey"]
    assert second["transcript"]["firstSeq"] > first["transcript"]["lastSeq"]


def _belongings(hive: PodHive, name: str) -> set[str]:
    kinds = (
        "statefulsets,pods,services,serviceaccounts,secrets,configmaps,networkpolicies,persistentvolumeclaims,"
        "poddisruptionbudgets.policy"
    )
    objects = hive.kube.items(kinds)
    owned = {f"{o['kind'].lower()}/{o['metadata']['name']}" for o in objects}
    names = {name, f"{name}-0", f"data-{name}-0"} | {
        f"{name}-{part}" for part in ("config", "runner", "mesh-keys", "log-seeds", "runner-token")
    }
    return {o for o in owned if o.partition("/")[2] in names}


def credentials(hive: PodHive) -> None:
    """A Secret that is missing, comes, goes wrong and is put right: no other touch is needed."""
    hive.apply(
        kind_of_agent("lost", github={**_github(), "credentialsSecretRef": {"name": "lost-github"}}),
        ready_within=None,
    )
    degraded = eventually(
        lambda: _true(condition(hive, "lost", "Degraded")), within=60, what="lost is Degraded"
    )
    assert degraded is not None
    assert degraded["reason"] == "SecretMissing"
    assert "spec.github.credentialsSecretRef: Secret lost-github does not exist" in degraded["message"]
    assert not hive.pods("app.kubernetes.io/instance=lost")
    hive.kube.kubectl("create", "secret", "generic", "lost-github", f"--from-literal=token={hive.token}")
    hive.wait_ready("lost", PATIENCE_S)
    assert condition(hive, "lost", "Degraded")["status"] == "False"
    hive.wait_pull_request(open_for(hive, "lost", "touch: src/lost-1.py"), PATIENCE_S)

    _set_token(hive, "lost-github", "a-token-that-nobody-knows", "lost-0")
    eventually(
        lambda: str(seen(hive, "lost-0").get("phase", "")).startswith("unhealthy"),
        within=150,
        what="the status says that GitHub refuses lost-0",
    )
    assert "401" in seen(hive, "lost-0")["phase"]
    number = open_for(hive, "lost", "touch: src/lost-2.py")
    # an agent that may would claim it within a second or two: the others have looked by then
    assert stays(lambda: hive.status(number), 5.0) == [{}]
    _set_token(hive, "lost-github", hive.token, "lost-0")
    assert hive.wait_pull_request(number, PATIENCE_S)["claimant"] == "lost-0"
    eventually(lambda: seen(hive, "lost-0").get("phase") == "idle", within=60, what="lost-0 is idle")


def _github() -> Json:
    return hive_agent("any")["spec"]["github"]


def _true(found: Json) -> Json | None:
    return found if found.get("status") == "True" else None


def _set_token(hive: PodHive, secret: str, token: str, pod: str) -> None:
    data = base64.b64encode(token.encode()).decode()
    hive.kube.kubectl("patch", "secret", secret, "--type=merge", "-p", f'{{"data":{{"token":"{data}"}}}}')
    _look_now(hive, pod, token[:8])


def _look_now(hive: PodHive, pod: str, mark: str) -> None:
    """Have kubelet bring a pod's files up to date: else it looks about once a minute."""
    hive.kube.kubectl("annotate", "pod", pod, f"tests.bzzz.dev/look={mark}", "--overwrite")


# Tests


@pytest.fixture(scope="module")
def stories(hive: PodHive) -> Iterator[Stories]:
    """All stories, under way; afterwards only the hive's own HiveAgent is left."""
    try:
        with Stories(hive, [scaling], [rolling, suspending, revoking], [retaining, credentials]) as told:
            yield told
    finally:
        names = ("grow", "roll", "keep", "drop", "lost")
        hive.kube.kubectl("delete", "hiveagent", *names, "--ignore-not-found", "--timeout=60s")


def test_an_agent_that_is_scaled_away_finishes_its_issue_and_comes_back_as_itself(stories: Stories) -> None:
    stories.ends_well(scaling)


def test_a_rolling_update_during_a_discussion_loses_neither_claim_nor_round(stories: Stories) -> None:
    stories.ends_well(rolling)


def test_a_suspended_agent_takes_nothing_until_it_is_suspended_no_longer(stories: Stories) -> None:
    stories.ends_well(suspending)


def test_a_revoked_agent_is_out_of_the_hive_until_it_is_rotated(stories: Stories) -> None:
    stories.ends_well(revoking)


def test_what_is_retained_outlives_a_hive_agent_and_what_is_not_goes_with_it(stories: Stories) -> None:
    stories.ends_well(retaining)


def test_a_missing_or_wrong_credential_is_told_and_its_repair_is_enough(stories: Stories) -> None:
    stories.ends_well(credentials)
