"""What the scribe learns on the mesh: who is there, what they say of themselves, and whose log is whose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import trio
from prometheus_client import CollectorRegistry

import bzzz_mesh
from bzzz_mesh import Mesh, MeshSettings
from hmmm.envelope import SigningKey
from hmmm.membership import Roster
from hmmm.messages import (
    ESCALATION_TOPIC,
    HIVE_TOPIC,
    Capabilities,
    ModelInfo,
    TaskReleased,
    issue_topic,
    sign_message,
)
from hmmm.meta import DiscussionClosed
from tests.scribe.rig import Rig, Voice
from tests.support.discussions import Node, seed_of


async def until(look: Callable[[], Any], within: float = 15.0) -> Any:
    """Poll something blocking in a thread until it is true."""
    with trio.fail_after(within):
        while not (value := await trio.to_thread.run_sync(look)):
            await trio.sleep(0.05)
        return value


@asynccontextmanager
async def on_the_mesh(rig: Rig, node: Node) -> AsyncIterator[Mesh]:
    """Join as a member, connected to the scribe."""
    seed = seed_of(f"mesh {rig.hive.name} {node.node_id}")
    settings = MeshSettings(seed=seed, bootstrap=tuple(rig.live.ready["addresses"]))
    roster = Roster(rig.hive.name, rig.hive.key.public, node.card_bytes)
    async with bzzz_mesh.join(settings, roster, CollectorRegistry()) as mesh:
        here = await mesh.wait_for_members(HIVE_TOPIC, [rig.node.key.key_id], 15)
        assert here == {rig.node.key.key_id}
        yield mesh


def capabilities(node: Node, **fields: Any) -> Capabilities:
    values: dict[str, Any] = {
        "node_id": node.node_id,
        "msg_id": "c1",
        "sent_at": datetime.now(UTC),
        "models": (ModelInfo(name="gemma-3-270m", reasoning=True),),
        "load": 1,
        "phase": "Listening",
        "log_key": node.card.log_key,
    }
    return Capabilities(**values | fields)


def dropped(rig: Rig, reason: str) -> float:
    name = f'bzzz_scribe_messages_dropped_total{{reason="{reason}"}}'
    lines = rig.ask("/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(name))


async def test_what_an_agent_says_of_itself_is_shown(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    node = voice.claimant.node
    rig.start()

    def shown() -> dict[str, Any] | None:
        return next((a for a in rig.state()["agents"] if a["nodeId"] == "bzzz-0" and a["models"]), None)

    async with on_the_mesh(rig, node) as mesh:
        await mesh.publish(HIVE_TOPIC, sign_message(capabilities(node), node.key).envelope.raw)
        agent = await until(shown)
        assert agent["models"] == [{"name": "gemma-3-270m", "reasoning": True}]
        assert (agent["phase"], agent["load"], agent["healthy"]) == ("Listening", 1, True)
        assert (agent["peerId"], agent["logKey"]) == (node.key.key_id, node.card.log_key)
        assert agent["present"] is True
        assert agent["lastSeen"] is not None


async def test_messages_that_do_not_hold_are_dropped_counted_and_said_once(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    node, other = voice.claimant.node, rig.hive.node("bzzz-9")
    rig.start()
    foreign = SigningKey.mesh(seed_of("a stranger's"))
    released = TaskReleased(
        node_id="bzzz-0",
        msg_id="m1",
        sent_at=datetime.now(UTC),
        repository="acme/widgets",
        issue_id=1,
        epoch=1,
    )
    async with on_the_mesh(rig, node) as mesh:
        for data in (
            b"\x00not json",
            sign_message(capabilities(node), foreign).envelope.raw,
            sign_message(capabilities(node, node_id=other.node_id), node.key).envelope.raw,
        ):
            await mesh.publish(HIVE_TOPIC, data)
            await mesh.publish(HIVE_TOPIC, data + b" ")
        await mesh.publish(ESCALATION_TOPIC, sign_message(released, node.key).envelope.raw)
        for reason in ("malformed", "unknown_author", "wrong_author", "wrong_topic"):
            await until(lambda reason=reason: dropped(rig, reason) > 0)
        await mesh.publish(HIVE_TOPIC, sign_message(capabilities(node), node.key).envelope.raw)
        await until(lambda: any(a["models"] for a in rig.state()["agents"]))
    complaints = [line for line in rig.live.logged("message dropped") if line["reason"] == "wrong_author"]
    assert len(complaints) == 1
    assert all(a["nodeId"] != "bzzz-9" for a in rig.state()["agents"])


async def test_a_log_whose_owner_nobody_knows_waits_for_the_owners_card(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    restart_on_paper(voice)
    chair.claim()
    chair.propose()
    voice.write()
    rig.start()
    await until(lambda: rig.live.logged("nobody is known to own this log yet"))
    assert rig.state()["discussions"] == []
    async with on_the_mesh(rig, chair.node):
        await until(rig.discussion)
    shown = rig.discussion()
    assert shown is not None
    assert shown["phase"] == "Listening"


def restart_on_paper(voice: Voice) -> None:
    """Forget the record that says whose log it is."""
    voice.claimant.blocks.clear()
    voice.claimant.entries.clear()
    voice.claimant.observer = type(voice.claimant.observer)(voice.claimant.owner)


async def test_the_scribe_listens_where_a_discussion_is_live_and_leaves_when_it_ended(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    chair.claim()
    chair.propose()
    voice.write()
    rig.start()
    topic, scribe = issue_topic(42), rig.node.key.key_id
    async with on_the_mesh(rig, chair.node) as mesh:
        assert await mesh.wait_for_members(topic, [scribe], 15) == {scribe}
        chair.say(DiscussionClosed(outcome="released", reason="test"))
        voice.write()
        with trio.fail_after(20):
            while mesh.on_topic(topic):
                await trio.sleep(0.05)
    shown = rig.discussion()
    assert shown is not None
    assert (shown["live"], shown["outcome"]) == (False, "released")
