"""`bzzz revoke` and `bzzz rotate`: ask the authority by annotating the node's HiveAgent, and wait for its ledger."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, cast

from bzzz_cli.cluster.connection import Cluster, Json, NotFoundError
from bzzz_cli.cluster.ledger import Ledger, Node, read_ledger
from bzzz_cli.errors import CommandError, UsageError
from hmmm.errors import excerpt

Verb = Literal["revoke", "rotate"]

ANNOTATIONS: Final[dict[Verb, str]] = {"revoke": "bzzz.dev/revoke.", "rotate": "bzzz.dev/rotate."}
"""Followed by the ordinal; what the operator looks for."""
POLL_S: Final = 0.5
_NODE: Final = re.compile(r"([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)-(0|[1-9][0-9]{0,5})", re.ASCII)


@dataclass(frozen=True)
class Request:
    """One request about one node."""

    verb: Verb
    node: str
    agent: str
    ordinal: int
    id: str

    @classmethod
    def about(cls, verb: Verb, node: str) -> Request:
        """Make a request, whose id begins with the moment, so that of two the later one can be told.

        Raises UsageError.
        """
        match = _NODE.fullmatch(node)
        if match is None or len(node) > 63:
            raise UsageError(f"NODE: expected an agent's pod, like bzzz-0, came {excerpt(node)}")
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return cls(verb, node, match[1], int(match[2]), f"{moment}-{secrets.token_hex(4)}")

    def is_done(self, entry: Node) -> bool:
        """Whether the ledger shows this request carried out."""
        return self.id == (entry.revoke_request if self.verb == "revoke" else entry.rotated)


def ask(cluster: Cluster, request: Request, wait_s: float, say: Callable[[str], None]) -> None:
    """Make a request and, with `wait_s` above 0, wait so many seconds for what becomes of it.

    Raises CommandError.
    """
    hive, ledger = read_ledger(cluster)
    agent = _agent(cluster, request, ledger)
    before = ledger.nodes.get(request.node)
    cluster.annotate(agent, f"{ANNOTATIONS[request.verb]}{request.ordinal}", request.id)
    if wait_s <= 0:
        say(f"{request.node}: asked to {request.verb} (request {request.id}); the operator carries it out")
        return
    say(f"{request.node}: asked to {request.verb}, waiting for the operator (request {request.id})")
    entry = _wait(cluster, request, hive, wait_s)
    for line in _what_happened(request, before, entry, cluster.namespace):
        say(line)


def _agent(cluster: Cluster, request: Request, ledger: Ledger) -> Json:
    try:
        agent = cluster.agent(request.agent)
    except NotFoundError as error:
        known = ", ".join(cluster.agents()) or "none"
        raise CommandError(
            f"no node {request.node}: namespace {cluster.namespace} has no HiveAgent {request.agent} (there are: "
            f"{known}); name another namespace by -n"
        ) from error
    replicas = int(agent.get("spec", {}).get("replicas", 1))
    if request.ordinal >= replicas and request.node not in ledger.nodes:
        nodes = [name for name, entry in sorted(ledger.nodes.items()) if entry.hive_agent == request.agent]
        raise CommandError(
            f"no node {request.node}: HiveAgent {request.agent} has {replicas} replicas; its nodes are: "
            f"{', '.join(nodes) or 'none yet'}"
        )
    return agent


def _wait(cluster: Cluster, request: Request, hive: str, wait_s: float) -> Node:
    end = time.monotonic() + wait_s
    while True:
        entry = read_ledger(cluster)[1].nodes.get(request.node)
        if entry is not None and request.is_done(entry):
            return entry
        if time.monotonic() >= end:
            raise CommandError(
                f"{request.node}: expected the operator to {request.verb} it within {wait_s:g} s, came nothing yet; "
                f"the request stays{_trouble(cluster, request)}. See: kubectl logs -n {cluster.namespace} "
                f"deployment/{hive}-operator"
            )
        time.sleep(POLL_S)


def _trouble(cluster: Cluster, request: Request) -> str:
    """Return what the operator says is wrong with the HiveAgent, if it says anything."""
    conditions = cluster.agent(request.agent).get("status", {}).get("conditions", [])
    for condition in cast("list[Json]", conditions):
        if condition.get("type") == "Degraded" and condition.get("status") == "True":
            return f"; the operator says: {excerpt(str(condition.get('message', '')))}"
    return ""


def _what_happened(request: Request, before: Node | None, entry: Node, namespace: str) -> list[str]:
    node = request.node
    old = before.serial if before is not None else None
    ended = f"card {old} is revoked" if old is not None else "it had no card"
    if request.verb == "revoke":
        return [
            f"{node}: {ended}; its peers disconnect it as they hear of it, within seconds",
            f"{node}: it gets no new card until you run: bzzz rotate {node} -n {namespace}",
        ]
    lines = [f"{node}: new mesh key and new log; {ended}"]
    if entry.revoked:
        lines.append(f"{node}: a later revocation stands; it has no card")
    elif entry.serial is None:
        lines.append(f"{node}: it is scaled down; it gets a card when it comes back")
    else:
        until = f", valid until {entry.not_after:%Y-%m-%d}" if entry.not_after is not None else ""
        lines.append(f"{node}: card {entry.serial}{until}; its pod is restarted to use the new keys")
    return lines
