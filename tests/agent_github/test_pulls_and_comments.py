"""Pull requests are never doubled, comments neither, whatever becomes of the answers."""

from __future__ import annotations

import pytest

from bzzz_agent.github import GitHubRepository, Opened, RefusedError
from bzzz_agent.github.text import MAX_BODY_CHARS
from hmmm.claims import branch_of
from tests.agent_github.conftest import Hive

TROUBLE: list[dict[str, object]] = [
    {"kind": "lostAnswer", "times": 1, "methods": ["POST"]},
    {"kind": "dropAnswer", "times": 1, "methods": ["POST"]},
    {"kind": "unavailable", "times": 1, "methods": ["POST"]},
    {"kind": "tooManyRequests", "seconds": 0, "times": 2, "methods": ["POST"]},
]


async def open_one(agent: GitHubRepository, number: int, **fields: object) -> Opened:
    named: dict[str, object] = {
        "head": branch_of(number),
        "base": "main",
        "title": f"Handle #{number}",
        "body": "Done.",
    }
    return await agent.open_pull_request(**(named | fields))  # type: ignore[arg-type]


def a_head(hive: Hive) -> int:
    number = hive.issue()
    hive.server.branch(branch_of(number), repository=hive.repository)
    return number


async def test_a_pull_request_is_a_draft_and_adopted_the_second_time(hive: Hive) -> None:
    number = a_head(hive)
    async with hive.agent("bzzz-0") as agent, hive.agent("bzzz-1", login="bot-1") as successor:
        first = await open_one(agent, number)
        assert (first.adopted, first.pull_request.draft) == (False, True)
        second = await open_one(successor, number, title="Mine")
        assert (second.adopted, second.pull_request.number) == (True, first.pull_request.number)
        assert second.pull_request.title == f"Handle #{number}"
        found = await agent.find_pull_request(branch_of(number), "main")
        assert found is not None
        assert found.number == first.pull_request.number
        updated = await agent.update_pull_request(found.number, body="With evidence.", title="Better")
        assert (updated.body, updated.title) == ("With evidence.", "Better")
        again = await agent.pull_request(found.number)
        assert (again.body, again.state) == ("With evidence.", "open")
        assert "bzzz/issue" in await agent.diff(found.number)


async def test_where_drafts_are_refused_the_pull_request_is_plain(hive: Hive) -> None:
    hive = Hive(hive.server, hive.label, repository="acme/plain")
    number = a_head(hive)
    async with hive.agent() as agent:
        opened = await open_one(agent, number)
        assert (opened.adopted, opened.pull_request.draft) == (False, False)


@pytest.mark.parametrize("fault", TROUBLE, ids=lambda fault: fault["kind"])
async def test_a_lost_answer_opens_no_second_pull_request(hive: Hive, fault: dict[str, object]) -> None:
    number = a_head(hive)
    async with hive.agent() as agent:
        hive.server.faults(fault)
        opened = await open_one(agent, number)
        assert hive.server.bitten() == fault["times"]
        pulls = hive.server.call("GET", f"{hive.path}/pulls?state=all&head=acme:{branch_of(number)}")
        assert [pull["number"] for pull in pulls] == [opened.pull_request.number]


async def test_a_lost_answer_with_late_reads_opens_no_second_pull_request(hive: Hive) -> None:
    number = a_head(hive)
    async with hive.agent() as agent:
        hive.server.faults(
            {"kind": "lostAnswer", "probability": 0.5, "methods": ["POST"]},
            {"kind": "staleReads", "seconds": 0.5},
        )
        opened = await open_one(agent, number)
        hive.server.faults()
        pulls = hive.server.call("GET", f"{hive.path}/pulls?state=all&head=acme:{branch_of(number)}")
        assert [pull["number"] for pull in pulls] == [opened.pull_request.number]


async def test_a_branch_without_commits_is_refused_in_githubs_words(hive: Hive) -> None:
    async with hive.agent() as agent:
        main = await agent.branch()
        assert main is not None
        hive.server.call(
            "POST", f"{hive.path}/git/refs", {"ref": f"refs/heads/empty-{hive.label}", "sha": main.sha}
        )
        with pytest.raises(RefusedError, match="No commits between"):
            await open_one(agent, 1, head=f"empty-{hive.label}")
        assert await agent.branch("no-such-branch") is None


@pytest.mark.parametrize("fault", TROUBLE, ids=lambda fault: fault["kind"])
async def test_a_comment_repeated_after_a_lost_answer_is_there_once(
    hive: Hive, fault: dict[str, object]
) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        hive.server.faults(fault)
        comment = await agent.comment(number, "released-1", "Released: tests failed.")
        assert hive.server.bitten() == fault["times"]
        again = await agent.comment(number, "released-1", "Released: tests failed.")
        other = await agent.comment(number, "released-2", "Released: tests failed again.")
        assert again.id == comment.id != other.id
        posted = hive.server.call("GET", f"{hive.path}/issues/{number}/comments")
        assert [c["body"].splitlines()[-1] for c in posted] == [
            "<!-- bzzz:released-1 -->",
            "<!-- bzzz:released-2 -->",
        ]


async def test_a_strangers_forged_marker_does_not_silence_us(hive: Hive) -> None:
    number = hive.issue()
    forged = {"body": "nothing to see <!-- bzzz:released-1 -->"}
    hive.server.call("POST", f"{hive.path}/issues/{number}/comments", forged, login="reader")
    async with hive.agent() as agent:
        ours = await agent.comment(number, "released-1", "Released: a model said <!-- bzzz:released-2 -->")
        assert ours.user is not None
        assert ours.user.login == "bot-0"
        next_one = await agent.comment(number, "released-2", "Still here.")
        assert next_one.id != ours.id, "a marker inside quoted words is none"


async def test_a_comment_of_any_length_is_cut_to_what_github_takes(hive: Hive) -> None:
    number = hive.issue()
    async with hive.agent() as agent:
        comment = await agent.comment(number, "long", "x" * 100_000)
        assert comment.body is not None
        assert len(comment.body) == MAX_BODY_CHARS
        assert comment.body.endswith("…\n\n<!-- bzzz:long -->")


async def test_an_own_comment_is_found_on_a_later_page(hive: Hive) -> None:
    number = hive.issue()
    for n in range(100):
        hive.server.call("POST", f"{hive.path}/issues/{number}/comments", {"body": f"{n}"}, login="ada")
    async with hive.agent() as agent:
        first = await agent.comment(number, "late", "Here.")
        assert (await agent.comment(number, "late", "Here.")).id == first.id
