"""Writing a HiveAgent's status: our fields only, at most once a second, nothing when nothing changed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bzzz_operator.api import Api
from bzzz_operator.desired.compare import covers
from bzzz_operator.kinds import HIVE_AGENT
from bzzz_operator.objects import part
from bzzz_operator.reconcile.views import AgentView
from bzzz_operator.runtime.clock import Now, rfc3339, utc_now
from bzzz_operator.runtime.events import Events
from bzzz_operator.runtime.metrics import Metrics
from bzzz_operator.runtime.store import Store
from bzzz_operator.status import reasons
from bzzz_operator.status.conditions import AgentFacts, changed_conditions, status_of

Json = dict[str, Any]

SPACING_S: Final = 1.0


class StatusWriter:
    """Server-side apply on the status subresource. Never by force: the scribe owns the other half (contract)."""

    def __init__(self, api: Api, store: Store, events: Events, metrics: Metrics, now: Now = utc_now) -> None:
        self._api = api
        self._store = store
        self._events = events
        self._metrics = metrics
        self._now = now
        self._written_at: dict[str, float] = {}
        self._shown: dict[str, list[tuple[str, str]]] = {}

    def forget(self, name: str) -> None:
        """Drop what is remembered of a HiveAgent that is gone."""
        self._written_at.pop(name, None)
        for kind, reason in self._shown.pop(name, []):
            self._metrics.conditions.remove(name, kind, reason)

    async def write(self, view: AgentView, facts: AgentFacts) -> float | None:
        """Write what changed; return the seconds to wait when it is too soon for that. Raises ApiError."""
        have = self._store.get(HIVE_AGENT, view.name)
        before = part(have, "status")
        status = status_of(facts, before, rfc3339(self._now()))
        self._show(view.name, status)
        if covers(before, status):
            return None
        now = asyncio.get_running_loop().time()
        last = self._written_at.get(view.name)
        if last is not None and now - last < SPACING_S:
            return SPACING_S - (now - last)
        self._written_at[view.name] = now
        body: Json = {
            "apiVersion": HIVE_AGENT.api_version,
            "kind": HIVE_AGENT.kind,
            "metadata": {"name": view.name, "namespace": self._api.namespace, "uid": view.uid},
            "status": status,
        }
        answer = await self._api.apply(HIVE_AGENT, body, subresource="status")
        self._store.put(HIVE_AGENT, answer, quiet=True)
        await self._tell(view, before, status)
        return None

    async def _tell(self, view: AgentView, before: Json, status: Json) -> None:
        """Make an Event of each transition that a person would want to know of; the first status is none."""
        for old, new in changed_conditions(before, status):
            bad = new["type"] == reasons.DEGRADED and new["status"] == "True"
            if bad or (old is not None and new["type"] != reasons.PROGRESSING):
                note = new["message"] if bad or new["type"] == reasons.READY else "what was wrong is mended"
                kind = "Warning" if bad else "Normal"
                reason = new["reason"] if new["reason"] != reasons.RECONCILED else "Mended"
                await self._events.record(view.name, view.uid, kind, reason, note)

    def _show(self, name: str, status: Json) -> None:
        """Keep the gauge in step: one series a condition type, the one whose reason holds."""
        shown = [(c["type"], c["reason"]) for c in status["conditions"]]
        for kind, reason in self._shown.get(name, []):
            if (kind, reason) not in shown:
                self._metrics.conditions.remove(name, kind, reason)
        self._shown[name] = shown
        for condition in status["conditions"]:
            gauge = self._metrics.conditions.labels(name, condition["type"], condition["reason"])
            gauge.set(1 if condition["status"] == "True" else 0)
