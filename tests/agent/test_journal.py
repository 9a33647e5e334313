"""The journal on a real log: what was said before a kill is known after it, and nothing is said while it is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.clock import now
from bzzz_agent.failpoints import POINTS, Failpoints
from bzzz_agent.journal import Journal, StaleWordError
from bzzz_agent.log_client import LogClient, LogError
from bzzz_agent.metrics import AgentMetrics
from bzzz_agent.settings import SettingsError
from hmmm.discussion import Phase
from hmmm.envelope import SigningKey
from hmmm.identity import IssueIdentity
from hmmm.limits import DiscussionLimits
from hmmm.messages import issue_topic
from hmmm.meta import PlanProposed
from hmmm.observer import LogOwner
from hmmm.plan import Plan
from hmmm.records import AgentStarted, Claimed
from tests.support.sidecar import Log

KEY = SigningKey.mesh(b"k" * 32)
HIVE = SigningKey.hive(b"h" * 32)
ISSUE = IssueIdentity(repository="acme/widgets", number=7, epoch=1)
CLAIMED = Claimed(claim_sha="1" * 40, nonce="n-1", title="t", body_digest="2" * 64, base_sha="3" * 40)


@asynccontextmanager
async def journal_on(log: Log, tmp_path: Path) -> AsyncGenerator[Journal]:
    client = LogClient(log.socket, AgentMetrics(CollectorRegistry()))
    owner = LogOwner("bzzz-0", KEY.key_id, "local", HIVE.public)
    journal = Journal(client, owner, KEY, Failpoints((), tmp_path), now)
    await journal.open()
    yield journal
    await client.aclose()


def plan(round_: int = 1) -> PlanProposed:
    limits = DiscussionLimits()
    return PlanProposed(
        plan=Plan(summary="do it", footprint=("a.py",)), plan_id="p", round=round_, window_s=30, limits=limits
    )


async def test_what_was_said_is_known_to_the_next_life(log: Log, tmp_path: Path) -> None:
    async with journal_on(log, tmp_path) as first:
        await first.note(AgentStarted(node_id="bzzz-0", peer_id=KEY.key_id, version="0"))
        await first.note(CLAIMED, ISSUE, record_id="claimed-n-1")
        said = await first.say_as_claimant(issue_topic(7), ISSUE, "my plan", plan())
        before = first.discussions[ISSUE]
    async with journal_on(log, tmp_path) as second:
        assert second.discussions[ISSUE] == before
        assert before.phase is Phase.LISTENING
        assert before.plan is not None
        assert before.plan.digest == said.digest
        assert [s.digest for s in second.sent(ISSUE)] == [said.digest]
        assert second.length == 3


async def test_a_claimants_words_are_chained_to_the_log_and_to_each_other(log: Log, tmp_path: Path) -> None:
    async with journal_on(log, tmp_path) as journal:
        await journal.note(CLAIMED, ISSUE)
        await journal.say_as_claimant(issue_topic(7), ISSUE, "my plan", plan())
        assert journal.discussions[ISSUE].violations == ()
        with pytest.raises(StaleWordError, match="plan_proposed is not possible in Listening"):
            await journal.say_as_claimant(issue_topic(7), ISSUE, "again", plan(2))
        assert journal.length == 2, "what would break a rule is not logged"


async def test_an_append_waits_for_as_long_as_the_log_is_away(log: Log, tmp_path: Path) -> None:
    async with journal_on(log, tmp_path) as journal:
        await journal.note(CLAIMED, ISSUE)
        log.live.kill()
        done = trio.Event()

        async def speak() -> None:
            await journal.say_as_claimant(issue_topic(7), ISSUE, "my plan", plan())
            done.set()

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(speak)
                while journal.client.healthy:
                    await trio.sleep(0.01)
                assert not done.is_set()
                await trio.to_thread.run_sync(log.start)
                await done.wait()
        assert journal.client.healthy
        assert journal.discussions[ISSUE].phase is Phase.LISTENING
        assert journal.length == 2


async def test_the_same_id_with_other_content_is_an_error_and_not_a_silent_win(
    log: Log, tmp_path: Path
) -> None:
    async with journal_on(log, tmp_path) as journal:
        await journal.note(CLAIMED, ISSUE, record_id="once")
        with pytest.raises(LogError, match="409"):
            await journal.note(CLAIMED, ISSUE, record_id="once")


async def test_a_second_writer_is_found_out(log: Log, tmp_path: Path) -> None:
    async with journal_on(log, tmp_path) as journal:
        log.append({"id": "stranger", "at": "2026-01-01T00:00:00Z", "kind": "agent_started", "data": {}})
        with pytest.raises(LogError, match="another writer"):
            await journal.note(CLAIMED, ISSUE)


def test_an_unknown_failpoint_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="after_publish:plan_proposed"):
        Failpoints(("after_lunch",), tmp_path)
    assert len(POINTS) == 38
