"""Each safeguard of architecture §6 bites at its bound, and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hmmm.discussion import Phase, account_for, admit
from hmmm.envelope import SigningKey
from hmmm.errors import NotAdmittedError
from hmmm.limits import CLOCK_SKEW_S, MAX_ACCOUNTED, DiscussionLimits
from hmmm.messages import MetaMessage, issue_topic
from hmmm.meta import ClarificationNeeded, DiscussionClosed, ExecutionStarted, NoObjection, Suggestion
from hmmm.records import MessageReceived
from tests.support.discussions import Claimant, Hive, Node, debate


def reason_of(claimant: Claimant, node: Node, **fields: object) -> str:
    """The reason for which a node's `no_objection` is not admitted now; empty when it is."""
    signed = claimant.word_of(node, NoObjection(plan_digest=claimant.plan_digest), **fields)
    assert isinstance(signed.message, MetaMessage)
    try:
        admit(claimant.state, signed.message, node.node_id, claimant.now)
    except NotAdmittedError as error:
        return error.reason
    return ""


def thread(claimant: Claimant, nodes: tuple[Node, ...], depth: int) -> list[str]:
    """Questions on questions below the plan, by turns; what was refused of each."""
    refused: list[str] = []
    parent = claimant.sent[-1].message
    for level in range(depth):
        entry = claimant.hear(
            nodes[level % len(nodes)], ClarificationNeeded(plan_digest=claimant.plan_digest), parent=parent
        )
        refused.append(entry.refused)
        parent = claimant.heard[-1].message
    return refused


def test_hop_limit_admits_four_hops_and_not_five() -> None:
    claimant, first, second = debate()
    refused = thread(claimant, (first, second), 4)
    assert refused[:3] == ["", "", ""]
    assert "hop_count 5, limit 4" in refused[3]


def test_a_reply_cannot_lie_about_its_hops() -> None:
    claimant, first, _ = debate()
    assert reason_of(claimant, first) == ""
    assert reason_of(claimant, first, hop_count=1) == "bad_hop_count"
    assert reason_of(claimant, first, hop_count=3) == "bad_hop_count"
    assert reason_of(claimant, first, parent=None) == ""


def test_participants_are_five_with_slots_kept_for_the_named_reviewers() -> None:
    claimant, first, second = debate()
    strangers = [claimant.hive.node(f"extra-{n}") for n in range(4)]
    for stranger in strangers[:3]:
        assert claimant.no_objection(stranger).refused == ""
    assert reason_of(claimant, strangers[3]) == "participants"
    assert claimant.no_objection(first).refused == ""
    assert reason_of(claimant, strangers[3]) == "participants"
    assert claimant.no_objection(second).refused == ""
    assert reason_of(claimant, strangers[0]) == ""
    assert len(claimant.state.participants) == 5


def test_a_participant_says_four_messages_a_round_and_not_five() -> None:
    claimant, first, _ = debate()
    for _ in range(4):
        assert reason_of(claimant, first) == ""
        claimant.hear(first, Suggestion(plan_digest=claimant.plan_digest))
    assert reason_of(claimant, first) == "messages_per_round"
    claimant.objection(claimant.hive.node("bzzz-3"))
    claimant.pass_time(30)
    claimant.close()
    claimant.revise()
    assert reason_of(claimant, first) == ""


def test_a_flooder_loses_its_slot_and_somebody_else_may_have_it() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(participants=2))
    for _ in range(4):
        claimant.hear(first, Suggestion(plan_digest=claimant.plan_digest))
    other = claimant.hive.node("bzzz-7")
    assert reason_of(claimant, other) == "participants"
    claimant.bite("messages_per_round", first)
    assert claimant.state.ejected == {"bzzz-1"}
    assert reason_of(claimant, first) == "ejected"
    assert reason_of(claimant, other) == ""
    assert claimant.state.violations == ()


def test_ejecting_somebody_who_did_not_flood_is_a_violation() -> None:
    claimant, first, _ = debate()
    for _ in range(3):
        claimant.hear(first, Suggestion(plan_digest=claimant.plan_digest))
    claimant.bite("messages_per_round", first)
    assert "ejects bzzz-1, who said 3 of 4" in claimant.state.violations[0]


def test_a_message_lives_for_its_ttl_and_never_less_than_the_doubled_window() -> None:
    claimant, first, _ = debate()
    late = DiscussionLimits().message_ttl_s + CLOCK_SKEW_S
    assert reason_of(claimant, first, sent_at=claimant.now - timedelta(seconds=late)) == ""
    assert reason_of(claimant, first, sent_at=claimant.now - timedelta(seconds=late + 0.1)) == "expired"
    slow, third, _ = debate(limits=DiscussionLimits(window_s=100))
    assert reason_of(slow, third, sent_at=slow.now - timedelta(seconds=209)) == ""
    assert reason_of(slow, third, sent_at=slow.now - timedelta(seconds=211)) == "expired"


def test_clocks_may_differ_by_ten_seconds_and_no_more() -> None:
    claimant, first, _ = debate()
    assert reason_of(claimant, first, sent_at=claimant.now + timedelta(seconds=10)) == ""
    assert reason_of(claimant, first, sent_at=claimant.now + timedelta(seconds=10.1)) == "from_future"


def test_nobody_is_heard_after_the_discussion_s_time() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(ttl_s=20))
    claimant.pass_time(20)
    assert reason_of(claimant, first) == ""
    claimant.pass_time(0.1)
    assert reason_of(claimant, first) == "discussion_ttl"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"repository": "acme/other"}, "foreign_repository"),
        ({"epoch": 2}, "stale_epoch"),
        ({"epoch": 0}, "stale_epoch"),
        ({"issue_id": 43}, "stale_epoch"),
    ],
)
def test_what_is_about_something_else_is_not_admitted(fields: dict[str, object], reason: str) -> None:
    claimant, first, _ = debate()
    assert reason_of(claimant, first, **fields) == reason


def test_only_the_claimant_chairs() -> None:
    claimant, first, _ = debate()
    refused = claimant.hear(first, ExecutionStarted(plan_digest=claimant.plan_digest)).refused
    assert "only the claimant bzzz-0 may send execution_started" in refused
    assert claimant.state.phase is Phase.LISTENING


def test_nothing_is_admitted_to_a_closed_discussion() -> None:
    claimant, first, _ = debate()
    claimant.say(DiscussionClosed(outcome="released"))
    assert reason_of(claimant, first) == "closed"


def test_a_scribe_relays_verdicts_and_has_no_voice_of_its_own() -> None:
    claimant, _, _ = debate()
    scribe = claimant.hive.node("scribe", role="scribe")
    assert "a scribe has no voice" in claimant.no_objection(scribe).refused
    claimant.escalate()
    assert claimant.human("proceed", scribe).refused == ""
    assert claimant.state.verdict == "proceed"


@pytest.mark.parametrize(
    "card",
    [
        {"hive": "other"},
        {"not_before": None},
        {"not_after": None},
    ],
    ids=["foreign hive", "not yet valid", "expired"],
)
def test_a_speaker_without_a_valid_card_is_not_heard(card: dict[str, object]) -> None:
    claimant, _, _ = debate()
    moments = {
        "not_before": claimant.now + timedelta(seconds=1),
        "not_after": claimant.now - timedelta(seconds=1),
    }
    fields = {name: moments.get(name, value) for name, value in card.items()}
    stranger = claimant.hive.node("bzzz-5", **fields)
    assert claimant.no_objection(stranger).refused != ""
    assert claimant.state.contributions == ()


def test_a_card_of_another_authority_or_of_somebody_else_vouches_for_nobody() -> None:
    claimant, first, second = debate()
    impostor = Hive(key=SigningKey.hive(bytes(32))).node("bzzz-1")
    assert claimant.no_objection(impostor).refused != ""
    signed = claimant.word_of(first, NoObjection(plan_digest=claimant.plan_digest))
    assert "expected node bzzz-2" in claimant.hear_signed(signed, second).refused


def test_the_fullest_account_that_is_admitted_fits_an_envelope() -> None:
    limits = DiscussionLimits(participants=32, messages_per_round=64)
    long = "n" * 60
    hive = Hive()
    claimant = Claimant(
        hive, hive.node(f"{long}00"), limits=limits, reviewers=[f"{long}{n}" for n in range(10, 26)]
    )
    claimant.claim()
    claimant.propose()
    reviewers = [hive.node(f"{long}{n}") for n in range(10, 26)]
    strangers = [hive.node(f"{long}{n}") for n in range(26, 40)]
    for index in range(40):
        stranger = strangers[index % len(strangers)]
        if reason_of(claimant, stranger) == "":
            claimant.objection(stranger, msg_id=f"{index:064d}")
    assert len(claimant.state.contributions) == MAX_ACCOUNTED - len(reviewers)
    assert reason_of(claimant, strangers[0]) == "round_full"
    for index, reviewer in enumerate(reviewers):
        assert reason_of(claimant, reviewer) == ""
        claimant.objection(reviewer, msg_id=f"r{index:063d}")
    assert reason_of(claimant, reviewers[0]) == "round_full"
    claimant.pass_time(30)
    claimant.close()
    assert len(account_for(claimant.state).weighed) == MAX_ACCOUNTED
    assert claimant.state.phase is Phase.REVISING
    assert claimant.state.violations == ()


def test_what_the_claimant_logs_against_a_bound_changes_nothing_for_anyone() -> None:
    claimant, first, _ = debate()
    stale = claimant.word_of(first, NoObjection(plan_digest=claimant.plan_digest), epoch=9)
    data = MessageReceived(
        topic=issue_topic(42), envelope=stale.envelope.raw.decode(), card=first.card_bytes.decode()
    )
    before = claimant.state
    assert claimant.record(data).refused != ""
    assert claimant.state == before
