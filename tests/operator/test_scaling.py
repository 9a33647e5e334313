"""Scaling down drains before it takes away; scaling up again lets those that drain go on."""

from __future__ import annotations

from tests.operator.rig import HIVE, Rig, manifest
from tests.support.processes import eventually


def drains(rig: Rig, pod: str) -> bool:
    return rig.get("pod", pod)["metadata"].get("annotations", {}).get("bzzz.dev/drain") == "true"


def replicas(rig: Rig) -> int:
    return rig.get("statefulset", "bzzz")["spec"]["replicas"]


def cards(rig: Rig) -> set[str]:
    return {name for name in rig.get("configmap", f"{HIVE}-members")["data"] if name.startswith("card-bzzz")}


def test_a_pod_that_is_scaled_away_finishes_first_and_loses_its_card_last(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=3))
    rig.run_pods("bzzz", 3)
    rig.wait_condition("Ready", "AllReplicasReady")
    rig.apply(manifest(replicas=1))
    eventually(lambda: drains(rig, "bzzz-1") and drains(rig, "bzzz-2"), what="both are asked to finish")
    assert replicas(rig) == 3
    assert rig.wait_condition("Progressing", "ScalingDown")["message"].startswith("bzzz-1, bzzz-2")
    assert len(cards(rig)) == 3
    # the lower one is first to finish: it waits for the one above it
    rig.set_pod("bzzz-1", ready=False)
    rig.wait_condition("Progressing", "ScalingDown")
    assert replicas(rig) == 3
    rig.set_pod("bzzz-2", ready=False)
    eventually(lambda: replicas(rig) == 1, what="both may go")
    assert len(cards(rig)) == 3
    rig.delete("pod", "bzzz-2")
    eventually(lambda: "card-bzzz-2.json" not in cards(rig), what="its card is gone")
    rig.delete("pod", "bzzz-1")
    eventually(lambda: cards(rig) == {"card-bzzz-0.json"}, what="the other's as well")
    assert not drains(rig, "bzzz-0")


def test_a_pod_that_does_not_finish_in_time_is_taken_down(rig: Rig) -> None:
    rig.operator(drainTimeout="1s")
    rig.apply(manifest(replicas=2))
    rig.run_pods("bzzz", 2)
    rig.apply(manifest(replicas=1))
    eventually(lambda: drains(rig, "bzzz-1"), what="it is asked to finish")
    eventually(lambda: replicas(rig) == 1, what="it is taken down all the same")


def test_a_pod_that_is_wanted_again_goes_on(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=2))
    rig.run_pods("bzzz", 2)
    rig.apply(manifest(replicas=1))
    eventually(lambda: drains(rig, "bzzz-1"), what="it is asked to finish")
    rig.apply(manifest(replicas=2))
    eventually(lambda: not drains(rig, "bzzz-1"), what="it is told to go on")
    assert replicas(rig) == 2


def test_more_replicas_get_keys_cards_and_pods(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=1))
    rig.wait("statefulset", "bzzz")
    first = rig.get("secret", "bzzz-mesh-keys")["data"]["bzzz-0"]
    rig.apply(manifest(replicas=3))
    eventually(lambda: replicas(rig) == 3, what="three are wanted")
    keys = rig.get("secret", "bzzz-mesh-keys")["data"]
    assert set(keys) == {"bzzz-0", "bzzz-1", "bzzz-2"}
    assert keys["bzzz-0"] == first
    assert len(cards(rig)) == 3


def test_kubectl_scale_goes_by_the_scale_subresource(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=1))
    rig.wait_condition("Ready", "ReplicasNotReady")
    rig.api.kubectl("-n", rig.namespace, "scale", "hiveagent", "bzzz", "--replicas=2")
    eventually(lambda: replicas(rig) == 2, what="two are wanted")


def test_scaling_replaces_no_pod_that_stays(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=1))
    before = rig.wait("statefulset", "bzzz")["spec"]["template"]
    rig.apply(manifest(replicas=2))
    eventually(lambda: replicas(rig) == 2, what="two are wanted")
    assert rig.get("statefulset", "bzzz")["spec"]["template"] == before
