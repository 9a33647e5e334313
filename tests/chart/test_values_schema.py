"""Bad values are refused before anything is installed, and the field is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chart.rendering import CHART, Json, template

BAD: dict[str, tuple[Json, str]] = {
    "unknown value": ({"hvie": "x"}, "hvie"),
    "unknown value within": ({"operator": {"replica": 1}}, "replica"),
    "hive in capitals": ({"hive": "Bzzz"}, "/hive"),
    "hive with a dot": ({"hive": "a.b"}, "/hive"),
    "hive too long": ({"hive": "a" * 46}, "/hive"),
    "no URL": ({"publicUrl": "hive.example.org"}, "/publicUrl"),
    "three operators": ({"operator": {"replicas": 3}}, "/operator/replicas"),
    "no operator": ({"operator": {"replicas": 0}}, "/operator/replicas"),
    "duration without a unit": ({"operator": {"drainTimeout": "30"}}, "/operator/drainTimeout"),
    "duration as a number": ({"operator": {"cardLife": 30}}, "/operator/cardLife"),
    "log level": ({"operator": {"logLevel": "trace"}}, "/operator/logLevel"),
    "pull policy": ({"images": {"pullPolicy": "always"}}, "/images/pullPolicy"),
    "tag": ({"images": {"tag": "a:b"}}, "/images/tag"),
    "digest": ({"images": {"agent": {"digest": "sha256:abc"}}}, "/images/agent/digest"),
    "size without a unit": ({"archive": {"storage": {"size": "5"}}}, "/archive/storage/size"),
    "size of nothing": ({"scribe": {"cacheSize": "0Gi"}}, "/scribe/cacheSize"),
    "storage class": ({"archive": {"storage": {"storageClass": "Fast"}}}, "/archive/storage/storageClass"),
    "cpu": (
        {"agents": {"resources": {"agent": {"requests": {"cpu": "much"}}}}},
        "/agents/resources/agent/requests/cpu",
    ),
    "cpu as a number": (
        {"agents": {"resources": {"agent": {"limits": {"cpu": 1}}}}},
        "/agents/resources/agent/limits/cpu",
    ),
    "rounds": ({"maxima": {"rounds": 11}}, "/maxima/rounds"),
    "participants": ({"maxima": {"participants": 0}}, "/maxima/participants"),
    "hops": ({"maxima": {"hops": 17}}, "/maxima/hops"),
    "lease too short": ({"claims": {"leaseSeconds": 1}}, "/claims/leaseSeconds"),
    "webhook without a scheme": ({"escalation": {"url": "n8n.example.org"}}, "/escalation/url"),
    "webhook without a Secret": ({"escalation": {"url": "https://n8n.example.org"}}, "escalation.secretName"),
    "range": ({"networkPolicy": {"denied": ["10.0.0.0"]}}, "/networkPolicy/denied/0"),
    "port": (
        {"networkPolicy": {"inCluster": [{"host": "a", "namespace": "b", "port": 0}]}},
        "/networkPolicy/inCluster/0/port",
    ),
    "service without a namespace": ({"networkPolicy": {"inCluster": [{"host": "a"}]}}, "namespace"),
    "effect": ({"scribe": {"tolerations": [{"effect": "No"}]}}, "/scribe/tolerations/0/effect"),
    "label": ({"labels": {"a b": "c"}}, "/labels"),
    "label's value": ({"labels": {"a": "b c"}}, "/labels/a"),
    "repository": ({"scribe": {"repositories": ["widgets"]}}, "/scribe/repositories/0"),
    "service type": ({"scribe": {"service": {"type": "ExternalName"}}}, "/scribe/service/type"),
    "ingress without a host": ({"scribe": {"ingress": {"enabled": True}}}, "scribe.ingress.host"),
    "interval": ({"monitoring": {"interval": "often"}}, "/monitoring/interval"),
    "text for a switch": ({"networkPolicy": {"enabled": "true"}}, "/networkPolicy/enabled"),
    "threads": ({"model": {"threads": 0}}, "/model/threads"),
    "timeout": ({"tests": {"timeoutSeconds": 0}}, "/tests/timeoutSeconds"),
}


@pytest.mark.parametrize(("values", "field"), BAD.values(), ids=BAD)
def test_a_bad_value_is_refused_and_named(values: Json, field: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert field in done.stderr


def test_nothing_unknown_is_let_through_anywhere() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def closed(part: Any, path: str) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                assert part["additionalProperties"] is False, path
            for key, each in part.items():
                closed(each, f"{path}/{key}")
        elif isinstance(part, list):
            for each in part:
                closed(each, path)

    closed(schema, "")
