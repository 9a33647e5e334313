"""NetworkPolicies from the flow table: both directions closed but for the table's rows."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from bzzz_operator.network.flows import FLOWS, ROLES, Flow, Party, Role, pod_labels
from bzzz_operator.settings import NetworkPolicies

Json = dict[str, Any]

_ANYWHERE: Final = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class ServicePort:
    """A Service's port, and the pods' port behind it (None: given by name, so any may be it)."""

    port: int
    target: int | None


@dataclass(frozen=True)
class ServiceFacts:
    """What is known of a Service in the hive's own namespace."""

    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]


@dataclass(frozen=True)
class Webhook:
    """What is told of escalations, in a policy's words."""

    port: int
    peers: tuple[Json, ...] = ()
    """Where its pods are; empty means anywhere."""


@dataclass(frozen=True)
class Surroundings:
    """What the policies depend on beside the table."""

    hive: str
    namespace: str
    settings: NetworkPolicies
    services: Mapping[str, ServiceFacts] = field(default_factory=dict[str, ServiceFacts])
    cluster_domain: str = "cluster.local"
    webhook: Webhook | None = None


def policy_spec(role: Role, around: Surroundings, urls: Iterable[str] = ()) -> Json:
    """Return the spec of the NetworkPolicy of a role's pods.

    `urls` are what a HiveAgent's manifest names (`apiUrl`, `baseUrl`); only agents have some.
    """
    own = sorted(set(urls))
    there = [
        flow for flow in FLOWS if around.webhook is not None or "webhook" not in (flow.source, flow.target)
    ]
    egress = [rule for flow in there if flow.source == role for rule in _egress(flow, around, own)]
    ingress = [
        _rule("from", _peers(flow.source, around), _ports(flow, around))
        for flow in there
        if flow.target == role
    ]
    return {
        "podSelector": {"matchLabels": pod_labels(role, around.hive)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }


def _rule(direction: str, peers: list[Json], ports: list[Json]) -> Json:
    return {direction: peers, "ports": ports} if peers else {"ports": ports}


def _ports(flow: Flow, around: Surroundings) -> list[Json]:
    # judged after the Service's translation, so it is the DNS pods' ports that count
    ports = around.settings.dns_ports if flow.target == "dns" else flow.ports
    if flow.target == "webhook" and around.webhook is not None:
        ports = (around.webhook.port,)
    return [{"protocol": protocol, "port": port} for protocol in flow.protocols for port in ports]


def _peers(party: Party, around: Surroundings) -> list[Json]:
    """Return who a party is in a policy's words; an empty list means anybody."""
    settings = around.settings
    if party in ROLES:
        return [{"podSelector": {"matchLabels": pod_labels(party, around.hive)}}]
    if party == "dns":
        return [
            {
                "namespaceSelector": {"matchLabels": settings.dns_namespace},
                "podSelector": {"matchLabels": settings.dns_pods},
            }
        ]
    if party == "prometheus":
        chosen = {"matchLabels": settings.metrics_from} if settings.metrics_from else {}
        return [{"namespaceSelector": chosen}]
    if party == "webhook":
        return list(around.webhook.peers) if around.webhook is not None else []
    if party == "api-server":
        # its address is behind a Service without pods, so unless somebody names it, only the ports are bounded
        return [{"ipBlock": {"cidr": cidr}} for cidr in settings.api_server]
    return []  # people come through an ingress or a proxy that policies cannot name in general


def _egress(flow: Flow, around: Surroundings, urls: list[str]) -> list[Json]:
    if flow.target == "internet":
        return _internet(around, urls)
    if flow.target == "own-services":
        return [rule for url in urls if (rule := _own_service(url, around)) is not None]
    return [_rule("to", _peers(flow.target, around), _ports(flow, around))]


def _internet(around: Surroundings, urls: list[str]) -> list[Json]:
    """HTTPS to public addresses, on 443 and the ports of the manifest's URLs; then the private ranges allowed."""
    public = {_port(url) for url in urls if not _is_internal(_host(url), around)}
    settings = around.settings
    ports = [{"protocol": "TCP", "port": port} for port in sorted({443} | public)]
    rules: list[Json] = []
    if settings.internet:
        blocks: list[Json] = []
        for cidr in _ANYWHERE:
            version = ipaddress.ip_network(cidr).version
            denied = [r for r in settings.denied if ipaddress.ip_network(r).version == version]
            blocks.append({"ipBlock": {"cidr": cidr, **({"except": denied} if denied else {})}})
        rules.append({"to": blocks, "ports": ports})
    if settings.allowed_private:
        allowed = [{"ipBlock": {"cidr": cidr}} for cidr in settings.allowed_private]
        rules.append({"to": allowed, "ports": ports})
    return rules


def _own_service(url: str, around: Surroundings) -> Json | None:
    """Return the rule for a URL that points into the cluster or at a private address, None for a public one."""
    host, port = _host(url), _port(url)
    for service in around.settings.in_cluster:
        if service.host == host:
            return _to_pods(service.namespace, service.pod_labels, service.port)
    address = _address(host)
    if address is not None:
        denied = any(address in ipaddress.ip_network(cidr) for cidr in around.settings.denied)
        cidr = f"{address}/{address.max_prefixlen}"
        return (
            {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"protocol": "TCP", "port": port}]}
            if denied
            else None
        )
    located = _service_of(host, around)
    if located is None:
        return None
    name, namespace = located
    known = around.services.get(name) if namespace == around.namespace else None
    if known is None:
        return _to_pods(namespace, {}, port)
    target = next((p.target for p in known.ports if p.port == port), None)
    return _to_pods(namespace, known.selector, target)


def _to_pods(namespace: str, labels: Mapping[str, str], port: int | None) -> Json:
    peer: Json = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    if labels:
        peer["podSelector"] = {"matchLabels": dict(labels)}
    return {"to": [peer], **({"ports": [{"protocol": "TCP", "port": port}]} if port else {})}


def _service_of(host: str, around: Surroundings) -> tuple[str, str] | None:
    """Return (service, namespace) of a host name of this cluster, None for any other name."""
    short = host.removesuffix(".").removesuffix("." + around.cluster_domain).removesuffix(".svc")
    is_ours = short != host.removesuffix(".")
    match short.split("."):
        case [name]:
            return name, around.namespace
        case [*_, name, namespace] if is_ours:
            return name, namespace
        case _:
            return None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else 443)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_internal(host: str, around: Surroundings) -> bool:
    return _address(host) is None and _service_of(host, around) is not None
