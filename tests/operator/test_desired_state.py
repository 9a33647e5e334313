"""What a HiveAgent becomes, checked against the pod table, field by field. No API server."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import pytest

from bzzz_operator.desired import AppCredential, HiveFacts, VolumeFacts, WantedAgent, desired_state
from tests.operator.examples import facts, wanted

Json = dict[str, Any]


def objects(agent: WantedAgent | None = None, hive: HiveFacts | None = None) -> dict[tuple[str, str], Json]:
    """Return all objects by kind and name."""
    return {(m.kind.kind, m.name): m.body for m in desired_state(agent or wanted(), hive or facts())}


def pod(agent: WantedAgent | None = None, hive: HiveFacts | None = None) -> Json:
    """Return the pod's spec."""
    return objects(agent, hive)["StatefulSet", "bzzz"]["spec"]["template"]["spec"]


def container(name: str, agent: WantedAgent | None = None, hive: HiveFacts | None = None) -> Json:
    """Return a container."""
    found = pod(agent, hive)
    return next(c for c in chain(found["initContainers"], found["containers"]) if c["name"] == name)


def config(agent: WantedAgent | None = None, hive: HiveFacts | None = None, file: str = "agent.json") -> Json:
    """Return a configuration file, parsed."""
    return json.loads(objects(agent, hive)["ConfigMap", "bzzz-config"]["data"][file])


def test_the_objects_of_a_hiveagent() -> None:
    assert set(objects()) == {
        ("ServiceAccount", "bzzz"),
        ("ConfigMap", "bzzz-config"),
        ("ConfigMap", "bzzz-runner"),
        ("Service", "bzzz"),
        ("PodDisruptionBudget", "bzzz"),
        ("NetworkPolicy", "bzzz"),
        ("StatefulSet", "bzzz"),
    }


def test_everything_is_owned_labelled_and_in_the_hives_namespace() -> None:
    for body in objects().values():
        metadata = body["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("HiveAgent", "uid-1", True)
        assert metadata["namespace"] == "agents"
        assert metadata["labels"] == {
            "app.kubernetes.io/name": "bzzz-agent",
            "app.kubernetes.io/instance": "bzzz",
            "app.kubernetes.io/managed-by": "bzzz-operator",
            "app.kubernetes.io/part-of": "hive",
            "bzzz.dev/hive": "hive",
        }
        assert "finalizers" not in metadata


def test_equal_input_gives_equal_output_and_the_hash_follows_the_content() -> None:
    assert objects() == objects()
    before = objects()["StatefulSet", "bzzz"]["metadata"]["annotations"]["bzzz.dev/applied-hash"]
    after = objects(wanted(replicas=4))["StatefulSet", "bzzz"]["metadata"]["annotations"][
        "bzzz.dev/applied-hash"
    ]
    assert before != after


def test_the_order_of_the_containers_lets_the_agent_end_first_and_the_log_last() -> None:
    found = pod()
    assert [c["name"] for c in found["initContainers"]] == ["hypercore", "workspace"]
    assert {c["restartPolicy"] for c in found["initContainers"]} == {"Always"}
    assert [c["name"] for c in found["containers"]] == ["agent"]


@pytest.mark.parametrize(("name", "uid"), [("agent", 10001), ("workspace", 10002), ("hypercore", 10003)])
def test_every_container_is_locked_down(name: str, uid: int) -> None:
    found = container(name)
    assert found["securityContext"] == {
        "runAsUser": uid,
        "runAsGroup": uid,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert set(found["resources"]) == {"requests", "limits"}
    assert found["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_pod_has_no_way_to_the_api_server_and_one_shared_group() -> None:
    found = pod()
    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False
    assert found["securityContext"]["fsGroup"] == 10000
    assert objects()["ServiceAccount", "bzzz"]["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in found["volumes"])


def mounts(name: str, agent: WantedAgent | None = None) -> dict[str, str]:
    """Return a container's volumes by path."""
    return {m["mountPath"]: m["name"] for m in container(name, agent)["volumeMounts"]}


def test_keys_are_seen_by_the_container_that_needs_them_only() -> None:
    model = {"name": "openai:gpt-5", "credentialsSecretRef": {"name": "key"}}
    agent = wanted(model=model)
    secrets = {"mesh-keys", "log-seeds", "github", "model", "archive-token"}
    assert secrets & set(mounts("agent", agent).values()) == secrets - {"log-seeds"}
    assert secrets & set(mounts("hypercore", agent).values()) == {"log-seeds"}
    assert secrets & set(mounts("workspace", agent).values()) == set()
    for name, path in (("agent", "/etc/bzzz/keys/mesh.seed"), ("hypercore", "/etc/bzzz/keys/log.seed")):
        (mount,) = [m for m in container(name, agent)["volumeMounts"] if m["mountPath"] == path]
        assert mount["subPathExpr"] == "$(POD_NAME)"


def test_sockets_are_shared_by_exactly_two_containers_each() -> None:
    users = {
        socket: {name for name in ("agent", "workspace", "hypercore") if socket in mounts(name).values()}
        for socket in ("log-socket", "run-socket")
    }
    assert users == {"log-socket": {"agent", "hypercore"}, "run-socket": {"agent", "workspace"}}
    volumes = {v["name"]: v for v in pod()["volumes"]}
    assert volumes["log-socket"]["emptyDir"]["medium"] == "Memory"


def test_the_checkout_and_the_log_are_not_seen_by_the_agent() -> None:
    assert "/workspace" not in mounts("agent")
    assert "/data" not in mounts("agent")
    assert mounts("workspace")["/workspace"] == "workspace"


def test_nothing_of_a_manifest_is_part_of_a_command_line() -> None:
    evil = "$(rm -rf /); `id`"
    execution = {
        "type": "command",
        "plan": "command",
        "planCommand": [evil],
        "command": [evil],
        "test": [evil],
    }
    agent = wanted(execution=execution)
    for name in ("agent", "workspace", "hypercore"):
        assert evil not in json.dumps(container(name, agent))
    assert config(agent)["spec"]["execution"]["command"] == [evil]


def test_the_commands_are_those_of_the_pod_table() -> None:
    assert container("agent")["command"] == [
        "bzzz-agent",
        "--config",
        "/etc/bzzz/agent/agent.json",
        "--node-id",
        "$(POD_NAME)",
        "--card-file",
        "/etc/bzzz/hive/card-$(POD_NAME).json",
        "--announce",
        "/ip4/$(POD_IP)/tcp/4001",
    ]
    assert container("hypercore")["command"] == [
        "hypercore-sidecar",
        "log",
        "--config",
        "/etc/bzzz/hypercore/hypercore.json",
    ]
    assert container("workspace")["command"][:2] == ["python3", "/opt/bzzz/bzzz_runner.py"]


def test_a_workspace_image_of_ones_own_gets_the_same_runner() -> None:
    execution = {"type": "command", "plan": "dryRun", "command": ["x"], "image": "acme/coder:1"}
    found = container("workspace", wanted(execution=execution))
    assert found["image"] == "acme/coder:1"
    assert "/opt/bzzz" in mounts("workspace")
    assert objects()["ConfigMap", "bzzz-runner"]["data"] == {"bzzz_runner.py": "print('runner')\n"}


def test_scaling_and_storage_are_no_reason_to_replace_pods() -> None:
    one = objects(wanted(replicas=1))["StatefulSet", "bzzz"]["spec"]["template"]
    many = objects(wanted(replicas=5, storage={"size": "1Gi", "retain": False}))
    assert many["StatefulSet", "bzzz"]["spec"]["template"] == one


def test_suspending_replaces_pods() -> None:
    template = objects()["StatefulSet", "bzzz"]["spec"]["template"]
    assert objects(wanted(suspend=True))["StatefulSet", "bzzz"]["spec"]["template"] != template


def test_retain_decides_what_becomes_of_the_volumes() -> None:
    def policy(retain: bool) -> Json:
        agent = wanted(storage={"retain": retain})
        return objects(agent)["StatefulSet", "bzzz"]["spec"]["persistentVolumeClaimRetentionPolicy"]

    assert policy(True) == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert policy(False) == {"whenDeleted": "Delete", "whenScaled": "Retain"}


def test_a_volume_that_exists_keeps_its_size() -> None:
    agent = wanted(volume=VolumeFacts("1Gi", "fast"), storage={"size": "5Gi"})
    (claim,) = objects(agent)["StatefulSet", "bzzz"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert claim["spec"]["storageClassName"] == "fast"


def test_the_github_credential_is_named_by_file() -> None:
    assert config()["github"] == {
        "apiUrl": "https://api.github.com",
        "tokenFile": "/etc/bzzz/github/token",
    }
    assert config(wanted(AppCredential(1, 2)))["github"]["app"] == {
        "appId": 1,
        "installationId": 2,
        "privateKeyFile": "/etc/bzzz/github/privateKey",
    }


def test_an_embedded_model_is_asked_at_the_hives_service() -> None:
    hive = facts(modelUrl="http://hive-model.agents.svc:8080/v1")
    found = config(wanted(model={"name": "embedded:gemma-3-270m"}), hive)
    assert found["model"] == {
        "name": "embedded:gemma-3-270m",
        "baseUrl": "http://hive-model.agents.svc:8080/v1",
    }


def test_the_log_speaks_to_the_archive_only_and_starts_anew_for_another_key() -> None:
    found = config(file="hypercore.json")
    assert found["replication"]["allow"] == ["bb" * 32]
    assert found["dirPerKey"] is True


def test_the_agents_configuration_is_one_that_the_agent_takes() -> None:
    settings = pytest.importorskip("bzzz_agent.settings")
    model = {"name": "openai:gpt-5", "baseUrl": "https://models.example.com/v1"}
    by_flags = {"nodeId": "bzzz-0", "cardFile": "/etc/bzzz/hive/card-bzzz-0.json"}
    for agent in (wanted(), wanted(AppCredential(1, 2), model=model)):
        read = settings.AgentSettings.model_validate({**config(agent), **by_flags})
        assert read.hive == "hive"
        assert read.spec.execution.command == ("ruff", "check")


def test_options_of_the_operator_reach_the_pod() -> None:
    images = {
        "agent": "a",
        "sidecar": "b",
        "workspace": "c",
        "pullPolicy": "Always",
        "pullSecrets": ["registry"],
    }
    placement = {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "agents", "operator": "Exists"}]}
    found = pod(hive=facts(images=images, pods=placement, runtimeClassName="gvisor"))
    assert found["imagePullSecrets"] == [{"name": "registry"}]
    assert found["runtimeClassName"] == "gvisor"
    assert found["nodeSelector"] == {"disk": "ssd"}
    assert found["tolerations"] == [{"key": "agents", "operator": "Exists"}]


def test_without_network_policies_none_is_made() -> None:
    assert ("NetworkPolicy", "bzzz") not in objects(hive=facts(networkPolicies={"enabled": False}))
