"""Each option of the chart, and the field of the object that it becomes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.chart.rendering import ROOT, Json, find, named, render, template

DIGEST = f"sha256:{'0' * 64}"

Case = tuple[Json, str, str, str, Any]
OPTIONS: dict[str, Case] = {
    "labels": ({"labels": {"team": "x"}}, "Service", "bzzz-scribe", "metadata.labels.team", "x"),
    "registry": (
        {"images": {"registry": "reg.example.org/hive", "tag": "1"}},
        *("Deployment", "bzzz-operator", "spec.template.spec.containers.0.image"),
        "reg.example.org/hive/operator:1",
    ),
    "own registry": (
        {"images": {"operator": {"repository": "other.example.org:5000/op", "digest": DIGEST}}},
        *("Deployment", "bzzz-operator", "spec.template.spec.containers.0.image"),
        f"other.example.org:5000/op:0.1.0@{DIGEST}",
    ),
    "own tag": (
        {"images": {"tag": "1", "scribe": {"tag": "2"}}},
        *("Deployment", "bzzz-scribe", "spec.template.spec.containers.0.image"),
        "ghcr.io/bzzz-hive/scribe:2",
    ),
    "a path of two": (
        {"images": {"operator": {"repository": "team/op"}}},
        *("Deployment", "bzzz-operator", "spec.template.spec.containers.0.image"),
        "ghcr.io/bzzz-hive/team/op:0.1.0",
    ),
    "pull policy": (
        {"images": {"pullPolicy": "Never"}},
        *("StatefulSet", "bzzz-archive", "spec.template.spec.containers.0.imagePullPolicy", "Never"),
    ),
    "pull secrets": (
        {"images": {"pullSecrets": ["a", "b"]}},
        *("Job", "bzzz-crds", "spec.template.spec.imagePullSecrets", [{"name": "a"}, {"name": "b"}]),
    ),
    "two operators": ({"operator": {"replicas": 2}}, "Deployment", "bzzz-operator", "spec.replicas", 2),
    "priority": (
        {"archive": {"priorityClassName": "high"}},
        *("StatefulSet", "bzzz-archive", "spec.template.spec.priorityClassName", "high"),
    ),
    "affinity": (
        {"scribe": {"affinity": {"nodeAffinity": {}}}},
        *("Deployment", "bzzz-scribe", "spec.template.spec.affinity", {"nodeAffinity": {}}),
    ),
    "cache": (
        {"scribe": {"cacheSize": "3Gi"}},
        *("Deployment", "bzzz-scribe", "spec.template.spec.volumes.4.emptyDir.sizeLimit", "3Gi"),
    ),
    "service": (
        {"scribe": {"service": {"type": "NodePort"}}},
        "Service",
        "bzzz-scribe",
        "spec.type",
        "NodePort",
    ),
    "ingress": (
        {"scribe": {"ingress": {"enabled": True, "host": "h.example.org", "tlsSecretName": "t"}}},
        *("Ingress", "bzzz-scribe", "spec.tls", [{"hosts": ["h.example.org"], "secretName": "t"}]),
    ),
    "archive size": (
        {"archive": {"storage": {"size": "9Gi"}}},
        *(
            "StatefulSet",
            "bzzz-archive",
            "spec.volumeClaimTemplates.0.spec.resources.requests.storage",
            "9Gi",
        ),
    ),
    "archive class": (
        {"archive": {"storage": {"storageClass": "fast"}}},
        *("StatefulSet", "bzzz-archive", "spec.volumeClaimTemplates.0.spec.storageClassName", "fast"),
    ),
    "archive kept": (
        {},
        *("StatefulSet", "bzzz-archive", "spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Retain"),
    ),
    "archive not kept": (
        {"archive": {"storage": {"retain": False}}},
        *("StatefulSet", "bzzz-archive", "spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Delete"),
    ),
    "model": (
        {"model": {"enabled": True, "threads": 3}},
        *("Deployment", "bzzz-model", "spec.template.spec.containers.0.args.7", "3"),
    ),
    "answers": (
        {"escalation": {"url": "https://n8n.example.org/webhook/x", "secretName": "e"}},
        *("Service", "bzzz-answers", "spec.ports.0.port", 8083),
    ),
    "pod monitor": (
        {"monitoring": {"podMonitor": {"enabled": True}}},
        *("PodMonitor", "bzzz-agents", "spec.podMetricsEndpoints.1.authorization.credentials"),
        {"name": "bzzz-metrics-token", "key": "token"},
    ),
    "monitors' labels": (
        {"monitoring": {"serviceMonitor": {"enabled": True}, "labels": {"release": "prom"}}},
        *("ServiceMonitor", "bzzz-archive", "metadata.labels.release", "prom"),
    ),
    "interval": (
        {"monitoring": {"serviceMonitor": {"enabled": True}, "interval": "15s"}},
        *("ServiceMonitor", "bzzz-operator", "spec.endpoints.0.interval", "15s"),
    ),
    "rules": (
        {"monitoring": {"rules": {"enabled": True}}},
        *("PrometheusRule", "bzzz", "spec.groups.0.rules.0.expr"),
        'bzzz_scribe_archive_up{namespace="hives"} == 0',
    ),
    "dashboard": (
        {"monitoring": {"dashboard": {"enabled": True, "labels": {"grafana": "yes"}}}},
        *("ConfigMap", "bzzz-dashboard", "metadata.labels.grafana", "yes"),
    ),
    "patience of the test": (
        {"tests": {"timeoutSeconds": 30}},
        *("Pod", "bzzz-check", "spec.activeDeadlineSeconds", 90),
    ),
}

SWITCHES: dict[str, tuple[Json, set[str]]] = {
    "budgets": (
        {"podDisruptionBudgets": {"enabled": False}},
        {f"PodDisruptionBudget/bzzz-{name}" for name in ("operator", "scribe", "archive")},
    ),
    "admission policy": (
        {"admissionPolicy": {"enabled": False}},
        {
            "ValidatingAdmissionPolicy/hives-bzzz-scribe-resolution",
            "ValidatingAdmissionPolicyBinding/hives-bzzz-scribe-resolution",
        },
    ),
    "cluster role": (
        {"rbac": {"clusterRole": False}},
        {"ClusterRole/hives-bzzz-operator", "ClusterRoleBinding/hives-bzzz-operator"},
    ),
    "aggregated roles": (
        {"rbac": {"aggregate": False}},
        {"ClusterRole/hives-bzzz-view", "ClusterRole/hives-bzzz-edit"},
    ),
    "upgrade of the CRDs": (
        {"crds": {"upgrade": {"enabled": False}}},
        {
            "ServiceAccount/bzzz-crds",
            "NetworkPolicy/bzzz-crds",
            "Job/bzzz-crds",
            "ClusterRole/hives-bzzz-crds",
            "ClusterRoleBinding/hives-bzzz-crds",
        },
    ),
}


@pytest.mark.parametrize("case", OPTIONS.values(), ids=OPTIONS)
def test_an_option_becomes_a_field(case: Case) -> None:
    values, kind, name, path, expected = case
    assert at(find(render(values), kind, name), path) == expected


@pytest.mark.parametrize(("values", "gone"), SWITCHES.values(), ids=SWITCHES)
def test_a_switch_takes_away_its_objects_and_no_others(values: Json, gone: set[str]) -> None:
    before, after = ({named(o) for o in render(each)} for each in ({}, values))
    assert before - after == gone
    assert after <= before


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://bzzz-scribe.hives.svc:8080"),
        ({"publicUrl": "https://a.example.org/hive/"}, "https://a.example.org/hive"),
        ({"scribe": {"ingress": {"enabled": True, "host": "b.example.org"}}}, "http://b.example.org"),
        (
            {"scribe": {"ingress": {"enabled": True, "host": "b.example.org", "tlsSecretName": "t"}}},
            "https://b.example.org",
        ),
    ],
)
def test_pull_requests_link_to_where_the_scribe_is_reached(values: Json, url: str) -> None:
    import json

    objects = render(values)
    for component in ("operator", "scribe"):
        data = find(objects, "ConfigMap", f"bzzz-{component}-config")["data"][f"{component}.json"]
        assert json.loads(data)["publicUrl"] == url


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    """Each metric in dashboard and alerts is one that some program's source names."""
    import json
    import re

    from tests.chart.rendering import ROOT

    objects = render({"monitoring": {"dashboard": {"enabled": True}, "rules": {"enabled": True}}})
    dashboard = find(objects, "ConfigMap", "bzzz-dashboard")["data"]["bzzz.json"]
    rules = find(objects, "PrometheusRule", "bzzz")["spec"]
    json.loads(dashboard)
    asked = set(re.findall(r"\b(bzzz_[a-z_]+)[{]", dashboard + json.dumps(rules)))
    sources = [
        path.read_text()
        for folder in ("agent", "mesh", "scribe", "sidecar/lib", "operator")
        for pattern in ("*.py", "*.js")
        for path in (ROOT / folder).rglob(pattern)
    ]
    told = "\n".join(sources)
    assert len(asked) > 10
    for metric in asked:
        plain = re.sub(r"_(total|bucket)$", "", metric)
        assert re.search(rf"['\"]{plain}(_total)?['\"]", told), metric


def at(value: Any, path: str) -> Any:
    """Return what stands at a dotted path; numbers are places in lists."""
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


N8N: Json = {
    "n8n": {
        "enabled": True,
        "url": "https://n8n.example.org/",
        "importSecretName": "n8n-import",
        "encryptionSecretName": "n8n-key",
        "workflow": "tracker",
    },
    "escalation": {
        "url": "http://bzzz-n8n.hives.svc:5678/webhook/bzzz-escalation-ticket",
        "secretName": "escalation",
        "from": {"podLabels": {"app.kubernetes.io/name": "bzzz-n8n"}},
    },
}


def test_n8n_imports_its_workflow_and_is_the_webhook_that_the_operator_tells() -> None:
    objects = render(N8N)
    pod = find(objects, "StatefulSet", "bzzz-n8n")["spec"]["template"]["spec"]
    (importing,), (running,) = pod["initContainers"], pod["containers"]
    assert running["image"] == importing["image"] == "docker.n8n.io/n8nio/n8n:2.41.1"
    assert "--input=/etc/bzzz/import/tracker.json" in importing["args"][0]
    assert "publish:workflow --id=bzzzTracker0001" in importing["args"][0]
    env = {entry["name"]: entry.get("value") for entry in running["env"]}
    assert env["N8N_WEBHOOK_URL"] == "https://n8n.example.org/"
    assert env["NODE_FUNCTION_ALLOW_BUILTIN"] == "crypto"
    host = urlsplit(N8N["escalation"]["url"])
    service = find(objects, "Service", "bzzz-n8n")
    assert host.hostname == f"{service['metadata']['name']}.hives.svc"
    assert host.port == service["spec"]["ports"][0]["port"]
    assert (ROOT / "n8n" / "tracker.json").is_file()
    # the operator may reach it, and it the operator
    egress = find(objects, "NetworkPolicy", "bzzz-operator")["spec"]["egress"]
    labels = {"app.kubernetes.io/name": "bzzz-n8n"}
    assert any(rule.get("to") == [{"podSelector": {"matchLabels": labels}}] for rule in egress)
    assert (
        labels.items() <= find(objects, "StatefulSet", "bzzz-n8n")["spec"]["selector"]["matchLabels"].items()
    )


def test_the_workflows_that_the_chart_publishes_are_those_of_the_checkout() -> None:
    for workflow in ("slack", "tracker"):
        values = {**N8N, "n8n": {**N8N["n8n"], "workflow": workflow}}
        pod = find(render(values), "StatefulSet", "bzzz-n8n")["spec"]["template"]["spec"]
        identity = json.loads((ROOT / "n8n" / f"{workflow}.json").read_text())["id"]
        assert f"--id={identity}\n" in pod["initContainers"][0]["args"][0] + "\n"


@pytest.mark.parametrize("missing", ["url", "importSecretName", "encryptionSecretName"])
def test_n8n_without_what_it_needs_is_refused_with_the_reason(missing: str) -> None:
    values = {**N8N, "n8n": {name: value for name, value in N8N["n8n"].items() if name != missing}}
    assert f"n8n.{missing}: expected a value" in template(values).stderr
    assert "escalation.url: expected n8n's webhook" in template({"n8n": N8N["n8n"]}).stderr
