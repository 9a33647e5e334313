"""Follows the archive: reads every log as far as it goes, then waits to be told that one has grown.

One long-lived request (`/v1/stream`) says which logs grow; what grew is then read in batches. So a hive of 32
agents costs the archive one connection, and however much is behind, only one batch is in memory. The archive may
go and come back at any time: nothing here ends with it.
"""

from __future__ import annotations

from typing import Final

import structlog
import trio

from bzzz_scribe.archive import ArchiveClient, LogListing
from bzzz_scribe.errors import ArchiveAwayError, ArchiveRefusedError, StoreError
from bzzz_scribe.keeper import Keeper

BATCH: Final = 256
"""Blocks read at a time: at most 16 MiB."""
LISTING_S: Final = 5.0
"""The list of logs is read this often even when nothing grows: it tells conflicts, and beats as a health check."""
BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Pauses while the archive is away; the last repeats."""

log = structlog.get_logger("bzzz.scribe.follow")


class Follower:
    """Carries the archive's blocks to the keeper, for ever."""

    def __init__(self, archive: ArchiveClient, keeper: Keeper) -> None:
        self._archive = archive
        self._keeper = keeper
        self._grown = trio.Event()
        self._unowned: set[str] = set()

    async def run(self) -> None:
        """Follow until cancelled."""
        failures = 0
        self._keeper.outbox.on_reason_to_read = self._wake
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen)
                    while True:
                        self._grown = trio.Event()
                        await self._catch_up()
                        failures = 0
                        with trio.move_on_after(LISTING_S):
                            await self._grown.wait()
            except* (ArchiveAwayError, ArchiveRefusedError) as group:
                self._keeper.note_archive(away=True)
                if failures == 0:
                    log.warning("archive does not answer", error=str(group.exceptions[0]))
            except* StoreError:
                pass  # the outbox said so and tries again
            pause = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
            failures += 1
            await trio.sleep(pause)

    def _wake(self) -> None:
        self._grown.set()

    async def _listen(self) -> None:
        async with self._archive.growth() as growth:
            async for _ in growth:
                self._wake()
        raise ArchiveAwayError("archive /v1/stream: ended")

    async def _catch_up(self) -> None:
        listings = await self._archive.logs()
        self._keeper.note_archive(away=False)
        self._keeper.note_logs(listings)
        for listing in listings:
            await self._read(listing)
        self._keeper.note_caught_up()

    async def _read(self, listing: LogListing) -> None:
        while (start := self._keeper.outbox.position(listing.key)) < listing.length:
            blocks = await self._archive.records(listing.key, start, min(BATCH, listing.length - start))
            if not blocks:
                return
            if not await self._keeper.take_in(listing, blocks):
                self._note_unowned(listing)
                return
            if len(blocks) == BATCH:
                await self._keeper.outbox.flush()

    def _note_unowned(self, listing: LogListing) -> None:
        if listing.key not in self._unowned:
            self._unowned.add(listing.key)
            log.info("nobody is known to own this log yet", log_key=listing.key, node_id=listing.node_id)
