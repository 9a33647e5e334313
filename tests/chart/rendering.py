"""The chart as Helm renders it, for the tests beside; and where helm and kubeconform are."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.cluster.binaries import ensure
from tools.cluster.layout import KUBERNETES_VERSION, cache_folder
from tools.cluster.steps import Steps

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "bzzz"

Json = dict[str, Any]

EVERYTHING: Json = {
    "publicUrl": "https://hive.example.org",
    "labels": {"team": "tools"},
    "images": {"tag": "dev", "pullSecrets": ["registry"], "sidecar": {"digest": f"sha256:{'a' * 64}"}},
    "operator": {
        "replicas": 2,
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "system-cluster-critical",
        "podLabels": {"a": "b"},
        "podAnnotations": {"c": "d"},
    },
    "scribe": {
        "repositories": ["acme/widgets"],
        "service": {"type": "NodePort", "annotations": {"x": "y"}},
        "ingress": {
            "enabled": True,
            "host": "hive.example.org",
            "className": "nginx",
            "tlsSecretName": "hive-tls",
            "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
        },
    },
    "archive": {"storage": {"size": "20Gi", "storageClass": "fast", "retain": False}},
    "model": {"enabled": True},
    "agents": {
        "runtimeClassName": "gvisor",
        "storageClass": "fast",
        "nodeSelector": {"pool": "agents"},
        "tolerations": [{"key": "agents", "operator": "Equal", "value": "yes", "effect": "NoExecute"}],
        "podLabels": {"team": "tools"},
        "podAnnotations": {"e": "f"},
    },
    "maxima": {"rounds": 3, "participants": 5, "hops": 4, "ttl": "15m", "window": "1m30s"},
    "claims": {"leaseSeconds": 900, "pollIntervalSeconds": 15, "backOffSeconds": 300},
    "escalation": {
        "url": "http://n8n.tools.svc/webhook/bzzz-escalation",
        "secretName": "escalation",
        "from": {
            "namespaceLabels": {"kubernetes.io/metadata.name": "tools"},
            "podLabels": {"app": "n8n"},
            "port": 5678,
        },
    },
    "n8n": {
        "enabled": True,
        "url": "https://n8n.example.org",
        "importSecretName": "n8n-import",
        "encryptionSecretName": "n8n-key",
        "storage": {"size": "2Gi", "storageClass": "fast", "retain": False},
        "nodeSelector": {"pool": "system"},
        "podLabels": {"a": "b"},
    },
    "networkPolicy": {
        "allowedPrivate": ["10.20.0.0/16"],
        "apiServer": ["10.96.0.1/32", "192.0.2.10/32"],
        "inCluster": [
            {"host": "github.tools.svc", "namespace": "tools", "podLabels": {"app": "github"}, "port": 3000}
        ],
        "metricsFrom": {"kubernetes.io/metadata.name": "monitoring"},
        "dns": {"podLabels": {"dns.operator.openshift.io/daemonset-dns": "default"}, "ports": [53, 5353]},
    },
    "monitoring": {
        "labels": {"release": "prometheus"},
        "podMonitor": {"enabled": True},
        "serviceMonitor": {"enabled": True},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    },
}
"""Every option at once."""

NOTHING: Json = {
    "networkPolicy": {"enabled": False},
    "podDisruptionBudgets": {"enabled": False},
    "admissionPolicy": {"enabled": False},
    "rbac": {"clusterRole": False, "aggregate": False},
    "crds": {"upgrade": {"enabled": False}},
}
"""Everything off that can be: for who has rights in one namespace only."""

VARIANTS: Mapping[str, Json] = {"defaults": {}, "everything": EVERYTHING, "nothing": NOTHING}


@functools.cache
def program(name: str) -> Path:
    """Return where helm or kubeconform is, built from the pinned modules if the cache lacks it."""
    folder = cache_folder() / "bin"
    if not (folder / name).exists():
        ensure(folder, Steps(quiet=True), (name,))
    return folder / name


def helm(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run helm and return what came of it."""
    return subprocess.run(
        [str(program("helm")), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def template(
    values: Json | None = None, release: str = "bzzz", namespace: str = "hives", *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with these values."""
    return helm(
        *("template", release, CHART, "--namespace", namespace),
        *("--kube-version", KUBERNETES_VERSION, "--values", "-", *arguments),
        stdin=json.dumps(values or {}),
    )


@functools.cache
def _text(values: str, release: str, namespace: str) -> str:
    done = template(json.loads(values), release, namespace)
    assert done.returncode == 0, done.stderr
    return done.stdout


def text(values: Json | None = None, release: str = "bzzz", namespace: str = "hives") -> str:
    """Return the rendered manifests as Helm prints them."""
    return _text(json.dumps(values or {}, sort_keys=True), release, namespace)


def render(values: Json | None = None, release: str = "bzzz", namespace: str = "hives") -> list[Json]:
    """Return the rendered objects, hooks included."""
    documents: Sequence[Json | None] = list(yaml.safe_load_all(text(values, release, namespace)))
    return [document for document in documents if document]


def find(objects: Sequence[Json], kind: str, name: str) -> Json:
    """Return the one object of this kind and name."""
    found = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"expected one {kind} {name}, among {[named(o) for o in objects]}"
    return found[0]


def named(item: Json) -> str:
    """Return `Kind/name`."""
    return f"{item['kind']}/{item['metadata']['name']}"


def is_hook(item: Json) -> bool:
    """Whether Helm runs it at some moment rather than keeping it."""
    return "helm.sh/hook" in item["metadata"].get("annotations", {})


def pods(objects: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Yield each pod template: the name of its owner, and the template (or the pod itself)."""
    for item in objects:
        if item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield named(item), item["spec"]["template"]
        elif item["kind"] == "Pod":
            yield named(item), item


def config(objects: Sequence[Json], name: str, key: str) -> Json:
    """Return a configuration out of a ConfigMap."""
    return json.loads(find(objects, "ConfigMap", name)["data"][key])


def documents(objects: Iterable[Json]) -> str:
    """Return objects as YAML that no reader takes otherwise: JSON."""
    return "\n---\n".join(json.dumps(o) for o in objects)
