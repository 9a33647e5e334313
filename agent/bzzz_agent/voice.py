"""Speaking on the mesh: only what the log holds (architecture §5, *log before you speak*)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bzzz_agent.clock import now
from bzzz_agent.failpoints import Failpoints
from bzzz_agent.ids import new_id
from bzzz_agent.journal import Journal
from bzzz_mesh import Mesh
from hmmm.base import Model
from hmmm.envelope import SigningKey
from hmmm.identity import IssueIdentity
from hmmm.messages import HIVE_TOPIC, Message, MetaMessage, Signed, issue_topic, sign_message


@dataclass
class Voice:
    """Signs, logs, publishes."""

    node_id: str
    mesh: Mesh
    journal: Journal
    key: SigningKey
    failpoints: Failpoints

    def header(self) -> dict[str, Any]:
        """Return what every message begins with."""
        return {"node_id": self.node_id, "msg_id": new_id(), "sent_at": now()}

    def issue_header(self, issue: IssueIdentity) -> dict[str, Any]:
        """Return what every message about an issue begins with."""
        return self.header() | {
            "repository": issue.repository,
            "issue_id": issue.number,
            "epoch": issue.epoch,
        }

    async def hint(self, topic: str, message: Message) -> None:
        """Publish what carries no fact of its own (capabilities, issue_seen, round_status) and is not logged.

        Nothing is said while the log is away, hints included.
        """
        if self.journal.client.healthy:
            await self.mesh.publish(topic, sign_message(message, self.key).envelope.raw)

    async def announce(self, message: Message, issue: IssueIdentity) -> Signed:
        """Log and publish a message on `bzzz`."""
        signed = await self.journal.say(HIVE_TOPIC, message, issue)
        await self.mesh.publish(HIVE_TOPIC, signed.envelope.raw)
        return signed

    async def answer(self, issue: IssueIdentity, parent: MetaMessage, text: str, parameters: Model) -> Signed:
        """Log and publish a participant's word on an issue's topic."""
        topic = issue_topic(issue.number)
        message = MetaMessage.compose(
            parent=parent, text=text, parameters=parameters, **self.issue_header(issue)
        )
        signed = await self.journal.say(topic, message, issue)
        await self.mesh.publish(topic, signed.envelope.raw)
        return signed

    async def chair(
        self, issue: IssueIdentity, text: str, parameters: Model, parent: MetaMessage | None = None
    ) -> Signed:
        """Log and publish a claimant's word on the issue's topic."""
        topic = issue_topic(issue.number)
        signed = await self.journal.say_as_claimant(topic, issue, text, parameters, parent)
        await self.repeat(signed, topic)
        return signed

    async def repeat(self, signed: Signed, topic: str) -> None:
        """Publish an envelope that the log holds; again does no harm, its digest says that it is the same."""
        await self.mesh.publish(topic, signed.envelope.raw)
        if isinstance(signed.message, MetaMessage):
            self.failpoints.reach(f"after_publish:{signed.message.query_type}")
