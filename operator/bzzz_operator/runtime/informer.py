"""List, then watch, and on from where it was; a new list after `410 Gone`. One for each kind of child.

kopf watches HiveAgents and MetaDiscussions. Children are watched here: kopf would work out differences and keep a
task an object for each of them (measured: twice the CPU time; facts: kopf).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from bzzz_operator.api import Api
from bzzz_operator.errors import ApiError
from bzzz_operator.kinds import Kind
from bzzz_operator.runtime.store import Store

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0


@dataclass(frozen=True)
class Watched:
    """A kind, and how much of it."""

    kind: Kind
    labels: str = ""
    metadata_only: bool = False


class Informer:
    """Keeps a kind's part of the store in step with the API server, until it is cancelled."""

    def __init__(
        self,
        api: Api,
        store: Store,
        watched: Watched,
        on_heard: Callable[[], None],
        on_relist: Callable[[], None],
    ) -> None:
        self.synced = asyncio.Event()
        self._api = api
        self._store = store
        self._watched = watched
        self._on_heard = on_heard
        self._on_relist = on_relist
        self._version: str | None = None
        """The resource version that was reached; None asks for a new list."""

    async def run(self) -> None:
        """Go on for ever; failures are retried, slower each time, from the version that was reached."""
        pause = 0.0
        while True:
            self._on_heard()
            reached = self._version
            try:
                if self._version is None:
                    self._version = await self._list()
                await self._watch(self._version)
                pause = 0.0
            except ApiError as error:
                if not error.unreachable:  # gone, or nothing that going on would mend
                    self._version = None
                pause = min(pause * 2 or FIRST_PAUSE_S, LONGEST_PAUSE_S)
                if self._version != reached:
                    pause = FIRST_PAUSE_S  # it brought something
                log.info(
                    "watch broke", kind=self._watched.kind.kind, error=str(error), again_in_s=round(pause, 1)
                )
                await asyncio.sleep(pause)

    async def _list(self) -> str:
        watched = self._watched
        answer = await self._api.list(
            watched.kind, labels=watched.labels, metadata_only=watched.metadata_only
        )
        self._store.replace(watched.kind, answer.get("items") or [])
        if self.synced.is_set():
            self._on_relist()
        self.synced.set()
        return answer["metadata"]["resourceVersion"]

    async def _watch(self, version: str) -> None:
        """Follow a watch to its end."""
        watched = self._watched
        events = self._api.watch(
            watched.kind, version, labels=watched.labels, metadata_only=watched.metadata_only
        )
        async with contextlib.aclosing(events):
            async for event, body in events:
                self._on_heard()
                head = body["metadata"]
                self._version = head["resourceVersion"]
                if event == "DELETED":
                    self._store.drop(watched.kind, head["name"], head.get("uid"))
                elif event != "BOOKMARK":
                    self._store.put(watched.kind, body)
