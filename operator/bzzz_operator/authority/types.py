"""What the authority is told and what it answers: plain values, shared with the reconciler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

CARD_LIFE: Final = timedelta(days=90)
"""How long a card is valid; it is renewed in the last third."""
REVOKE_ANNOTATION: Final = "bzzz.dev/revoke."
ROTATE_ANNOTATION: Final = "bzzz.dev/rotate."
"""Annotations on a HiveAgent, each followed by an ordinal; the value is the request's id."""
MAX_REQUEST_ID: Final = 64
MESH_PORT: Final = 4001
REPLICATION_PORT: Final = 4002


@dataclass(frozen=True)
class AuthoritySettings:
    """What does not change while the operator runs."""

    hive: str
    namespace: str
    cluster_domain: str = "cluster.local"
    card_life: timedelta = CARD_LIFE


@dataclass(frozen=True)
class AgentWish:
    """What one HiveAgent asks of the authority, as of now.

    A HiveAgent that was deleted while its pods still end is told as a wish with `replicas` 0 and those ordinals as
    `leaving`; one that is in no wish at all is gone, and so are its nodes.
    """

    name: str
    uid: str
    replicas: int
    """Nodes 0 to replicas - 1 get keys and cards."""
    leaving: frozenset[int] = frozenset()
    """Ordinals from `replicas` on that are still draining or shutting down: their cards stay valid until they are in
    no wish any more."""
    retain: bool = True
    """`spec.storage.retain`: the key Secrets have no ownerReference and outlive the HiveAgent."""
    revoke: Mapping[int, str] = field(default_factory=dict[int, str])
    rotate: Mapping[int, str] = field(default_factory=dict[int, str])
    """Request ids by ordinal, from the annotations (`requests_of`)."""


@dataclass(frozen=True)
class NodeState:
    """A node as the ledger has it."""

    node_id: str
    agent: str
    peer_id: str
    log_key: str
    serial: int
    """Of its newest card; 0 before the first."""
    valid_until: datetime | None
    """None while it has no card."""
    revoked: bool
    """Revoked by request: it has no card and gets none until it is rotated."""


@dataclass(frozen=True)
class LogAddress:
    """A log that the archive shall follow; `to_object` is an entry of the body of `PUT /v1/logs`."""

    node_id: str
    key: str
    host: str
    port: int
    replication_key: str

    def to_object(self) -> dict[str, Any]:
        """Return the entry as the archive takes it."""
        return {
            "nodeId": self.node_id,
            "key": self.key,
            "host": self.host,
            "port": self.port,
            "replicationKey": self.replication_key,
        }


ChangeKind = Literal["Issued", "Renewed", "Revoked", "Rotated", "Gone"]


@dataclass(frozen=True)
class Change:
    """Something that a settlement did, for an Event or a log line on the HiveAgent."""

    kind: ChangeKind
    node_id: str
    agent: str
    """The HiveAgent's name; the scribe's node has the empty one."""
    serial: int
    """The card that was signed or revoked."""
    text: str
    """A sentence for people."""


@dataclass(frozen=True)
class Settlement:
    """The ledger after it was settled, and what is left to do for the reconciler."""

    public_key: str
    """The hive's public key, 64 hex digits."""
    nodes: Mapping[str, NodeState]
    """All nodes that exist, by node id, the revoked ones included, the scribe not."""
    logs: tuple[LogAddress, ...]
    """What the archive shall be told."""
    restarts: Mapping[str, datetime]
    """Pods by name to delete if their creationTimestamp is not after this moment: they run with keys that were replaced
    (`must_restart`)."""
    changes: tuple[Change, ...]
    """What this settlement did, to any HiveAgent's nodes; empty when nothing was written. Of callers that share a write
    one is told: it makes the Events of all."""
    due: datetime
    """When to settle again though nothing else changes: the next renewal."""
    written: bool
    """Whether the ConfigMap was written."""
