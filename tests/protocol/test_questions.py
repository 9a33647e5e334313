"""Questions: they keep a round open until somebody answers, and news makes a new plan (architecture §6.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.discussion import CloseRound, Escalate, Execute, Phase, Revise, Wait
from hmmm.limits import DiscussionLimits
from hmmm.messages import MetaMessage
from hmmm.meta import Answer, AnswerSource, ClarificationNeeded
from tests.support.discussions import Claimant, Node, debate

AWAITS = DiscussionLimits(await_answers=True)


def asks(claimant: Claimant, node: Node, text: str = "Which format?") -> MetaMessage:
    """Have a node ask about the plan; its question."""
    claimant.hear(node, ClarificationNeeded(plan_digest=claimant.plan_digest), text)
    message = claimant.heard[-1].message
    assert isinstance(message, MetaMessage)
    return message


def answers(claimant: Claimant, question: MetaMessage, source: AnswerSource | None = "author") -> None:
    """Have the claimant pass an answer on."""
    given_ = Answer(plan_digest=claimant.plan_digest, source=source, author="ada")
    assert not claimant.say(given_, "CSV.", parent=question).refused


def test_a_question_keeps_the_round_open_until_the_discussions_time_is_over() -> None:
    claimant, first, second = debate(limits=AWAITS)
    asks(claimant, first, "Which output format?")
    claimant.no_objection(second)
    claimant.pass_time(30)
    waits = claimant.decide()
    assert isinstance(waits, Wait)
    assert waits.until is not None
    left = (waits.until - claimant.now).total_seconds()
    assert left == pytest.approx(AWAITS.ttl_s - 30, abs=0.01)
    claimant.pass_time(left)
    assert claimant.decide() == Escalate("no answer within 900 s to: Which output format?")


def test_who_answers_after_a_human_was_asked_is_heard_and_the_round_goes_on_with_the_answer() -> None:
    claimant, first, second = debate(limits=AWAITS)
    question = asks(claimant, first)
    claimant.no_objection(second)
    claimant.pass_time(AWAITS.ttl_s + 1)
    assert isinstance(claimant.decide(), Escalate)
    claimant.escalate("no answer")
    assert claimant.decide() == Wait(None)
    claimant.pass_time(3600)
    answers(claimant, question)
    assert claimant.state.phase is Phase.LISTENING
    assert isinstance(claimant.act(), CloseRound)
    assert [a.text for a in claimant.state.answers] == ["CSV."]
    claimant.pass_time(5)
    assert isinstance(claimant.act(), Revise)
    assert claimant.state.violations == ()


def test_a_human_asked_for_another_reason_is_not_answered_by_an_answer() -> None:
    claimant, first, _ = debate(limits=AWAITS)
    question = asks(claimant, first)
    answers(claimant, question)
    claimant.escalate("cannot agree")
    given_ = Answer(plan_digest=claimant.plan_digest, source="author", author="ada")
    again = claimant.say(given_, "CSV.", parent=question)
    assert "contribution is not possible in Escalated" in again.refused
    assert claimant.state.phase is Phase.ESCALATED


def test_closing_a_round_over_an_open_question_is_a_violation() -> None:
    claimant, first, _ = debate(limits=AWAITS)
    asks(claimant, first)
    claimant.pass_time(60)
    claimant.close()
    assert "before its window is over" in claimant.state.violations[0]


@pytest.mark.parametrize(
    ("source", "next_"), [("author", Revise), ("issue", Execute), ("repository", Execute)]
)
def test_what_the_author_says_makes_a_new_plan_and_what_was_there_to_read_does_not(
    source: AnswerSource, next_: type[Revise] | type[Execute]
) -> None:
    claimant, first, second = debate(limits=AWAITS)
    question = asks(claimant, first)
    claimant.no_objection(second)
    claimant.pass_time(45)
    answers(claimant, question, source)
    assert isinstance(claimant.act(), CloseRound)
    (weighed,) = [w for w in claimant.state.rounds[-1].weighed if w.msg_id == question.msg_id]
    assert weighed.decision == "answered"
    claimant.pass_time(5)
    assert isinstance(claimant.act(), next_)
    assert claimant.state.violations == ()


def test_a_peer_may_answer_and_its_word_is_news() -> None:
    claimant, first, second = debate(limits=AWAITS)
    question = asks(claimant, first)
    claimant.hear(second, Answer(plan_digest=claimant.plan_digest), "CSV, see the docs", parent=question)
    claimant.pass_time(30)
    claimant.act()
    assert isinstance(claimant.decide(), Revise)
    assert [a.text for a in claimant.state.answers] == ["CSV, see the docs"]


def test_news_in_the_last_round_is_for_a_human_to_weigh() -> None:
    claimant, first, _ = debate(limits=AWAITS.model_copy(update={"rounds": 1}))
    answers(claimant, asks(claimant, first))
    claimant.pass_time(30)
    claimant.act()
    assert isinstance(claimant.decide(), Escalate)


def test_news_is_news_in_its_own_round_only() -> None:
    claimant, first, _ = debate(limits=AWAITS)
    answers(claimant, asks(claimant, first))
    claimant.pass_time(30)
    claimant.act()
    claimant.revise()
    claimant.no_objection(first)
    claimant.pass_time(30)
    claimant.act()
    claimant.pass_time(5)
    assert isinstance(claimant.act(), Execute)
    assert claimant.state.phase is Phase.EXECUTING
    assert claimant.state.violations == ()


def test_a_discussion_of_older_claimants_goes_on_over_a_question_as_it_did() -> None:
    claimant, first, _ = debate()
    answers(claimant, asks(claimant, first))
    asks(claimant, first, "and which one then?")
    claimant.pass_time(30)
    assert isinstance(claimant.act(), CloseRound)
    claimant.pass_time(5)
    assert isinstance(claimant.act(), Execute)
    assert claimant.state.violations == ()


def test_an_answer_to_what_is_no_question_is_in_nobodys_way() -> None:
    claimant, first, _ = debate(limits=AWAITS)
    claimant.no_objection(first)
    said = claimant.heard[-1].message
    assert isinstance(said, MetaMessage)
    answers(claimant, said)
    assert claimant.state.answers == ()
    claimant.pass_time(30)
    claimant.act()
    claimant.pass_time(5)
    assert isinstance(claimant.act(), Execute)


@given(st.lists(st.sampled_from(["ask", "author", "issue", "peer", "wait"]), max_size=12))
def test_whatever_is_asked_and_answered_an_honest_claimant_breaks_no_rule_and_everyone_agrees(
    doings: list[str],
) -> None:
    claimant, first, second = debate(limits=AWAITS)
    open_: list[MetaMessage] = []
    for doing in doings:
        if claimant.state.phase is not Phase.LISTENING or claimant.state.closing is not None:
            claimant.act()
        elif doing == "ask":
            before = len(claimant.state.contributions)
            question = asks(claimant, first)
            open_ += [question] if len(claimant.state.contributions) > before else []
        elif doing == "wait":
            claimant.pass_time(40)
            claimant.act()
        elif open_ and doing == "peer":
            claimant.hear(second, Answer(), "so", parent=open_.pop())
        elif open_:
            source: AnswerSource = "author" if doing == "author" else "issue"
            claimant.say(Answer(source=source), "so", parent=open_.pop())
    assert claimant.state.violations == ()
    assert claimant.observe(range(len(claimant.blocks))).discussions == claimant.observer.discussions
