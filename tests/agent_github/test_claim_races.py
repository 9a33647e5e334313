"""Twelve claimers at once, each with its own connection: one winner, whatever GitHub's answers do meanwhile."""

from __future__ import annotations

import pytest
import trio

from bzzz_agent.github import Claim, ClaimLostError, GitHubRepository, Refusal, UnavailableError
from hmmm.eligibility import IssueFacts
from tests.agent_github.conftest import Hive, a_nonce

CLAIMERS = 12

LATE_READS = {"kind": "staleReads", "seconds": 0.3}
LOST_ANSWERS = {"kind": "lostAnswer", "probability": 0.15, "methods": ["POST", "PATCH"]}
DROPPED_ANSWERS = {"kind": "dropAnswer", "probability": 0.1, "methods": ["POST", "PATCH"]}
OUTAGES = {"kind": "unavailable", "probability": 0.1, "status": 503}

FAULTS: dict[str, list[dict[str, object]]] = {
    "fresh reads": [],
    "late reads": [LATE_READS],
    "lost answers": [LOST_ANSWERS],
    "everything at once": [LATE_READS, LOST_ANSWERS, DROPPED_ANSWERS, OUTAGES],
}


async def claim_at_once(agents: list[GitHubRepository], facts: IssueFacts) -> list[Claim | Refusal]:
    """Let all agents claim an issue at the same time; each repeats an unclear try with its nonce."""
    results: list[Claim | Refusal] = []

    async def one(agent: GitHubRepository) -> None:
        nonce = a_nonce()
        with trio.fail_after(60):
            while True:
                try:
                    results.append(await agent.acquire(facts, nonce=nonce))
                except UnavailableError:
                    continue
                return

    async with trio.open_nursery() as nursery:
        for agent in agents:
            nursery.start_soon(one, agent)
    return results


class Claimers:
    """Twelve agents, two to an account where `shared`."""

    def __init__(self, hive: Hive, *, lease_s: float = 900.0) -> None:
        self.hive, self.lease_s = hive, lease_s
        self.agents: list[GitHubRepository] = []
        self._open: list[object] = []

    async def __aenter__(self) -> list[GitHubRepository]:
        bots = frozenset({"bot-0", "bot-1", "bot-2"})
        for n in range(CLAIMERS):
            opened = self.hive.agent(f"bzzz-{n}", login=f"bot-{n % 3}", lease_s=self.lease_s, accounts=bots)
            self._open.append(opened)
            self.agents.append(await opened.__aenter__())
        return self.agents

    async def __aexit__(self, *_: object) -> None:
        for opened in self._open:
            await opened.__aexit__(None, None, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_one_of_twelve_claimers_wins(hive: Hive, faults: list[dict[str, object]]) -> None:
    numbers = [hive.issue() for _ in range(3)]
    async with Claimers(hive) as agents:
        issues = [await agents[0].issue(number) for number in numbers]
        for number, facts in zip(numbers, issues, strict=True):
            hive.server.faults(*faults, seed=number)
            results = await claim_at_once(agents, facts)
            hive.server.faults()
            winners = [result for result in results if isinstance(result, Claim)]
            assert len(winners) == 1, [r for r in results if isinstance(r, Refusal)]
            assert {r.reason for r in results if isinstance(r, Refusal)} <= {"lost", "wait"}
            tip = hive.tip(number)
            assert tip is not None
            assert (tip["agent"], tip["nonce"]) == (winners[0].record.agent, winners[0].record.nonce)
            assert tip["epoch"] == 1
            shown = hive.shown(number)
            assert shown["assignees"] == {tip["account"]}
            assert "bzzz:claimed" in shown["labels"]


@pytest.mark.parametrize("faults", [[], [LATE_READS, LOST_ANSWERS]], ids=["fresh reads", "late and lost"])
async def test_one_of_twelve_claims_what_was_released(hive: Hive, faults: list[dict[str, object]]) -> None:
    number = hive.issue()
    async with Claimers(hive) as agents:
        first = await hive.claim(agents[0], number)
        await agents[0].release(first, "drained", failed=False)
        facts = await agents[0].issue(number)
        hive.server.faults(*faults)
        results = await claim_at_once(agents, facts)
        hive.server.faults()
        (winner,) = [result for result in results if isinstance(result, Claim)]
        assert winner.epoch == 2
        with pytest.raises(ClaimLostError):
            await agents[0].renew(first)


@pytest.mark.parametrize("faults", [[], [LATE_READS, LOST_ANSWERS]], ids=["fresh reads", "late and lost"])
async def test_one_of_twelve_takes_over_from_a_dead_claimant(
    hive: Hive, faults: list[dict[str, object]]
) -> None:
    number = hive.issue()
    async with Claimers(hive, lease_s=1.0) as agents:
        dead = await hive.claim(agents[0], number)
        successors = agents[1:]
        facts = await agents[0].issue(number)
        results = await claim_at_once(successors, facts)
        assert {r.reason for r in results if isinstance(r, Refusal)} == {"wait"}, (
            "the lease was seen just now"
        )
        hive.server.faults(*faults)
        winners: list[Claim] = []
        with trio.fail_after(30):
            while not winners:
                await trio.sleep(0.1)
                results = await claim_at_once(successors, facts)
                winners = [result for result in results if isinstance(result, Claim)]
        hive.server.faults()
        assert len(winners) == 1
        assert (winners[0].epoch, winners[0].record.failures) == (2, 1)
        for stale in (agents[0].renew(dead), agents[0].to_reporting(dead, "a" * 40)):
            with pytest.raises(ClaimLostError, match=rf"held by {winners[0].record.agent}"):
                await stale
        assert hive.shown(number)["assignees"] == {winners[0].record.account}
