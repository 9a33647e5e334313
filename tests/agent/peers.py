"""Members of a real mesh that a test speaks for: they sign, publish and hear as agents do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import trio
from prometheus_client import CollectorRegistry

from bzzz_mesh import Mesh, MeshSettings, join
from hmmm.base import Model
from hmmm.identity import IssueIdentity
from hmmm.membership import Roster
from hmmm.messages import (
    HIVE_TOPIC,
    Capabilities,
    Message,
    MetaMessage,
    Signed,
    issue_topic,
    parse_message,
    sign_message,
)
from tests.agent.rig import FAR, Rig
from tests.support.discussions import Node, seed_of
from tests.support.processes import Process

ISSUE = IssueIdentity(repository="acme/widgets", number=1, epoch=1)


@dataclass
class Peer:
    """One member; `heard` grows as others speak."""

    node: Node
    mesh: Mesh
    nursery: trio.Nursery
    heard: list[Signed] = field(default_factory=list[Signed])
    _grew: trio.Condition = field(default_factory=trio.Condition)
    _ids: int = 0

    def header(self, issue: IssueIdentity = ISSUE) -> dict[str, Any]:
        """What a message about an issue begins with."""
        self._ids += 1
        return {
            "node_id": self.node.node_id,
            "msg_id": f"{self.node.node_id}-{self._ids}",
            "sent_at": datetime.now(UTC),
            "repository": issue.repository,
            "issue_id": issue.number,
            "epoch": issue.epoch,
        }

    async def publish(self, topic: str, message: Message) -> Signed:
        """Sign and say something."""
        signed = sign_message(message, self.node.key)
        await self.mesh.publish(topic, signed.envelope.raw)
        return signed

    async def say(
        self, parameters: Model, text: str = "", parent: MetaMessage | None = None, **fields: Any
    ) -> Signed:
        """Say a word of the discussion; `fields` are a claimant's log_seq and previous."""
        message = MetaMessage.compose(
            parent=parent, text=text, parameters=parameters, **self.header(), **fields
        )
        return await self.publish(issue_topic(ISSUE.number), message)

    async def announce(self, **capabilities: Any) -> None:
        """Tell the hive what this member can do, and again every second: whoever listens only now hears it too."""

        async def say() -> None:
            header = {
                name: value
                for name, value in self.header().items()
                if name in {"node_id", "msg_id", "sent_at"}
            }
            said = Capabilities(**header, repositories=(ISSUE.repository,), **capabilities)
            await self.publish(HIVE_TOPIC, said)

        async def repeat() -> None:
            while True:
                await trio.sleep(1)
                await say()

        await say()
        self.nursery.start_soon(repeat)

    async def hear(self, wanted: Callable[[Message], bool], *, within: float = 30) -> Signed:
        """Wait for a message by another that is as wanted, and return the first."""
        with trio.fail_after(within):
            async with self._grew:
                while True:
                    for signed in self.heard:
                        if wanted(signed.message):
                            return signed
                    await self._grew.wait()

    def all_heard(self, wanted: Callable[[Message], bool]) -> list[Signed]:
        """Return the distinct messages so far that are as wanted."""
        found = {signed.digest: signed for signed in self.heard if wanted(signed.message)}
        return list(found.values())

    async def listen(
        self, topic: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Hear a topic for ever."""
        async with self.mesh.subscribe(topic) as subscription:
            task_status.started()
            async for received in subscription:
                signed = parse_message(received.data)
                if signed.message.node_id != self.node.node_id:
                    async with self._grew:
                        self.heard.append(signed)
                        self._grew.notify_all()


def word(query_type: str) -> Callable[[Message], bool]:
    """Whether a message is a word of this kind."""
    return lambda message: isinstance(message, MetaMessage) and message.query_type == query_type


def kind(name: str) -> Callable[[Message], bool]:
    """Whether a message is of this type."""
    return lambda message: message.type == name


@asynccontextmanager
async def peer_of(rig: Rig, agent: Process, node_id: str) -> AsyncGenerator[Peer]:
    """Join the hive as another agent, connected to the real one."""
    node = rig.hive.node(node_id, not_after=datetime.now(UTC) + FAR)
    roster = Roster(rig.hive.name, rig.hive.key.public, node.card_bytes)
    settings = MeshSettings(seed=seed_of(f"mesh {rig.hive.name} {node_id}"), listen="/ip4/127.0.0.1/tcp/0")
    async with join(settings, roster, CollectorRegistry()) as mesh, trio.open_nursery() as nursery:
        peer = Peer(node, mesh, nursery)
        for topic in (HIVE_TOPIC, issue_topic(ISSUE.number)):
            await nursery.start(peer.listen, topic)
        await mesh.connect(agent.ready["peerId"], agent.ready["addresses"])
        assert await mesh.wait_for_members(HIVE_TOPIC, [agent.ready["peerId"]], 30), "the agent is there"
        yield peer
        nursery.cancel_scope.cancel()
