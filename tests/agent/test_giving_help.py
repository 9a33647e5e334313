"""An agent as helper: the real process, log, mesh and workspace; the claimant is the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from hmmm.limits import DiscussionLimits, HelpLimits
from hmmm.messages import HIVE_TOPIC, MetaMessage, Signed, TaskHelpRequest, TaskHelpResponse, issue_topic
from hmmm.meta import HelpChosen, HelpClosed, HelpSuggestion, HelpTried, PlanProposed
from hmmm.plan import Plan
from tests.agent.helping import helping_rig, open_issue
from tests.agent.peers import ISSUE, Peer, kind, peer_of, word
from tests.agent.rig import NODE, Rig
from tests.support.workspace import Repository

pytestmark = pytest.mark.timeout(120)

SPEC: dict[str, Any] = {
    "github": {"repositories": ["acme/widgets"], "issues": {"labels": ["somebody-elses"]}},
    "capabilities": {"tools": ["magic"]},
    "execution": {
        "type": "command",
        "plan": "dryRun",
        "command": ["true"],
        "helpCommand": ["python3", "help.py"],
    },
}
AGREED = Plan(summary="A plan", footprint=("said.txt",), tests=("check.py",))


@pytest.fixture
def helper(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Repository]]:
    """An agent with a help command and no model, that finds no issue for itself."""
    with helping_rig(tmp_path, tmp_path_factory.mktemp("out"), **SPEC) as made:
        yield made


def request_of(peer: Peer, base: str, plan: Signed, problem: str, **fields: Any) -> TaskHelpRequest:
    values: dict[str, Any] = {"wants": ("tool:magic",), "asked": (NODE,)}
    return TaskHelpRequest(
        **peer.header(), problem=problem, plan_digest=plan.digest, base_sha=base, **values | fields
    )


async def propose(peer: Peer) -> Signed:
    limits = DiscussionLimits(help=HelpLimits(requests=2))
    return await peer.say(PlanProposed(plan=AGREED, plan_id="p", round=1, window_s=30, limits=limits))


async def ask(peer: Peer, request: TaskHelpRequest) -> TaskHelpResponse:
    """Ask, again and again as a claimant does, until the agent answers."""
    answers = kind("task_help_response")
    with trio.fail_after(30):
        while not peer.all_heard(answers):
            await peer.publish(HIVE_TOPIC, request)
            await trio.sleep(0.3)
    message = (await peer.hear(answers)).message
    assert isinstance(message, TaskHelpResponse)
    return message


async def test_a_helper_suggests_is_told_what_failed_and_suggests_once_more(
    helper: tuple[Rig, Repository],
) -> None:
    rig, source = helper
    open_issue(rig)
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        plan = await propose(peer)
        request = request_of(peer, source.head, plan, "the magic word is missing")
        offer = await ask(peer, request)
        assert (offer.can_help, offer.capabilities, offer.request_id) == (
            True,
            ("tool:magic",),
            request.msg_id,
        )
        assert offer.eta_seconds is not None
        about = {"plan_digest": plan.digest, "request_id": request.msg_id}
        chosen = await peer.say(HelpChosen(**about, helper=NODE))
        first = await suggestion(peer, 1)
        assert isinstance(chosen.message, MetaMessage)
        assert (first.parent_id, first.hop_count) == (chosen.message.msg_id, 2)
        assert first.content.text == "Say it: A plan: try 1", "a help command sees issue, plan and problem"
        words = first.parameters
        assert isinstance(words, HelpSuggestion)
        assert words.patch is not None
        assert "+please" in words.patch
        assert "elsewhere" not in words.patch, "a patch keeps to the plan's files"
        tried = HelpTried(**about, suggestion=first.msg_id)
        failed = await peer.say(tried, "the magic word is still missing", parent=first)
        second = await suggestion(peer, 2)
        assert isinstance(failed.message, MetaMessage)
        assert (second.parent_id, second.hop_count) == (failed.message.msg_id, 4)
        assert second.content.text == "Say it: A plan: try 2"
        await peer.mesh.publish(issue_topic(1), failed.envelope.raw)
        await peer.say(HelpClosed(**about, helper=NODE, outcome="not_helped"))
        await trio.sleep(0.5)
        assert len(peer.all_heard(word("help_suggestion"))) == 2, "what was answered is not answered anew"
        assert len(peer.all_heard(kind("task_help_response"))) == 1


async def suggestion(peer: Peer, number: int) -> MetaMessage:
    with trio.fail_after(60):
        while len(found := peer.all_heard(word("help_suggestion"))) < number:
            await trio.sleep(0.05)
    message = found[number - 1].message
    assert isinstance(message, MetaMessage)
    return message


async def test_a_helper_that_was_killed_says_the_same_again(helper: tuple[Rig, Repository]) -> None:
    rig, source = helper
    open_issue(rig)
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        plan = await propose(peer)
        request = request_of(peer, source.head, plan, "the magic word is missing")
        offer = await ask(peer, request)
        chosen = await peer.say(HelpChosen(plan_digest=plan.digest, request_id=request.msg_id, helper=NODE))
        first = await suggestion(peer, 1)
    agent.kill()
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        repeated = await ask(peer, request)
        assert repeated.msg_id == offer.msg_id
        with trio.fail_after(60):
            while not peer.all_heard(word("help_suggestion")):
                await peer.mesh.publish(issue_topic(ISSUE.number), plan.envelope.raw)
                await peer.mesh.publish(issue_topic(ISSUE.number), chosen.envelope.raw)
                await trio.sleep(0.3)
        assert (await suggestion(peer, 1)).msg_id == first.msg_id


async def test_who_finds_nothing_withdraws_and_says_why(helper: tuple[Rig, Repository]) -> None:
    rig, source = helper
    open_issue(rig)
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        plan = await propose(peer)
        request = request_of(peer, source.head, plan, "something else is wrong")
        assert (await ask(peer, request)).can_help
        await peer.say(HelpChosen(plan_digest=plan.digest, request_id=request.msg_id, helper=NODE))
        withdrawn = await peer.hear(lambda m: isinstance(m, TaskHelpResponse) and not m.can_help, within=60)
        assert isinstance(withdrawn.message, TaskHelpResponse)
        assert "expected exit code 0, came 3" in withdrawn.message.reason
        assert peer.all_heard(word("help_suggestion")) == []


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"wants": ("lang:rust",)}, "it has none of lang:rust"),
        ({"wants": ("lang:rust", "TOOL:Magic")}, None),
        ({"wants": ()}, None),
        ({"wants": ("lang:rust",), "asked": ()}, "silent"),
    ],
)
async def test_an_answer_is_honest_and_who_was_not_asked_and_cannot_help_is_silent(
    helper: tuple[Rig, Repository], fields: dict[str, Any], answer: str | None
) -> None:
    rig, source = helper
    open_issue(rig)
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        plan = await propose(peer)
        request = request_of(peer, source.head, plan, "the magic word is missing", **fields)
        if answer == "silent":
            for _ in range(5):
                await peer.publish(HIVE_TOPIC, request)
                await trio.sleep(0.3)
            assert peer.all_heard(kind("task_help_response")) == []
            return
        said = await ask(peer, request)
        assert (said.can_help, said.reason or None) == (answer is None, answer)
