"""Who claims and who reviews is the same everywhere, fair, and moves little when somebody comes or goes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hmmm.identity import IssueIdentity
from hmmm.messages import Capabilities, ModelInfo
from hmmm.ranking import (
    Candidate,
    choose_reviewers,
    claim_delay_s,
    missing_capabilities,
    rank,
    rendezvous_weight,
)

names = st.text("abcdefgh0123456789-", min_size=1, max_size=12)
candidates = st.lists(
    st.builds(
        Candidate,
        node_id=names,
        tools=st.lists(st.sampled_from(["ruff", "Cargo"]), max_size=2).map(tuple),
        models=st.lists(st.sampled_from(["a", "b", "c"]), max_size=2).map(tuple),
        busy=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda c: c.node_id,
)
issues = st.builds(
    IssueIdentity,
    repository=st.sampled_from(["acme/widgets", "acme/gears"]),
    number=st.integers(1, 10_000),
    epoch=st.integers(1, 9),
)
labels = st.lists(st.sampled_from(["bzzz", "tool:ruff", "tool:cargo", "lang:python"]), max_size=3)

ISSUE = IssueIdentity(repository="acme/widgets", number=42, epoch=1)


@given(candidates, issues, labels, st.randoms(use_true_random=False))
def test_ranking_is_total_and_the_same_in_any_order(
    members: list[Candidate], issue: IssueIdentity, wanted: list[str], chance: object
) -> None:
    shuffled = members * 2
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    ranking = rank(members, issue, wanted)
    assert rank(shuffled, issue, list(reversed(wanted))) == ranking
    assert sorted(ranking) == sorted(member.node_id for member in members)


@given(candidates, issues, labels)
def test_who_lacks_a_capability_ranks_after_all_that_have_it(
    members: list[Candidate], issue: IssueIdentity, wanted: list[str]
) -> None:
    by_name = {member.node_id: member for member in members}
    lacking = [len(missing_capabilities(wanted, by_name[name])) for name in rank(members, issue, wanted)]
    assert lacking == sorted(lacking)


@given(candidates, issues, labels)
def test_one_more_agent_changes_nobody_elses_order(
    members: list[Candidate], issue: IssueIdentity, wanted: list[str]
) -> None:
    newcomer = Candidate("newcomer-0", tools=("ruff",))
    ranking = rank([*members, newcomer], issue, wanted)
    assert tuple(name for name in ranking if name != "newcomer-0") == rank(members, issue, wanted)


@given(candidates, issues, st.integers(0, 5))
def test_reviewers_are_others_each_once_and_as_many_as_there_are(
    members: list[Candidate], issue: IssueIdentity, count: int
) -> None:
    claimant = members[0].node_id if members else "nobody"
    reviewers = choose_reviewers(members, claimant, issue, count)
    assert choose_reviewers(list(reversed(members)), claimant, issue, count) == reviewers
    assert claimant not in reviewers
    assert len(set(reviewers)) == len(reviewers) == min(count, max(0, len(members) - 1))


@given(candidates, issues)
def test_two_reviewers_think_with_different_models_where_there_are_any(
    members: list[Candidate], issue: IssueIdentity
) -> None:
    by_name = {member.node_id: member for member in members}
    claimant = members[0] if members else Candidate("nobody")
    models = {member.model for member in members if member != claimant}
    first_two = choose_reviewers(members, claimant.node_id, issue, 2)
    used = {by_name[name].model for name in first_two}
    assert len(used) == min(2, len(models)) or len(models - {claimant.model}) == 1
    if models - {claimant.model} and first_two:
        assert by_name[first_two[0]].model != claimant.model, "another model sees other mistakes"


def test_issues_are_spread_evenly_over_equal_agents() -> None:
    members = [Candidate(f"bzzz-{n}") for n in range(4)]
    first = Counter(rank(members, ISSUE.model_copy(update={"number": n}), ())[0] for n in range(1, 801))
    assert all(150 <= first[member.node_id] <= 250 for member in members)


def test_a_new_epoch_draws_again() -> None:
    members = [Candidate(f"bzzz-{n}") for n in range(8)]
    assert len({rank(members, ISSUE.at_epoch(epoch), ()) for epoch in range(1, 6)}) == 5


def test_the_weight_is_a_documented_hash_that_other_programs_can_compute() -> None:
    # printf 'acme/widgets\n42\n1\nbzzz-0' | sha256sum
    assert rendezvous_weight(ISSUE, "bzzz-0").hex() == (
        "3f8b78bfe62e9b27e0b60581c5e74e75a00c6064e1cd909ac012fcd6f00bfc9a"
    )
    assert rendezvous_weight(ISSUE.model_copy(update={"repository": "Acme/Widgets"}), "bzzz-0") == (
        rendezvous_weight(ISSUE, "bzzz-0")
    )


def test_an_idle_agent_goes_before_a_busy_one_and_each_rank_waits_half_a_second() -> None:
    ranking = rank(
        [Candidate("bzzz-0", busy=True), Candidate("bzzz-1"), Candidate("bzzz-2", busy=True)], ISSUE, ()
    )
    assert ranking[0] == "bzzz-1"
    assert [claim_delay_s(name, ranking) for name in (*ranking, "stranger")] == [0, 0.5, 1.0, 1.5]


def test_capabilities_are_what_an_agent_announced() -> None:
    announced = Capabilities(
        node_id="bzzz-0",
        msg_id="m",
        sent_at="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
        languages=("Python",),
        tools=("ruff",),
        models=(ModelInfo(name="gemma-3-270m", reasoning=False),),
        load=1,
    )
    candidate = Candidate.of(announced)
    assert candidate == Candidate("bzzz-0", ("Python",), ("ruff",), ("gemma-3-270m",), busy=True)
    assert missing_capabilities(["bzzz", "LANG:python", "tool:ruff"], candidate) == frozenset()
    assert missing_capabilities(["lang:rust", "tool:ruff"], candidate) == {"lang:rust"}
