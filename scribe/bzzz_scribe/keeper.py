"""Keeps what the scribe knows: folds blocks as they come, and carries every change to viewers and to the store.

One place owns the state, and only trio's one thread touches it. The views of discussions follow from the logs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import structlog
import trio

from bzzz_scribe.archive import LogListing
from bzzz_scribe.broadcast import Broadcaster, Change
from bzzz_scribe.errors import NotReadyError
from bzzz_scribe.logbook import Logbook, Seal, record_of
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.outbox import Outbox
from bzzz_scribe.owners import Owners
from bzzz_scribe.sights import Sights
from bzzz_scribe.store import Block, DiscussionKey, Document, Outlet, StateStore
from hmmm.discussion import Discussion
from hmmm.envelope import canonical_json
from hmmm.identity import IssueIdentity
from hmmm.messages import Capabilities
from hmmm.observer import Entry, LogObserver, LogOwner

FOLDS_A_TURN: Final = 16
"""Blocks folded before others get a turn: a block costs up to a millisecond, the mesh must not wait longer."""
FIRST_RECORDS: Final = 16
RESTORED_AT_A_TIME: Final = 256
SHOWN_ENDED: Final = 500
"""Ended discussions in the state, the newest; older ones stay in the store, and their pages are served."""

log = structlog.get_logger("bzzz.scribe.keeper")


class Keeper:
    """The scribe's knowledge."""

    def __init__(
        self,
        store: StateStore,
        owners: Owners,
        repositories: Iterable[str],
        metrics: ScribeMetrics,
        now: Callable[[], datetime],
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self.owners = owners
        self.caught_up = trio.Event()  # once every log was read as far as the archive had it
        self.changes = Broadcaster(metrics)
        self.outbox = Outbox(store, metrics)
        self._outlets: tuple[Outlet, ...] = (self.outbox, *outlets)
        self._store = store
        self._repositories = frozenset(repositories)
        self._metrics = metrics
        self._sights = Sights(now)
        self._books: dict[str, Logbook] = {}
        self._listings: dict[str, LogListing] = {}
        self._views: dict[DiscussionKey, Document] = {}
        self._live: set[DiscussionKey] = set()
        self._claims: dict[tuple[str, int], set[DiscussionKey]] = {}
        self._archive_away: bool | None = None

    async def restore(self) -> None:
        """Fold what the store holds. Raises StoreError."""
        await self.outbox.load()
        for raw in (await trio.to_thread.run_sync(self._store.cards)).values():
            self.owners.learn_card(raw)
        self._sights.restore(await trio.to_thread.run_sync(self._store.agents))
        for log_key in await trio.to_thread.run_sync(self._store.positions):
            await self._restore_log(log_key)

    async def _restore_log(self, log_key: str) -> None:
        blocks = self._store.blocks(log_key)
        while batch := await trio.to_thread.run_sync(lambda: list(islice(blocks, RESTORED_AT_A_TIME))):
            self._learn_owner(log_key, [(b.seq, b.data) for b in batch])
            owner = self.owners.owner_of(log_key, None)
            if owner is None:
                self.outbox.restart(log_key)
                return
            await self._fold(log_key, owner, [(b.seq, b.data) for b in batch])

    # What comes in

    async def take_in(self, listing: LogListing, blocks: Sequence[tuple[int, bytes]]) -> bool:
        """Take in a log's next blocks, in order; False when nobody is known to own the log yet."""
        self._learn_owner(listing.key, blocks)
        owner = self.owners.owner_of(listing.key, listing.node_id)
        if owner is None:
            return False
        for seq, data in blocks:
            record = record_of(data)
            self.outbox.put_block(Block(listing.key, seq, None if record is None else record.issue, data))
        await self._fold(listing.key, owner, blocks)
        return True

    def note_logs(self, listings: Sequence[LogListing]) -> None:
        """Take in what the archive says of its logs."""
        self._listings = {listing.key: listing for listing in listings}
        for listing in listings:
            self._sights.name(listing.node_id, log_key=listing.key)
            book = self._books.get(listing.key)
            owner = self.owners.owner_of(listing.key, listing.node_id)
            if book is not None and owner is not None and owner != book.owner:
                self._close_book(listing.key)
        self._metrics.lag.set(sum(max(0, x.length - self.outbox.position(x.key)) for x in listings))
        self._refresh_agents()

    def note_archive(self, *, away: bool) -> None:
        """Take in whether the archive answers."""
        self._metrics.archive_up.set(0 if away else 1)
        if away is not self._archive_away:
            self._archive_away = away
            log.warning("archive", state=self._archive_word())
            self.changes.publish(Change("archive", {"archive": self._archive_word()}))

    def note_caught_up(self) -> None:
        """Take in that every log is read as far as the archive has it."""
        if not self.caught_up.is_set():
            log.info("caught up with the archive", logs=len(self._listings))
        self.caught_up.set()

    def hear(self, capabilities: Capabilities, peer_id: str) -> None:
        """Take in what a verified agent says it can."""
        if capabilities.card is not None:
            self.learn_card(capabilities.card.encode("utf-8", "replace"))
        self._sights.hear(capabilities, peer_id)
        self._refresh_agents()

    def learn_card(self, raw: bytes) -> None:
        """Take in a membership card; a log that waited for it is read at once."""
        if self.owners.learn_card(raw):
            self.outbox.on_reason_to_read()

    def note_connected(self, peers: Iterable[str]) -> None:
        """Take in which peers are connected now, by peer id."""
        self._sights.mark_connected(peers)
        self._refresh_agents()

    # What goes out

    def state(self) -> Document:
        """Return everything for the table: agents, discussions, logs, and whether the archive is there."""
        views = [self._views[key] for key in sorted(self._views)]
        ended = sorted((v for v in views if not v["live"]), key=lambda v: str(v["openedAt"]))
        hidden = {id(view) for view in ended[:-SHOWN_ENDED]}
        return {
            "archive": self._archive_word(),
            "agents": self._sights.views(),
            "discussions": [view for view in views if id(view) not in hidden],
            "omitted": len(hidden),
            "logs": [
                {
                    "logKey": listing.key,
                    "nodeId": listing.node_id,
                    "length": listing.length,
                    "folded": self._folded(key),
                    "conflict": listing.conflict,
                }
                for key, listing in sorted(self._listings.items())
            ],
        }

    def export_state(self) -> bytes:
        """Return what follows from the logs alone, canonically: alike on every scribe that read as far."""
        views = [self._views[key] for key in sorted(self._views)]
        logs = [
            {"logKey": key, "nodeId": book.owner.node_id, "length": book.next_seq}
            for key, book in sorted(self._books.items())
        ]
        return canonical_json({"discussions": views, "logs": logs})

    def live_issues(self) -> frozenset[int]:
        """Return the numbers of the issues under discussion now."""
        return frozenset(key.number for key in self._live)

    def discussion(self, issue: IssueIdentity) -> Document | None:
        """Return the view of a claim's discussion that goes on, else of one that is over, None if there is none."""
        claims = self._claims.get((issue.repository, issue.number), ())
        views = [
            self._views[key] for key in sorted(claims) if key.epoch == issue.epoch and key in self._views
        ]
        return next((view for view in views if view["live"]), views[0] if views else None)

    def seal(self, log_key: str, token: str) -> Seal | None:
        """Return the seal that a transcript's link names, if there is one and its repository is the hive's."""
        book = self._books.get(log_key)
        seal = None if book is None else book.seal_with(token)
        return seal if seal is not None and DiscussionKey.of(log_key, seal.issue) in self._views else None

    def view_of(self, seal: Seal) -> Document:
        """Return the view of a sealed issue's discussion."""
        return self._views[DiscussionKey.of(seal.log_key, seal.issue)]

    async def entries(self, seal: Seal) -> tuple[tuple[Entry, ...], Discussion]:
        """Return a sealed issue's entries in order, with their discussion.

        Raises StoreError, and NotReadyError while the store is being filled again.
        """
        await self.outbox.flush()
        blocks = await trio.to_thread.run_sync(lambda: list(self._store.blocks(seal.log_key, seal.issue)))
        book = self._books.get(seal.log_key)
        if book is None or not any(block.seq == seal.seq for block in blocks):
            raise NotReadyError("the transcript is being read again from the archive; ask again in a moment")
        observer = LogObserver(book.owner)
        entries: list[Entry] = []
        for count, block in enumerate(blocks, start=1):
            record = record_of(block.data)
            if record is not None:
                entries.append(observer.fold(block.seq, record))
            if count % FOLDS_A_TURN == 0:
                await trio.lowlevel.checkpoint()
        return tuple(entries), observer.discussions[seal.issue]

    # Folding

    def _learn_owner(self, log_key: str, blocks: Sequence[tuple[int, bytes]]) -> None:
        """Look into a log's first records for whose it is: an agent's first is that it started."""
        for seq, data in blocks[:FIRST_RECORDS]:
            record = record_of(data) if seq < FIRST_RECORDS else None
            if record is not None:
                self.owners.learn_record(log_key, record)

    async def _fold(self, log_key: str, owner: LogOwner, blocks: Sequence[tuple[int, bytes]]) -> None:
        book = self._books.get(log_key)
        if book is not None and book.owner != owner:
            self._close_book(log_key)
            return
        if book is None:
            book = self._books[log_key] = Logbook(log_key, owner)
            self._sights.name(owner.node_id, peer_id=owner.peer_id, log_key=log_key)
        touched: set[IssueIdentity] = set()
        for count, (seq, data) in enumerate(blocks, start=1):
            for entry in book.add(seq, data):
                self.owners.learn_record(log_key, entry.record)
                self._metrics.blocks.labels("refused" if entry.refused else "folded").inc()
                if entry.record.issue is not None:
                    touched.add(entry.record.issue)
            if count % FOLDS_A_TURN == 0:
                await trio.lowlevel.checkpoint()
        if self._books.get(log_key) is book:
            self._refresh(book, touched)

    def _close_book(self, log_key: str) -> None:
        """Forget a log whose owner turned out to be another, and have it read again."""
        log.warning("a log's owner is another than was thought; it is read again", log_key=log_key)
        del self._books[log_key]
        self._views = {key: view for key, view in self._views.items() if key.log_key != log_key}
        self._live &= set(self._views)
        self._claims = {issue: claims & set(self._views) for issue, claims in self._claims.items()}
        self.outbox.restart(log_key)

    def _refresh(self, book: Logbook, issues: Iterable[IssueIdentity]) -> None:
        for issue in issues:
            view = book.view(issue) if self._shown(issue) else None
            if view is not None:
                key = DiscussionKey.of(book.log_key, issue)
                claims = self._claims.setdefault((issue.repository, issue.number), set())
                claims.add(key)
                self._put_view(key, view, newest=max(claim.epoch for claim in claims))
                for older in claims:
                    if older.epoch < issue.epoch:
                        self._put_view(older, self._views[older], newest=issue.epoch)
        self._count_phases()
        self._refresh_agents()

    def _put_view(self, key: DiscussionKey, view: Document, *, newest: int) -> None:
        """Show a discussion; one of an older claim is over, whatever its own log says: the issue was taken over."""
        superseded = key.epoch < newest
        shown: Document = {**view, "superseded": superseded, "live": bool(view["live"]) and not superseded}
        (self._live.add if shown["live"] else self._live.discard)(key)
        if self._views.get(key) != shown:
            self._views[key] = shown
            for outlet in self._outlets:
                outlet.put_discussion(key, shown)
            self.changes.publish(Change("discussion", shown))

    def _refresh_agents(self) -> None:
        issues = {key: f"{key.repository}#{key.number}" for key in sorted(self._live)}
        working = {str(self._views[key]["claimant"]): issue for key, issue in issues.items()}
        for view in self._sights.refresh(working):
            self.changes.publish(Change("agent", view))
        for node_id, document in self._sights.lasting().items():
            for outlet in self._outlets:
                outlet.put_agent(node_id, document)
        for serial, raw in self.owners.cards().items():
            self.outbox.put_card(serial, raw)

    def _count_phases(self) -> None:
        self._metrics.discussions.clear()
        for view in self._views.values():
            self._metrics.discussions.labels(view["phase"]).inc()

    def _shown(self, issue: IssueIdentity) -> bool:
        return not self._repositories or issue.repository in self._repositories

    def _folded(self, log_key: str) -> int:
        book = self._books.get(log_key)
        return 0 if book is None else book.next_seq

    def _archive_word(self) -> str:
        return "here" if self._archive_away is False else "away"
