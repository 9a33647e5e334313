"""HiveAgents: their agents, and the issues on their desks, as status."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, cast

from bzzz_scribe.kubernetes.applier import Applier
from bzzz_scribe.kubernetes.client import ApiClient, Json
from bzzz_scribe.kubernetes.documents import AGENT_FIELDS, agent_status, hive_agent_status
from bzzz_scribe.kubernetes.names import hive_agent_of
from bzzz_scribe.kubernetes.watched import Watched
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import Document

KIND: Final = "HiveAgent"
LAST_SEEN_STEP: Final = timedelta(minutes=5)
"""That an agent was seen again is written no oftener; that it came, went or does something else at once."""
SILENT: Final = frozenset({"unknown", "away"})


class HiveAgents:
    """Carries agents to the HiveAgents that they are of."""

    def __init__(self, api: ApiClient, watched: Watched, metrics: ScribeMetrics) -> None:
        self._watched = watched
        self._applier = Applier(api, KIND, watched, AGENT_FIELDS, metrics)
        self._agents: dict[str, Document] = {}
        self.settled = False
        """Whether every agent that is there has had the time to say so; until then silence means nothing."""

    def put(self, node_id: str, document: Document) -> str | None:
        """Take in an agent's document; return the HiveAgent to look at, if there is one and anything is different."""
        if self._agents.get(node_id) == document:
            return None
        self._agents[node_id] = document
        owner = hive_agent_of(node_id, self._watched.objects)
        return None if owner is None else owner[0]

    async def reconcile(self, name: str) -> bool:
        """Make a HiveAgent's status so; return whether anything was written.

        Raises ApiAwayError, ApiRefusedError.
        """
        found = self._watched.objects.get(name)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return False
        return await self._applier.apply(name, self._status(name, found))

    def _status(self, name: str, found: Json) -> Json:
        replicas = cast("Json", found.get("spec") or {}).get("replicas")
        shown = {str(entry.get("nodeId")): entry for entry in _agents_of(found)}
        entries: list[Json] = []
        for node_id in sorted({*shown, *self._agents}):
            owner = hive_agent_of(node_id, (name,))
            if owner is None:
                continue
            scaled_away = isinstance(replicas, int) and owner[1] >= replicas
            entry = self._entry(self._agents.get(node_id), shown.get(node_id), scaled_away=scaled_away)
            if entry is not None:
                entries.append(entry)
        status = hive_agent_status(entries)
        return status if entries else {}

    def _entry(self, document: Document | None, shown: Json | None, *, scaled_away: bool) -> Json | None:
        """Return an agent's entry: as it is shown while nothing else is known, none for one that is gone for good."""
        silent = document is None or document.get("phase") in SILENT
        if silent and scaled_away:
            return None
        if silent and shown is not None and not self.settled:
            return shown
        if document is None:
            return None
        seen = document.get("lastSeen")
        last_seen = seen if isinstance(seen, str) else None
        if silent and document.get("phase") == "unknown" and shown is not None:
            document = {**document, "phase": "away"}
            last_seen = last_seen or cast("str | None", shown.get("lastSeen"))
        entry = agent_status(document, last_seen)
        if shown is None or _but_seen(entry) != _but_seen(shown):
            return entry
        return entry if _much_later(last_seen, shown.get("lastSeen")) else shown


def _agents_of(found: Json) -> list[Json]:
    agents = cast("Json", found.get("status") or {}).get("agents")
    return cast("list[Json]", agents) if isinstance(agents, list) else []


def _but_seen(entry: Json) -> Json:
    return {name: value for name, value in entry.items() if name != "lastSeen"}


def _much_later(seen: str | None, shown: object) -> bool:
    if seen is None:
        return False
    try:
        before = datetime.fromisoformat(str(shown))
        return datetime.fromisoformat(seen) - before >= LAST_SEEN_STEP
    except (ValueError, TypeError):
        return True
