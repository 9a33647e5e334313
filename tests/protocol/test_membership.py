"""Cards and revocations: who belongs to the hive, judged at the moment that counts (architecture §4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.envelope import CARD_TYPE, REVOCATIONS_TYPE, Envelope, SigningKey, canonical_json
from hmmm.errors import (
    CardRefusedError,
    LocalProtocolError,
    MalformedError,
    RemoteProtocolError,
    SignatureError,
)
from hmmm.identity import IssueIdentity
from hmmm.membership import (
    MAX_CARD_BYTES,
    MAX_KNOWN_CARDS,
    Revocation,
    Roster,
    judge_card,
    read_card,
    read_revocations,
    sign_card,
)
from hmmm.verdict import SignedVerdict, read_verdict, sign_verdict
from tests.support.discussions import START, Hive

HIVE = Hive()
NODE = HIVE.node("bzzz-1")
KEY = HIVE.key.public
SECOND = timedelta(seconds=1)
ISSUE = IssueIdentity(repository="acme/widgets", number=42, epoch=1)


def card_with(**changes: Any) -> bytes:
    """A card signed by the hive key whose payload has fields changed."""
    payload = NODE.card.to_object() | changes
    return Envelope.sign(CARD_TYPE, canonical_json(payload), HIVE.key).raw


def test_a_card_reads_back_as_it_was_signed() -> None:
    assert read_card(NODE.card_bytes, hive="test", hive_key=KEY) == NODE.card
    assert read_card(NODE.card_bytes, hive=None, hive_key=KEY) == NODE.card


def test_a_newer_version_s_fields_are_kept() -> None:
    card = read_card(card_with(colour="red"), hive="test", hive_key=KEY)
    assert card.to_object()["colour"] == "red"


BAD_CARDS: list[tuple[str, bytes, type[RemoteProtocolError], str]] = [
    ("nothing", b"", MalformedError, "malformed"),
    ("too large", b"x" * (MAX_CARD_BYTES + 1), MalformedError, "oversized"),
    (
        "another authority",
        Hive(key=SigningKey.hive(bytes(32))).node("x").card_bytes,
        SignatureError,
        "other_signer",
    ),
    ("another hive", Hive(name="other").node("x").card_bytes, CardRefusedError, "foreign_hive"),
    ("revocations instead", HIVE.revoke(), MalformedError, "wrong_type"),
    ("no serial", card_with(serial=None), MalformedError, "malformed"),
    ("serial zero", card_with(serial=0), MalformedError, "malformed"),
    ("a name that is no DNS label", card_with(node_id="Bzzz 1"), MalformedError, "malformed"),
    ("a peer id that is none", card_with(peer_id="0OIl"), MalformedError, "malformed"),
    ("a log key that is none", card_with(log_key="abc"), MalformedError, "malformed"),
    ("an unknown role", card_with(role="queen"), MalformedError, "malformed"),
    ("a time without a zone", card_with(not_after="2026-01-01T00:00:00"), MalformedError, "malformed"),
    ("a time beyond all", card_with(not_after="9999-12-31T23:59:59-14:00"), MalformedError, "malformed"),
]


@pytest.mark.parametrize(
    ("raw", "error", "reason"), [case[1:] for case in BAD_CARDS], ids=[case[0] for case in BAD_CARDS]
)
def test_a_card_that_is_none_is_refused_for_its_reason(
    raw: bytes, error: type[RemoteProtocolError], reason: str
) -> None:
    with pytest.raises(error) as refusal:
        read_card(raw, hive="test", hive_key=KEY)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (NODE.card.not_before - SECOND, "not_yet_valid"),
        (NODE.card.not_before, ""),
        (NODE.card.not_after, ""),
        (NODE.card.not_after + SECOND, "expired"),
        (START - SECOND, ""),
        (START, "revoked"),
    ],
)
def test_a_card_is_judged_at_the_moment_of_its_use(at: Any, reason: str) -> None:
    revoked = (Revocation(serial=NODE.card.serial, revoked_at=START),)
    if reason in {"", "revoked"} and at not in {START, START - SECOND}:
        revoked = ()
    if reason == "":
        judge_card(NODE.card, at, revoked)
        return
    with pytest.raises(CardRefusedError) as refusal:
        judge_card(NODE.card, at, revoked)
    assert refusal.value.reason == reason


def test_the_authority_signs_no_card_that_could_never_be_used() -> None:
    with pytest.raises(LocalProtocolError, match="earlier than not_after"):
        sign_card(NODE.card.model_copy(update={"not_after": NODE.card.not_before}), HIVE.key)
    with pytest.raises(LocalProtocolError, match="log's key"):
        sign_card(NODE.card.model_copy(update={"log_key": None}), HIVE.key)


def roster() -> Roster:
    return Roster("test", KEY, NODE.card_bytes)


def test_a_roster_knows_its_own_and_those_it_admitted() -> None:
    known, other = roster(), HIVE.node("bzzz-2")
    assert known.own == NODE.card
    assert known.card_of(other.key.key_id, START) is None
    assert known.admit(other.card_bytes, START) == other.card
    assert [card.node_id for card in known.members(START)] == ["bzzz-1", "bzzz-2"]
    assert known.card_bytes_of(other.key.key_id) == other.card_bytes


def test_a_roster_lets_cards_expire_by_themselves() -> None:
    known, brief = roster(), HIVE.node("brief", not_after=START + SECOND)
    known.admit(brief.card_bytes, START)
    assert known.card_of(brief.key.key_id, START + 2 * SECOND) is None
    with pytest.raises(CardRefusedError):
        known.admit(brief.card_bytes, START + 2 * SECOND)


def test_of_two_cards_of_a_peer_the_higher_serial_stays() -> None:
    hive, known = Hive(), Roster("test", KEY, NODE.card_bytes)
    older, newer = hive.node("bzzz-3"), hive.node("bzzz-3")
    known.admit(newer.card_bytes, START)
    with pytest.raises(CardRefusedError) as refusal:
        known.admit(older.card_bytes, START)
    assert refusal.value.reason == "superseded"


def test_revocations_replace_older_ones_and_never_newer_ones() -> None:
    known, other = roster(), HIVE.node("bzzz-4")
    known.admit(other.card_bytes, START)
    newest = HIVE.revoke(other.card.serial, version=3)
    assert known.revoke(newest)
    assert known.card_of(other.key.key_id, START) is None
    assert not known.revoke(HIVE.revoke(version=2))
    assert known.revocations_bytes == newest
    assert known.card_of(other.key.key_id, START) is None
    with pytest.raises(CardRefusedError):
        known.admit(other.card_bytes, START)


@pytest.mark.parametrize(("behind", "is_valid"), [(0, False), (1, False), (-1, True)])
def test_a_revocation_may_cover_every_lower_serial(behind: int, is_valid: bool) -> None:
    known, other = roster(), HIVE.node("bzzz-5")
    known.admit(other.card_bytes, START)
    floor = {"serial": other.card.serial + behind, "revoked_at": START.isoformat(), "and_below": True}
    assert known.revoke(revocations_with(version=9, revoked=[floor]))
    assert (known.card_of(other.key.key_id, START) is not None) == is_valid
    assert known.card_of(other.key.key_id, START - SECOND) == other.card, "not before its moment"


def test_of_two_revocations_of_a_card_the_earlier_counts() -> None:
    known, other = roster(), HIVE.node("bzzz-6")
    known.admit(other.card_bytes, START - SECOND)
    later = {"serial": other.card.serial, "revoked_at": (START + SECOND).isoformat()}
    assert known.revoke(revocations_with(revoked=[later | {"revoked_at": START.isoformat()}, later]))
    assert known.card_of(other.key.key_id, START) is None


def test_an_own_card_is_renewed_while_running() -> None:
    hive = Hive()
    old, new = hive.node("bzzz-7"), hive.node("bzzz-7", not_after=START + timedelta(days=900))
    known = Roster("test", KEY, old.card_bytes)
    assert known.renew(new.card_bytes, START)
    assert (known.own, known.own_card) == (new.card, new.card_bytes)
    assert known.card_of(old.key.key_id, new.card.not_after) == new.card
    assert not known.renew(new.card_bytes, START), "no news"
    assert not known.renew(old.card_bytes, START), "an older one never replaces a newer one"
    assert known.own == new.card


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peer_id": HIVE.node("someone").key.key_id}, "other_keys"),
        ({"log_key": "0" * 64}, "other_keys"),
        ({"node_id": "bzzz-8"}, "other_keys"),
        ({"role": "scribe"}, "other_keys"),
        ({"hive": "other"}, "foreign_hive"),
        ({"not_after": (START - SECOND).isoformat()}, "expired"),
    ],
)
def test_an_own_card_that_does_not_fit_leaves_the_last_one(changes: dict[str, Any], reason: str) -> None:
    known = roster()
    with pytest.raises(CardRefusedError) as refusal:
        known.renew(card_with(**{"serial": 99} | changes), START)
    assert refusal.value.reason == reason
    assert (known.own, known.own_card) == (NODE.card, NODE.card_bytes)


def test_an_own_card_that_is_revoked_is_not_taken_into_use() -> None:
    known = roster()
    known.revoke(HIVE.revoke(99))
    with pytest.raises(CardRefusedError) as refusal:
        known.renew(card_with(serial=99), START)
    assert refusal.value.reason == "revoked"


def test_a_roster_is_bounded() -> None:
    known = roster()
    known._cards.update({f"peer-{n}": (NODE.card, b"") for n in range(MAX_KNOWN_CARDS)})
    with pytest.raises(MalformedError) as refusal:
        known.admit(HIVE.node("one-too-many").card_bytes, START)
    assert refusal.value.reason == "too_many_cards"


def revocations_with(**changes: Any) -> bytes:
    payload = {"hive": "test", "version": 1, "revoked": []} | changes
    return Envelope.sign(REVOCATIONS_TYPE, canonical_json(payload), HIVE.key).raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (revocations_with(version=-1), "malformed"),
        (revocations_with(revoked=[{"serial": 0, "revoked_at": "2026-01-01T00:00:00Z"}]), "malformed"),
        (revocations_with(revoked="all"), "malformed"),
        (revocations_with(hive="other"), "foreign_hive"),
        (Hive(key=SigningKey.hive(bytes(32))).revoke(), "other_signer"),
        (NODE.card_bytes, "wrong_type"),
    ],
)
def test_revocations_that_are_none_are_refused_for_their_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        read_revocations(raw, hive="test", hive_key=KEY)
    assert refusal.value.reason == reason


def verdict(**changes: Any) -> SignedVerdict:
    return SignedVerdict(
        **{"verdict_id": "v1", "issue": ISSUE, "verdict": "proceed", "decided_at": START} | changes
    )


def test_a_verdict_counts_only_by_the_hive_key_and_for_its_own_turn() -> None:
    assert read_verdict(sign_verdict(verdict(), HIVE.key), KEY, ISSUE) == verdict()
    with pytest.raises(SignatureError) as refusal:
        read_verdict(sign_verdict(verdict(issue=ISSUE.at_epoch(2)), HIVE.key), KEY, ISSUE)
    assert refusal.value.reason == "other_issue"
    with pytest.raises(SignatureError):
        read_verdict(sign_verdict(verdict(), SigningKey.hive(bytes(32))), KEY, ISSUE)


@given(raw=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_make_reading_raise_anything_else(raw: bytes) -> None:
    for read in (
        lambda: read_card(raw, hive="test", hive_key=KEY),
        lambda: read_revocations(raw, hive="test", hive_key=KEY),
        lambda: read_verdict(raw, KEY, ISSUE),
    ):
        with pytest.raises(RemoteProtocolError):
            read()


VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.integers(), max_size=3)
)


@given(field=st.sampled_from(sorted(NODE.card.to_object())), value=VALUES)
def test_no_signed_nonsense_in_a_card_makes_reading_raise_anything_else(field: str, value: Any) -> None:
    try:
        card = read_card(card_with(**{field: value}), hive="test", hive_key=KEY)
    except RemoteProtocolError:
        return
    judge_card(card, card.not_before)
    assert (
        read_card(Envelope.sign(CARD_TYPE, card.to_json(), HIVE.key).raw, hive="test", hive_key=KEY) == card
    )
