"""The flow table and the policies rendered from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bzzz_operator.network.flows import FLOWS, ROLES, Role, markdown_table, pod_labels
from bzzz_operator.network.policies import ServiceFacts, ServicePort, Surroundings, policy_spec
from bzzz_operator.settings import PRIVATE_RANGES, NetworkPolicies

Json = dict[str, Any]
PAGE = Path(__file__).parents[2] / "docs" / "network.md"


def around(services: dict[str, ServiceFacts] | None = None, **settings: Any) -> Surroundings:
    """Return a hive's surroundings."""
    return Surroundings("hive", "agents", NetworkPolicies.model_validate(settings), services or {})


def selector(role: Role) -> Json:
    """Return how a role's pods are named in a rule."""
    return {"podSelector": {"matchLabels": pod_labels(role, "hive")}}


def opened(spec: Json, direction: str) -> set[tuple[str, int]]:
    """Return (peers as text, port) of every rule."""
    side = "to" if direction == "egress" else "from"
    return {
        (str(peer), port["port"])
        for rule in spec[direction]
        for peer in rule.get(side, ["anybody"])
        for port in rule.get("ports", [])
    }


def test_the_page_shows_the_table() -> None:
    assert markdown_table() in PAGE.read_text(), (
        "docs/network.md is stale: put flows.markdown_table() into it"
    )


@pytest.mark.parametrize("role", ROLES)
def test_both_directions_are_closed_but_for_the_table(role: Role) -> None:
    spec = policy_spec(role, around())
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["podSelector"]["matchLabels"] == pod_labels(role, "hive")


def test_every_flow_within_the_hive_is_open_at_both_ends() -> None:
    within = [flow for flow in FLOWS if flow.source in ROLES and flow.target in ROLES]
    assert len(within) >= 8
    for flow in within:
        out = opened(policy_spec(flow.source, around()), "egress")
        into = opened(policy_spec(flow.target, around()), "ingress")
        for port in flow.ports:
            assert (str(selector(flow.target)), port) in out, flow
            assert (str(selector(flow.source)), port) in into, flow


def test_nothing_within_the_hive_is_open_that_the_table_does_not_have() -> None:
    listed = {
        (flow.source, flow.target, port)
        for flow in FLOWS
        for port in flow.ports
        if flow.source in ROLES and flow.target in ROLES
    }
    for source in ROLES:
        out = opened(policy_spec(source, around()), "egress")
        found = {
            (source, target, port) for target in ROLES for peer, port in out if peer == str(selector(target))
        }
        assert found == {entry for entry in listed if entry[0] == source}


def test_https_out_reaches_no_private_range_and_no_metadata_service() -> None:
    (rule,) = [r for r in policy_spec("agent", around())["egress"] if "ipBlock" in str(r)]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    assert {r for block in blocks for r in block["except"]} == set(PRIVATE_RANGES)
    assert "169.254.0.0/16" in blocks[0]["except"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]


def test_without_the_internet_only_what_is_named_is_left() -> None:
    spec = policy_spec("agent", around(internet=False, allowedPrivate=["10.20.0.0/16"]))
    blocks = [
        peer["ipBlock"]["cidr"] for r in spec["egress"] for peer in r.get("to", []) if "ipBlock" in peer
    ]
    assert blocks == ["10.20.0.0/16"]


def own(url: str, surroundings: Surroundings | None = None) -> list[Json]:
    """Return the rules that a URL adds for an agent."""
    bare = policy_spec("agent", surroundings or around())["egress"]
    return [r for r in policy_spec("agent", surroundings or around(), [url])["egress"] if r not in bare]


def test_a_public_url_on_another_port_opens_that_port() -> None:
    (rule,) = own("https://github.example.com:8443/api/v3")
    assert [p["port"] for p in rule["ports"]] == [443, 8443]


def test_a_service_of_the_cluster_opens_its_namespace() -> None:
    (rule,) = own("http://github.tools.svc:8080")
    assert rule == {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tools"}}}],
        "ports": [{"protocol": "TCP", "port": 8080}],
    }


def test_a_service_of_the_own_namespace_opens_its_pods_and_their_port() -> None:
    known = {"github": ServiceFacts({"app": "gh"}, (ServicePort(80, 8080),))}
    (rule,) = own("http://github", around(known))
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert rule["to"][0]["podSelector"] == {"matchLabels": {"app": "gh"}}


def test_a_service_that_the_values_describe_opens_what_they_say() -> None:
    described = {"host": "github.tools.svc", "namespace": "tools", "podLabels": {"app": "gh"}, "port": 3000}
    (rule,) = own("http://github.tools.svc:80", around(inCluster=[described]))
    assert rule["ports"] == [{"protocol": "TCP", "port": 3000}]


def test_a_private_address_opens_itself_only() -> None:
    rules = own("https://10.1.2.3:8443")
    assert {
        "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}],
        "ports": [{"protocol": "TCP", "port": 8443}],
    } in rules


def test_metrics_may_be_kept_to_the_namespaces_that_are_named() -> None:
    rules = policy_spec("agent", around(metricsFrom={"team": "observability"}))["ingress"]
    (rule,) = [r for r in rules if r["ports"][0]["port"] == 9400]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"team": "observability"}}}]


def test_dns_pods_may_listen_on_other_ports() -> None:
    out = opened(policy_spec("agent", around(dnsPorts=[53, 5353])), "egress")
    assert {port for peer, port in out if "kube-dns" in peer} == {53, 5353}
