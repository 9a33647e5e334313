"""Kubernetes Events on HiveAgents: for transitions only, and the same one again only counts up."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from bzzz_operator.api import MANAGER, Api
from bzzz_operator.errors import ApiError
from bzzz_operator.kinds import EVENT, HIVE_AGENT
from bzzz_operator.runtime.clock import Now, rfc3339, utc_now

log = structlog.get_logger()

REMEMBERED: Final = 1024
COALESCE_S: Final = 60.0
"""The same event within this time is counted and not written."""
FRESH_S: Final = 1800.0
"""The same event within this time is a further count of the first."""
MAX_NOTE: Final = 1024
"""The API server refuses longer ones."""


@dataclass
class _Told:
    name: str
    first: str
    count: int
    written_at: float


class Events:
    """Writes Events; a failure is logged and never stops a reconcile."""

    def __init__(self, api: Api, instance: str, now: Now = utc_now) -> None:
        self._api = api
        self._instance = instance
        self._now = now
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()

    async def record(
        self, agent: str, uid: str, kind: Literal["Normal", "Warning"], reason: str, note: str
    ) -> None:
        """Tell of something about a HiveAgent."""
        note = note if len(note) <= MAX_NOTE else note[: MAX_NOTE - 1] + "…"
        moment = self._now()
        key = (uid, reason, note)
        told = self._told.get(key)
        if told is not None and moment.timestamp() - told.written_at < FRESH_S:
            told.count += 1
            if moment.timestamp() - told.written_at < COALESCE_S:
                return
            body = {"count": told.count, "lastTimestamp": rfc3339(moment)}
            told.written_at = moment.timestamp()
            try:
                await self._api.patch(EVENT, told.name, body)
            except ApiError as error:
                log.debug("event not written", error=str(error))
            return
        digest = hashlib.sha256("\0".join((*key, str(moment.timestamp()))).encode()).hexdigest()[:12]
        told = _Told(f"{agent}.{digest}", rfc3339(moment), 1, moment.timestamp())
        self._told[key] = told
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        try:
            await self._api.create(EVENT, self._body(told, agent, uid, kind, reason, note))
        except ApiError as error:
            log.warning("event not written", reason=reason, error=str(error))

    def _body(
        self, told: _Told, agent: str, uid: str, kind: str, reason: str, note: str
    ) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": told.name, "namespace": self._api.namespace},
            "involvedObject": {
                "apiVersion": HIVE_AGENT.api_version,
                "kind": HIVE_AGENT.kind,
                "name": agent,
                "namespace": self._api.namespace,
                "uid": uid,
            },
            "type": kind,
            "reason": reason,
            "message": note,
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "reportingInstance": self._instance,
            "firstTimestamp": told.first,
            "lastTimestamp": told.first,
            "count": 1,
        }
