"""The chart's own network policies say what the operator's flow table says."""

from __future__ import annotations

import json
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from bzzz_operator.network.flows import ROLES, Role
from bzzz_operator.network.policies import Surroundings, Webhook, policy_spec
from bzzz_operator.settings import OperatorSettings
from tests.chart.rendering import EVERYTHING, Json, config, find, pods, render

PUBLIC = {"url": "https://n8n.example.org/webhook/x", "secretName": "escalation"}
CASES = [
    pytest.param(values, role, id=f"{name}-{role}")
    for name, values, roles in (
        ("defaults", {}, ("operator", "scribe", "archive")),
        ("everything", EVERYTHING, ("operator", "scribe", "archive", "model")),
        ("renamed", {"hive": "swarm"}, ("operator", "scribe", "archive")),
        ("webhook", {"escalation": PUBLIC}, ("operator",)),
        (
            "webhook on a port",
            {"escalation": PUBLIC | {"url": "https://n8n.example.org:8443/x"}},
            ("operator",),
        ),
    )
    for role in roles
]


def webhook(values: Json) -> Webhook | None:
    """Return what the values say of the webhook; None where nobody is told."""
    escalation = values.get("escalation")
    if escalation is None:
        return None
    where = escalation.get("from", {})
    peer = {
        name: {"matchLabels": where[labels]}
        for name, labels in (("namespaceSelector", "namespaceLabels"), ("podSelector", "podLabels"))
        if where.get(labels)
    }
    return Webhook(where.get("port") or urlsplit(escalation["url"]).port or 443, (peer,) if peer else ())


@pytest.mark.parametrize(("values", "role"), CASES)
def test_a_components_policy_is_its_rows_of_the_flow_table(values: Json, role: Role) -> None:
    objects = render(values)
    hive = str(values.get("hive", "bzzz"))
    settings = OperatorSettings.model_validate_json(
        json.dumps(config(objects, f"{hive}-operator-config", "operator.json"))
    )
    around = Surroundings(hive, "hives", settings.network_policies, webhook=webhook(values))
    expected = policy_spec(role, around)
    assert _sorted(find(objects, "NetworkPolicy", f"{hive}-{role}")["spec"]) == _sorted(expected)


def test_each_role_but_the_agents_has_a_policy_here() -> None:
    policies = {o["metadata"]["name"] for o in render(EVERYTHING) if o["kind"] == "NetworkPolicy"}
    assert {f"bzzz-{role}" for role in ROLES if role != "agent"} <= policies
    assert set(ROLES) == set(get_args(Role))


def test_ports_of_containers_and_services_are_those_that_policies_let_through() -> None:
    objects = render(EVERYTHING)
    for role in ("operator", "scribe", "archive", "model"):
        spec = find(objects, "NetworkPolicy", f"bzzz-{role}")["spec"]
        open_ports = {p["port"] for rule in spec["ingress"] for p in rule["ports"]}
        pod = next(pod for name, pod in pods(objects) if name.endswith(f"/bzzz-{role}"))
        listening = {p["containerPort"] for c in pod["spec"]["containers"] for p in c["ports"]}
        assert listening - open_ports <= {8082}, role  # the liveness port is asked by the node only
        assert open_ports <= listening, role


def test_off_means_no_policy_at_all_and_the_operator_is_told() -> None:
    objects = render({"networkPolicy": {"enabled": False}})
    assert not [o for o in objects if o["kind"] == "NetworkPolicy"]
    assert config(objects, "bzzz-operator-config", "operator.json")["networkPolicies"]["enabled"] is False


def _sorted(value: Any) -> Any:
    """Return it with lists in a fixed order: a policy's rules and ports have none."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in sorted(value.items())}
    if isinstance(value, list):
        return sorted((_sorted(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value
