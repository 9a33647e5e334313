"""Write-behind to the state store: changes gather, go out together, and none go out when nothing changed.

Blocking calls run in a worker thread on data that no longer changes. A write that fails loses nothing for good:
documents are kept here and written again, blocks are read again from the archive (`position` steps back).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from bzzz_scribe.errors import StoreError
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.store import Block, Changes, DiscussionKey, Document, StateStore

WRITE_INTERVAL_S: Final = 0.25
"""Changes are gathered for so long and written together."""
RETRY_S: Final = 2.0

log = structlog.get_logger("bzzz.scribe.outbox")


class Outbox:
    """What is to be written, and how far each log is held."""

    def __init__(self, store: StateStore, metrics: ScribeMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._agents: dict[str, Document] = {}
        self._discussions: dict[DiscussionKey, Document] = {}
        self._cards: dict[int, bytes] = {}
        self._dirty_agents: set[str] = set()
        self._dirty_discussions: set[DiscussionKey] = set()
        self._dirty_cards: set[int] = set()
        self._blocks: list[Block] = []
        self._positions: dict[str, int] = {}
        self._wake = trio.Event()
        self._writing = trio.Lock()
        self.on_reason_to_read: Callable[[], None] = _nothing
        """Called when there is reason to read logs at once: positions stepped back, an owner became known."""

    async def load(self) -> None:
        """Take over what the store holds, so that the same again is not written. Raises StoreError."""
        self._agents = await trio.to_thread.run_sync(self._store.agents)
        self._discussions = await trio.to_thread.run_sync(self._store.discussions)
        self._cards = await trio.to_thread.run_sync(self._store.cards)
        self._positions = await trio.to_thread.run_sync(self._store.positions)

    def position(self, log_key: str) -> int:
        """Return how many of a log's blocks are held here or in the store: the next to be read."""
        return self._positions.get(log_key, 0)

    def restart(self, log_key: str) -> None:
        """Have a log read again from its first block."""
        self._positions[log_key] = 0
        self.on_reason_to_read()
        self._blocks = [block for block in self._blocks if block.log_key != log_key]

    def put_block(self, block: Block) -> None:
        """Have the log's next block written; any other is passed over, so that the store has no gaps."""
        if block.seq == self.position(block.log_key):
            self._positions[block.log_key] = block.seq + 1
            self._blocks.append(block)
            self._wake.set()

    def put_agent(self, node_id: str, document: Document) -> None:
        """Have an agent's document written if it is different."""
        if self._agents.get(node_id) != document:
            self._agents[node_id] = document
            self._dirty_agents.add(node_id)
            self._wake.set()

    def put_discussion(self, key: DiscussionKey, document: Document) -> None:
        """Have a discussion's document written if it is different."""
        if self._discussions.get(key) != document:
            self._discussions[key] = document
            self._dirty_discussions.add(key)
            self._wake.set()

    def put_card(self, serial: int, raw: bytes) -> None:
        """Have a membership card written if it is different."""
        if self._cards.get(serial) != raw:
            self._cards[serial] = raw
            self._dirty_cards.add(serial)
            self._wake.set()

    async def run(self) -> None:
        """Write changes as they gather, for ever; a failed write is tried again."""
        while True:
            await self._wake.wait()
            try:
                await self.flush()
            except StoreError:
                await trio.sleep(RETRY_S)
            await trio.sleep(WRITE_INTERVAL_S)

    async def flush(self) -> None:
        """Write what changed. Raises StoreError; then all of it is written again, or read again."""
        async with self._writing:
            self._wake = trio.Event()
            changes = Changes(
                agents={node: self._agents[node] for node in self._dirty_agents},
                discussions={key: self._discussions[key] for key in self._dirty_discussions},
                cards={serial: self._cards[serial] for serial in self._dirty_cards},
                blocks=tuple(self._blocks),
            )
            if not changes:
                return
            self._dirty_agents, self._dirty_discussions, self._dirty_cards = set(), set(), set()
            self._blocks = []
            try:
                await trio.to_thread.run_sync(self._store.write, changes)
            except StoreError as error:
                self._metrics.store_writes.labels("failed").inc()
                log.warning("state store did not take a write", error=str(error))
                await self._take_stock()
                raise
            self._metrics.store_writes.labels("done").inc()

    async def _take_stock(self) -> None:
        """After a failed write the store may be another one, empty: what it holds is counted, all else is due."""
        try:
            self._positions = await trio.to_thread.run_sync(self._store.positions)
        except StoreError:
            self._positions = {}
        self._blocks = []
        self._dirty_agents = set(self._agents)
        self._dirty_discussions = set(self._discussions)
        self._dirty_cards = set(self._cards)
        self._wake.set()
        self.on_reason_to_read()


def _nothing() -> None:
    """Nobody reads yet."""
