"""Objections, the account of a round, disputes, and what a human's word changes (architecture §6.3, §6.4, §11)."""

from __future__ import annotations

import pytest

from hmmm.discussion import Escalate, Execute, GiveUp, Phase, Revise, Spoken, Wait, account_for, faults_of
from hmmm.limits import DiscussionLimits
from hmmm.messages import MetaMessage
from hmmm.meta import ClarificationNeeded, ExecutionStarted, HumanVerdict, NoObjection, Suggestion, Verdict
from hmmm.plan import Plan
from hmmm.verdict import SignedVerdict, sign_verdict
from tests.support.discussions import START, Claimant, Hive, Node, agreed, debate


def second_round(**claimant: object) -> tuple[Claimant, Node, Node]:
    """A claimant with a revised plan on the table, to which the first reviewer had objected."""
    chair, first, second = debate(**claimant)
    chair.objection(first)
    chair.pass_time(30)
    chair.close()
    chair.revise()
    return chair, first, second


def status_of(claimant: Claimant) -> str:
    claimant.pass_time(60)
    claimant.close()
    return claimant.state.objections[0].status


def test_nobody_executes_over_an_open_blocking_objection_unseen() -> None:
    claimant, first, _ = debate()
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close(next="execute")
    claimant.pass_time(5)
    claimant.execute()
    assert any("goes on to execute, expected revise" in v for v in claimant.state.violations)
    assert any("without an agreed plan" in v for v in claimant.state.violations)


def test_an_account_that_leaves_an_objection_out_is_a_violation_naming_it() -> None:
    claimant, first, _ = debate()
    claimant.objection(first)
    left_out = claimant.state.objections[0]
    claimant.pass_time(30)
    claimant.close(weighed=(), next="execute", silent=("bzzz-1", "bzzz-2"))
    assert any(f"leaves out objection {left_out.msg_id} by bzzz-1" in v for v in claimant.state.violations)
    assert claimant.state.open_blocking == (left_out,)


def test_an_account_cannot_call_an_open_objection_met() -> None:
    claimant, first, _ = debate()
    claimant.objection(first)
    claimant.pass_time(30)
    account = account_for(claimant.state)
    lie = tuple(w.model_copy(update={"decision": "met"}) for w in account.weighed)
    claimant.close(weighed=lie)
    assert "says met of objection" in claimant.state.violations[0]


def test_an_account_cannot_list_what_was_not_said_or_call_a_speaker_silent() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first)
    claimant.pass_time(30)
    account = account_for(claimant.state)
    invented = account.weighed[0].model_copy(update={"digest": "9" * 64, "msg_id": "invented"})
    claimant.close(weighed=(*account.weighed, invented), silent=("bzzz-1", "bzzz-2"))
    assert any("lists invented" in v for v in claimant.state.violations)
    assert any("as silent" in v for v in claimant.state.violations)


def test_an_advisory_objection_is_noted_and_does_not_block() -> None:
    claimant, first, _ = debate()
    claimant.objection(first, "advisory")
    claimant.pass_time(30)
    claimant.close()
    assert claimant.state.objections[0].status == "noted"
    claimant.countersign(first)
    assert isinstance(claimant.decide(), Execute)


def test_an_objection_stays_open_when_its_author_says_nothing_of_the_new_plan() -> None:
    claimant, _, second = second_round()
    claimant.no_objection(second)
    assert status_of(claimant) == "open"
    assert isinstance(claimant.decide(), Revise)


def test_an_objection_lapses_when_its_author_saw_the_new_plan_and_stayed_silent() -> None:
    claimant, first, _ = second_round()
    claimant.reviewing(first)
    assert status_of(claimant) == "lapsed"


def test_an_objection_is_met_when_its_author_accepts_the_new_plan() -> None:
    claimant, first, _ = second_round()
    claimant.no_objection(first)
    assert status_of(claimant) == "met"


def test_a_suggestion_instead_of_an_objection_meets_it() -> None:
    claimant, first, _ = second_round()
    claimant.hear(first, Suggestion(plan_digest=claimant.plan_digest), "shorter")
    assert status_of(claimant) == "met"


@pytest.mark.parametrize(
    ("objects", "reason"), [(False, "not taken up: "), (True, "the next plan is made with it")]
)
def test_the_account_says_what_became_of_a_suggestion(objects: bool, reason: str) -> None:
    claimant, first, second = debate()
    claimant.hear(first, Suggestion(plan_digest=claimant.plan_digest), "shorter")
    if objects:
        claimant.objection(second)
    claimant.pass_time(30)
    (weighed,) = [w for w in account_for(claimant.state).weighed if w.query_type == "suggestion"]
    assert weighed.decision == "noted"
    assert weighed.reason.startswith(reason)


def test_an_unanswered_question_is_no_acceptance() -> None:
    claimant, first, _ = second_round()
    claimant.hear(first, ClarificationNeeded(plan_digest=claimant.plan_digest), "and y?")
    assert status_of(claimant) == "open"


def test_an_objection_that_its_author_repeats_blocks_the_new_plan() -> None:
    claimant, first, _ = second_round()
    claimant.objection(first, reason="still breaks y")
    assert status_of(claimant) == "restated"
    assert [o.reason for o in claimant.state.open_blocking] == ["still breaks y"]


def test_somebody_else_s_objection_with_the_same_id_takes_nobody_s_place() -> None:
    claimant, first, second = debate()
    claimant.objection(first, msg_id="same")
    claimant.objection(second, "advisory", msg_id="same")
    claimant.pass_time(30)
    account = account_for(claimant.state)
    assert len({w.digest for w in account.weighed}) == 2
    assert account.next == "revise"


def test_an_author_s_second_message_under_one_id_is_not_taken_in() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first, msg_id="same")
    assert "used this id before" in claimant.objection(first, msg_id="same").refused


def test_rounds_exhausted_asks_a_human() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(rounds=2))
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close()
    claimant.revise()
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close()
    assert claimant.decide() == Escalate("1 blocking after 2 of 2 rounds")
    assert claimant.state.violations == ()


def test_a_round_beyond_the_limit_that_no_human_asked_for_is_a_violation() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(rounds=1))
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close(next="revise")
    claimant.revise()
    assert "which no human asked for" in claimant.state.violations[0]


def test_a_human_may_grant_a_round_beyond_the_limit() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(rounds=1))
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.act()
    claimant.act()
    assert claimant.state.phase is Phase.ESCALATED
    claimant.human("revise", first, "leave y alone")
    decision = claimant.act()
    assert isinstance(decision, Revise)
    assert decision.verdict_text == "leave y alone"
    claimant.no_objection(first)
    agreed(claimant, first)
    assert claimant.state.phase is Phase.REPORTING
    assert claimant.state.violations == ()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (DiscussionLimits(min_reviewers=1), "expected at least 1 reviewers, 0 answered"),
        (DiscussionLimits(require_human="always"), "a human's approval of every plan"),
    ],
)
def test_a_silent_round_asks_a_human_where_the_manifest_wants_one(
    limits: DiscussionLimits, reason: str
) -> None:
    claimant, first, _ = debate(limits=limits)
    claimant.pass_time(30)
    claimant.act()
    decision = claimant.act()
    assert isinstance(decision, Escalate)
    assert reason in decision.reason
    claimant.human("proceed", first)
    assert isinstance(claimant.act(), Execute)
    assert claimant.state.violations == ()


def test_enough_reviewers_need_no_human() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(min_reviewers=1))
    claimant.no_objection(first)
    claimant.pass_time(30)
    claimant.act()
    claimant.countersign(first)
    assert isinstance(claimant.decide(), Execute)


def test_a_human_is_asked_after_an_objection_only_where_the_manifest_says_so() -> None:
    claimant, first, _ = debate(limits=DiscussionLimits(require_human="onObjection"))
    claimant.objection(first, "advisory")
    claimant.pass_time(30)
    claimant.act()
    assert isinstance(claimant.decide(), Escalate)
    quiet, _, _ = debate(limits=DiscussionLimits(require_human="onObjection"))
    quiet.pass_time(30)
    quiet.act()
    assert isinstance(quiet.decide(), Execute)


def test_executing_without_the_human_that_the_manifest_asks_for_is_a_violation() -> None:
    claimant, _, _ = debate(limits=DiscussionLimits(require_human="always"))
    claimant.pass_time(30)
    claimant.close(next="execute")
    assert "expected escalate" in claimant.state.violations[0]


@pytest.mark.parametrize("phase", ["Listening", "Revising", "Executing"])
def test_a_participant_whose_message_was_left_out_brings_in_a_human(phase: str) -> None:
    claimant, first, second = debate()
    if phase == "Revising":
        claimant.objection(second)
    claimant.pass_time(30)
    claimant.close()
    if phase == "Executing":
        claimant.pass_time(5)
        claimant.execute()
    assert claimant.state.phase == phase
    assert claimant.left_out(first).refused == ""
    decision = claimant.act()
    assert isinstance(decision, Escalate)
    assert "disputed" in decision.reason
    verdict = "revise" if phase == "Revising" else "proceed"
    claimant.human(verdict, first)
    assert isinstance(claimant.act(), Revise | Execute)
    assert not isinstance(claimant.decide(), Escalate)
    assert claimant.state.violations == ()


def test_executing_a_disputed_account_is_a_violation() -> None:
    claimant, first, _ = debate()
    claimant.pass_time(30)
    claimant.close()
    claimant.left_out(first)
    claimant.pass_time(5)
    claimant.execute()
    assert "without an agreed plan" in claimant.state.violations[0]


def test_only_who_spoke_in_the_round_countersigns_and_only_once() -> None:
    claimant, first, second = debate()
    claimant.no_objection(first)
    claimant.pass_time(30)
    claimant.close()
    assert "said nothing" in claimant.countersign(second).refused
    assert claimant.countersign(first).refused == ""
    assert "signed before" in claimant.countersign(first).refused
    assert claimant.state.rounds[0].countersigned == {"bzzz-1"}


def test_a_claimant_cannot_answer_its_own_plan() -> None:
    claimant, _, _ = debate()
    entry = claimant.hear(claimant.node, NoObjection(plan_digest=claimant.plan_digest))
    assert "answers itself" in entry.refused
    assert claimant.state.violations != ()


def test_an_answer_to_a_plan_that_was_never_proposed_is_a_violation_naming_the_message() -> None:
    claimant, first, _ = debate()
    claimant.hear(first, NoObjection(plan_digest="7" * 64), msg_id="stray")
    assert "stray" in claimant.state.violations[0]


def test_an_answer_to_an_earlier_plan_is_late_and_no_violation() -> None:
    claimant, first, second = debate()
    digest = claimant.plan_digest
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close()
    claimant.revise()
    assert claimant.hear(second, NoObjection(plan_digest=digest)).refused
    assert claimant.state.violations == ()


def escalated() -> tuple[Claimant, Node]:
    claimant, first, _ = debate()
    claimant.objection(first)
    claimant.escalate()
    return claimant, first


def test_a_human_s_proceed_overrules_an_objection_and_breaks_no_rule() -> None:
    claimant, first = escalated()
    assert claimant.decide() == Wait(None)
    claimant.human("proceed", first)
    assert isinstance(claimant.act(), Execute)
    claimant.finish()
    assert claimant.state.violations == ()


def test_a_human_s_abandon_gives_the_issue_up() -> None:
    claimant, first = escalated()
    claimant.human("abandon", first)
    assert isinstance(claimant.decide(), GiveUp)


def test_executing_against_a_human_s_abandon_is_a_violation() -> None:
    claimant, first = escalated()
    claimant.human("abandon", first)
    claimant.execute()
    assert "a human said abandon" in claimant.state.violations[0]


def test_a_verdict_answers_one_escalation_and_not_the_next() -> None:
    claimant, first = escalated()
    claimant.human("proceed", first)
    claimant.act()
    claimant.escalate("stuck while executing")
    assert claimant.decide() == Wait(None)
    claimant.say(ExecutionStarted(plan_digest=claimant.plan_digest))
    assert "a human said nothing" in claimant.state.violations[0]


def test_the_same_verdict_in_another_envelope_is_not_obeyed_twice() -> None:
    claimant, first = escalated()
    claimant.human("proceed", first, verdict_id="v1", decided_at=claimant.now)
    claimant.act()
    claimant.escalate("again")
    repeated = claimant.human("proceed", first, verdict_id="v1", decided_at=claimant.now)
    assert "obeyed before" in repeated.refused
    assert claimant.decide() == Wait(None)


def test_an_execution_that_failed_starts_afresh_when_a_human_says_proceed() -> None:
    claimant, first, _ = debate()
    claimant.pass_time(30)
    claimant.act()
    claimant.act()
    claimant.finish(ok=False, reason="the tool crashed", head_sha=None, patch_digest=None)
    assert claimant.decide() == GiveUp("the tool crashed")
    claimant.escalate("the tool crashed")
    claimant.human("proceed", first)
    assert isinstance(claimant.act(), Execute)
    assert isinstance(claimant.decide(), Execute)


@pytest.mark.parametrize("verdict", ["proceed", "revise"])
def test_a_human_s_word_without_a_plan_to_apply_it_to_gives_up(verdict: Verdict) -> None:
    hive = Hive()
    claimant = Claimant(hive, hive.node("bzzz-0"))
    claimant.claim()
    claimant.escalate("no idea")
    claimant.human(verdict, hive.node("bzzz-1"))
    assert isinstance(claimant.decide(), GiveUp)


def test_a_seal_over_another_plan_or_commit_is_a_violation() -> None:
    claimant, first, _ = debate()
    claimant.no_objection(first)
    agreed(claimant, first)
    claimant.seal(plan_digest="1" * 64, head_sha="2" * 40)
    assert len(claimant.state.violations) == 2


def test_a_revision_must_supersede_the_plan_and_name_the_next_round() -> None:
    claimant, first, _ = debate()
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close()
    claimant.revise(supersedes="other", round=7)
    assert len(claimant.state.violations) == 2


def test_a_second_history_breaks_the_claimant_s_chain() -> None:
    claimant, first, _ = debate()
    claimant.objection(first)
    claimant.pass_time(30)
    forked = claimant.compose(account_for(claimant.state), previous="3" * 64)
    assert "expected log_seq" in claimant.log_own(forked).refused
    assert claimant.state.violations != ()


def test_an_escalation_about_another_issue_moves_nothing() -> None:
    claimant, _, _ = debate()
    claimant.escalate(issue_id=99)
    assert claimant.state.phase is Phase.LISTENING
    assert claimant.state.violations != ()


def test_a_claimant_can_ask_what_its_word_would_break_before_it_is_logged() -> None:
    claimant, first, second = debate()
    claimant.no_objection(first)
    claimant.pass_time(30)
    account = claimant.compose(account_for(claimant.state))
    assert isinstance(account.message, MetaMessage)
    event = Spoken(account.digest, account.message, "claimant")
    assert faults_of(claimant.state, event, claimant.now) == ()
    assert "before its window" in faults_of(claimant.state, event, START)[0]
    claimant.objection(second)
    broken = faults_of(claimant.state, event, claimant.now)
    assert any("leaves out objection" in fault for fault in broken)
    claimant.close()
    assert "is not possible in Revising" in faults_of(claimant.state, event, claimant.now)[0]
    assert claimant.state.violations == ()


def test_a_plan_keeps_out_of_git_s_own_folder_wherever_it_lies() -> None:
    for path in (".git/config", "vendor/.GIT/hooks/x", "../x", "/etc/passwd", "a//b", "a\\b"):
        with pytest.raises(ValueError, match="expected a path"):
            Plan(summary="x", footprint=(path,))


def test_a_relay_cannot_put_words_into_a_humans_mouth() -> None:
    chair, _, second = second_round()
    chair.escalate()
    signed = sign_verdict(
        SignedVerdict(
            verdict_id="v-1", issue=chair.issue, verdict="revise", text="only x.py", decided_at=chair.now
        ),
        chair.hive.key,
    )
    relayed = HumanVerdict(verdict="revise", signed=signed.decode())
    chair.hear(second, relayed, "rewrite everything", parent=None)
    assert (chair.state.verdict, chair.state.verdict_text) == ("revise", "only x.py")
