"""The objection window: when a round may close, what extends it, and what a restart does to it (architecture §6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hmmm.discussion import CloseRound, Escalate, Execute, Phase, Wait
from hmmm.limits import COUNTERSIGN_S, DiscussionLimits
from hmmm.messages import MetaMessage
from hmmm.meta import Answer, ClarificationNeeded, NoObjection, Suggestion
from tests.support.discussions import Claimant, Node, debate

EARLY = DiscussionLimits(close_early=True)


def seconds_until(claimant: Claimant) -> float | None:
    decision = claimant.decide()
    assert isinstance(decision, Wait)
    return None if decision.until is None else (decision.until - claimant.now).total_seconds()


def test_silence_through_the_window_lets_the_plan_run_unreviewed() -> None:
    claimant, _, _ = debate()
    claimant.pass_time(29.999)
    assert seconds_until(claimant) == pytest.approx(0.001)
    claimant.pass_time(0.001)
    decision = claimant.act()
    assert isinstance(decision, CloseRound)
    assert decision.account.next == "execute"
    assert decision.account.silent == ("bzzz-1", "bzzz-2")
    assert "unreviewed" in decision.account.reason
    assert isinstance(claimant.decide(), Execute)


def test_an_objection_at_the_last_moment_sends_the_plan_back() -> None:
    claimant, first, _ = debate()
    claimant.pass_time(29)
    claimant.objection(first)
    claimant.pass_time(1)
    claimant.act()
    assert claimant.state.phase is Phase.REVISING
    claimant.act()
    assert (claimant.state.phase, claimant.state.round) == (Phase.LISTENING, 2)
    assert claimant.state.violations == ()


def test_reviewing_extends_the_window_to_its_double_at_most_and_once_for_each() -> None:
    claimant, first, second = debate()
    claimant.pass_time(20)
    claimant.reviewing(first, eta_s=15)
    assert seconds_until(claimant) == 10
    claimant.pass_time(10)
    assert seconds_until(claimant) == 5
    claimant.reviewing(first, eta_s=500)
    assert seconds_until(claimant) == 5
    claimant.reviewing(second, eta_s=500)
    assert seconds_until(claimant) == 30
    claimant.pass_time(29.999)
    assert isinstance(claimant.decide(), Wait)
    claimant.pass_time(0.001)
    assert isinstance(claimant.act(), CloseRound)
    assert claimant.state.violations == ()


def test_an_extended_window_ends_when_the_announced_reviews_have_come() -> None:
    claimant, first, _ = debate()
    claimant.reviewing(first)
    claimant.pass_time(31)
    assert seconds_until(claimant) == 29
    claimant.no_objection(first)
    assert isinstance(claimant.act(), CloseRound)
    assert claimant.state.violations == ()


def test_a_round_never_closes_early_where_the_manifest_does_not_say_so() -> None:
    claimant, first, second = debate()
    claimant.no_objection(first)
    claimant.no_objection(second)
    assert seconds_until(claimant) == 30


def test_a_round_closes_early_once_all_named_reviewers_answered() -> None:
    claimant, first, second = debate(limits=EARLY)
    claimant.no_objection(first)
    assert isinstance(claimant.decide(), Wait)
    claimant.hear(second, Suggestion(plan_digest=claimant.plan_digest), "name it better")
    assert isinstance(claimant.act(), CloseRound)
    assert claimant.state.violations == ()


def advisory(claimant: Claimant, node: Node) -> None:
    claimant.objection(node, "advisory")


def question(claimant: Claimant, node: Node) -> None:
    claimant.hear(node, ClarificationNeeded(plan_digest=claimant.plan_digest), "which format?")


def only_thinking(claimant: Claimant, node: Node) -> None:
    claimant.reviewing(node)


@pytest.mark.parametrize("word", [advisory, question, only_thinking])
def test_a_round_does_not_close_early_over(word: Callable[[Claimant, Node], None]) -> None:
    claimant, first, second = debate(limits=EARLY)
    claimant.no_objection(second)
    word(claimant, first)
    assert isinstance(claimant.decide(), Wait)


def test_a_round_without_any_answer_does_not_close_early() -> None:
    claimant, _, _ = debate(limits=EARLY, reviewers=())
    assert seconds_until(claimant) == 30


def test_an_answered_question_no_longer_holds_the_round_open() -> None:
    claimant, first, second = debate(limits=EARLY)
    claimant.no_objection(second)
    question(claimant, first)
    asked = claimant.heard[-1].message
    assert isinstance(asked, MetaMessage)
    claimant.say(Answer(plan_digest=claimant.plan_digest), "to nobody in particular")
    assert isinstance(claimant.decide(), Wait)
    claimant.say(Answer(plan_digest=claimant.plan_digest), "as JSON", parent=asked)
    assert isinstance(claimant.decide(), CloseRound)
    assert claimant.state.violations == ()


def test_closing_before_the_window_is_over_is_a_violation() -> None:
    claimant, first, second = debate()
    claimant.no_objection(first)
    claimant.no_objection(second)
    claimant.pass_time(29.9)
    claimant.close()
    assert "before its window is over" in claimant.state.violations[0]


def test_a_restarted_claimant_opens_its_round_again_with_a_full_window() -> None:
    claimant, _, _ = debate()
    claimant.pass_time(25)
    claimant.reopen()
    assert seconds_until(claimant) == 30
    claimant.pass_time(29)
    claimant.close()
    assert "before its window is over" in claimant.state.violations[0]


def test_a_round_that_is_closed_does_not_reopen() -> None:
    claimant, _, _ = debate()
    claimant.pass_time(30)
    claimant.close()
    assert "no open round to reopen" in claimant.reopen().refused


def test_the_claimant_waits_for_countersignatures_and_no_longer_than_it_must() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first)
    claimant.pass_time(30)
    claimant.act()
    assert seconds_until(claimant) == COUNTERSIGN_S
    claimant.countersign(first)
    assert isinstance(claimant.act(), Execute)
    assert claimant.state.violations == ()


def test_executing_before_participants_could_countersign_is_a_violation() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first)
    claimant.pass_time(30)
    claimant.close()
    claimant.pass_time(COUNTERSIGN_S - 0.1)
    claimant.execute()
    assert "countersign" in claimant.state.violations[0]


def test_the_discussion_s_own_time_runs_out_over_planning_listening_and_revising() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(ttl_s=100))
    for _ in range(2):
        claimant.objection(first)
        claimant.pass_time(30)
        claimant.close()
        claimant.pass_time(10)
        claimant.revise()
    claimant.pass_time(20)
    assert isinstance(claimant.decide(), Wait)
    claimant.pass_time(0.1)
    assert isinstance(claimant.act(), Escalate)
    claimant.pass_time(10_000)
    assert claimant.decide() == Wait(None)
    claimant.human("revise", first, "smaller")
    assert claimant.state.deliberated(claimant.now) == 0
    claimant.act()
    assert claimant.state.phase is Phase.LISTENING


def test_executing_long_after_the_discussion_s_time_is_a_violation() -> None:
    claimant, _, _ = debate(limits=DiscussionLimits(ttl_s=40))
    claimant.pass_time(30)
    claimant.close()
    claimant.pass_time(21)
    claimant.execute()
    assert "40 s of deliberation" in claimant.state.violations[0]


def test_an_answer_after_the_round_closed_comes_too_late() -> None:
    claimant, first, _ = debate()
    claimant.pass_time(30)
    claimant.close()
    assert "the round is closed" in claimant.no_objection(first).refused
    assert claimant.hear(first, NoObjection(plan_digest=claimant.plan_digest)).refused
    assert claimant.state.violations == ()
