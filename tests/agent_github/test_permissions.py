"""An issue needs somebody behind it who may write: its author, or whoever put the hive's label on."""

from __future__ import annotations

from tests.agent_github.conftest import Hive


async def test_an_author_with_write_permission_suffices(hive: Hive) -> None:
    number = hive.issue(login="ada")
    async with hive.agent() as agent:
        assert await agent.ineligible(await agent.issue(number)) is None


async def test_a_readers_issue_is_left_alone_until_a_writer_labels_it(hive: Hive) -> None:
    issue = hive.server.call("POST", f"{hive.path}/issues", {"title": "please", "body": "do"}, login="reader")
    number = issue["number"]
    async with hive.agent() as agent:
        assert await agent.ineligible(await agent.issue(number)) == "unlabelled"
        hive.server.call("POST", f"{hive.path}/issues/{number}/labels", {"labels": [hive.label]}, login="ada")
        assert await agent.ineligible(await agent.issue(number)) is None


async def test_the_last_labeller_counts(hive: Hive) -> None:
    number = hive.server.call("POST", f"{hive.path}/issues", {"title": "please"}, login="reader")["number"]
    labels = f"{hive.path}/issues/{number}/labels"
    async with hive.agent() as agent:
        hive.server.call("POST", labels, {"labels": [hive.label]}, login="gone")
        assert await agent.ineligible(await agent.issue(number)) is None
        hive.server.call("PUT", f"{hive.path}/collaborators/gone", {"permission": "pull"})
    async with hive.agent() as agent:
        assert await agent.ineligible(await agent.issue(number)) == "untrusted_author"
        hive.server.call("DELETE", f"{labels}/{hive.label}", login="ada")
        hive.server.call("POST", labels, {"labels": [hive.label]}, login="ada")
        assert await agent.ineligible(await agent.issue(number)) is None


async def test_permissions_are_asked_once_in_a_while(hive: Hive) -> None:
    numbers = [hive.issue(login="ada") for _ in range(3)]
    async with hive.agent() as agent:
        before = len(hive.server.records())
        for number in numbers:
            assert await agent.ineligible(await agent.issue(number)) is None
        asked = [
            r for r in hive.server.records()[before:] if r["path"].endswith("/collaborators/ada/permission")
        ]
        assert len(asked) == 1
