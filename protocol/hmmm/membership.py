"""Who belongs to the hive: membership cards and revocations, signed by the authority's hive key.

Architecture §4. A card binds a node's name, its mesh key (peer id) and its log's key, for a time. Revocations go
by card serial in one signed, versioned list, so that a late joiner needs only the newest one. A card is judged at
the time its use was recorded: old evidence stays valid after expiry, and a revocation counts from its own moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from hmmm.base import Digest, Model, Moment, NodeId, PeerId
from hmmm.envelope import CARD_TYPE, REVOCATIONS_TYPE, Envelope, SigningKey
from hmmm.errors import CardRefusedError, LocalProtocolError, MalformedError, excerpt

MAX_CARD_BYTES: Final = 4 * 1024
MAX_REVOCATIONS_BYTES: Final = 256 * 1024
MAX_KNOWN_CARDS: Final = 4096
"""Cards remembered by a roster: far above any hive (architecture §4: up to 32 fully connected)."""

Role = Literal["agent", "scribe"]
HiveName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


class MembershipCard(Model):
    """The authority's word that a mesh key and a log belong to a node of the hive."""

    hive: HiveName
    serial: int = Field(ge=1, le=2**53)
    node_id: NodeId
    peer_id: PeerId
    log_key: Digest | None = None
    """The Hypercore log's public key in hex; a scribe has no log."""
    role: Role
    not_before: Moment
    not_after: Moment


class Revocation(Model):
    """A card that stopped being valid, and when."""

    serial: int = Field(ge=1, le=2**53)
    revoked_at: Moment
    and_below: Literal[True] | None = None
    """Every card with a lower serial as well: said by an authority that lost its list, and to keep a list short."""

    def covers(self, serial: int) -> bool:
        """Whether it is this card that stopped being valid."""
        return serial == self.serial or (self.and_below is not None and serial < self.serial)


class Revocations(Model):
    """All revocations of a hive up to a version; a higher version replaces a lower one."""

    hive: HiveName
    version: int = Field(ge=0, le=2**53)
    revoked: tuple[Revocation, ...] = Field(default=(), max_length=10_000)


def sign_card(card: MembershipCard, hive_key: SigningKey) -> bytes:
    """Sign a card with the hive key; the bytes are what travels.

    Raises LocalProtocolError for a card whose times are reversed or an agent's without a log.
    """
    if card.not_before >= card.not_after:
        raise LocalProtocolError(f"card {card.serial}: not_before must be earlier than not_after")
    if card.role == "agent" and card.log_key is None:
        raise LocalProtocolError(f"card {card.serial}: an agent's card needs its log's key")
    return Envelope.sign(CARD_TYPE, card.to_json(), hive_key).raw


def sign_revocations(revocations: Revocations, hive_key: SigningKey) -> bytes:
    """Sign a list of revocations with the hive key."""
    return Envelope.sign(REVOCATIONS_TYPE, revocations.to_json(), hive_key).raw


def read_card(raw: bytes, *, hive: str | None, hive_key: bytes) -> MembershipCard:
    """Parse a card and check the authority's signature and the hive's name (any hive if None), not the time.

    Raises MalformedError, SignatureError, CardRefusedError.
    """
    envelope = Envelope.parse(raw, expected_type=CARD_TYPE, limit=MAX_CARD_BYTES)
    envelope.verify_hive(hive_key)
    card = MembershipCard.from_json(envelope.payload, limit=MAX_CARD_BYTES, what="membership card")
    if hive is not None and card.hive != hive:
        raise CardRefusedError(
            "foreign_hive", f"card of {card.node_id}: expected hive {hive}, got {excerpt(card.hive)}; refused"
        )
    return card


def read_revocations(raw: bytes, *, hive: str | None, hive_key: bytes) -> Revocations:
    """Parse a list of revocations and check the authority's signature and the hive's name (any hive if None).

    Raises MalformedError, SignatureError, CardRefusedError.
    """
    envelope = Envelope.parse(raw, expected_type=REVOCATIONS_TYPE, limit=MAX_REVOCATIONS_BYTES)
    envelope.verify_hive(hive_key)
    revocations = Revocations.from_json(envelope.payload, limit=MAX_REVOCATIONS_BYTES, what="revocations")
    if hive is not None and revocations.hive != hive:
        raise CardRefusedError(
            "foreign_hive", f"revocations: expected hive {hive}, got {excerpt(revocations.hive)}"
        )
    return revocations


def judge_card(card: MembershipCard, at: datetime, revoked: Iterable[Revocation] = ()) -> None:
    """Check that a card was valid at a moment.

    Raises CardRefusedError with reason not_yet_valid, expired or revoked.
    """
    if at < card.not_before:
        raise CardRefusedError(
            "not_yet_valid", f"card of {card.node_id}: valid from {card.not_before}, used {at}"
        )
    if at > card.not_after:
        raise CardRefusedError(
            "expired", f"card of {card.node_id}: expired {card.not_after}, used {at}; ask for a new one"
        )
    for revocation in revoked:
        if revocation.covers(card.serial) and at >= revocation.revoked_at:
            raise CardRefusedError(
                "revoked", f"card of {card.node_id}: serial {card.serial} is revoked; refused"
            )


class Roster:
    """The cards and revocations that a process has seen; answers who is a member now.

    Not thread-safe. Time is passed in.
    """

    def __init__(self, hive: str, hive_key: bytes, own_card: bytes) -> None:
        self.hive = hive
        self.hive_key = hive_key
        self.own_card = own_card
        self._cards: dict[str, tuple[MembershipCard, bytes]] = {}
        self._revocations = Revocations(hive=hive, version=0)
        self._revoked: dict[int, list[Revocation]] = {}
        self._revoked_below: tuple[Revocation, ...] = ()
        self._revocations_bytes = b""
        own = read_card(own_card, hive=hive, hive_key=hive_key)
        self._cards[own.peer_id] = (own, own_card)
        self.own = own

    @property
    def revocations(self) -> Revocations:
        """The newest revocations known."""
        return self._revocations

    @property
    def own_is_revoked(self) -> bool:
        """Whether this node's own card was revoked: nobody listens to it until it has another."""
        return any(revocation.covers(self.own.serial) for revocation in self._revocations.revoked)

    @property
    def revocations_bytes(self) -> bytes:
        """The newest revocations as signed; empty when none are known."""
        return self._revocations_bytes

    def admit(self, raw: bytes, now: datetime) -> MembershipCard:
        """Check a card and remember it under its peer id; of two valid cards the higher serial stays.

        Raises MalformedError, SignatureError, CardRefusedError.
        """
        card = read_card(raw, hive=self.hive, hive_key=self.hive_key)
        self._judge(card, now)
        known = self._cards.get(card.peer_id)
        if known is not None and known[0].serial > card.serial:
            raise CardRefusedError(
                "superseded",
                f"card of {card.node_id}: serial {card.serial} was replaced by {known[0].serial}",
            )
        if known is None and len(self._cards) >= MAX_KNOWN_CARDS:
            raise MalformedError("too_many_cards", f"roster: already holds {MAX_KNOWN_CARDS} cards; refused")
        self._cards[card.peer_id] = (card, raw)
        return card

    def card_of(self, peer_id: str, now: datetime) -> MembershipCard | None:
        """Return a peer's card if it is known and valid now."""
        known = self._cards.get(peer_id)
        if known is None:
            return None
        try:
            self._judge(known[0], now)
        except CardRefusedError:
            return None
        return known[0]

    def card_bytes_of(self, peer_id: str) -> bytes | None:
        """Return a peer's card as signed, valid or not, if it is known."""
        known = self._cards.get(peer_id)
        return None if known is None else known[1]

    def members(self, now: datetime) -> tuple[MembershipCard, ...]:
        """Return the cards valid now, ordered by node id."""
        cards = (self.card_of(peer_id, now) for peer_id in self._cards)
        return tuple(sorted((c for c in cards if c is not None), key=lambda c: c.node_id))

    def revoke(self, raw: bytes) -> bool:
        """Take in signed revocations; return whether they are newer than those known.

        Raises MalformedError, SignatureError, CardRefusedError.
        """
        revocations = read_revocations(raw, hive=self.hive, hive_key=self.hive_key)
        if revocations.version <= self._revocations.version:
            return False
        self._revocations, self._revocations_bytes = revocations, raw
        self._revoked = {}
        for revocation in revocations.revoked:
            self._revoked.setdefault(revocation.serial, []).append(revocation)
        self._revoked_below = tuple(r for r in revocations.revoked if r.and_below)
        return True

    def renew(self, raw: bytes, now: datetime) -> bool:
        """Take in a new card of one's own, while running; return whether it is newer than the one in use.

        Raises MalformedError, SignatureError, CardRefusedError; with reason `other_keys` for a card that is for
        another peer, log or role: those keys are read at the start alone.
        """
        card = read_card(raw, hive=self.hive, hive_key=self.hive_key)
        own = self.own
        if (card.node_id, card.peer_id, card.log_key, card.role) != (
            own.node_id,
            own.peer_id,
            own.log_key,
            own.role,
        ):
            raise CardRefusedError(
                "other_keys",
                f"own card: expected one for {own.role} {own.node_id} as {own.peer_id}, got {card.role} "
                f"{card.node_id} as {card.peer_id}; restart to use other keys",
            )
        if card.serial <= own.serial:
            return False
        self._judge(card, now)
        self.own, self.own_card = card, raw
        self._cards[card.peer_id] = (card, raw)
        return True

    def _judge(self, card: MembershipCard, at: datetime) -> None:
        judge_card(card, at, (*self._revoked.get(card.serial, ()), *self._revoked_below))
