"""The agents as seen: who they are from cards and logs, how they are from what they say on the mesh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from bzzz_scribe.state import AgentSight, agent_view
from bzzz_scribe.store import Document
from hmmm.messages import Capabilities

LIVE_S: Final = 75.0
"""An agent says what it can every 30 s (architecture §5); two silences and a half mean that it is gone."""
MAX_AGENTS: Final = 1024
_LASTING: Final = ("nodeId", "peerId", "logKey", "phase", "issue", "models", "load", "healthy", "lastSeen")


class Sights:
    """Every agent's sight and view. `now` gives the wall clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._sights: dict[str, AgentSight] = {}
        self._views: dict[str, Document] = {}

    def restore(self, documents: Mapping[str, Document]) -> None:
        """Take in when each agent was last seen, as the store has it; the rest is told anew within 30 s."""
        for node_id, document in documents.items():
            seen = document.get("lastSeen")
            at = datetime.fromisoformat(seen) if isinstance(seen, str) else None
            self._sights[node_id] = AgentSight(node_id, last_seen=at)

    def name(self, node_id: str, *, peer_id: str | None = None, log_key: str | None = None) -> None:
        """Take in that there is such an agent, and its peer id and log where they are known."""
        sight = self._get(node_id)
        self._put(replace(sight, peer_id=peer_id or sight.peer_id, log_key=log_key or sight.log_key))

    def hear(self, capabilities: Capabilities, peer_id: str) -> None:
        """Take in what a verified agent says it can."""
        sight = self._get(capabilities.node_id)
        self._put(
            replace(
                sight,
                peer_id=peer_id,
                log_key=capabilities.log_key or sight.log_key,
                capabilities=capabilities,
                last_seen=self._now(),
            )
        )

    def mark_connected(self, peers: Iterable[str]) -> None:
        """Take in which peers are connected now, by peer id."""
        there = frozenset(peers)
        for sight in list(self._sights.values()):
            connected = sight.peer_id in there
            seen = self._now() if connected else sight.last_seen
            self._put(replace(sight, connected=connected, last_seen=seen))

    def refresh(self, issues: Mapping[str, str]) -> list[Document]:
        """Make every view anew; return those that changed in more than the time of the last sight.

        `issues` says by node id what each works on.
        """
        now = self._now()
        changed: list[Document] = []
        for node_id, sight in self._sights.items():
            view = agent_view(sight, issues.get(node_id), now, LIVE_S)
            before = self._views.get(node_id, {})
            self._views[node_id] = view
            if {**view, "lastSeen": None} != {**before, "lastSeen": None}:
                changed.append(view)
        return changed

    def views(self) -> list[Document]:
        """Return the views, by node id."""
        return [self._views[node_id] for node_id in sorted(self._views)]

    def lasting(self) -> dict[str, Document]:
        """Return what is worth storing of each: last sights to the minute, so that idling writes nothing much."""
        documents: dict[str, Document] = {}
        for node_id, view in self._views.items():
            document = {name: view[name] for name in _LASTING}
            seen = view["lastSeen"]
            document["lastSeen"] = f"{seen[:16]}:00Z" if isinstance(seen, str) else None
            documents[node_id] = document
        return documents

    def _get(self, node_id: str) -> AgentSight:
        return self._sights.get(node_id, AgentSight(node_id))

    def _put(self, sight: AgentSight) -> None:
        if sight.node_id in self._sights or len(self._sights) < MAX_AGENTS:
            self._sights[sight.node_id] = sight
