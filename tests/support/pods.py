"""Small pods to try a cluster with, and commands run in them."""

from __future__ import annotations

import json

from tests.support.cluster import TEST_IMAGE
from tools.cluster import Cluster

WITHIN_S = 60.0


def pod(
    name: str, node: str | None = None, command: str = "sleep 100000", image: str = TEST_IMAGE, **spec: object
) -> str:
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", command],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    placed = {} if node is None else {"nodeSelector": {"kubernetes.io/hostname": node}}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [{"name": "data", "emptyDir": {}}],
                **placed,
                **spec,
            },
        }
    )


SERVE = "echo hello > /data/index.html; exec httpd -f -p 8080 -h /data"


def start(cluster: Cluster, namespace: str, *pods: str) -> None:
    for text in pods:
        cluster.kubectl.run("-n", namespace, "apply", "-f", "-", stdin=text)
    names = [f"pod/{json.loads(text)['metadata']['name']}" for text in pods]
    cluster.kubectl.run("-n", namespace, "wait", "--for=condition=Ready", "--timeout=60s", *names, timeout=90)


def execute(cluster: Cluster, namespace: str, name: str, command: str, *, check: bool = True) -> str:
    return cluster.kubectl.run("-n", namespace, "exec", name, "--", "sh", "-c", command, check=check)


def address(cluster: Cluster, namespace: str, name: str) -> str:
    return cluster.kubectl.run("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.podIP}")
