"""Whose log is whose: who vouches for a log's key, and which card says so.

A membership card by the hive key is the only vouching. Cards come from the mesh, and from the logs themselves
(speakers' cards in `message_received`, an agent's own in `agent_started`), so that a scribe which starts after an
agent is gone still knows it from the archive alone. Until a card is known, the log's own `agent_started` and the
list of members serve for showing the discussion; evidence always needs the card.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from bzzz_mesh import Member
from hmmm.errors import CardRefusedError, RemoteProtocolError
from hmmm.membership import MembershipCard, judge_card, read_card
from hmmm.observer import LogOwner
from hmmm.records import Record

MAX_CARDS: Final = 4096
"""As many as a roster remembers: far above any hive."""


class Owners:
    """Cards and hints, by log. Cards are checked against the hive key on the way in."""

    def __init__(self, hive: str, hive_key: bytes) -> None:
        self._hive = hive
        self._hive_key = hive_key
        self._cards: dict[int, tuple[MembershipCard, bytes]] = {}
        self._known: set[bytes] = set()
        self._started: dict[str, tuple[str, str]] = {}
        self._members: dict[str, str] = {}

    def set_members(self, members: Iterable[Member]) -> None:
        """Take in the list of members to dial."""
        self._members = {m.node_id: m.peer_id for m in members}

    def learn_card(self, raw: bytes) -> bool:
        """Take in a card as signed; return whether it is new. One that does not hold is passed over."""
        if raw in self._known or len(self._known) >= MAX_CARDS:
            return False
        try:
            card = read_card(raw, hive=self._hive, hive_key=self._hive_key)
        except RemoteProtocolError:
            return False
        self._known.add(raw)
        self._cards[card.serial] = (card, raw)
        return True

    def learn_record(self, log_key: str, record: Record) -> None:
        """Take in what a record says about identities."""
        card = record.data.get("card")
        if record.kind in {"message_received", "agent_started"} and isinstance(card, str):
            self.learn_card(card.encode("utf-8", "replace"))
        if record.kind == "agent_started":
            node_id, peer_id = record.data.get("node_id"), record.data.get("peer_id")
            if isinstance(node_id, str) and isinstance(peer_id, str):
                self._started.setdefault(log_key, (node_id, peer_id))

    def owner_of(self, log_key: str, node_id: str | None) -> LogOwner | None:
        """Return a log's owner; `node_id` is the archive's word for whose log it is, if it is known.

        The newest card for the log decides; without one the log's own word where it agrees with the archive's,
        then the list of members.
        """
        cards = self._cards_of(log_key)
        if cards:
            return self._owner(cards[-1].node_id, cards[-1].peer_id)
        started = self._started.get(log_key)
        if started is not None and node_id in {None, started[0]}:
            return self._owner(*started)
        if node_id is not None and node_id in self._members:
            return self._owner(node_id, self._members[node_id])
        return None

    def card_for(self, log_key: str, at: datetime) -> bytes | None:
        """Return the newest card for a log that was valid at a moment, as signed; revocations aside."""
        for card in reversed(self._cards_of(log_key)):
            try:
                judge_card(card, at)
            except CardRefusedError:
                continue
            return self._cards[card.serial][1]
        return None

    def cards(self) -> dict[int, bytes]:
        """Return every card known, by serial."""
        return {serial: raw for serial, (_, raw) in self._cards.items()}

    def _cards_of(self, log_key: str) -> list[MembershipCard]:
        cards = (card for card, _ in self._cards.values() if card.log_key == log_key)
        return sorted(cards, key=lambda card: card.serial)

    def _owner(self, node_id: str, peer_id: str) -> LogOwner:
        return LogOwner(node_id=node_id, peer_id=peer_id, hive=self._hive, hive_key=self._hive_key)
