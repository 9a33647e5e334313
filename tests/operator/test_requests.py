"""What happens on request or by force of others: rotation, a field that is fought over, the command that installs."""

from __future__ import annotations

import sys

from bzzz_crds.definitions import definitions
from tests.operator.rig import Rig, manifest
from tests.support.processes import eventually


def test_a_rotated_node_gets_other_keys_and_its_pod_is_started_anew(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=2))
    rig.run_pods("bzzz", 2)
    rig.wait_condition("Ready", "AllReplicasReady")
    before = rig.get("secret", "bzzz-mesh-keys")["data"]
    rig.patch("hiveagent", "bzzz", {"metadata": {"annotations": {"bzzz.dev/rotate.1": "20990101T000000Z-x"}}})

    def gone() -> bool:
        pod = rig.get("pod", "bzzz-1")
        return not pod or "deletionTimestamp" in pod["metadata"]

    eventually(gone, what="the pod with the old key is deleted")
    after = rig.get("secret", "bzzz-mesh-keys")["data"]
    assert after["bzzz-0"] == before["bzzz-0"]
    assert after["bzzz-1"] != before["bzzz-1"]
    assert "deletionTimestamp" not in rig.get("pod", "bzzz-0")["metadata"]


def test_a_manager_that_takes_a_field_again_and_again_is_named_and_not_fought_for_ever(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")
    for _ in range(5):
        rig.patch("statefulset", "bzzz", {"spec": {"replicas": 7}}, manager="scaler")
        eventually(lambda: rig.get("statefulset", "bzzz")["spec"]["replicas"] == 2, what="it is taken back")
    rig.patch("statefulset", "bzzz", {"spec": {"replicas": 7}}, manager="scaler")
    found = rig.wait_condition("Degraded", "FieldConflict")
    assert '"scaler"' in found["message"]
    assert ".spec.replicas" in found["message"]


def test_the_definitions_are_applied_by_a_manager_of_their_own(rig: Rig) -> None:
    env = {"KUBECONFIG": str(rig.api.kubeconfig)}
    argv = [sys.executable, "-m", "bzzz_operator", "crds-apply"]
    done = rig.processes.start("crds", argv, env=env, ready_within=None)
    assert done.wait(within=60.0) == 0
    names = {line["name"] for line in done.logged("definition is established")}
    assert names == {body["metadata"]["name"] for body in definitions().values()}
    managers = rig.get("customresourcedefinition", "hiveagents.bzzz.dev")["metadata"]["managedFields"]
    assert "bzzz-crds" in {entry["manager"] for entry in managers}


def test_a_configuration_that_does_not_fit_is_refused_by_field(rig: Rig) -> None:
    operator = rig.operator(ready=False, drainTimeout="soon")
    assert operator.wait(within=30.0) == 1
    assert "drainTimeout: expected a duration" in operator.tail()
