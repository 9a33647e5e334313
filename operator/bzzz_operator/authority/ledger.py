"""What becomes of the ledger when hives change: pure rules over `book.Ledger` (architecture §4).

A node is in one of these states, by what is wanted and what was requested:

| | has a card | leaves it by |
|---|---|---|
| member | yes | gone (in no wish), revoked by request, keys replaced: the serial is revoked at once |
| renewed | a new serial; the old one ends a week later or by itself | as above: then both end at once |
| revoked | no | its keys are replaced (`bzzz rotate`) |
| gone | no | being wanted again: a new serial |

Serials only grow and a revoked one stays revoked. Time comes in as `now`; calling it twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bzzz_operator.authority.book import Ended, Entry, Ledger, grace_end, in_order, milliseconds
from bzzz_operator.authority.requests import is_later
from bzzz_operator.authority.types import Change, ChangeKind
from hmmm.membership import Role

CLOCK_ALLOWANCE: Final = timedelta(minutes=1)
"""A card is valid from so long ago, for members whose clocks lag."""
RENEWAL_GRACE: Final = timedelta(days=7)
"""A renewed card's predecessor lasts so much longer: a node that is down meanwhile still comes back by itself."""
KEPT_EXPIRED: Final = 300
"""Revocations of cards that have expired are kept up to this many in all: who judges old evidence is glad of them."""
FOLD_ABOVE: Final = 1000
"""With more revocations than this, those below every living card become one "this and all below", and cards that live
long below many others are renewed early."""


@dataclass(frozen=True)
class NodeKeys:
    """Public parts of a node's keys, and the rotation that made them."""

    peer_id: str
    log_key: str | None
    replication_key: str | None
    rotation: str | None = None


@dataclass(frozen=True)
class NodeWish:
    """What is wanted of one node."""

    agent: str
    """Its HiveAgent; empty for the scribe."""
    role: Role = "agent"
    leaving: bool = False
    """Keeps its card, gets no new one."""
    keys: NodeKeys | None = None
    """None while they have not been read: the node's entry stays as it is."""
    revoke: str | None = None
    rotate: str | None = None


def settle(
    ledger: Ledger,
    wanted: Mapping[str, NodeWish],
    now: datetime,
    card_life: timedelta,
    *,
    complete: bool = True,
) -> tuple[Ledger, tuple[Change, ...]]:
    """Return the ledger as it shall be, and what was done to it.

    With `complete` nodes that are not wanted are gone; without it they are left as they are.
    """
    work = _Work(ledger, now.replace(microsecond=0), card_life)
    for node_id in sorted(ledger.nodes if complete else ()):
        if node_id not in wanted:
            work.leave(node_id)
    for node_id, wish in sorted(wanted.items()):
        if wish.keys is not None:
            work.tend(node_id, wish, wish.keys)
    return work.result(ledger), tuple(work.changes)


def renewal_due(ledger: Ledger, card_life: timedelta) -> datetime | None:
    """Return when the next card is to be renewed; None without cards."""
    ends = [
        entry.not_after for entry in ledger.nodes.values() if entry.serial is not None and entry.not_after
    ]
    return min(ends) - card_life / 3 if ends else None


@dataclass
class _Work:
    """A settlement under way."""

    ledger: Ledger
    now: datetime
    card_life: timedelta
    changes: list[Change] = field(default_factory=list[Change])

    def __post_init__(self) -> None:
        self.nodes: dict[str, Entry] = dict(self.ledger.nodes)
        self.ended: list[Ended] = list(self.ledger.ended)
        self.last_serial: int = self.ledger.last_serial

    def leave(self, node_id: str) -> None:
        entry = self.nodes[node_id]
        if entry.serial is not None:
            entry = self._end(node_id, entry, "Gone", "left the hive")
        if entry.revoked or entry.revoke_request or entry.rotated:
            self.nodes[node_id] = entry  # else a request would be carried out again when the node comes back
        else:
            del self.nodes[node_id]

    def tend(self, node_id: str, wish: NodeWish, keys: NodeKeys) -> None:
        entry = self.nodes.get(node_id)
        if entry is None:
            entry = Entry(
                hive_agent=wish.agent,
                role=wish.role,
                peer_id=keys.peer_id,
                log_key=keys.log_key,
                replication_key=keys.replication_key,
            )
        entry = self._with(entry, hive_agent=wish.agent, role=wish.role)
        asked = wish.revoke is not None and wish.revoke != entry.revoke_request
        # of a revocation and a rotation that are both new, the later one has the last word; in doubt the revocation
        before_rotation = asked and is_later(wish.rotate or "", wish.revoke or "")
        if asked and before_rotation:
            entry = self._revoke(node_id, entry, wish.revoke)
        entry = self._take_keys(node_id, entry, wish, keys)
        if asked and not before_rotation:
            entry = self._revoke(node_id, entry, wish.revoke)
        if not entry.revoked:
            entry = self._card(node_id, entry, wish)
        self.nodes[node_id] = entry

    def _take_keys(self, node_id: str, entry: Entry, wish: NodeWish, keys: NodeKeys) -> Entry:
        if (entry.peer_id, entry.log_key) != (keys.peer_id, keys.log_key):
            if entry.serial is not None:
                entry = self._end(node_id, entry, "Revoked", "its keys were replaced")
            # what was revoked are the keys, and these are others
            entry = self._with(
                entry,
                peer_id=keys.peer_id,
                log_key=keys.log_key,
                keys_since=self.now,
                revoked=entry.revoked and entry.peer_id == keys.peer_id,
            )
        entry = self._with(entry, replication_key=keys.replication_key)
        if wish.rotate is not None and keys.rotation == wish.rotate != entry.rotated:
            entry = self._with(entry, rotated=wish.rotate, revoked=False)
            self._say("Rotated", node_id, entry, f"{node_id} has new keys, as request {wish.rotate} asked")
        return entry

    def _revoke(self, node_id: str, entry: Entry, request: str | None) -> Entry:
        if entry.serial is not None:
            entry = self._end(node_id, entry, "Revoked", f"request {request} asked for it")
        else:
            self._say("Revoked", node_id, entry, f"{node_id} gets no card: request {request} asked for it")
        return self._with(entry, revoke_request=request, revoked=True)

    def _card(self, node_id: str, entry: Entry, wish: NodeWish) -> Entry:
        if entry.serial is None:
            return (
                entry if wish.leaving else self._issue(node_id, entry, self.now - CLOCK_ALLOWANCE, "Issued")
            )
        ends = entry.not_after or self.now
        if ends - self.now > self.card_life / 3 and not self._keeps_list_long(entry.serial):
            return entry
        start = self.now - CLOCK_ALLOWANCE
        if self.now <= ends:
            self._end_serial(node_id, entry, grace_end(ends, self.now, RENEWAL_GRACE))
            # the same keys belonged to the hive all the time: one card covers a discussion that outlasts a renewal
            start = min(entry.not_before or start, start)
        return self._issue(node_id, entry, start, "Renewed")

    def _keeps_list_long(self, serial: int) -> bool:
        """Whether an old living card keeps hundreds of revocations above it from being folded."""
        above = sum(1 for one in self.ledger.ended if one.serial > serial)
        return len(self.ledger.ended) > FOLD_ABOVE and above > FOLD_ABOVE // 2

    def _issue(self, node_id: str, entry: Entry, start: datetime, kind: ChangeKind) -> Entry:
        self.last_serial += 1
        entry = self._with(
            entry,
            serial=self.last_serial,
            last_serial=self.last_serial,
            not_before=start,
            not_after=self.now + self.card_life,
        )
        until = f"{self.now + self.card_life:%Y-%m-%d %H:%M} UTC"
        self._say(kind, node_id, entry, f"{node_id} has card {entry.serial}, valid until {until}")
        return entry

    def _end(self, node_id: str, entry: Entry, kind: ChangeKind, why: str) -> Entry:
        """Revoke all cards of a node that are still valid, from now on."""
        self._end_serial(node_id, entry, self.now)
        self.ended = [
            e.model_copy(update={"revoked_at": self.now})
            if e.node_id == node_id and e.revoked_at > self.now
            else e
            for e in self.ended
        ]
        self._say(kind, node_id, entry, f"{node_id}'s card {entry.serial} is revoked: {why}")
        return self._with(entry, serial=None, not_before=None, not_after=None)

    def _end_serial(self, node_id: str, entry: Entry, at: datetime) -> None:
        if entry.serial is not None:
            self.ended.append(
                Ended(serial=entry.serial, node_id=node_id, revoked_at=at, not_after=entry.not_after)
            )

    def _say(self, kind: ChangeKind, node_id: str, entry: Entry, text: str) -> None:
        self.changes.append(Change(kind, node_id, entry.hive_agent, entry.serial or entry.last_serial, text))

    @staticmethod
    def _with(entry: Entry, **changes: Any) -> Entry:
        if all(getattr(entry, name) == value for name, value in changes.items()):
            return entry
        return entry.model_copy(update=changes)

    def result(self, before: Ledger) -> Ledger:
        ended = _fold(_prune(in_order(tuple(self.ended)), self.now), self.nodes, self.now)
        version = before.version
        if ended != before.ended:
            version = max(version + 1, milliseconds(self.now))
        if (ended, self.nodes, self.last_serial) == (before.ended, before.nodes, before.last_serial):
            return before
        return before.model_copy(
            update={"ended": ended, "nodes": self.nodes, "last_serial": self.last_serial, "version": version}
        )


def _prune(ended: tuple[Ended, ...], now: datetime) -> tuple[Ended, ...]:
    """Forget the oldest revocations of cards that have expired anyway, once there are many."""
    surplus = len(ended) - KEPT_EXPIRED
    kept: list[Ended] = []
    for one in ended:
        if surplus > 0 and one.not_after is not None and one.not_after < now:
            surplus -= 1
        else:
            kept.append(one)
    return tuple(kept)


def _fold(ended: tuple[Ended, ...], nodes: Mapping[str, Entry], now: datetime) -> tuple[Ended, ...]:
    """Say of many revocations below every living card that all below are revoked."""
    if len(ended) <= FOLD_ABOVE:
        return ended
    alive = [entry.serial for entry in nodes.values() if entry.serial is not None]
    alive += [one.serial for one in ended if one.revoked_at > now]
    folded = [one for one in ended if one.serial < min(alive, default=2**53 + 1) and not one.and_below]
    if len(folded) < 2:
        return ended
    floor = Ended(serial=folded[-1].serial, revoked_at=now, and_below=True)
    return in_order((*(one for one in ended if one not in folded), floor))
