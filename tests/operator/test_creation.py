"""From a HiveAgent to its objects, against a real API server."""

from __future__ import annotations

from tests.operator.rig import HIVE, MANAGER, Rig, manifest
from tests.support.processes import eventually

CHILDREN = {
    "statefulset": {"bzzz"},
    "service": {"bzzz"},
    "serviceaccount": {"bzzz"},
    "networkpolicy": {"bzzz"},
    "poddisruptionbudget": {"bzzz"},
    "configmap": {"bzzz-config", "bzzz-runner"},
    "secret": {"bzzz-mesh-keys", "bzzz-log-seeds", "bzzz-runner-token"},
}


def test_a_hiveagent_becomes_its_objects_with_one_write_each(rig: Rig) -> None:
    rig.operator()
    mark = rig.api.mark()
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")
    for kind, names in CHILDREN.items():
        assert names <= rig.names(kind), kind
    children = {name for names in CHILDREN.values() for name in names}
    writes = rig.writes(mark)
    per_object = [(w.resource, w.name) for w in writes if w.name in children or "status" in w.resource]
    assert sorted(per_object) == sorted(set(per_object)), "an object was written twice"
    assert len(per_object) == 10 + 1
    status = rig.get("hiveagent", "bzzz")["status"]
    assert status["ready"] == "0/2"
    assert status["observedGeneration"] == 1
    assert status["selector"] == "app.kubernetes.io/instance=bzzz,app.kubernetes.io/name=bzzz-agent"


def test_the_archive_is_told_of_the_logs(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())

    def told() -> set[str]:
        return {entry["nodeId"] for entry in rig.archive.get("/v1/logs")["logs"]}

    eventually(lambda: told() == {"bzzz-0", "bzzz-1"}, what="the archive follows both logs")


def test_members_have_cards_before_their_pods_are_asked_for(rig: Rig) -> None:
    rig.operator()
    mark = rig.api.mark()
    rig.apply(manifest())
    rig.wait("statefulset", "bzzz")
    assert {"card-bzzz-0.json", "card-bzzz-1.json"} <= rig.get("configmap", f"{HIVE}-members")["data"].keys()
    order = [(w.resource, w.name) for w in rig.writes(mark)]
    assert order.index(("configmaps", f"{HIVE}-members")) < order.index(("statefulsets", "bzzz"))


def test_every_field_of_a_child_is_ours_by_server_side_apply(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    sts = rig.wait("statefulset", "bzzz")
    (entry,) = sts["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == (MANAGER, "Apply")
    assert "f:template" in entry["fieldsV1"]["f:spec"]
    rig.wait_condition("Ready", "ReplicasNotReady")
    entries = rig.get("hiveagent", "bzzz")["metadata"]["managedFields"]
    (ours,) = [e for e in entries if e["manager"] == MANAGER]
    assert (ours["operation"], ours["subresource"]) == ("Apply", "status")
    assert set(ours["fieldsV1"]["f:status"]) == {
        "f:conditions",
        "f:observedGeneration",
        "f:ready",
        "f:readyReplicas",
        "f:replicas",
        "f:selector",
    }


def test_nothing_is_left_on_a_hiveagent_that_could_hold_up_its_deletion(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")
    metadata = rig.get("hiveagent", "bzzz")["metadata"]
    assert "finalizers" not in metadata
    assert not any("kopf" in name for name in metadata.get("annotations", {}))
    for kind, names in CHILDREN.items():
        for name in names:
            assert "finalizers" not in rig.get(kind, name)["metadata"], (kind, name)
