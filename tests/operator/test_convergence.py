"""What happens to a converged hive: nothing, until something changes; drift, restarts, updates, deletions."""

from __future__ import annotations

import json

from tests.operator.rig import HIVE, Rig, manifest
from tests.support.kube_audit import Write
from tests.support.processes import eventually


def converge(rig: Rig) -> None:
    """Wait until a HiveAgent with two replicas is as it should be."""
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")


def test_a_restart_on_a_converged_hive_writes_nothing(rig: Rig) -> None:
    first = rig.operator()
    converge(rig)
    assert first.stop() == 0
    mark = rig.api.mark()
    second = rig.operator()
    # a new HiveAgent's objects show that the operator has been through everything that was there before it
    rig.apply(manifest("other"))
    rig.wait_condition("Ready", "ReplicasNotReady", "other")
    of_the_first = [w for w in rig.writes(mark) if w.name.startswith("bzzz")]
    assert of_the_first == []
    assert second.running


def test_what_others_change_in_our_objects_is_taken_back(rig: Rig) -> None:
    rig.operator()
    converge(rig)
    rig.patch("statefulset", "bzzz", {"spec": {"replicas": 7}}, manager="kubectl-scale")

    def repaired() -> bool:
        return rig.get("statefulset", "bzzz")["spec"]["replicas"] == 2

    eventually(repaired, what="the number of replicas is ours again")
    (told,) = eventually(lambda: rig.events("DriftTakenBack"), what="an Event tells")
    assert "kubectl-scale" in told["message"]
    assert ".spec.replicas" in told["message"]


def test_what_others_add_to_our_objects_is_let_be(rig: Rig) -> None:
    rig.operator()
    converge(rig)
    mark = rig.api.mark()
    rig.patch("service", "bzzz", {"metadata": {"annotations": {"example.com/note": "theirs"}}})
    rig.apply(manifest("other"))
    rig.wait_condition("Ready", "ReplicasNotReady", "other")
    rig.check_untouched("bzzz", mark)
    assert rig.get("service", "bzzz")["metadata"]["annotations"]["example.com/note"] == "theirs"


def test_a_deleted_object_comes_back(rig: Rig) -> None:
    rig.operator()
    converge(rig)
    before = rig.get("networkpolicy", "bzzz")["metadata"]["uid"]
    rig.delete("networkpolicy", "bzzz")

    def back() -> bool:
        found = rig.get("networkpolicy", "bzzz")
        return bool(found) and found["metadata"]["uid"] != before

    eventually(back, what="the policy is there again")


def test_a_changed_spec_changes_the_configuration_and_the_pods_annotation(rig: Rig) -> None:
    rig.operator()
    converge(rig)
    before = rig.get("statefulset", "bzzz")["spec"]["template"]["metadata"]["annotations"]
    mark = rig.api.mark()
    rig.apply(manifest(suspend=True))

    def rolled() -> bool:
        template = rig.get("statefulset", "bzzz")["spec"]["template"]["metadata"]["annotations"]
        return template["bzzz.dev/config-hash"] != before["bzzz.dev/config-hash"]

    eventually(rolled, what="the pods' annotation is another")
    config = json.loads(rig.get("configmap", "bzzz-config")["data"]["agent.json"])
    assert config["spec"]["suspend"] is True
    eventually(
        lambda: rig.get("hiveagent", "bzzz")["status"]["observedGeneration"] == 2, what="the status follows"
    )

    def touched() -> set[Write]:
        return {w for w in rig.writes(mark) if w.name.startswith("bzzz")}

    assert {(w.resource, w.name) for w in touched()} == {
        ("configmaps", "bzzz-config"),
        ("statefulsets", "bzzz"),
        ("hiveagents/status", "bzzz"),
    }


def test_an_api_server_that_goes_and_comes_is_survived(rig: Rig) -> None:
    operator = rig.operator()
    converge(rig)
    rig.api.restart()
    rig.apply(manifest("other"))
    rig.wait_condition("Ready", "ReplicasNotReady", "other", within=30.0)
    assert operator.running


def test_keys_outlive_a_hiveagent_that_retains_and_are_found_again(rig: Rig) -> None:
    rig.operator()
    converge(rig)
    key = rig.get("secret", "bzzz-mesh-keys")["data"]["bzzz-0"]
    assert "ownerReferences" not in rig.get("secret", "bzzz-mesh-keys")["metadata"]
    (owner,) = rig.get("secret", "bzzz-runner-token")["metadata"]["ownerReferences"]
    assert owner["kind"] == "HiveAgent"
    rig.delete("hiveagent", "bzzz")
    collect(rig)
    eventually(
        lambda: "card-bzzz-0.json" not in rig.get("configmap", f"{HIVE}-members")["data"],
        what="the node lost its card",
    )
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")
    assert rig.get("secret", "bzzz-mesh-keys")["data"]["bzzz-0"] == key
    eventually(
        lambda: "card-bzzz-0.json" in rig.get("configmap", f"{HIVE}-members")["data"],
        what="it has a card again",
    )


def collect(rig: Rig) -> None:
    """Delete what the garbage collector would: there is none here."""
    for kind in (
        "statefulset",
        "service",
        "serviceaccount",
        "configmap",
        "networkpolicy",
        "poddisruptionbudget",
    ):
        for name in rig.names(kind):
            refs = rig.get(kind, name)["metadata"].get("ownerReferences", [])
            if any(ref["kind"] == "HiveAgent" and ref["name"] == "bzzz" for ref in refs):
                rig.delete(kind, name)
    rig.delete("secret", "bzzz-runner-token")


def test_without_retain_the_keys_go_with_the_hiveagent(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(storage={"retain": False}))
    rig.wait_condition("Ready", "ReplicasNotReady")
    for secret in ("bzzz-mesh-keys", "bzzz-log-seeds"):
        (owner,) = rig.get("secret", secret)["metadata"]["ownerReferences"]
        assert owner["name"] == "bzzz"
    policy = rig.get("statefulset", "bzzz")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Delete", "whenScaled": "Retain"}


def test_two_operators_by_mistake_and_only_one_acts(rig: Rig) -> None:
    first = rig.operator(name="operator-a")
    second = rig.operator(name="operator-b", ready=False, livenessPort=0)
    eventually(
        lambda: second.logged("lease: another operator acts; waiting"), within=60, what="the second waits"
    )
    converge(rig)
    holder = rig.get("lease", f"{HIVE}-operator")["spec"]["holderIdentity"]
    assert holder == "operator-a"
    first.kill()
    second.wait_ready(within=20.0)
    rig.apply(manifest("other"))
    rig.wait_condition("Ready", "ReplicasNotReady", "other")
    assert rig.get("lease", f"{HIVE}-operator")["spec"]["holderIdentity"] == "operator-b"


def test_an_operator_whose_lease_is_taken_stops_acting_at_once(rig: Rig) -> None:
    operator = rig.operator()
    converge(rig)
    rig.patch(
        "lease", f"{HIVE}-operator", {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 600}}
    )
    eventually(lambda: operator.logged("not acting any more"), what="it stops")
    mark = rig.api.mark()
    rig.delete("networkpolicy", "bzzz")
    eventually(lambda: operator.logged("lease: another operator acts; waiting"), what="it waits")
    assert rig.writes(mark) == []
    assert rig.get("lease", f"{HIVE}-operator")["spec"]["holderIdentity"] == "somebody"
    assert operator.stop() == 0
