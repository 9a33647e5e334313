"""Help for a stuck claimant: asking, choosing, talking, trying, and the ends that it can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.discussion import (
    AskForHelp,
    ChooseHelper,
    CloseTalk,
    Escalate,
    Execute,
    GiveUp,
    HelpPhase,
    Offer,
    Phase,
    TrySuggestion,
    Wait,
    best_offer,
)
from hmmm.evidence import verify_evidence
from hmmm.limits import DiscussionLimits, HelpLimits
from hmmm.meta import HelpSuggestion
from hmmm.transcript import transcript_view
from tests.support.discussions import DIFF, START, Claimant, Node, debate, evidence_of

PATCH = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"


def limits_of(**help_: Any) -> DiscussionLimits:
    return DiscussionLimits(help=HelpLimits(**{"requests": 2, "ttl_s": 100} | help_))


LIMITS = limits_of()


def stuck(limits: DiscussionLimits = LIMITS) -> tuple[Claimant, list[Node]]:
    """A claimant whose work failed, and three peers."""
    claimant, first, second = debate(limits=limits)
    claimant.get_stuck()
    return claimant, [first, second, claimant.hive.node("bzzz-3")]


def asking(*wants: str, limits: DiscussionLimits = LIMITS) -> tuple[Claimant, list[Node]]:
    """A claimant that has asked all three of them."""
    claimant, peers = stuck(limits)
    claimant.ask_for_help(*wants, asked=[peer.node_id for peer in peers])
    return claimant, peers


def talking(limits: DiscussionLimits = LIMITS) -> tuple[Claimant, list[Node]]:
    """A claimant that has chosen the first of them, whom the others would follow in order."""
    claimant, peers = asking(limits=limits)
    for eta, peer in enumerate(peers):
        claimant.offer(peer, eta=10 + eta)
    claimant.act()
    assert claimant.help.helper == "bzzz-1"
    return claimant, peers


def trying(limits: DiscussionLimits = LIMITS) -> tuple[Claimant, list[Node]]:
    """A claimant that tries what the first of them suggested."""
    claimant, peers = talking(limits)
    assert claimant.suggest(peers[0], "catch the error", PATCH).refused == ""
    return claimant, peers


def wait_out(claimant: Claimant) -> None:
    """Wait for as long as there is nothing to do."""
    decision = claimant.decide()
    assert isinstance(decision, Wait)
    assert decision.until is not None
    claimant.now = decision.until


# --- asking


def test_a_claimant_whose_work_failed_asks_for_help() -> None:
    claimant, _ = stuck()
    assert claimant.decide() == AskForHelp()
    assert claimant.ask_for_help("lang:python").refused == ""
    assert claimant.help.phase is HelpPhase.ASKING
    assert claimant.state.phase is Phase.EXECUTING
    assert claimant.state.violations == ()


@pytest.mark.parametrize(
    "limits",
    [DiscussionLimits(), limits_of(requests=0), LIMITS.model_copy(update={"hops": 1})],
    ids=["recorded before there was help", "no request allowed", "no hop left for a reply"],
)
def test_where_no_help_may_be_asked_for_a_failure_ends_the_work(limits: DiscussionLimits) -> None:
    claimant, _ = stuck(limits)
    assert claimant.decide() == GiveUp("the tests fail")


def test_limits_that_say_nothing_of_help_allow_none() -> None:
    assert DiscussionLimits.from_object({"window_s": 30}, what="limits").help.requests == 0


# --- choosing


def test_once_all_who_were_asked_have_answered_the_best_is_chosen_at_once() -> None:
    claimant, (first, second, third) = asking("lang:rust")
    claimant.offer(first, "lang:python", eta=1)
    claimant.offer(second, can_help=False, reason="busy")
    assert claimant.decide() == Wait(claimant.help.at + timedelta(seconds=3))
    claimant.offer(third, "LANG:Rust", eta=60)
    decision = claimant.decide()
    assert isinstance(decision, ChooseHelper)
    assert decision.offer.node_id == "bzzz-3", "capability comes before speed"


def test_whoever_does_not_answer_is_waited_for_until_the_window_is_over() -> None:
    claimant, (first, *_) = asking()
    claimant.offer(first)
    assert isinstance(claimant.decide(), Wait)
    claimant.pass_time(2.9)
    assert isinstance(claimant.decide(), Wait)
    claimant.pass_time(0.1)
    assert isinstance(claimant.decide(), ChooseHelper)


@given(etas=st.lists(st.sampled_from([1.0, 5.0]), min_size=3, max_size=3), able=st.sets(st.integers(0, 2)))
def test_the_choice_does_not_depend_on_who_answered_first(etas: list[float], able: set[int]) -> None:
    claimant, _ = asking("tool:ruff")
    offers = [
        Offer(f"bzzz-{n}", "m", True, ("tool:ruff",) if n in able else (), etas[n], "", START)
        for n in range(3)
    ]
    chosen = {
        best.node_id if (best := best_offer(replace(claimant.help, offers=order), claimant.issue)) else None
        for order in permutations(offers)
    }
    assert len(chosen) == 1
    (name,) = chosen
    assert not able or name in {f"bzzz-{n}" for n in able}


def test_where_nobody_can_help_a_human_is_asked_at_once() -> None:
    claimant, peers = asking()
    for peer in peers:
        claimant.offer(peer, can_help=False)
    assert claimant.decide() == Escalate("nobody can help; what failed: the tests fail")
    claimant.act()
    assert claimant.state.phase is Phase.ESCALATED
    assert claimant.state.helps[0].phase is HelpPhase.UNHELPED


def test_where_nobody_answers_a_human_is_asked_when_the_time_is_over() -> None:
    claimant, _ = asking()
    claimant.pass_time(100)
    assert isinstance(claimant.decide(), Wait)
    wait_out(claimant)
    assert claimant.decide() == Escalate("no help within 100 s; what failed: the tests fail")


# --- talking


def test_a_suggestion_that_works_is_named_by_the_result_and_by_the_evidence() -> None:
    claimant, _ = trying()
    decision = claimant.decide()
    assert isinstance(decision, TrySuggestion)
    assert (decision.suggested.text, decision.suggested.patch) == ("catch the error", PATCH)
    claimant.finish(suggestion=decision.suggested.msg_id)
    (help_,) = claimant.state.helps
    assert (claimant.state.phase, help_.phase, help_.helper) == (
        Phase.REPORTING,
        HelpPhase.HELPED,
        "bzzz-1",
    )
    claimant.seal()
    sealed = evidence_of(claimant)
    links = verify_evidence(sealed.bundle, sealed.pull_request, claimant.hive.key.public, DIFF)
    assert all(link.ok for link in links), links[-1]
    assert "helped by bzzz-1" in next(link.detail for link in links if link.name == "discussion")
    body = sealed.pull_request["body"]
    assert "**bzzz-1** suggested: catch the error and a patch; **it worked**" in body
    (told,) = transcript_view(claimant.entries, claimant.state)["helps"]
    assert (told["phase"], told["helper"]) == ("Helped", "bzzz-1")
    assert told["talks"][0]["suggestions"][0]["outcome"] == "helped"


def test_a_helper_may_say_a_second_thing_and_then_the_hops_are_used_up() -> None:
    claimant, (first, second, _) = trying()
    assert claimant.tried("2 failed").refused == ""
    assert claimant.suggest(first, "then try that").refused == ""
    claimant.act()
    assert claimant.state.helps[0].talks[0].outcome == "not_helped"
    assert [s.outcome for s in claimant.help.talks[0].suggestions] == ["failed", "failed"]
    claimant.act()
    assert claimant.help.helper == second.node_id
    assert claimant.state.violations == ()


def test_a_silent_helper_is_replaced_by_the_next_and_not_heard_any_more() -> None:
    claimant, (first, second, _) = talking()
    claimant.pass_time(19.9)
    assert isinstance(claimant.decide(), Wait)
    wait_out(claimant)
    assert claimant.decide() == CloseTalk("bzzz-1", "silent", "no suggestion within 20 s")
    claimant.act()
    claimant.act()
    assert claimant.help.helper == second.node_id
    assert "not the helper" in claimant.suggest(first, "late").refused
    assert claimant.suggest(second, "in time").refused == ""
    assert claimant.state.violations == ()


def test_a_helper_that_withdraws_is_replaced_at_once() -> None:
    claimant, (first, second, _) = talking()
    claimant.offer(first, can_help=False, reason="my model is away")
    assert claimant.decide() == CloseTalk("bzzz-1", "withdrew", "my model is away")
    claimant.act()
    claimant.act()
    assert claimant.help.helper == second.node_id


def test_three_helpers_are_enough() -> None:
    claimant, peers = asking(limits=limits_of(helpers=2))
    for peer in peers:
        claimant.offer(peer)
    for _ in range(2):
        claimant.act()
        wait_out(claimant)
        claimant.act()
    assert claimant.decide() == Escalate("2 could not help; what failed: the tests fail")


def test_the_time_that_a_try_takes_is_not_counted() -> None:
    claimant, (first, *_) = trying()
    claimant.pass_time(1000)
    assert isinstance(claimant.decide(), TrySuggestion)
    claimant.tried()
    assert claimant.suggest(first).refused == ""


def test_a_second_request_is_a_human_s_second_chance_and_there_is_no_third() -> None:
    claimant, _ = asking()
    relay = claimant.hive.node("scribe", role="scribe")
    for requests in (1, 2):
        if requests == 1:
            wait_out(claimant)
        claimant.act()
        assert claimant.state.phase is Phase.ESCALATED
        claimant.human("revise", relay)
        claimant.revise()
        claimant.get_stuck(f"again {requests}")
        if requests == 1:
            claimant.act()
    assert claimant.decide() == Escalate("help was asked for 2 times; what failed: again 2")
    assert claimant.state.violations == ()


def test_a_human_who_says_proceed_is_not_asked_again() -> None:
    claimant, _ = asking()
    wait_out(claimant)
    claimant.act()
    claimant.human("proceed", claimant.hive.node("scribe", role="scribe"))
    assert claimant.decide() == Execute()
    claimant.execute()
    claimant.fail("still")
    assert claimant.decide() == GiveUp("still")
    assert claimant.state.violations == ()


def test_after_a_restart_whoever_is_waited_for_has_the_full_time_again() -> None:
    claimant, (first, *_) = talking()
    claimant.pass_time(500)
    assert claimant.reopen_help().refused == ""
    assert isinstance(claimant.decide(), Wait)
    assert claimant.suggest(first).refused == ""
    assert "nobody is waited for" in claimant.reopen_help().refused
    assert claimant.state.violations == ()


# --- who may say what


def test_only_the_chosen_helper_speaks_and_only_when_asked() -> None:
    claimant, (first, second, _) = talking()
    assert "not the helper" in claimant.suggest(second).refused
    assert claimant.suggest(first).refused == ""
    assert "was not asked again" in claimant.suggest(first).refused
    claimant.tried()
    assert "was not asked again" in claimant.suggest(first, parent=claimant.sent[0].message).refused
    assert claimant.suggest(first).refused == ""
    assert claimant.state.violations == ()


def test_a_helper_takes_nobody_s_slot() -> None:
    limits = LIMITS.model_copy(update={"participants": 2, "messages_per_round": 2})
    claimant, _ = trying(limits)
    assert claimant.state.participants == ()
    assert claimant.state.contributions == ()


def test_answers_count_once_for_the_open_request_only() -> None:
    claimant, (first, *_) = asking()
    assert claimant.offer(first, request_id="another").refused != ""
    assert claimant.offer(first).refused == ""
    assert "has answered" in claimant.offer(first, eta=1).refused
    assert claimant.offer(first, can_help=False).refused == ""
    assert claimant.offer(first, can_help=True).refused == ""
    assert "has answered" in claimant.offer(first, can_help=False).refused
    scribe = claimant.hive.node("scribe", role="scribe")
    assert "has no voice" in claimant.offer(scribe).refused
    assert claimant.state.violations == ()
    assert "answers itself" in claimant.offer(claimant.node).refused
    assert len(claimant.state.violations) == 1


def test_no_more_than_thirty_two_are_listened_to() -> None:
    claimant, _ = asking()
    crowd = [claimant.hive.node(f"crowd-{n}") for n in range(33)]
    assert [claimant.offer(node).refused for node in crowd[:32]] == [""] * 32
    assert "32 have answered" in claimant.offer(crowd[32]).refused


def test_help_on_a_plan_that_nobody_proposed_is_held_against_the_claimant() -> None:
    claimant, (first, *_) = talking()
    other = HelpSuggestion(plan_digest="6" * 64, request_id=claimant.help.msg_id)
    words = claimant.word_of(first, other, parent=claimant.sent[-1].message)
    assert claimant.hear_signed(words, first).refused != ""
    assert "answers plan 666666666666" in claimant.state.violations[0]


# --- what a claimant cannot do unseen


def asks_though_nothing_failed() -> Claimant:
    claimant, _, _ = debate(limits=LIMITS)
    claimant.pass_time(30)
    claimant.close()
    claimant.pass_time(5)
    claimant.execute()
    claimant.ask_for_help()
    return claimant


def chooses_before_the_window_is_over() -> Claimant:
    claimant, (first, *_) = asking()
    claimant.offer(first)
    claimant.choose(first)
    return claimant


def chooses_whom_it_likes() -> Claimant:
    claimant, peers = asking()
    for eta, peer in enumerate(peers):
        claimant.offer(peer, eta=eta)
    claimant.choose(peers[2])
    return claimant


def calls_a_helper_silent_too_soon() -> Claimant:
    claimant, _ = talking()
    claimant.close_talk("silent")
    return claimant


def says_that_a_helper_withdrew() -> Claimant:
    claimant, _ = talking()
    claimant.close_talk("withdrew")
    return claimant


def finishes_with_a_suggestion_of_nobody_s() -> Claimant:
    claimant, _ = talking()
    claimant.finish(suggestion="mine")
    return claimant


def hides_whose_suggestion_it_was() -> Claimant:
    claimant, _ = trying()
    claimant.finish()
    return claimant


def starts_again_amid_the_talk() -> Claimant:
    claimant, _ = talking()
    claimant.execute()
    return claimant


def asks_once_more_than_allowed() -> Claimant:
    claimant, _ = asking(limits=limits_of(requests=1))
    wait_out(claimant)
    claimant.act()
    claimant.human("revise", claimant.hive.node("scribe", role="scribe"))
    claimant.revise()
    claimant.get_stuck()
    claimant.ask_for_help()
    return claimant


def asks_about_another_plan() -> Claimant:
    claimant, _ = stuck()
    claimant.ask_for_help(plan_digest="6" * 64)
    return claimant


@pytest.mark.parametrize(
    ("cheat", "words"),
    [
        (asks_though_nothing_failed, "nothing failed"),
        (chooses_before_the_window_is_over, "chooses before 3 s"),
        (chooses_whom_it_likes, "chooses bzzz-3, expected bzzz-1"),
        (calls_a_helper_silent_too_soon, "is silent before 20 s are over"),
        (says_that_a_helper_withdrew, "which it did not"),
        (finishes_with_a_suggestion_of_nobody_s, "with suggestion mine, expected None"),
        (hides_whose_suggestion_it_was, "with suggestion None, expected m-bzzz"),
        (starts_again_amid_the_talk, "is talked about"),
        (asks_once_more_than_allowed, "1 times, limit 1"),
        (asks_about_another_plan, "another plan"),
    ],
)
def test_a_claimant_that_cheats_at_help_is_found_out(cheat: Callable[[], Claimant], words: str) -> None:
    violations = cheat().state.violations
    assert len(violations) == 1
    assert words in violations[0]
