"""The mesh's Prometheus metrics, and drops: counted always, logged once a peer and reason (architecture §15)."""

from __future__ import annotations

from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from hmmm.errors import excerpt

MAX_LOGGED_PAIRS: Final = 2048
"""(peer, reason) pairs remembered as logged; beyond, the oldest may be logged again."""

_log = structlog.stdlib.get_logger("bzzz.mesh")


class MeshMetrics:
    """Counters and gauges of one mesh, registered in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.received = Counter(
            "bzzz_mesh_messages_received", "Messages taken in, each once", registry=registry
        )
        self.duplicates = Counter(
            "bzzz_mesh_messages_duplicate", "Copies of known messages", registry=registry
        )
        self.published = Counter("bzzz_mesh_messages_published", "Own messages sent", registry=registry)
        self.dropped = Counter(
            "bzzz_mesh_messages_dropped", "Messages and frames dropped", ["reason"], registry=registry
        )
        self.refused = Counter(
            "bzzz_mesh_peers_refused", "Connections closed by us", ["reason"], registry=registry
        )
        self.failures = Counter(
            "bzzz_mesh_handler_failures",
            "Inbound streams that ended in an unexpected error",
            registry=registry,
        )
        self.dials = Counter("bzzz_mesh_dials", "Attempts to reach a peer", ["outcome"], registry=registry)
        self.peers = Gauge("bzzz_mesh_peers", "Members connected to this node", registry=registry)
        self.members = Gauge("bzzz_mesh_members", "Valid membership cards known", registry=registry)
        self._logged: dict[tuple[str, str], None] = {}

    def drop(self, reason: str, peer: str, detail: str = "") -> None:
        """Count something dropped; log the first of its kind from this peer."""
        self.dropped.labels(reason).inc()
        self._log_once("dropped", reason, peer, detail)

    def refuse(self, reason: str, peer: str, detail: str = "") -> None:
        """Count a connection closed by us; log the first of its kind to this peer."""
        self.refused.labels(reason).inc()
        self._log_once("refused", reason, peer, detail)

    def _log_once(self, event: str, reason: str, peer: str, detail: str) -> None:
        key = (peer, reason)
        if key in self._logged:
            return
        if len(self._logged) >= MAX_LOGGED_PAIRS:
            del self._logged[next(iter(self._logged))]
        self._logged[key] = None
        _log.warning(event, reason=reason, peer=peer, detail=excerpt(detail))
