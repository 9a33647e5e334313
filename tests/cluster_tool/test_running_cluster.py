"""A real cluster: what tests of the hive rely on holds."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.pods import SERVE, WITHIN_S, address, execute, pod, start
from tests.support.processes import eventually
from tools.cluster import Cluster, ComponentError
from tools.cluster.oci import Image, write_archive

pytestmark = pytest.mark.timeout(900)


def test_both_nodes_are_ready_and_run_the_pinned_version(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl.run("get", "nodes", "-o", "json"))["items"]
    assert {n["status"]["nodeInfo"]["kubeletVersion"] for n in nodes} == {"v1.34.4"}
    assert cluster.kubectl.ready_nodes() == 2


def test_a_second_up_leaves_a_healthy_cluster_as_it_is(cluster: Cluster) -> None:
    before = cluster.backend.status()
    again = Cluster.up(cluster.layout.state)
    assert again.backend.status() == before
    assert all(state.startswith("process") for state in before.values())


def test_pods_reach_each_other_and_services_by_name_from_both_nodes(cluster: Cluster, namespace: str) -> None:
    start(cluster, namespace, pod("web-1", "n1", SERVE), pod("web-2", "n2", SERVE))
    for name in ("web-1", "web-2"):
        cluster.kubectl.run("-n", namespace, "expose", "pod", name, "--port=80", "--target-port=8080")
    for source in ("web-1", "web-2"):
        for target in ("web-1", "web-2"):
            where = f"http://{target}.{namespace}.svc.cluster.local/"
            eventually(
                lambda s=source, w=where: (
                    execute(cluster, namespace, s, f"wget -qO- {w}", check=False) == "hello\n"
                ),
                within=WITHIN_S,
                what=f"{source} reads {where}",
            )


def test_a_name_outside_of_the_cluster_does_not_exist(cluster: Cluster, namespace: str) -> None:
    start(cluster, namespace, pod("asker"))
    answer = execute(cluster, namespace, "asker", "nslookup example.org 2>&1", check=False)
    assert "NXDOMAIN" in answer


def test_a_claim_is_bound_and_its_data_outlive_the_pod(cluster: Cluster, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.kubectl.run("-n", namespace, "apply", "-f", "-", stdin=json.dumps(claim))
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    user = {"runAsUser": 1000, "runAsNonRoot": True}
    start(
        cluster,
        namespace,
        pod("first", volumes=volumes, securityContext=user, command="id > /data/who; sleep 10000"),
    )
    cluster.kubectl.run("-n", namespace, "delete", "pod", "first")
    start(cluster, namespace, pod("second", volumes=volumes, securityContext=user))
    assert execute(cluster, namespace, "second", "cat /data/who").startswith("uid=1000")
    phase = cluster.kubectl.run("-n", namespace, "get", "pvc", "data", "-o", "jsonpath={.status.phase}")
    assert phase == "Bound"


def test_logs_come_through(cluster: Cluster, namespace: str) -> None:
    start(cluster, namespace, pod("talker", "n2", "echo one; echo two; sleep 100000"))
    eventually(
        lambda: cluster.kubectl.run("-n", namespace, "logs", "talker") == "one\ntwo\n",
        within=WITHIN_S,
        what="logs",
    )


def test_nobody_anonymous_may_speak_to_kubelet_or_api(cluster: Cluster) -> None:
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    server = cluster.kubectl.run("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{server}/api/v1/nodes", context=insecure, timeout=10)
    kubelet = cluster.backend.execute
    fetch = f"{cluster.bin}/busybox wget --no-check-certificate -qO- https://10.99.0.1:10250/pods"
    assert kubelet("n1", ["sh", "-c", f"{fetch} >/dev/null 2>&1"]) != 0


def test_an_admission_policy_is_enforced(cluster: Cluster, namespace: str) -> None:
    name = f"no-forbidden-{namespace}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["configmaps"],
                    }
                ]
            },
            "validations": [{"expression": "object.metadata.name != 'forbidden'", "message": "not that one"}],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
    both = {"apiVersion": "v1", "kind": "List", "items": [policy, binding]}
    cluster.kubectl.run("apply", "-f", "-", stdin=json.dumps(both))

    def refused() -> bool:
        try:
            cluster.kubectl.run("-n", namespace, "create", "configmap", "forbidden", "--dry-run=server")
        except ComponentError as error:
            return "not that one" in str(error)
        return False

    try:
        eventually(refused, within=WITHIN_S, what="the policy refuses")
    finally:
        cluster.kubectl.run("delete", "-f", "-", stdin=json.dumps(both))


def test_a_loaded_image_runs_on_every_node(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    name, archive = "example.test/loaded:1", tmp_path / "loaded.tar"
    write_archive(Image(name, {"pause": cluster.bin / "pause"}, ["/pause"], user="1000:1000"), archive)
    cluster.load([archive])
    pods = [json.loads(pod(f"loaded-{node}", node, image=name)) for node in ("n1", "n2")]
    for document in pods:
        del document["spec"]["containers"][0]["command"]
    start(cluster, namespace, *(json.dumps(document) for document in pods))
    nodes = cluster.kubectl.run("-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert set(nodes.split()) == {"n1", "n2"}


def test_the_api_server_comes_back_with_all_it_knew_and_pods_do_not_notice(
    cluster: Cluster, namespace: str
) -> None:
    start(cluster, namespace, pod("steady", "n2"))
    before = cluster.backend.status()["apiserver"]
    cluster.restart_apiserver()
    assert cluster.backend.status()["apiserver"] != before
    counts = cluster.kubectl.run(
        "-n", namespace, "get", "pod", "steady", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"
    )
    assert counts == "0"
    assert execute(cluster, namespace, "steady", "echo still here") == "still here\n"
    assert cluster.kubectl.ready_nodes() == 2


def test_a_node_that_is_cut_off_is_missed_and_healed_it_is_back(cluster: Cluster, namespace: str) -> None:
    start(cluster, namespace, pod("here", "n1"), pod("there", "n2", SERVE))
    fetch = f"timeout 3 wget -qO- http://{address(cluster, namespace, 'there')}:8080/"
    assert execute(cluster, namespace, "here", fetch) == "hello\n"
    cluster.cut("n2")
    try:
        assert execute(cluster, namespace, "here", fetch, check=False) == ""
        eventually(
            lambda: cluster.kubectl.ready_nodes() == 1, within=WITHIN_S, what="the cut node is not ready"
        )
    finally:
        cluster.heal("n2")
    eventually(lambda: cluster.kubectl.ready_nodes() == 2, within=WITHIN_S, what="the healed node is ready")
    eventually(
        lambda: execute(cluster, namespace, "here", fetch, check=False) == "hello\n",
        within=WITHIN_S,
        what="pods of the healed node are reached",
    )
