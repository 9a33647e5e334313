"""What only the operator can know becomes a condition that names field and remedy, and goes when it is mended."""

from __future__ import annotations

import json

from tests.operator.rig import HIVE, Rig, manifest
from tests.support.processes import eventually


def github(secret: str) -> dict[str, object]:
    return {"repositories": ["acme/widgets"], "credentialsSecretRef": {"name": secret}}


def test_a_missing_secret_is_named_and_its_coming_starts_the_agents(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(github=github("absent")))
    found = rig.wait_condition("Degraded", "SecretMissing")
    assert found["message"].startswith("spec.github.credentialsSecretRef: Secret absent does not exist")
    assert not rig.get("statefulset", "bzzz")
    rig.secret("absent", password="wrong key")
    found = rig.wait_condition("Degraded", "SecretIncomplete")
    assert "lacks token, or appId, installationId and privateKey" in found["message"]
    rig.secret("absent", token="ghp_x")
    rig.wait_condition("Degraded", "Reconciled")
    rig.wait("statefulset", "bzzz")
    assert {e["type"] for e in rig.events("SecretMissing")} == {"Warning"}


def test_a_github_apps_numbers_reach_the_agents_configuration(rig: Rig) -> None:
    rig.operator()
    rig.secret("app", appId="12", installationId="34", privateKey="-----BEGIN")
    rig.apply(manifest(github=github("app")))
    rig.wait("statefulset", "bzzz")
    config = json.loads(rig.get("configmap", "bzzz-config")["data"]["agent.json"])
    assert config["github"]["app"] == {
        "appId": 12,
        "installationId": 34,
        "privateKeyFile": "/etc/bzzz/github/privateKey",
    }
    assert "tokenFile" not in config["github"]


def test_a_revoked_agent_is_named_until_it_is_rotated(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    rig.run_pods("bzzz", 2)
    rig.wait_condition("Ready", "AllReplicasReady")
    rig.patch("hiveagent", "bzzz", {"metadata": {"annotations": {"bzzz.dev/revoke.1": "r1"}}})
    found = rig.wait_condition("Degraded", "Revoked")
    assert found["message"].startswith("bzzz-1: revoked"), found
    assert "bzzz rotate bzzz-1" in found["message"]
    rig.patch("hiveagent", "bzzz", {"metadata": {"annotations": {"bzzz.dev/rotate.1": "r2"}}})
    rig.wait_condition("Degraded", "Reconciled")


def test_an_object_of_our_name_that_is_not_ours_is_left_alone(rig: Rig) -> None:
    rig.operator()
    rig.apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "bzzz", "labels": {"is": "theirs"}},
        }
    )
    rig.apply(manifest())
    found = rig.wait_condition("Degraded", "NameConflict")
    assert "ServiceAccount bzzz" in found["message"]
    account = rig.get("serviceaccount", "bzzz")
    assert account["metadata"]["labels"] == {"is": "theirs"}
    assert "ownerReferences" not in account["metadata"]
    assert not rig.get("statefulset", "bzzz")
    rig.delete("serviceaccount", "bzzz")
    rig.wait_condition("Degraded", "Reconciled")
    rig.wait("statefulset", "bzzz")


def test_a_spec_beyond_the_hives_maxima_is_not_run(rig: Rig) -> None:
    rig.operator(maxima={"rounds": 2})
    rig.apply(manifest(discussion={"rounds": 3}))
    found = rig.wait_condition("Degraded", "BeyondMaxima")
    assert "spec.discussion.rounds: expected at most 2" in found["message"]
    assert rig.condition("Progressing")["reason"] == "Blocked"
    assert not rig.get("statefulset", "bzzz")


def test_an_embedded_model_that_nobody_serves_is_told(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(model={"name": "embedded:gemma-3-270m"}))
    found = rig.wait_condition("Degraded", "ModelNotServed")
    assert "model.enabled" in found["message"]


def test_two_hiveagents_on_two_githubs_disagree_until_one_gives_in(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    rig.wait("statefulset", "bzzz")
    elsewhere = {**github("github"), "apiUrl": "https://github.example.com/api/v3"}
    rig.apply(manifest("other", github=elsewhere))
    found = rig.wait_condition("Degraded", "HiveDisagrees", "other")
    assert "as in HiveAgent bzzz" in found["message"]
    assert rig.condition("Degraded")["status"] == "False"
    rig.apply(manifest("other"))
    rig.wait_condition("Degraded", "Reconciled", "other")


def test_a_storage_class_that_does_not_exist_is_told(rig: Rig) -> None:
    rig.operator(storage={"storageClass": "fast"})
    rig.apply(manifest())
    found = rig.wait_condition("Degraded", "StorageClassMissing")
    assert "StorageClass fast does not exist" in found["message"]


def test_an_archive_that_is_away_is_told_and_forgotten_when_it_is_back(rig: Rig) -> None:
    rig.archive.live.kill()
    rig.operator()
    rig.apply(manifest())
    found = rig.wait_condition("Degraded", "ArchiveUnavailable")
    assert "pull requests wait" in found["message"]
    rig.archive.start()
    rig.wait_condition("Degraded", "Reconciled")
    logs = {entry["nodeId"] for entry in rig.archive.get("/v1/logs")["logs"]}
    assert logs == {"bzzz-0", "bzzz-1"}


def test_a_pod_that_ends_again_and_again_is_shown_with_its_last_words(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=1))
    rig.run_pods("bzzz", 1, ready=0)
    last = {"terminated": {"exitCode": 1, "message": "github.tokenFile: cannot be read", "reason": "Error"}}
    rig.set_pod(
        "bzzz-0",
        ready=False,
        started=False,
        restartCount=4,
        state={"waiting": {"reason": "CrashLoopBackOff"}},
        lastState=last,
    )
    found = rig.wait_condition("Degraded", "PodFailing")
    assert "github.tokenFile: cannot be read" in found["message"]
    assert "kubectl logs bzzz-0 -c agent --previous" in found["message"]


def test_an_image_that_cannot_be_pulled_is_shown_by_its_field(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest(replicas=1))
    rig.run_pods("bzzz", 1, ready=0)
    rig.set_pod(
        "bzzz-0",
        ready=False,
        started=False,
        state={"waiting": {"reason": "ImagePullBackOff", "message": "denied"}},
    )
    found = rig.wait_condition("Degraded", "ImagePullFailing")
    assert found["message"].startswith("images.agent in the chart's values")


def test_problems_cause_no_storm_of_tries(rig: Rig) -> None:
    operator = rig.operator()
    rig.apply(manifest(github=github("absent")))
    rig.wait_condition("Degraded", "SecretMissing")
    mark = rig.api.mark()
    rig.apply(manifest("other"))
    rig.wait_condition("Ready", "ReplicasNotReady", "other")
    rig.check_untouched("bzzz", mark)
    assert operator.logged("reconcile failed") == []


def test_agents_that_are_ready_make_the_hiveagent_ready(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    rig.run_pods("bzzz", 2, ready=1)
    found = rig.wait_condition("Ready", "ReplicasNotReady")
    assert found["message"] == "1 of 2 agents are on the mesh" or rig.wait_condition(
        "Ready", "ReplicasNotReady"
    )
    rig.run_pods("bzzz", 2)
    found = rig.wait_condition("Ready", "AllReplicasReady")
    status = rig.get("hiveagent", "bzzz")["status"]
    assert (status["ready"], status["replicas"], status["readyReplicas"]) == ("2/2", 2, 2)
    assert rig.condition("Progressing")["status"] == "False"
    assert HIVE in rig.get("pod", "bzzz-0")["metadata"]["labels"]["bzzz.dev/hive"]


def test_the_scribes_half_of_the_status_is_not_touched(rig: Rig) -> None:
    rig.operator()
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")
    theirs = {"status": {"issues": "#4 #7"}}
    rig.patch("hiveagent", "bzzz", theirs, subresource="status", manager="bzzz-scribe")
    rig.run_pods("bzzz", 2)
    rig.wait_condition("Ready", "AllReplicasReady")
    assert rig.get("hiveagent", "bzzz")["status"]["issues"] == "#4 #7"


def test_the_liveness_endpoint_answers_while_it_lives(rig: Rig) -> None:
    import httpx

    rig.operator()
    url = f"http://127.0.0.1:{rig.liveness_port}/healthz"
    answer = eventually(lambda: httpx.get(url, timeout=20.0), what="it answers")
    assert (answer.status_code, answer.json()) == (200, {"alive": "ok"})


def test_metrics_tell_writes_reconciles_and_conditions(rig: Rig) -> None:
    import httpx

    operator = rig.operator()
    rig.apply(manifest())
    rig.wait_condition("Ready", "ReplicasNotReady")
    text = httpx.get(f"http://127.0.0.1:{operator.ready['metricsPort']}/metrics", timeout=20.0).text
    assert 'bzzz_operator_api_writes_total{kind="StatefulSet",verb="apply"} 1.0' in text
    assert 'bzzz_operator_condition{hiveagent="bzzz",reason="ReplicasNotReady",type="Ready"} 0.0' in text
    assert "bzzz_operator_leading 1.0" in text
