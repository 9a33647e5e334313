"""Every request that our client makes, and every answer it relies on, is one of GitHub's own API description."""

from __future__ import annotations

from datetime import timedelta

from bzzz_agent.github import Claim
from bzzz_github_server.contract import Contract
from tests.agent_github.conftest import Hive, a_nonce
from tests.agent_github.test_accounts import an_app

OPERATIONS = {
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/assignees",
    "DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
    "GET /repos/{owner}/{repo}",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "GET /repos/{owner}/{repo}/git/commits/{commit_sha}",
    "GET /repos/{owner}/{repo}/git/matching-refs/{ref}",
    "GET /repos/{owner}/{repo}/git/ref/{ref}",
    "GET /repos/{owner}/{repo}/issues",
    "GET /repos/{owner}/{repo}/issues/{issue_number}",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/events",
    "GET /repos/{owner}/{repo}/pulls",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /user",
    "PATCH /repos/{owner}/{repo}/git/refs/{ref}",
    "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
    "POST /app/installations/{installation_id}/access_tokens",
    "POST /repos/{owner}/{repo}/git/commits",
    "POST /repos/{owner}/{repo}/git/refs",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/assignees",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/labels",
    "POST /repos/{owner}/{repo}/pulls",
}
"""All that the client ever calls: the permissions that a credential needs can be read off here."""


async def use_everything(hive: Hive) -> None:
    """Call every method of a repository, refusals included."""
    done, failed = hive.issue("done"), hive.issue("failed")
    visitor = hive.server.call("POST", f"{hive.path}/issues", {"title": "please"}, login="reader")["number"]
    hive.server.call("POST", f"{hive.path}/issues/{visitor}/labels", {"labels": [hive.label]}, login="ada")
    head = hive.server.branch(f"bzzz/issue-{done}")
    async with hive.agent("bzzz-0") as agent, hive.agent("bzzz-1", login="bot-1") as other:
        poll = await agent.poll()
        for issue in poll.issues:
            await agent.ineligible(issue, poll.claims.get(issue.number))
        claim = await hive.claim(agent, done)
        await other.acquire(await other.issue(done), nonce=a_nonce())
        claim = await agent.park(claim, hive.clock() + timedelta(hours=1), "escalated")
        claim = await agent.to_reporting(await agent.resume(claim), head)
        assert await agent.branch(f"bzzz/issue-{done}") is not None
        assert await agent.branch("nowhere") is None
        for who in (agent, other):
            opened = await who.open_pull_request(head=f"bzzz/issue-{done}", base="main", title="T", body="B")
        await agent.update_pull_request(opened.pull_request.number, body="C", title="U")
        await agent.pull_request(opened.pull_request.number)
        await agent.diff(opened.pull_request.number)
        await agent.comment(opened.pull_request.number, "c-1", "A comment.")
        await agent.done(claim, "pull request opened")
        claim = await hive.claim(agent, failed)
        await agent.reconcile(failed)
        await agent.release(claim, "tests failed", failed=True)
        await agent.needs_human(failed)
        await agent.poll()
    async with hive.agent(client=an_app(hive)) as app:
        assert isinstance(await app.acquire(await app.issue(visitor), nonce=a_nonce()), Claim)


async def test_client_and_server_keep_to_githubs_description(hive: Hive) -> None:
    before = len(hive.server.records())
    await use_everything(hive)
    contract = Contract()
    records = [r for r in hive.server.records() if r["requestHeaders"].get("user-agent") == "bzzz-agent"]
    fresh = [r for r in hive.server.records()[before:] if r in records]
    assert {contract.operation(record) for record in fresh} == OPERATIONS
    violations = [
        str(violation) for record in records if not record["faults"] for violation in contract.check(record)
    ]
    assert violations == []
