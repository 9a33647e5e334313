"""Reads every log that the archive holds, a little at a time; what it finds goes into the memory."""

from __future__ import annotations

from typing import Final

import httpx
import structlog
import trio

from bzzz_agent.archive_client import ArchiveClient
from bzzz_agent.knowledge.memory import Memory
from hmmm.errors import RemoteProtocolError, excerpt

log = structlog.get_logger("bzzz.agent.knowledge")

EVERY_S: Final = 20.0
TAIL: Final = 4000
"""Of a log that is seen for the first time, so many of its last records are read."""
AT_ONCE: Final = 500
"""Records of one log at a time: nobody waits for the rest."""


class Library:
    """`run` reads; `memory` is asked."""

    def __init__(self, archive: ArchiveClient, memory: Memory) -> None:
        self.memory = memory
        self._archive = archive
        self._next: dict[str, int] = {}
        self._away = False

    async def run(self) -> None:
        """Read for ever. An archive that is away is asked again; nobody waits for it."""
        while True:
            try:
                behind = await self.refresh()
                self._away = False
            except (httpx.HTTPError, RemoteProtocolError) as error:
                behind = False
                if not self._away:
                    log.warning("earlier discussions cannot be read now", problem=excerpt(repr(error)))
                self._away = True
            await trio.sleep(0.5 if behind else EVERY_S)

    async def refresh(self) -> bool:
        """Read what is new, so many records of each log; return whether there is more.

        Raises httpx.HTTPError, RemoteProtocolError.
        """
        behind = False
        for key, length in await self._archive.lengths():
            start = self._next.get(key, max(0, length - TAIL))
            if start >= length:
                self._next[key] = length
                continue
            end = min(length, start + AT_ONCE)
            for seq, block in await self._archive.records(key, start, end):
                self.memory.read(key, seq, block)
            self._next[key] = end
            behind |= end < length
        return behind
