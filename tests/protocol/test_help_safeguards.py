"""Help under fire: whatever helpers and claimants do, no bound is exceeded and all observers agree.

As in `test_fold`, but every discussion begins where it hurts: the agreed plan was executed and failed, and help was
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import event, given
from hypothesis import strategies as st

from hmmm.discussion import Discussion, Talk, TrySuggestion, Wait
from hmmm.discussion.help import MAX_ANSWERS, MAX_WORDS
from hmmm.limits import DiscussionLimits, HelpLimits
from hmmm.observer import LogObserver
from tests.support.discussions import Claimant, Hive, Node, debate

Move = Callable[[Claimant, Node], object]


def _act(c: Claimant, _: Node) -> None:
    decision = c.act()
    if isinstance(decision, Wait) and decision.until is not None:
        c.now = decision.until
        c.act()


def _work(c: Claimant, _: Node) -> None:
    """Finish, with the suggestion that is being tried where one is."""
    tried = _being_tried(c)
    if tried is not None:
        c.finish(suggestion=tried)


def _revise(c: Claimant, n: Node) -> None:
    """A human asks for another plan, which fails as well."""
    if c.state.phase == "Escalated":
        c.human("revise", n)
        c.revise()
        c.get_stuck()


def _being_tried(c: Claimant) -> str | None:
    talk = _talk(c)
    return None if talk is None or talk.untried is None else talk.untried.msg_id


def _talk(c: Claimant) -> Talk | None:
    return None if c.state.help is None else c.state.help.talk


def _in_help(move: Move) -> Move:
    return lambda c, n: move(c, n) if c.state.help is not None else None


MEMBERS: dict[str, Move] = {
    "act": _act,
    "act on": lambda c, n: [_act(c, n) for _ in range(4)],
    "work": _work,
    "be sent back": _revise,
    "offer": lambda c, n: c.offer(n, eta=len(n.node_id)),
    "offer soon": lambda c, n: c.offer(n, "tool:ruff", eta=1),
    "refuse": lambda c, n: c.offer(n, can_help=False),
    "suggest": _in_help(lambda c, n: c.suggest(n)),
    "suggest again": _in_help(lambda c, n: c.suggest(n)),
    "suggest to a word of long ago": _in_help(lambda c, n: c.suggest(n, parent=c.sent[0].message)),
    "suggest to nobody": _in_help(lambda c, n: c.suggest(n, parent=None)),
    "suggest far down": _in_help(lambda c, n: c.suggest(n, hop_count=3)),
    "object": lambda c, n: c.objection(n),
    "restart": _in_help(lambda c, _: c.reopen_help()),
    "proceed": lambda c, n: c.human("proceed", n),
    "a little later": lambda c, _: c.pass_time(3),
    "much later": lambda c, _: c.pass_time(40),
}
CHEATS: dict[str, Move] = {
    "ask": lambda c, _: c.ask_for_help("tool:ruff", asked=["bzzz-1"]),
    "choose": _in_help(lambda c, n: c.choose(n)),
    "say it failed": lambda c, _: c.tried() if _being_tried(c) else None,
    "call it silent": _in_help(lambda c, _: c.close_talk("silent")),
    "fail": lambda c, _: c.fail(),
    "finish": lambda c, _: c.finish(suggestion="mine"),
    "start again": lambda c, _: c.execute(),
    "repeat a block": lambda c, _: c.append(c.blocks[-1]),
}
LIMITS = st.builds(
    DiscussionLimits,
    hops=st.integers(2, 6),
    messages_per_round=st.integers(1, 3),
    help=st.builds(
        HelpLimits,
        requests=st.integers(1, 2),
        helpers=st.integers(1, 2),
        ttl_s=st.sampled_from([20.0, 300.0]),
    ),
)
Names = list[tuple[str, int]]


def moves_of(moves: dict[str, Move]) -> st.SearchStrategy[Names]:
    return st.lists(st.tuples(st.sampled_from(sorted(moves)), st.integers(0, 2)), min_size=5, max_size=40)


def play(moves: dict[str, Move], names: Names, limits: DiscussionLimits) -> Claimant:
    """A claimant after its moves; the number says which of three peers acts."""
    claimant, first, second = debate(Hive(), limits=limits)
    peers = [first, second, claimant.hive.node("bzzz-3")]
    claimant.get_stuck()
    claimant.ask_for_help("tool:ruff", asked=["bzzz-1", "bzzz-2", "bzzz-3"])
    for peer in peers[:2]:
        claimant.offer(peer)
    for name, who in names:
        moves[name](claimant, peers[who])
    return claimant


def history(claimant: Claimant) -> list[Discussion]:
    observer, states = LogObserver(claimant.owner), list[Discussion]()
    for seq, block in enumerate(claimant.blocks):
        observer.add(seq, block)
        states.append(observer.discussions[claimant.issue])
    return states


def check_bounds(claimant: Claimant) -> None:
    """Hold every state that the discussion went through against every bound."""
    for before, state in pairwise(history(claimant)):
        limits, honest = state.limits, not state.violations
        assert len(state.helps) <= limits.help.requests or not honest
        for help_ in state.helps:
            assert len({offer.node_id for offer in help_.offers}) == len(help_.offers) <= MAX_ANSWERS
            assert all(offer.words <= MAX_WORDS for offer in help_.offers)
            assert sum(talk.outcome == "open" for talk in help_.talks) <= 1
            assert len(help_.talks) <= limits.help.helpers or not honest
            for talk in help_.talks:
                assert [said.hop_count for said in talk.suggestions] == list(
                    range(2, 2 * len(talk.suggestions) + 1, 2)
                )
                assert all(said.hop_count <= limits.hops for said in talk.suggestions)
                assert len(talk.suggestions) <= limits.messages_per_round or not honest
        assert set(state.participants) >= set(before.participants)
        assert state.contributions == before.contributions, "help is no contribution to the debate"


@given(names=moves_of(MEMBERS), limits=LIMITS)
def test_flooding_and_looping_helpers_exceed_no_bound_and_lead_no_claimant_into_a_violation(
    names: Names, limits: DiscussionLimits
) -> None:
    claimant = play(MEMBERS, names, limits)
    event(f"ends {claimant.state.phase}, {len(claimant.state.helps)} requests")
    assert claimant.state.violations == ()
    check_bounds(claimant)


@given(names=moves_of(MEMBERS | CHEATS), limits=LIMITS, order=st.data())
def test_whoever_cheats_all_observers_come_to_the_same_outcome(
    names: Names, limits: DiscussionLimits, order: st.DataObject
) -> None:
    claimant = play(MEMBERS | CHEATS, names, limits)
    check_bounds(claimant)
    resent = order.draw(st.permutations(range(len(claimant.blocks))), label="resent")
    assert claimant.observe(resent).discussions == claimant.observer.discussions


@given(limits=LIMITS)
def test_a_helper_that_suggests_for_ever_is_heard_a_bounded_number_of_times(limits: DiscussionLimits) -> None:
    claimant = play(MEMBERS, [], limits)
    peer = claimant.hive.node("bzzz-1")
    tries = 0
    for _ in range(200):
        if isinstance(claimant.decide(), TrySuggestion):
            tries += 1
        _act(claimant, peer)
        if _talk(claimant) is not None:
            claimant.suggest(claimant.hive.node(claimant.help.talks[-1].helper))
    most = min((limits.hops) // 2, limits.messages_per_round)
    assert tries == most * min(limits.help.helpers, 2)
    assert claimant.state.phase == "Escalated"
    assert claimant.state.violations == ()
