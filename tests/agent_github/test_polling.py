"""Looking for work: what a poll finds, what it leaves out, and what it costs while nothing changes."""

from __future__ import annotations

import pytest
import trio

from bzzz_agent.github import GitHubClient
from tests.agent_github.conftest import Hive


def remaining(hive: Hive) -> int:
    """The requests left to bot-0 in this hour."""
    return hive.server.call("GET", "/rate_limit", login="bot-0")["resources"]["core"]["remaining"]


def statuses(client: GitHubClient) -> dict[str, int]:
    """How often each status came, by kind of list."""
    counted: dict[str, int] = {}
    for metric in client._metrics.requests.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["kind"] in ("issues.list", "claims.list"):
                key = f"{sample.labels['kind']} {sample.labels['status']}"
                counted[key] = int(sample.value)
    return counted


async def test_a_poll_finds_open_labelled_issues_and_their_claims(hive: Hive) -> None:
    free, claimed, taken, closed = (hive.issue(title) for title in ("free", "claimed", "taken", "closed"))
    hive.server.call("POST", f"{hive.path}/issues", {"title": "not ours"})
    hive.server.call("PATCH", f"{hive.path}/issues/{closed}", {"state": "closed"})
    hive.server.call("POST", f"{hive.path}/issues/{taken}/assignees", {"assignees": ["ada"]})
    hive.server.branch(f"topic-{free}")
    pull = hive.server.call(
        "POST", f"{hive.path}/pulls", {"title": "a pull request", "head": f"topic-{free}", "base": "main"}
    )
    hive.server.call("POST", f"{hive.path}/issues/{pull['number']}/labels", {"labels": [hive.label]})
    async with hive.agent() as agent:
        claim = await hive.claim(agent, claimed)
        poll = await agent.poll()
        assert [issue.number for issue in poll.issues] == [free, claimed, taken], (
            "oldest first, no pull request"
        )
        assert {n: tip.sha for n, tip in poll.claims.items()} == {claimed: claim.sha}
        openings = {issue.title: agent.judge(issue, poll) for issue in poll.issues}
        assert {title: opening and opening.kind for title, opening in openings.items()} == {
            "free": "first",
            "claimed": "wait",
            "taken": "first",
        }
        judged = {
            issue.title: await agent.ineligible(issue, poll.claims.get(issue.number)) for issue in poll.issues
        }
        assert judged == {"free": None, "claimed": None, "taken": "assigned_to_stranger"}


async def test_a_poll_without_news_is_free_and_says_so(hive: Hive) -> None:
    number = hive.issue()
    client = hive.client()
    async with hive.agent(client=client) as agent:
        claim = await hive.claim(agent, number)
        assert (await agent.poll()).changed
        left = remaining(hive)
        first = await agent.poll()
        again = await agent.poll()
        assert not first.changed
        assert (again.issues, again.claims) == (first.issues, first.claims)
        assert remaining(hive) == left, "an authorised 304 costs nothing"
        assert statuses(client) == {
            "issues.list 200": 1,
            "issues.list 304": 2,
            "claims.list 200": 1,
            "claims.list 304": 2,
        }
        await agent.renew(claim)
        news = await agent.poll()
        assert news.changed
        assert news.claims[number].sha != first.claims[number].sha


async def test_a_poller_sees_for_how_long_a_claim_stood_still(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0") as holder, hive.agent("bzzz-1", lease_s=0.3) as poller:
        claim = await hive.claim(holder, number)
        assert (await poller.poll()).stood_still_s == {number: 0}
        await trio.sleep(0.2)
        assert (await poller.poll()).stood_still_s[number] >= 0.2
        await holder.renew(claim)
        assert (await poller.poll()).stood_still_s == {number: 0}


async def test_a_long_list_is_read_page_by_page(hive: Hive) -> None:
    hive = Hive(hive.server, hive.label, repository="acme/many")
    numbers = [hive.issue(f"issue {n}") for n in range(101)]
    client = hive.client()
    async with hive.agent(client=client) as agent:
        poll = await agent.poll()
        assert [issue.number for issue in poll.issues] == numbers
        assert statuses(client)["issues.list 200"] == 2
        assert not (await agent.poll()).changed
        hive.server.call("PATCH", f"{hive.path}/issues/{numbers[0]}", {"state": "closed"})
        assert [issue.number for issue in (await agent.poll()).issues] == numbers[1:]


@pytest.mark.parametrize("fault", ["unavailable", "staleReads"])
async def test_a_poll_outlasts_trouble(hive: Hive, fault: str) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        await trio.sleep(0.1)
        hive.server.faults({"kind": fault, "seconds": 0.05, "probability": 0.5})
        for _ in range(5):
            assert [issue.number for issue in (await agent.poll()).issues] == [number]
