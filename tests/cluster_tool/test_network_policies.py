"""NetworkPolicies are enforced, within a node and between nodes, in both directions."""

import json

import pytest

from tests.support.pods import SERVE, WITHIN_S, address, execute, pod, start
from tests.support.processes import eventually
from tools.cluster import Cluster

pytestmark = pytest.mark.timeout(900)


def policy(name: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def apply(cluster: Cluster, namespace: str, *documents: dict[str, object]) -> None:
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    cluster.kubectl.run("-n", namespace, "apply", "-f", "-", stdin=items)


def reaches(cluster: Cluster, namespace: str, source: str, target: str) -> bool:
    fetch = f"timeout 2 wget -qO- http://{target}:8080/"
    return execute(cluster, namespace, source, fetch, check=False) == "hello\n"


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_only_who_is_named_comes_in(cluster: Cluster, namespace: str, node: str) -> None:
    start(cluster, namespace, pod("server", "n1", SERVE), pod("friend", node), pod("stranger", node))
    server = address(cluster, namespace, "server")
    assert reaches(cluster, namespace, "friend", server)
    assert reaches(cluster, namespace, "stranger", server)
    allowed = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8080}]}
    selector = {"matchLabels": {"app": "server"}}
    apply(cluster, namespace, policy("in", podSelector=selector, policyTypes=["Ingress"], ingress=[allowed]))
    eventually(
        lambda: not reaches(cluster, namespace, "stranger", server),
        within=WITHIN_S,
        what="the stranger is kept out",
    )
    assert reaches(cluster, namespace, "friend", server)


def test_who_may_not_go_out_reaches_nobody_but_still_answers(cluster: Cluster, namespace: str) -> None:
    start(cluster, namespace, pod("one", "n1", SERVE), pod("two", "n2", SERVE))
    one, two = address(cluster, namespace, "one"), address(cluster, namespace, "two")
    assert reaches(cluster, namespace, "two", one)
    selector = {"matchLabels": {"app": "two"}}
    apply(cluster, namespace, policy("out", podSelector=selector, policyTypes=["Egress"], egress=[]))
    eventually(
        lambda: not reaches(cluster, namespace, "two", one), within=WITHIN_S, what="its way out is closed"
    )
    assert reaches(cluster, namespace, "one", two)
