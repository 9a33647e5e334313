"""The flow table: every connection that the hive needs, and nothing else is let through (architecture §3).

`docs/network.md` shows this table, `policies` renders it, the chart's own policies are compared with it. `NET` rows are
connections to or from outside the hive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["agent", "scribe", "archive", "operator", "model"]
"""Pods of the hive."""
Outside = Literal["dns", "internet", "api-server", "prometheus", "people", "own-services", "webhook"]
"""`internet`: public addresses; `people`: an ingress or a port-forward; `own-services`: a GitHub or model in the
cluster or in a private range that a HiveAgent's manifest names; `webhook`: what is told of escalations, mostly n8n. Its
rows are open only where there is one."""
Party = Role | Outside

ROLES: Final[tuple[Role, ...]] = ("agent", "scribe", "archive", "operator", "model")

MESH_PORT: Final = 4001
REPLICATION_PORT: Final = 4002
AGENT_METRICS_PORT: Final = 9400
SIDECAR_METRICS_PORT: Final = 9401
ARCHIVE_PORT: Final = 8081
SCRIBE_PORT: Final = 8080
MODEL_PORT: Final = 8080
OPERATOR_METRICS_PORT: Final = 9400
ANSWERS_PORT: Final = 8083


@dataclass(frozen=True)
class Flow:
    """One kind of connection: who opens it, to whom, on which ports of the target."""

    source: Party
    target: Party
    ports: tuple[int, ...]
    why: str
    protocols: tuple[Literal["TCP", "UDP"], ...] = ("TCP",)


FLOWS: Final = (
    Flow("agent", "agent", (MESH_PORT,), "the mesh: discussions, claims' presence"),
    Flow("agent", "scribe", (MESH_PORT,), "the mesh"),
    Flow("scribe", "agent", (MESH_PORT,), "the mesh"),
    Flow("archive", "agent", (REPLICATION_PORT,), "replication of the agents' logs (Noise, by key)"),
    Flow("agent", "archive", (ARCHIVE_PORT,), "acknowledged lengths, proofs for a PR (bearer token)"),
    Flow("scribe", "archive", (ARCHIVE_PORT,), "transcripts' blocks and proofs (bearer token)"),
    Flow("operator", "archive", (ARCHIVE_PORT,), "the list of logs to follow (bearer token)"),
    Flow("agent", "model", (MODEL_PORT,), "the embedded model, where it is served"),
    Flow("agent", "internet", (443,), "GitHub and hosted models, over HTTPS"),
    Flow("agent", "own-services", (), "a GitHub or model in the cluster or a private range; port of its URL"),
    Flow("operator", "api-server", (443, 6443), "the custom resources and what they become"),
    Flow("scribe", "api-server", (443, 6443), "status of the custom resources"),
    Flow("agent", "dns", (53,), "names", ("UDP", "TCP")),
    Flow("scribe", "dns", (53,), "names", ("UDP", "TCP")),
    Flow("archive", "dns", (53,), "names", ("UDP", "TCP")),
    Flow("operator", "dns", (53,), "names", ("UDP", "TCP")),
    Flow("operator", "webhook", (), "a human is asked, where `escalation` says so (HMAC); port of its URL"),
    Flow("webhook", "operator", (ANSWERS_PORT,), "people's answers (HMAC)"),
    Flow("people", "scribe", (SCRIBE_PORT,), "the visualizer and the transcripts that PRs link to"),
    Flow("prometheus", "agent", (AGENT_METRICS_PORT, SIDECAR_METRICS_PORT), "metrics (bearer token)"),
    Flow("prometheus", "scribe", (SCRIBE_PORT,), "metrics"),
    Flow("prometheus", "archive", (SIDECAR_METRICS_PORT,), "metrics"),
    Flow("prometheus", "operator", (OPERATOR_METRICS_PORT,), "metrics"),
)
"""The operator's liveness port needs no row: probes of the kubelet come from the node, which policies let through."""

LABELS: Final[dict[Role, str]] = {role: f"bzzz-{role}" for role in ROLES}
"""`app.kubernetes.io/name` of each role's pods."""


def pod_labels(role: Role, hive: str) -> dict[str, str]:
    """Return the labels by which the pods of a role in a hive are known."""
    return {"app.kubernetes.io/name": LABELS[role], "bzzz.dev/hive": hive}


def flows_from(party: Party) -> tuple[Flow, ...]:
    """Return what a party opens."""
    return tuple(flow for flow in FLOWS if flow.source == party)


def flows_to(party: Party) -> tuple[Flow, ...]:
    """Return what a party is asked."""
    return tuple(flow for flow in FLOWS if flow.target == party)


_NAMES: Final[dict[Party, str]] = {
    "internet": "public addresses",
    "api-server": "API server",
    "dns": "DNS",
    "own-services": "GitHub or model of one's own",
    "prometheus": "Prometheus",
    "people": "people (ingress)",
    "webhook": "n8n",
}


def markdown_table() -> str:
    """Return the table as docs/network.md shows it."""
    rows = ["| from | to | port | why |", "|---|---|---|---|"]
    for flow in FLOWS:
        ports = ", ".join(str(port) for port in flow.ports) or "of the URL"
        protocols = "/".join(flow.protocols)
        names = (_NAMES.get(flow.source, flow.source), _NAMES.get(flow.target, flow.target))
        rows.append(f"| {names[0]} | {names[1]} | {protocols} {ports} | {flow.why} |")
    return "\n".join(rows) + "\n"
