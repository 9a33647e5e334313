"""Killed after any of its writes, an agent that repeats its calls ends where it would have ended.

Every write of the whole way from claim to pull request is a point of death, after it was applied. To the outside
that is the same as before the next one is sent, and as any reading in between: only writes leave traces. The next
life has the same nonce (it was logged) and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.github import Claim, GitHubClient, GitHubMetrics, GitHubSettings
from bzzz_agent.github.client import Method
from bzzz_agent.github.statuses import Answer
from tests.agent_github.conftest import Hive, a_nonce


class DeathError(Exception):
    """The process is gone."""


class MortalClient(GitHubClient):
    """Dies right after its nth write was applied, never for 0."""

    def __init__(self, settings: GitHubSettings, dies_at: int) -> None:
        super().__init__(settings, GitHubMetrics(CollectorRegistry()))
        self.dies_at, self.sent = dies_at, 0

    async def request(
        self,
        method: Method,
        path: str,
        *,
        kind: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        etag: str | None = None,
        accept: str = "application/vnd.github+json",
        repeatable: bool | None = None,
    ) -> Answer:
        self.sent += method != "GET"
        answer = await super().request(
            method, path, kind=kind, body=body, query=query, etag=etag, accept=accept, repeatable=repeatable
        )
        if method != "GET" and self.sent == self.dies_at:
            raise DeathError
        return answer


async def whole_way(hive: Hive, client: GitHubClient, number: int, nonce: str, head: str) -> None:
    """From the claim to its end, as an agent calls it; safe to begin anew."""
    async with hive.agent("bzzz-0", client=client) as agent:
        claim = await agent.acquire(await agent.issue(number), nonce=nonce)
        assert isinstance(claim, Claim), claim
        claim = await agent.renew(claim)
        claim = await agent.to_reporting(claim, head)
        opened = await agent.open_pull_request(
            head=f"bzzz/issue-{number}", base="main", title="Handle empty input", body="Done."
        )
        await agent.update_pull_request(opened.pull_request.number, body="Done, with evidence.")
        await agent.comment(number, f"done-{number}", "See the pull request.")
        await agent.done(claim, "pull request opened")


async def test_death_after_any_write_leaves_one_claim_one_pull_request_one_comment(hive: Hive) -> None:
    settings = hive.client().settings
    died_at = 0
    with trio.fail_after(100):
        while True:
            died_at += 1
            number, nonce = hive.issue(f"Crash at {died_at}"), a_nonce()
            head = hive.server.branch(f"bzzz/issue-{number}")
            mortal = MortalClient(settings, died_at)
            try:
                await whole_way(hive, mortal, number, nonce, head)
            except DeathError:
                if (hive.tip(number) or {}).get("state") != "done":
                    await whole_way(hive, MortalClient(settings, 0), number, nonce, head)
            assert_ended_well(hive, number, nonce)
            if mortal.sent < died_at:  # it lived to the end
                break
    assert died_at == 14, "13 writes: each was a point of death once"


async def test_death_after_any_write_of_giving_back_leaves_a_free_issue(hive: Hive) -> None:
    settings = hive.client().settings
    died_at = 0
    with trio.fail_after(60):
        while True:
            died_at += 1
            number, nonce = hive.issue(f"Failure at {died_at}"), a_nonce()
            async with hive.agent() as agent:
                await hive.claim(agent, number, nonce)
            mortal = MortalClient(settings, died_at)
            for client in (mortal, MortalClient(settings, 0)):
                try:
                    async with hive.agent(client=client) as agent:
                        found = await agent.find_claim(number, nonce)
                        if isinstance(found, Claim):
                            await agent.release(found, "tests failed", failed=True)
                    break
                except DeathError:
                    continue
            tip = hive.tip(number)
            assert tip is not None
            assert (tip["state"], tip["failures"], tip["epoch"]) == ("released", 1, 1)
            assert hive.shown(number)["labels"] == {hive.label}
            assert hive.shown(number)["assignees"] == set()
            if mortal.sent < died_at:
                break
    assert died_at == 5, "4 writes: each was a point of death once"


def assert_ended_well(hive: Hive, number: int, nonce: str) -> None:
    tip = hive.tip(number)
    assert tip is not None
    assert (tip["state"], tip["epoch"], tip["nonce"], tip["failures"]) == ("done", 1, nonce, 0)
    shown = hive.shown(number)
    assert shown["assignees"] == {"bot-0"}
    assert shown["labels"] == {hive.label, "bzzz:claimed"}
    head = f"acme:bzzz/issue-{number}"
    pulls = hive.server.call("GET", f"{hive.path}/pulls?state=all&head={head}")
    assert [(p["draft"], p["body"]) for p in pulls] == [(True, "Done, with evidence.")]
    comments = hive.server.call("GET", f"{hive.path}/issues/{number}/comments")
    assert len(comments) == 1
