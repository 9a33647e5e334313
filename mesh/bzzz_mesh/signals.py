"""A bell: wakes everybody who waits for something to have changed."""

from __future__ import annotations

import trio


class Bell:
    """Those who wait are woken by the next ring; a ring that nobody waits for is forgotten."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Wait for the next ring."""
        await self._event.wait()
