"""The work queue: what controller-runtime's does.

A key is never worked on twice at a time, is queued once however often it is added, and comes back with growing delay
after a failure. Time comes from the event loop, so that tests run it on a virtual clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

import structlog

from bzzz_operator.errors import TryAgainError

log = structlog.get_logger()

K = TypeVar("K", bound=Hashable)

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 60.0


class WorkQueue(Generic[K]):
    """Keys to work on, and the workers."""

    def __init__(self, work: Callable[[K], Awaitable[float | None]]) -> None:
        """`work` handles a key; it may return the seconds after which the key is due again."""
        self._work = work
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._queued)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is worked on; later keys may be due."""
        return not self._queued and not self._running

    def failures(self, key: K) -> int:
        """How often in a row a key has failed."""
        return self._failures.get(key, 0)

    def add(self, key: K) -> None:
        """Have a key worked on soon; at once more if it is being worked on."""
        self._forget_timer(key)
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: K, delay_s: float) -> None:
        """Have a key worked on after a delay, or sooner if it is due sooner."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(delay_s, 0.0)
        known = self._timers.get(key)
        if known is None or known.when() > due:
            self._forget_timer(key)
            self._timers[key] = loop.call_at(due, self._due, key)

    async def run(self, workers: int) -> None:
        """Work, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(workers):
                tasks.create_task(self._worker(), name=f"queue worker {number}")

    def close(self) -> None:
        """Drop what is due later."""
        for key in list(self._timers):
            self._forget_timer(key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _forget_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                delay_s = await self._work(key)
            except Exception as error:  # a bug in one key's work must not stop the others'
                delay_s = self._failed(key, error)
            else:
                self._failures.pop(key, None)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                if self._failures.get(key):
                    self.add_later(key, delay_s or FIRST_DELAY_S)
                else:
                    self.add(key)
                    continue
            if delay_s is not None:
                self.add_later(key, delay_s)

    def _failed(self, key: K, error: Exception) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        delay_s = min(FIRST_DELAY_S * 2 ** min(count - 1, 30), LONGEST_DELAY_S)
        if isinstance(error, TryAgainError):
            delay_s = max(delay_s, error.delay_s)
        # the first failure is often a race that the next try wins
        log.log(
            20 if count == 1 else 30,
            "reconcile failed",
            key=str(key),
            count=count,
            again_in_s=round(delay_s, 1),
            error=f"{type(error).__name__}: {error}",
        )
        return delay_s
