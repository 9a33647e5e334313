"""Changes handed to whoever watches; a watcher that does not keep up is dropped, never waited for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import Document

MAX_WATCHERS: Final = 64
MAX_BEHIND: Final = 256
"""Events that wait for one watcher. A round of a debate is about ten."""


@dataclass(frozen=True)
class Change:
    """A view that is new or different: its kind (`discussion`, `agent`, `archive`) and what it is now."""

    kind: str
    document: Document


class Broadcaster:
    """Hands each change to every watcher."""

    def __init__(self, metrics: ScribeMetrics) -> None:
        self._metrics = metrics
        self._watchers: set[trio.MemorySendChannel[Change]] = set()

    @property
    def full(self) -> bool:
        """Whether no further watcher is taken."""
        return len(self._watchers) >= MAX_WATCHERS

    def publish(self, change: Change) -> None:
        """Hand a change to every watcher; one that is too far behind gets no more and is closed."""
        for watcher in list(self._watchers):
            try:
                watcher.send_nowait(change)
            except trio.WouldBlock:
                self._metrics.viewers_dropped.inc()
                self._drop(watcher)
            except trio.BrokenResourceError:
                self._drop(watcher)

    def close(self) -> None:
        """End every watcher's stream."""
        for watcher in list(self._watchers):
            self._drop(watcher)

    @asynccontextmanager
    async def watch(self) -> AsyncGenerator[trio.MemoryReceiveChannel[Change]]:
        """Give the changes from now on; the channel ends when the watcher was too slow or the scribe stops."""
        send, receive = trio.open_memory_channel[Change](MAX_BEHIND)
        self._watchers.add(send)
        self._metrics.viewers.set(len(self._watchers))
        try:
            async with receive:
                yield receive
        finally:
            self._drop(send)

    def _drop(self, watcher: trio.MemorySendChannel[Change]) -> None:
        self._watchers.discard(watcher)
        watcher.close()
        self._metrics.viewers.set(len(self._watchers))
