"""Who an agent is to GitHub: an account of its own, one shared by several, or an App that nobody can assign."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bzzz_agent.github import GitHubClient, GitHubMetrics, GitHubSettings, Refusal, UnauthorizedError
from tests.agent_github.conftest import Hive, a_nonce


def an_app(hive: Hive, **settings: object) -> GitHubClient:
    app = {"appId": 77, "installationId": 7001, "privateKeyFile": hive.server.folder / "app.pem"}
    merged: dict[str, object] = {"apiUrl": hive.server.url, "app": app, "attempts": 3, "firstPauseS": 0.01}
    return GitHubClient(GitHubSettings.model_validate(merged | settings), GitHubMetrics(CollectorRegistry()))


async def test_agents_that_share_an_account_are_told_apart_by_the_claim(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent("bzzz-0", login="bot-0") as one, hive.agent("bzzz-1", login="bot-0") as other:
        claim = await hive.claim(one, number)
        assert await other.ineligible(await other.issue(number)) is None, "its own account is no stranger"
        refusal = await other.acquire(await other.issue(number), nonce=a_nonce())
        assert isinstance(refusal, Refusal)
        assert refusal.reason == "wait"
        assert claim.record.account == other.agent.account == "bot-0"


async def test_an_app_claims_by_the_label_alone(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent(client=an_app(hive)) as agent:
        assert agent.agent.account is None
        claim = await hive.claim(agent, number)
        shown = hive.shown(number)
        assert (shown["assignees"], "bzzz:claimed" in shown["labels"]) == (set(), True)
        comment = await agent.comment(number, "hello-1", "Hello.")
        assert (await agent.comment(number, "hello-1", "Hello.")).id == comment.id
        await agent.release(claim, "drained", failed=False)
        assert hive.shown(number)["labels"] == {hive.label}


async def test_an_app_can_show_its_claims_under_a_real_account(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent(client=an_app(hive, account="bot-2")) as agent:
        await hive.claim(agent, number)
        assert hive.shown(number)["assignees"] == {"bot-2"}


@pytest.mark.parametrize("account", ["bzzz-app[bot]", "nobody-there"])
async def test_an_account_that_cannot_be_assigned_costs_no_claim_and_is_tried_once(
    hive: Hive, account: str
) -> None:
    first, second = hive.issue(), hive.issue()
    async with hive.agent(client=an_app(hive, account=account)) as agent:
        before = len(hive.server.records())
        for number in (first, second):
            await hive.claim(agent, number)
            assert hive.shown(number)["assignees"] == set()
            assert "bzzz:claimed" in hive.shown(number)["labels"]
            assert not await agent.reconcile(number)
        tried = [r for r in hive.server.records()[before:] if r["path"].endswith("/assignees")]
        assert len(tried) == 1


async def test_the_token_for_git_is_the_credentials_own(hive: Hive) -> None:
    client = hive.client("bot-1")
    assert await client.git_token() == "token-bot-1"
    client.close()
    app = an_app(hive)
    token = await app.git_token()
    assert token.startswith("ghs_")
    assert await app.git_token() == token, "renewed only when it nears its end"
    app.close()


async def test_an_app_that_is_not_installed_is_unauthorized(hive: Hive) -> None:
    app = {"appId": 77, "installationId": 1, "privateKeyFile": hive.server.folder / "app.pem"}
    client = an_app(hive, app=app)
    with pytest.raises(UnauthorizedError, match="installation"):
        async with hive.agent(client=client):
            pass
    with pytest.raises(UnauthorizedError, match="installation"):
        await client.git_token()


async def test_a_key_that_is_no_key_is_named_as_such(hive: Hive) -> None:
    path = hive.server.folder / "bad.pem"
    path.write_text("not a key")
    client = an_app(hive, app={"appId": 77, "installationId": 7001, "privateKeyFile": path})
    with pytest.raises(UnauthorizedError, match="private key"):
        await client.git_token()
    with pytest.raises(UnauthorizedError, match="private key"):
        async with hive.agent(client=client):
            pass


async def test_a_credential_that_was_replaced_is_used_before_the_last_one_is_refused(
    hive: Hive, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(hive.server.token_file("bot-0").read_text())
    client = hive.client(token_file=file)
    assert (await client.request("GET", "/user", kind="user.read")).data["login"] == "bot-0"
    replaced = tmp_path / "next"
    replaced.write_text(hive.server.token_file("bot-1").read_text())
    replaced.replace(file)
    assert (await client.request("GET", "/user", kind="user.read")).data["login"] == "bot-1"
    file.write_text("")  # in the middle of being written: the last one goes on
    assert (await client.request("GET", "/user", kind="user.read")).data["login"] == "bot-1"
    client.close()
