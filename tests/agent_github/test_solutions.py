"""An issue that somebody's open pull request closes is left alone, as long as that is open and theirs to open."""

from __future__ import annotations

import pytest

from tests.agent_github.conftest import Hive


def pull(hive: Hive, number: int, *, branch: str, login: str, body: str | None = None) -> int:
    """Open a pull request about an issue; its number."""
    hive.server.branch(branch)
    fields = {"head": branch, "base": "main", "title": "A fix", "body": body or f"Fixes #{number}"}
    return hive.server.call("POST", f"{hive.path}/pulls", fields, login=login)["number"]


async def test_a_persons_pull_request_keeps_the_hive_from_the_issue_until_it_is_closed(hive: Hive) -> None:
    number = hive.issue(login="ada")
    async with hive.agent() as agent:
        assert await agent.ineligible(await agent.issue(number)) is None
        theirs = pull(hive, number, branch=f"fix-{number}", login="ada")
        found = await agent.solved_by(number)
        assert found is not None
        assert found.number == theirs
        assert await agent.ineligible(await agent.issue(number)) == "solved_by_pull_request"
        hive.server.call("PATCH", f"{hive.path}/pulls/{theirs}", {"state": "closed"})
        assert await agent.ineligible(await agent.issue(number)) is None


@pytest.mark.parametrize(
    ("branch", "login", "body"),
    [
        ("bzzz/issue-{number}", "ada", None),  # the hive's own, to be adopted
        ("bzzz/issue-9{number}", "bot-0", None),  # the hive's for another issue, whose words may be a model's
        ("more-{number}", "ada", "see #{number}"),
        ("else-{number}", "ada", "Fixes other/widgets#{number}"),
    ],
)
async def test_what_is_no_solution_of_somebody_who_may_write_counts_for_nothing(
    hive: Hive, branch: str, login: str, body: str | None
) -> None:
    number = hive.issue(login="ada")
    words = None if body is None else body.format(number=number)
    pull(hive, number, branch=branch.format(number=number), login=login, body=words)
    async with hive.agent() as agent:
        assert await agent.solved_by(number) is None


async def test_a_strangers_pull_request_counts_for_nothing(hive: Hive) -> None:
    number = hive.issue(login="ada")
    hive.server.call("PUT", f"{hive.path}/collaborators/gone", {"permission": "push"})
    pull(hive, number, branch=f"theirs-{number}", login="gone")
    hive.server.call("PUT", f"{hive.path}/collaborators/gone", {"permission": "pull"})
    async with hive.agent() as agent:
        assert await agent.solved_by(number) is None, "else anybody could keep the hive from an issue"


async def test_looking_again_is_free_while_nothing_changed(hive: Hive) -> None:
    number = hive.issue(login="ada")
    async with hive.agent() as agent:
        await agent.solved_by(number)
        before = len(hive.server.records())
        await agent.solved_by(number)
        (again,) = [r for r in hive.server.records()[before:] if r["path"].startswith(f"{hive.path}/pulls")]
        assert again["status"] == 304
