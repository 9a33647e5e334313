"""The claim's rules: which moves are legal, when an issue is open for claiming, how failures rest it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.claims import (
    HOLDER_MOVES,
    OTHERS_MOVES,
    BackOff,
    ClaimRecord,
    ClaimState,
    HeldLease,
    LeaseWatch,
    Opening,
    check_move,
    opening_of,
    read_claim,
)
from hmmm.errors import LocalProtocolError, MalformedError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
STATES: tuple[ClaimState, ...] = ("held", "reporting", "parked", "released", "done")


def a_claim(**fields: object) -> ClaimRecord:
    base: dict[str, object] = {
        "repository": "acme/widgets",
        "issue": 7,
        "epoch": 1,
        "nonce": "n-1",
        "agent": "bzzz-0",
        "peer_id": PEER,
        "state": "held",
        "at": NOW,
        "lease_s": 900,
        "body_digest": "0" * 64,
    }
    return ClaimRecord.model_validate(base | fields)


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_a_holder_makes_the_moves_of_the_table_and_no_other(old: ClaimState, new: ClaimState) -> None:
    before, after = a_claim(state=old), a_claim(state=new)
    if new in HOLDER_MOVES[old]:
        check_move(before, after)
        assert before.live
    else:
        with pytest.raises(LocalProtocolError, match=f"no move from {old} by the same claim to {new}"):
            check_move(before, after)


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_another_agent_begins_the_next_epoch_as_the_table_says(old: ClaimState, new: ClaimState) -> None:
    before, after = a_claim(state=old), a_claim(state=new, epoch=2, nonce="n-2", agent="bzzz-1")
    if new in OTHERS_MOVES[old]:
        check_move(before, after)
        assert after.epoch > before.epoch
    else:
        with pytest.raises(LocalProtocolError, match=f"no move from {old}"):
            check_move(before, after)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"nonce": "n-2", "agent": "bzzz-1"}, "epoch 1"),
        ({"nonce": "n-2", "epoch": 1}, "epoch 1"),
        ({"nonce": "n-2", "epoch": 2, "issue": 8}, "issue 7"),
    ],
)
def test_a_new_claim_needs_a_higher_epoch_of_the_same_issue(
    changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        check_move(a_claim(), a_claim(**changes))


def test_only_a_held_claim_can_be_the_first() -> None:
    check_move(None, a_claim())
    with pytest.raises(LocalProtocolError, match="no move from no ref to done"):
        check_move(None, a_claim(state="done"))


HELD = a_claim()
CASES: list[tuple[str, ClaimRecord | None, float, Opening]] = [
    ("an issue never claimed", None, 0, Opening("first", 1)),
    ("a live claim", HELD, 899, Opening("wait", wait_s=1)),
    ("a lease that stood still", HELD, 900, Opening("take_over", 2, 1)),
    ("a report that stood still", a_claim(state="reporting"), 900, Opening("take_over", 2, 1)),
    ("a third lost claimant", a_claim(failures=2), 900, Opening("exhausted", 2, 3)),
    (
        "a parked claim whose lease stood still",
        a_claim(state="parked", parked_until=NOW + timedelta(hours=1)),
        5000,
        Opening("wait", wait_s=3610),
    ),
    (
        "a parked claim that expired, just seen",
        a_claim(state="parked", parked_until=NOW - timedelta(hours=1)),
        0,
        Opening("wait", wait_s=900),
    ),
    (
        "a parked claim that expired and stood still",
        a_claim(state="parked", parked_until=NOW - timedelta(hours=1), failures=1),
        900,
        Opening("take_over", 2, 1),
    ),
    ("a released claim", a_claim(state="released"), 0, Opening("again", 2)),
    (
        "a failure at rest",
        a_claim(state="released", failures=1, not_before=NOW + timedelta(seconds=60)),
        0,
        Opening("wait", wait_s=60),
    ),
    (
        "a failure that has rested",
        a_claim(state="released", failures=1, not_before=NOW),
        0,
        Opening("again", 2, 1),
    ),
    (
        "a rest by a clock that is a year ahead",
        a_claim(state="released", failures=1, not_before=NOW + timedelta(days=365)),
        3600,
        Opening("again", 2, 1),
    ),
    ("an issue handed back by a human", a_claim(state="released", failures=3), 0, Opening("again", 2, 0)),
    ("an issue with its pull request", a_claim(state="done", head_sha="a" * 40), 9999, Opening("settled")),
    ("an issue settled without one", a_claim(state="done"), 9999, Opening("settled")),
]


@pytest.mark.parametrize(
    ("tip", "stood_still_s", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_tip_says_whether_its_issue_can_be_claimed(
    tip: ClaimRecord | None, stood_still_s: float, expected: Opening
) -> None:
    opening = opening_of(tip, stood_still_s=stood_still_s, now=NOW, digest="0" * 64)
    assert opening == expected
    assert opening.claimable == (expected.kind in ("first", "again", "take_over"))


def test_an_edited_issue_that_was_settled_without_a_pull_request_is_asked_anew() -> None:
    settled = a_claim(state="done", outcome="nothing to do")
    assert opening_of(settled, stood_still_s=0, now=NOW, digest="1" * 64) == Opening("again", 2)
    with_pull_request = settled.model_copy(update={"head_sha": "a" * 40})
    assert opening_of(with_pull_request, stood_still_s=0, now=NOW, digest="1" * 64).kind == "settled"


def test_a_deleted_ref_does_not_bring_an_old_epoch_back() -> None:
    assert opening_of(None, stood_still_s=0, now=NOW, above_epoch=5).epoch == 6
    assert opening_of(a_claim(state="released"), stood_still_s=0, now=NOW, above_epoch=5).epoch == 6


def test_failures_rest_an_issue_longer_each_time_up_to_a_bound() -> None:
    back_off = BackOff(first_s=60, factor=5, most_s=3600)
    assert [back_off.delay_s(n) for n in range(6)] == [0, 60, 300, 1500, 3600, 3600]
    assert back_off.delay_s(1_000_000) == 3600


def test_a_failed_release_counts_and_rests_and_a_peaceful_one_does_not() -> None:
    failed = a_claim(failures=1).released(NOW, "tests failed", failed=True, back_off=BackOff())
    assert (failed.failures, failed.not_before) == (2, NOW + timedelta(seconds=300))
    peaceful = a_claim(failures=1).released(NOW, "closed by a human", failed=False, back_off=BackOff())
    assert (peaceful.failures, peaceful.not_before) == (1, None)


def test_a_claim_survives_its_commit_message_with_fields_of_a_newer_version() -> None:
    record = a_claim(parked_until=NOW, colour="amber")
    again = read_claim(record.to_json() + b"\n")
    assert again == record
    assert again.to_json() == record.to_json()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"fix typo",
        b"[]",
        b"{}",
        b'{"format": "bzzz-claim/1"}',
        a_claim().to_json().replace(b'"epoch":1', b'"epoch":0'),
        a_claim().to_json().replace(b'"lease_s":900.0', b'"lease_s":1e999'),
        b"[" * 5000,
        b'{"a": "' + b"x" * 9000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_a_commit_that_is_no_claim_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedError):
        read_claim(message)


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_a_claim_fail_otherwise(message: bytes) -> None:
    with pytest.raises(MalformedError):
        read_claim(message)


def test_a_lease_is_over_only_when_one_tip_was_seen_for_its_whole_time() -> None:
    watch = LeaseWatch()
    assert watch.observe(7, "a", 100) == 0
    assert watch.observe(7, "a", 160) == 60
    assert watch.observe(7, "b", 170) == 0, "a renewal starts the time anew"
    assert watch.observe(7, "a", 180) == 0, "so does an old reading: never unsafe"
    assert watch.observe(8, "a", 180) == 0, "each issue has its own"
    watch.forget_all_but(frozenset({8}))
    assert watch.observe(8, "a", 190) == 10
    assert watch.observe(7, "a", 190) == 0


def test_a_holder_renews_at_a_third_and_stops_before_anybody_can_take_over() -> None:
    lease = HeldLease(written_at_s=1000, lease_s=900)
    assert lease.renewal_in_s(1100) == 200
    assert lease.sure(1809)
    assert not lease.sure(1811)
    assert replace(lease, lease_s=10).renewal_in_s(1100) < 0
