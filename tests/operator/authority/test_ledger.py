"""The ledger: whatever is wanted, requested, lost or interrupted, in any order, cards stay what they promise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzz_operator.authority.book import Ledger, parse, render
from bzzz_operator.authority.errors import ForeignLedgerError, LedgerError
from bzzz_operator.authority.ledger import FOLD_ABOVE, KEPT_EXPIRED, NodeKeys, NodeWish, renewal_due, settle
from bzzz_operator.authority.types import AuthoritySettings, Change
from hmmm.envelope import SigningKey
from hmmm.errors import CardRefusedError
from hmmm.hypercore_proof import log_key_of_seed, replication_key_of_seed
from hmmm.membership import MembershipCard, Revocations, judge_card, read_card, read_revocations

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LIFE = timedelta(days=90)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
HIVE = AuthoritySettings(hive="hive", namespace="space")
KEY = SigningKey.hive(sha256(b"hive").digest())
PUBLIC = KEY.public


def keys_of(node_id: str, generation: int = 0, rotation: str | None = None) -> NodeKeys:
    seed = sha256(f"{node_id} {generation}".encode()).digest()
    return NodeKeys(
        SigningKey.mesh(seed).key_id, log_key_of_seed(seed), replication_key_of_seed(seed), rotation
    )


@dataclass
class Hive:
    """The ConfigMap, the Secrets and the clock; the ledger is read from text and written to text at each step."""

    now: datetime = START
    data: dict[str, str] = field(default_factory=dict[str, str])
    generations: dict[str, int] = field(default_factory=dict[str, int])
    done: dict[str, str] = field(default_factory=dict[str, str])

    def wish(self, node_id: str, **changes: Any) -> NodeWish:
        keys = keys_of(node_id, self.generations.get(node_id, 0), self.done.get(node_id))
        return replace(NodeWish("bzzz", keys=keys), **changes)

    def new_keys(self, node_id: str, request: str) -> None:
        """What the Secrets show once a rotation is carried out in both."""
        if self.done.get(node_id) != request:
            self.generations[node_id] = self.generations.get(node_id, 0) + 1
            self.done[node_id] = request

    def settle(self, *node_ids: str, write: bool = True, **changes: Any) -> tuple[Change, ...]:
        return self.settle_all({n: self.wish(n, **changes) for n in node_ids}, write=write)

    def settle_all(self, wanted: Mapping[str, NodeWish], *, write: bool = True) -> tuple[Change, ...]:
        ledger, changes = settle(self.ledger, wanted, self.now, LIFE)
        if write:
            self.data = render(ledger, KEY, HIVE)
        return changes

    @property
    def ledger(self) -> Ledger:
        return parse(self.data, KEY, HIVE, self.now)

    @property
    def cards(self) -> dict[str, MembershipCard]:
        raw = {k: v for k, v in self.data.items() if k.startswith("card-")}
        read = (read_card(v.encode(), hive="hive", hive_key=PUBLIC) for v in raw.values())
        return {card.node_id: card for card in read}

    @property
    def revocations(self) -> Revocations:
        return read_revocations(self.data["revocations.json"].encode(), hive="hive", hive_key=PUBLIC)

    @property
    def members(self) -> list[str]:
        return [member["nodeId"] for member in json.loads(self.data["members.json"])]

    def is_valid(self, card: MembershipCard, at: datetime | None = None) -> bool:
        try:
            judge_card(card, at or self.now, self.revocations.revoked)
        except CardRefusedError:
            return False
        return True


def kinds(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.kind, change.node_id) for change in changes]


def test_a_new_node_gets_a_card_for_its_keys_and_is_listed() -> None:
    hive = Hive()
    assert kinds(hive.settle("bzzz-0", "bzzz-1")) == [("Issued", "bzzz-0"), ("Issued", "bzzz-1")]
    card, keys = hive.cards["bzzz-0"], keys_of("bzzz-0")
    assert (card.peer_id, card.log_key, card.role) == (keys.peer_id, keys.log_key, "agent")
    assert (card.not_before, card.not_after) == (START - timedelta(minutes=1), START + LIFE)
    assert hive.cards["bzzz-1"].serial == card.serial + 1
    assert json.loads(hive.data["members.json"])[0] == {
        "nodeId": "bzzz-0",
        "peerId": keys.peer_id,
        "addresses": ["/dns4/bzzz-0.bzzz.space.svc.cluster.local/tcp/4001"],
    }
    assert hive.data["hive.pub"] == PUBLIC.hex()


def test_the_scribe_is_a_member_without_log_and_address() -> None:
    hive = Hive()
    hive.settle_all({"hive-scribe": NodeWish("", "scribe", keys=NodeKeys(keys_of("s").peer_id, None, None))})
    assert (hive.cards["hive-scribe"].role, hive.cards["hive-scribe"].log_key) == ("scribe", None)
    assert json.loads(hive.data["members.json"])[0]["addresses"] == []


def test_nothing_changes_while_nothing_is_asked() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    before = dict(hive.data)
    hive.now += DAY
    assert hive.settle("bzzz-0") == ()
    assert hive.data == before


def test_a_node_that_is_gone_loses_its_card_and_a_later_one_gets_another_serial() -> None:
    hive = Hive()
    hive.settle("bzzz-0", "bzzz-1")
    old = hive.cards["bzzz-1"]
    hive.now += DAY
    assert kinds(hive.settle("bzzz-0")) == [("Gone", "bzzz-1")]
    assert (list(hive.cards), hive.members) == (["bzzz-0"], ["bzzz-0"])
    assert not hive.is_valid(old)
    assert hive.is_valid(old, hive.now - SECOND), "what it said before stays evidence"
    hive.settle("bzzz-0", "bzzz-1")
    assert hive.cards["bzzz-1"].serial > old.serial
    assert hive.cards["bzzz-1"].peer_id == old.peer_id
    assert not hive.is_valid(old)


def test_a_node_that_is_leaving_keeps_its_card_but_gets_none() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    assert hive.settle("bzzz-0", leaving=True) == ()
    assert hive.members == ["bzzz-0"]
    hive.settle()
    assert hive.settle("bzzz-0", leaving=True) == ()
    assert hive.members == []


def test_a_node_whose_keys_are_not_known_yet_is_left_as_it_is() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    before = dict(hive.data)
    assert hive.settle_all({"bzzz-0": NodeWish("bzzz"), "bzzz-1": NodeWish("bzzz")}) == ()
    assert hive.data == before


def test_a_card_is_renewed_in_the_last_third_of_its_life_and_its_node_is_not_cut_off() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    old = hive.cards["bzzz-0"]
    due = renewal_due(hive.ledger, LIFE)
    assert due == START + 2 * LIFE / 3
    hive.now = due - SECOND
    assert hive.settle("bzzz-0") == ()
    hive.now = due
    assert kinds(hive.settle("bzzz-0")) == [("Renewed", "bzzz-0")]
    new = hive.cards["bzzz-0"]
    assert new.serial > old.serial
    assert new.not_before == old.not_before, "one card covers a discussion that outlasts the renewal"
    assert hive.is_valid(old), "the node has not read its new card yet"
    assert not hive.is_valid(old, hive.now + timedelta(days=7))
    assert hive.is_valid(new, hive.now + timedelta(days=7))


def test_both_cards_of_a_renewed_node_end_when_it_is_revoked() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    old = hive.cards["bzzz-0"]
    hive.now += 2 * LIFE / 3
    hive.settle("bzzz-0")
    new = hive.cards["bzzz-0"]
    hive.now += SECOND
    hive.settle("bzzz-0", revoke="r1")
    assert not hive.is_valid(old)
    assert not hive.is_valid(new)


def test_a_card_that_ended_while_nobody_renewed_it_is_replaced() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    hive.now += LIFE + DAY
    hive.settle("bzzz-0")
    assert hive.cards["bzzz-0"].not_before == hive.now - timedelta(minutes=1), "it was no member meanwhile"
    assert hive.is_valid(hive.cards["bzzz-0"])


def test_a_revoked_node_gets_no_card_until_it_is_rotated() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    old = hive.cards["bzzz-0"]
    assert kinds(hive.settle("bzzz-0", revoke="r1")) == [("Revoked", "bzzz-0")]
    assert hive.members == []
    assert not hive.is_valid(old)
    assert hive.settle("bzzz-0", revoke="r1") == (), "once a request"
    assert hive.settle("bzzz-0") == (), "the annotation may be removed"
    hive.settle()
    assert hive.settle("bzzz-0") == (), "scaling down and up again is no pardon"
    hive.new_keys("bzzz-0", "r2")
    hive.now += SECOND
    assert kinds(hive.settle("bzzz-0", revoke="r1", rotate="r2")) == [
        ("Rotated", "bzzz-0"),
        ("Issued", "bzzz-0"),
    ]
    assert hive.cards["bzzz-0"].peer_id != old.peer_id
    assert hive.ledger.nodes["bzzz-0"].keys_since == hive.now


def test_a_rotation_revokes_the_old_serial_at_once() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    old = hive.cards["bzzz-0"]
    hive.now += SECOND
    hive.new_keys("bzzz-0", "r1")
    changes = hive.settle("bzzz-0", rotate="r1")
    assert [change.kind for change in changes] == ["Revoked", "Rotated", "Issued"]
    assert not hive.is_valid(old)
    assert hive.cards["bzzz-0"].log_key != old.log_key
    assert hive.settle("bzzz-0", rotate="r1") == ()


@pytest.mark.parametrize(
    ("revoke", "rotate", "has_card"),
    [
        ("20260301T120000Z-a", "20260301T120001Z-b", True),
        ("20260301T120002Z-a", "20260301T120001Z-b", False),
        ("by hand", "20260301T120001Z-b", False),
    ],
)
def test_of_a_revocation_and_a_rotation_the_later_has_the_last_word(
    revoke: str, rotate: str, has_card: bool
) -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    hive.new_keys("bzzz-0", rotate)
    hive.settle("bzzz-0", revoke=revoke, rotate=rotate)
    assert ("bzzz-0" in hive.cards) is has_card
    assert hive.settle("bzzz-0", revoke=revoke, rotate=rotate) == ()


def test_a_lost_ledger_revokes_every_card_that_it_had_given() -> None:
    hive = Hive()
    hive.settle("bzzz-0", "bzzz-1")
    hive.settle("bzzz-0", "bzzz-1", revoke="r1")
    hive.settle("bzzz-0", "bzzz-1", "bzzz-2")
    cards, version = hive.cards, hive.revocations.version
    hive.data, hive.now = {}, hive.now + 5 * SECOND
    hive.settle("bzzz-0", "bzzz-1", "bzzz-2")
    assert hive.revocations.version > version
    assert not any(hive.is_valid(card) for card in cards.values())
    assert all(hive.is_valid(card, hive.now - SECOND) for card in cards.values()), "old evidence stays valid"
    assert all(hive.is_valid(card) for card in hive.cards.values())
    assert len(hive.cards) == 3


def test_a_lost_book_counts_as_a_lost_ledger_and_what_was_signed_is_kept() -> None:
    hive = Hive()
    hive.settle("bzzz-0", "bzzz-1")
    hive.settle("bzzz-0")
    cards, revoked = hive.cards, hive.revocations
    del hive.data["ledger.json"]
    hive.now += SECOND
    hive.settle("bzzz-0")
    assert not hive.is_valid(cards["bzzz-0"])
    assert hive.cards["bzzz-0"].serial > cards["bzzz-0"].serial
    assert set(revoked.revoked) < set(hive.revocations.revoked)
    assert hive.revocations.version > revoked.version


def test_keys_that_were_lost_and_made_anew_make_a_new_member() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    old = hive.cards["bzzz-0"]
    hive.generations["bzzz-0"] = 7
    hive.now += SECOND
    assert kinds(hive.settle("bzzz-0")) == [("Revoked", "bzzz-0"), ("Issued", "bzzz-0")]
    assert not hive.is_valid(old)
    assert hive.ledger.nodes["bzzz-0"].keys_since == hive.now, "its pod runs with keys that are gone"


def test_what_was_signed_counts_though_somebody_edited_the_book() -> None:
    hive = Hive()
    hive.settle("bzzz-0", "bzzz-1")
    old, before = hive.cards["bzzz-1"], dict(hive.data)
    hive.settle("bzzz-0")
    hive.data["ledger.json"] = before["ledger.json"]
    hive.settle("bzzz-0", "bzzz-1")
    assert not hive.is_valid(old)
    assert hive.revocations.version > 0


def test_a_ledger_of_another_hive_key_is_refused_with_the_remedy() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    with pytest.raises(ForeignLedgerError, match="restore the Secret hive-hive-key"):
        parse(hive.data, SigningKey.hive(bytes(32)), HIVE, START)


@pytest.mark.parametrize("book", ["", "{", '{"lastSerial": -1, "version": 1}', "[]", '{"format": "other"}'])
def test_a_damaged_book_is_said_and_not_replaced(book: str) -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    with pytest.raises(LedgerError, match=r"ledger\.json"):
        parse(hive.data | {"ledger.json": book}, KEY, HIVE, START)


def test_a_hive_that_is_too_large_for_one_object_is_refused() -> None:
    hive = Hive()
    keys = keys_of("any")
    with pytest.raises(LedgerError, match="fewer agents"):
        hive.settle_all({f"bzzz-{n}": NodeWish("bzzz", keys=keys) for n in range(1200)})


def test_five_hundred_agents_fit() -> None:
    hive, keys = Hive(), keys_of("any")
    name = "a-hiveagent-with-a-rather-long-name"
    hive.settle_all({f"{name}-{n}": NodeWish(name, keys=keys) for n in range(500)})
    assert len(hive.cards) == 500


def test_a_hive_that_scales_every_day_keeps_its_list_short_and_every_ended_card_ended() -> None:
    hive = Hive()
    hive.settle("bzzz-0")
    given: list[MembershipCard] = []
    longest = 0
    for _ in range(40):
        hive.now += DAY / 2
        hive.settle("bzzz-0", *(f"bzzz-{n}" for n in range(1, 41)))
        given += [card for node, card in hive.cards.items() if node != "bzzz-0"]
        hive.now += DAY / 2
        hive.settle("bzzz-0")
        longest = max(longest, len(hive.revocations.revoked))
    assert FOLD_ABOVE < longest < FOLD_ABOVE + 9 * 40, (
        "the oldest card is renewed, and a week later all are folded"
    )
    assert len(hive.revocations.revoked) < FOLD_ABOVE
    assert not any(hive.is_valid(card) for card in given)
    assert hive.is_valid(hive.cards["bzzz-0"])


def test_revocations_of_expired_cards_are_forgotten_when_there_are_many() -> None:
    hive = Hive()
    nodes = [f"bzzz-{n}" for n in range(KEPT_EXPIRED + 20)]
    hive.settle(*nodes)
    hive.settle()
    assert len(hive.revocations.revoked) == len(nodes) + 1
    hive.now += LIFE + SECOND
    hive.settle("bzzz-0")
    assert len(hive.revocations.revoked) == KEPT_EXPIRED


NODES = [f"bzzz-{n}" for n in range(3)]
STEPS = st.one_of(
    st.tuples(st.just("want"), st.dictionaries(st.sampled_from(NODES), st.booleans())),
    st.tuples(st.sampled_from(["revoke", "rotate"]), st.sampled_from(NODES)),
    st.tuples(st.just("pass"), st.sampled_from([1, 3600, 86_400 * 5, 86_400 * 31, 86_400 * 95])),
    st.tuples(st.just("crash"), st.booleans()),
    st.tuples(st.just("lose"), st.none()),
)


@dataclass
class Witness:
    """Remembers everything that was ever published."""

    cards: dict[int, str] = field(default_factory=dict[int, str])
    ended: set[int] = field(default_factory=set[int])
    signed: dict[int, str] = field(default_factory=dict[int, str])

    def look(self, hive: Hive) -> None:
        for name, raw in hive.data.items():
            if name.startswith("card-"):
                card = read_card(raw.encode(), hive="hive", hive_key=PUBLIC)
                assert self.cards.setdefault(card.serial, raw) == raw, "a serial never repeats"
        revocations = hive.revocations
        raw = hive.data["revocations.json"]
        assert self.signed.setdefault(revocations.version, raw) == raw, "a version is one list"
        assert revocations.version == max(self.signed), "versions grow"
        open_cards: dict[str, int] = {}
        for serial, text in self.cards.items():
            card = read_card(text.encode(), hive="hive", hive_key=PUBLIC)
            valid = hive.is_valid(card)
            assert not (valid and serial in self.ended), "what ended stays so"
            if not valid and hive.now >= card.not_before:
                self.ended.add(serial)
            if valid and not any(r.covers(serial) for r in revocations.revoked):
                open_cards[card.node_id] = open_cards.get(card.node_id, 0) + 1
        assert all(count == 1 for count in open_cards.values()), "at most one unrevoked card a node"
        assert set(open_cards) == set(hive.cards), "and that is the one it is given"


@dataclass
class Story:
    """What users and the world do to a hive, step by step."""

    hive: Hive = field(default_factory=Hive)
    want: dict[str, bool] = field(default_factory=dict[str, bool])
    revoke: dict[str, str] = field(default_factory=dict[str, str])
    rotate: dict[str, str] = field(default_factory=dict[str, str])

    def happen(self, what: str, value: Any) -> None:
        hive = self.hive
        if what == "want":
            self.want = value
        elif what == "pass":
            hive.now += timedelta(seconds=value)
        elif what == "lose":
            hive.data, hive.now = {}, hive.now + SECOND
        elif what != "crash":
            hive.now += SECOND
            getattr(self, what)[value] = f"{hive.now:%Y%m%dT%H%M%SZ}-x"

    def rotate_keys(self) -> None:
        for node, request in self.rotate.items():
            self.hive.new_keys(node, request)

    @property
    def wanted(self) -> dict[str, NodeWish]:
        return {
            node: self.hive.wish(
                node, leaving=leaving, revoke=self.revoke.get(node), rotate=self.rotate.get(node)
            )
            for node, leaving in self.want.items()
        }

    def check_requests(self) -> None:
        for node, leaving in self.want.items():
            revoked, rotated = self.revoke.get(node, ""), self.rotate.get(node, "")
            if revoked > rotated:
                assert node not in self.hive.cards, "revoked and not rotated since"
            elif not leaving:
                assert node in self.hive.cards


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_in_any_order_of_events_serials_never_repeat_and_what_is_revoked_stays_so(
    steps: list[tuple[str, Any]],
) -> None:
    story, witness = Story(), Witness()
    hive = story.hive
    for what, value in steps:
        story.happen(what, value)
        if what == "crash":
            if value:  # between the Secrets and the ledger
                story.rotate_keys()
            hive.settle_all(story.wanted, write=False)
            continue
        story.rotate_keys()
        hive.settle_all(story.wanted)
        witness.look(hive)
        once = hive.data
        assert hive.settle_all(story.wanted) == (), "settling twice is settling once"
        assert hive.data == once
        story.check_requests()
