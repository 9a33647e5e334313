"""What is to be looked at next: marked once however often it changed, and not before its time."""

from __future__ import annotations

from typing import Final

import trio

from bzzz_scribe.kubernetes.names import Issue

Target = tuple[str, str | Issue]
"""A kind's plural, and the object: a HiveAgent's name, or the issue of MetaDiscussions."""
MAX_TIMER_S: Final = 3600.0
"""Clocks may be set: a far moment is looked at again in between."""


class Schedule:
    """Targets that are due, now or later. Times are trio's."""

    def __init__(self) -> None:
        self._marked: set[Target] = set()
        self._not_before: dict[Target, float] = {}
        self._timers: dict[Target, float] = {}
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._marked)

    def mark(self, target: Target) -> None:
        """Have a target looked at as soon as it may be."""
        if target not in self._marked:
            self._marked.add(target)
            self._wake.set()

    def hold(self, target: Target, seconds: float) -> None:
        """Have a target left alone for a while; what is marked meanwhile waits."""
        self._not_before[target] = trio.current_time() + seconds

    def mark_in(self, target: Target, seconds: float) -> None:
        """Have a target looked at later as well."""
        self._timers[target] = trio.current_time() + min(max(0.0, seconds), MAX_TIMER_S)
        self._wake.set()

    async def due(self) -> list[Target]:
        """Wait until something is due; return all that is, which is then no longer marked."""
        while True:
            self._wake = trio.Event()
            now = trio.current_time()
            for target in [t for t, at in self._timers.items() if at <= now]:
                del self._timers[target]
                self._marked.add(target)
            self._not_before = {t: at for t, at in self._not_before.items() if at > now}
            due = [target for target in self._marked if target not in self._not_before]
            if due:
                self._marked.difference_update(due)
                return sorted(due, key=repr)
            waits = [at for t, at in self._not_before.items() if t in self._marked]
            with trio.move_on_at(min([*waits, *self._timers.values()], default=float("inf"))):
                await self._wake.wait()
