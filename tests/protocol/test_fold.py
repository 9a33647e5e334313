"""One truth: whoever has the same claimant's log has the same state, in whatever order and how often it came.

Discussions are made at random: a claimant that is honest or cheats, reviewers that answer, flood, lie about plans,
dispute and countersign, humans that decide. The properties hold over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hmmm.discussion import ENDED, Discussion, Phase, Violated, Wait, decide
from hmmm.limits import DiscussionLimits
from hmmm.messages import MetaMessage
from hmmm.meta import (
    Answer,
    ClarificationNeeded,
    DiscussionClosed,
    NoObjection,
    RoundClosed,
    Suggestion,
)
from hmmm.observer import MAX_HELD_BACK, LogObserver
from tests.support.discussions import Claimant, Hive, Node

Move = Callable[[Claimant, Node], object]


def _honest(c: Claimant, _: Node) -> None:
    decision = c.act()
    if isinstance(decision, Wait) and decision.until is not None:
        c.now = decision.until
        c.act()


def _seal_and_close(c: Claimant, _: Node) -> None:
    if c.state.phase is Phase.REPORTING:
        c.seal()
        c.say(DiscussionClosed(outcome="pull_request", pull_request="http://x/1"))


def _with_plan(move: Move) -> Move:
    return lambda c, n: move(c, n) if c.state.plan is not None else None


def heard(c: Claimant) -> MetaMessage | None:
    """The last word of the discussion that another said."""
    words = [s.message for s in c.heard if isinstance(s.message, MetaMessage)]
    return words[-1] if words else None


HONEST: dict[str, Move] = {
    "act": _honest,
    "report": _seal_and_close,
    "reopen": lambda c, _: c.reopen(),
    "no objection": _with_plan(lambda c, n: c.no_objection(n)),
    "objection": _with_plan(lambda c, n: c.objection(n)),
    "advice": _with_plan(lambda c, n: c.objection(n, "advisory")),
    "reviewing": _with_plan(lambda c, n: c.reviewing(n, eta_s=7)),
    "suggestion": _with_plan(lambda c, n: c.hear(n, Suggestion(plan_digest=c.plan_digest))),
    "question": _with_plan(lambda c, n: c.hear(n, ClarificationNeeded(plan_digest=c.plan_digest))),
    "answer": _with_plan(
        lambda c, n: heard(c) and c.hear(n, Answer(plan_digest=c.plan_digest), parent=heard(c))
    ),
    "offer help": lambda c, n: c.offer(n),
    "countersign": lambda c, n: c.countersign(n) if c.plan_and_account else None,
    "dispute": lambda c, n: c.left_out(n) if c.plan_and_account else None,
    "proceed": lambda c, n: c.human("proceed", n),
    "revise": lambda c, n: c.human("revise", n),
    "abandon": lambda c, n: c.human("abandon", n),
    "a little later": lambda c, _: c.pass_time(3),
    "much later": lambda c, _: c.pass_time(40),
}

BYZANTINE: dict[str, Move] = {
    "close early": _with_plan(lambda c, _: c.close()),
    "close and execute": _with_plan(lambda c, _: c.close(next="execute")),
    "lie about the round": _with_plan(
        lambda c, _: c.say(RoundClosed(plan_digest=c.plan_digest, round=1, next="execute", weighed=()))
    ),
    "execute": _with_plan(lambda c, _: c.execute()),
    "finish": _with_plan(lambda c, _: c.finish()),
    "propose": lambda c, _: c.propose(),
    "revise at will": _with_plan(lambda c, _: c.revise()),
    "escalate": lambda c, _: c.escalate(),
    "eject": lambda c, n: c.bite("messages_per_round", n),
    "claim again": lambda c, _: c.claim(),
    "answer oneself": _with_plan(lambda c, _: c.no_objection(c.node)),
    "answer a plan of nobody's": lambda c, n: c.hear(n, NoObjection(plan_digest="6" * 64)),
    "repeat a block": lambda c, _: c.append(c.blocks[-1]),
    "noise": lambda c, _: c.append(b'{"no":"record"}'),
    "garbage": lambda c, _: c.append(b"\xff\x00"),
}

LIMITS = st.builds(
    DiscussionLimits,
    close_early=st.booleans(),
    min_reviewers=st.integers(0, 1),
    rounds=st.integers(1, 2),
    participants=st.integers(1, 3),
    messages_per_round=st.integers(1, 3),
    ttl_s=st.sampled_from([60.0, 900.0]),
    require_human=st.sampled_from(["never", "onObjection", "always"]),
)


def play(moves: dict[str, Move], names: list[tuple[str, int]], limits: DiscussionLimits) -> Claimant:
    """A claimant after its moves; the number says who of the others acts."""
    hive = Hive()
    claimant = Claimant(hive, hive.node("bzzz-0"), limits=limits)
    others = [hive.node(f"bzzz-{n}") for n in range(1, 5)]
    claimant.claim()
    _honest(claimant, others[0])
    for name, who in names:
        moves[name](claimant, others[who])
    return claimant


def moves_of(moves: dict[str, Move]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(sorted(moves)), st.integers(0, 3)), max_size=30)


EVERYTHING = HONEST | BYZANTINE


@given(names=moves_of(EVERYTHING), limits=LIMITS, order=st.data())
def test_any_order_loss_and_repetition_of_blocks_leaves_every_observer_with_the_same_state(
    names: list[tuple[str, int]], limits: DiscussionLimits, order: st.DataObject
) -> None:
    claimant = play(EVERYTHING, names, limits)
    every = range(len(claimant.blocks))
    gossip = order.draw(st.lists(st.sampled_from(every), max_size=2 * len(every)), label="gossip")
    resent = order.draw(st.permutations(every), label="resent")
    observer = claimant.observe([*gossip, *resent])
    assert observer.next_seq == len(claimant.blocks)
    assert observer.discussions == claimant.observer.discussions
    assert observer.first_seq == claimant.observer.first_seq


@given(names=moves_of(EVERYTHING), limits=LIMITS, missing=st.data())
def test_a_lost_block_delays_an_observer_and_never_misleads_it(
    names: list[tuple[str, int]], limits: DiscussionLimits, missing: st.DataObject
) -> None:
    claimant = play(EVERYTHING, names, limits)
    lost = missing.draw(st.integers(0, len(claimant.blocks) - 1))
    observer = claimant.observe(seq for seq in range(len(claimant.blocks)) if seq != lost)
    assert observer.discussions == claimant.observe(range(lost)).discussions
    for seq in range(len(claimant.blocks)):
        observer.add(seq, claimant.blocks[seq])
    assert observer.discussions == claimant.observer.discussions


def history(claimant: Claimant) -> list[Discussion]:
    """The discussion after each block."""
    observer, states = LogObserver(claimant.owner), list[Discussion]()
    for seq, block in enumerate(claimant.blocks):
        observer.add(seq, block)
        states.append(observer.discussions[claimant.issue])
    return states


@given(names=moves_of(EVERYTHING), limits=LIMITS)
def test_a_closed_discussion_never_reopens_and_violations_are_never_forgotten(
    names: list[tuple[str, int]], limits: DiscussionLimits
) -> None:
    states = history(play(EVERYTHING, names, limits))
    for before, after in pairwise(states):
        assert before.phase not in ENDED or after.phase is before.phase
        assert after.violations[: len(before.violations)] == before.violations
        assert before.seen <= after.seen


@given(names=moves_of(EVERYTHING), limits=LIMITS)
def test_nobody_executes_over_an_open_blocking_objection_without_a_human_or_a_violation(
    names: list[tuple[str, int]], limits: DiscussionLimits
) -> None:
    states = history(play(EVERYTHING, names, limits))
    for before, after in pairwise(states):
        started = after.phase is Phase.EXECUTING and before.phase is not Phase.EXECUTING
        if started and before.open_blocking and before.verdict != "proceed":
            assert len(after.violations) > len(before.violations)


@given(names=moves_of(HONEST), limits=LIMITS)
def test_a_claimant_that_does_what_decide_says_breaks_no_rule_whatever_the_others_do(
    names: list[tuple[str, int]], limits: DiscussionLimits
) -> None:
    claimant = play(HONEST, names, limits)
    assert claimant.state.violations == ()
    assert not any(isinstance(e, Violated) for entry in claimant.entries for e in entry.effects)


@given(names=moves_of(EVERYTHING), limits=LIMITS)
def test_no_safeguard_is_exceeded_by_what_is_taken_in(
    names: list[tuple[str, int]], limits: DiscussionLimits
) -> None:
    for state in history(play(EVERYTHING, names, limits)):
        for round_ in range(state.round + 1):
            said = [c.node_id for c in state.said(round_)]
            assert all(said.count(node) <= state.limits.messages_per_round for node in set(said))
        assert len(set(state.participants) - state.ejected) <= max(state.limits.participants, 2)
        assert decide(state, state.opened_at) is not None


def test_an_observer_bounds_what_it_holds_back() -> None:
    claimant = play(HONEST, [], DiscussionLimits())
    observer = LogObserver(claimant.owner)
    for seq in range(2, MAX_HELD_BACK + 50):
        observer.add(seq, b"{}")
    assert observer.next_seq == 0
    for seq in range(2):
        observer.add(seq, claimant.blocks[seq])
    assert observer.next_seq == MAX_HELD_BACK + 2
    assert observer.add(0, b"again") == ()
