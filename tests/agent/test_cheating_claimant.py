"""A claimant that cheats, on a real mesh: the reviewers are real agents, the claimant is the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from hmmm.discussion import LEFT_OUT
from hmmm.limits import DiscussionLimits
from hmmm.messages import HIVE_TOPIC, Message, MetaMessage, Signed, TaskClaimed
from hmmm.meta import NoObjection, Objection, PlanProposed, RoundClosed, Weighed
from hmmm.plan import Plan
from tests.agent.helping import helping_rig, open_issue
from tests.agent.peers import ISSUE, Peer, peer_of, word
from tests.agent.rig import NODE, Rig

pytestmark = pytest.mark.timeout(120)

SPEC: dict[str, Any] = {
    "github": {"repositories": ["acme/widgets"], "issues": {"labels": ["somebody-elses"]}},
    "execution": {
        "type": "command",
        "plan": "dryRun",
        "command": ["true"],
        "limits": {"protectedPaths": ["secrets/**"]},
    },
}
GOOD = Plan(summary="Mend the door", footprint=("door.md",))
OTHER = Plan(summary="Mend the window", footprint=("window.md",))
BAD = Plan(summary="Open the safe", footprint=("secrets/safe.md",))


@pytest.fixture
def rig(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An agent that reviews by rules and finds no issue for itself."""
    with helping_rig(tmp_path, tmp_path_factory.mktemp("out"), **SPEC) as (made, _):
        open_issue(made)
        yield made


async def claim(peer: Peer) -> None:
    """Claim the issue and name the agent as reviewer, until it listens there."""
    topic_there = f"bzzz/meta/issue/{ISSUE.number}"
    with trio.fail_after(30):
        while not peer.mesh.on_topic(topic_there):
            header = peer.header()
            said = TaskClaimed(**header, plan_id="p", reviewers=(NODE,), claim_sha="0" * 40)
            await peer.publish(HIVE_TOPIC, said)
            await trio.sleep(0.3)


async def propose(peer: Peer, plan: Plan, window_s: float = 20) -> Signed:
    proposed = PlanProposed(
        plan=plan,
        plan_id="p",
        round=1,
        window_s=window_s,
        reviewers=(NODE,),
        limits=DiscussionLimits(window_s=window_s),
    )
    return await peer.say(proposed, plan.summary)


def objection(rule: str, digest: str) -> Any:
    """Whether a message is the reviewer's objection by this rule to this plan."""

    def wanted(message: Message) -> bool:
        if not isinstance(message, MetaMessage) or not isinstance(message.parameters, Objection):
            return False
        return (message.parameters.rule, message.parameters.plan_digest) == (rule, digest)

    return wanted


async def test_two_plans_for_one_round_are_found_whichever_was_shown_first(rig: Rig) -> None:
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        await claim(peer)
        shown = await propose(peer, GOOD)
        agreed = (await peer.hear(word("no_objection"))).message
        assert isinstance(agreed, MetaMessage)
        assert isinstance(agreed.parameters, NoObjection)
        assert agreed.parameters.plan_digest == shown.digest
        other = await propose(peer, OTHER)
        for plan in (shown, other):
            found = (await peer.hear(objection("two_plans", plan.digest))).message
            assert isinstance(found, MetaMessage)
            assert isinstance(found.parameters, Objection)
            assert found.parameters.severity == "blocking"
            assert shown.digest in found.parameters.reason
            assert other.digest in found.parameters.reason


async def test_a_plan_that_is_said_again_is_no_second_one(rig: Rig) -> None:
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        await claim(peer)
        shown = await propose(peer, GOOD)
        agreed = await peer.hear(word("no_objection"))
        await peer.mesh.publish(f"bzzz/meta/issue/{ISSUE.number}", shown.envelope.raw)
        weighed = (
            Weighed(
                msg_id=agreed.message.msg_id,
                digest=agreed.digest,
                node_id=NODE,
                query_type="no_objection",
                decision="noted",
            ),
        )
        await peer.say(RoundClosed(plan_digest=shown.digest, round=1, next="execute", weighed=weighed))
        await peer.hear(word("countersigned"))
        assert not peer.all_heard(word("objection"))


async def test_an_account_that_leaves_an_objection_out_is_disputed_and_not_countersigned(rig: Rig) -> None:
    agent = rig.start()
    async with peer_of(rig, agent, "bzzz-9") as peer:
        await claim(peer)
        plan = await propose(peer, BAD)
        await peer.hear(objection("protected_path", plan.digest))
        await peer.say(
            RoundClosed(plan_digest=plan.digest, round=1, next="execute", weighed=(), silent=(NODE,)),
            "nobody objected",
        )
        await peer.hear(objection(LEFT_OUT, plan.digest))
        assert not peer.all_heard(word("countersigned"))
