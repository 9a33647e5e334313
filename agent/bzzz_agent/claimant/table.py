"""The claimant's ear: what others say on the issue's topic is admitted, logged and thereby weighed; what gossip may
have lost is said again (architecture §5, §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
import trio

from bzzz_agent.claimant import helping
from bzzz_agent.claimant.case import Case
from bzzz_agent.inbox import Heard
from hmmm.discussion import ENDED, Discussion, Phase, Spoken, step
from hmmm.errors import NotAdmittedError, RemoteProtocolError
from hmmm.messages import HIVE_TOPIC, Message, MetaMessage, TaskClaimed, issue_topic
from hmmm.meta import NEVER_LOGGED, RoundStatus, plan_answered
from hmmm.observer import speaker_of
from hmmm.records import SafeguardBit

log = structlog.get_logger("bzzz.agent.table")

REPEAT_S = 2.0
"""How often the open round is repeated, or four times a window if that is shorter; "every few seconds" (architecture
§5). With 10 % loss and a window of 30 s the chance that a reviewer never hears the plan is below 1e-14."""

RECORDED = frozenset(
    {
        "over_hopped",
        "participants",
        "messages_per_round",
        "expired",
        "discussion_ttl",
        "not_claimant",
        "ejected",
        "not_helper",
        "not_asked",
        "help_ttl",
    }
)
"""Refusals that are safeguards of §6: recorded, so that the transcript shows that they bit."""


@dataclass
class Table:
    """Hears for one case until its discussion has ended."""

    case: Case
    _bitten: set[tuple[str, str, int]] = field(default_factory=set[tuple[str, str, int]])

    async def listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the issue's topic; started once it is subscribed to."""
        case = self.case
        topic = issue_topic(case.issue.number)
        async with case.tools.mesh.subscribe(topic) as subscription:
            task_status.started()
            async for received in subscription:
                heard = case.tools.inbox.read(topic, received.data, received.author)
                if heard is not None:
                    await self._hear(heard, topic)

    async def _hear(self, heard: Heard, topic: str) -> None:
        message, case = heard.signed.message, self.case
        if not isinstance(message, MetaMessage) or heard.card.node_id == case.tools.settings.node_id:
            return
        if message.query_type in NEVER_LOGGED:
            return
        if heard.card.role != "agent" and message.query_type != "human_verdict":
            return  # a scribe relays and has no voice of its own
        state, now = case.state, case.tools.now()
        if heard.signed.digest in state.seen:
            return
        try:
            role = speaker_of(heard.signed, state, case.tools.journal.owner, now)
            step(state, Spoken(heard.signed.digest, message, role), now)
        except NotAdmittedError as error:
            await self._refuse(heard, error, state)
        except RemoteProtocolError as error:
            case.tools.inbox.drop(heard.signed.peer_id, error)
        else:
            await case.tools.journal.hear(heard.signed, heard.card_text, case.issue, topic)

    async def _refuse(self, heard: Heard, error: NotAdmittedError, state: Discussion) -> None:
        """Count a refusal, and record the first of its kind by a participant in a round as a safeguard that bit."""
        case, node_id = self.case, heard.card.node_id
        case.tools.inbox.drop(heard.signed.peer_id, error)
        bite = (error.reason, node_id, state.round)
        if error.reason not in RECORDED or bite in self._bitten or state.phase in ENDED:
            return
        self._bitten.add(bite)
        case.tools.metrics.safeguards.labels(error.reason).inc()
        fact = SafeguardBit(safeguard=error.reason, node_id=node_id, detail=str(error)[:300])
        await case.tools.journal.note(fact, case.issue)

    async def repeat(self) -> None:
        """Say the open round again, every few seconds, for whoever did not hear it."""
        while True:
            await trio.sleep(min(REPEAT_S, self.case.state.limits.window_s / 4))
            state = self.case.state
            if state.phase in {Phase.LISTENING, Phase.EXECUTING} and state.plan is not None:
                await self._repeat_round(state)
            await helping.repeat(self.case)

    async def call(self) -> None:
        """Announce the claim again: reviewers that do not follow the discussion come to its topic."""
        case = self.case
        for signed in case.tools.journal.sent(case.issue):
            if isinstance(signed.message, TaskClaimed):
                await case.tools.voice.repeat(signed, HIVE_TOPIC)

    async def _repeat_round(self, state: Discussion) -> None:
        case = self.case
        topic = issue_topic(case.issue.number)
        closing = state.closing
        if closing is not None and closing.expected <= closing.countersigned:
            return
        wanted = {closing.digest} if closing is not None else _plan_digest(state)
        for signed in case.tools.journal.sent(case.issue):
            if signed.digest in wanted:
                await case.tools.voice.repeat(signed, topic)
        if closing is None and state.plan is not None:
            await self.call()
            await case.tools.voice.hint(topic, self._status(state, state.plan.digest))

    def _status(self, state: Discussion, plan_digest: str) -> Message:
        remaining = 0.0
        if state.plan is not None:
            remaining = max(0.0, (state.plan.deadline - self.case.tools.now()).total_seconds())
        taken_in = tuple(c.digest for c in state.said() if plan_answered(c.parameters) == plan_digest)
        status = RoundStatus(
            plan_digest=plan_digest,
            round=state.round,
            taken_in=taken_in[-64:],
            remaining_s=min(remaining, 7200),
        )
        header = self.case.tools.voice.issue_header(self.case.issue)
        return MetaMessage.compose(parent=None, text="", parameters=status, **header)


def _plan_digest(state: Discussion) -> set[str]:
    return set() if state.plan is None else {state.plan.digest}
