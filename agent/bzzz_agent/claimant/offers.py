"""The claimant's ear on the hive's topic: answers to its request for help are admitted, logged and thereby weighed."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from bzzz_agent.claimant.case import Case
from bzzz_agent.inbox import Heard
from hmmm.discussion import step
from hmmm.errors import RemoteProtocolError
from hmmm.messages import HIVE_TOPIC, TaskHelpResponse
from hmmm.observer import answer_of


@dataclass
class Offers:
    """Hears for one case."""

    case: Case

    async def listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the hive's topic for as long as the case lasts; only while a request is open it is read."""
        inbox = self.case.tools.inbox
        async with self.case.tools.mesh.subscribe(HIVE_TOPIC) as subscription:
            task_status.started()
            async for received in subscription:
                if self.case.state.help is None:
                    continue
                heard = inbox.read(HIVE_TOPIC, received.data, received.author)
                if heard is not None and isinstance(heard.signed.message, TaskHelpResponse):
                    await self._hear(heard, heard.signed.message)

    async def _hear(self, heard: Heard, message: TaskHelpResponse) -> None:
        case, issue = self.case, self.case.issue
        about = (message.repository, message.issue_id, message.epoch)
        if about != (issue.repository, issue.number, issue.epoch) or heard.card.role != "agent":
            return  # an answer to somebody else
        state, now = case.state, case.tools.now()
        if heard.signed.digest in state.seen:
            return
        try:
            step(state, answer_of(heard.signed, state, case.tools.journal.owner, now), now)
        except RemoteProtocolError as error:
            case.tools.inbox.drop(heard.signed.peer_id, error)
        else:
            await case.tools.journal.hear(heard.signed, heard.card_text, issue, HIVE_TOPIC)
