"""An agent's part in others' trouble: it answers requests for help, and whoever takes it up hears its suggestions.

Everything said is in the agent's own log before it is said. What is heard again is answered with the same envelope: a
helper that restarts, or whose word gossip lost, says nothing twice in other words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
import trio

from bzzz_agent.execution import Execution, Task
from bzzz_agent.help.able import Means, refusal
from bzzz_agent.help.talk import Talk
from bzzz_agent.inbox import Inbox
from bzzz_agent.metrics import AgentMetrics
from bzzz_agent.repositories import Repositories
from bzzz_agent.voice import Voice
from bzzz_mesh import Mesh
from hmmm.identity import IssueIdentity
from hmmm.messages import HIVE_TOPIC, Signed, TaskHelpRequest, TaskHelpResponse, issue_topic

log = structlog.get_logger("bzzz.agent.help")

LINGER_S: Final = 900.0
"""A talk in which nothing is said for so long is over; a try may take as long as an execution."""
FIRST_ETA_S: Final = 30.0
"""What is promised before the first help has shown how long it takes."""
PER_CLAIMANT: Final = 10
EVERY_S: Final = 600.0
"""New requests of one claimant that are answered in so many seconds. An honest one has one issue and few requests."""


@dataclass
class Helper:
    """Offers and gives help, one suggestion at a time."""

    voice: Voice
    mesh: Mesh
    inbox: Inbox
    execution: Execution
    repositories: Repositories
    means: Callable[[], Means]
    """What the agent has and does now; `talks` is filled in here."""
    metrics: AgentMetrics
    monotonic: Callable[[], float] = trio.current_time
    thinking: trio.Lock = field(default_factory=trio.Lock)
    eta_s: float = FIRST_ETA_S
    owed: set[str] = field(default_factory=set[str])
    """Requests whose claimant has chosen this agent and waits for it."""
    _following: set[str] = field(default_factory=set[str])
    _answering: set[str] = field(default_factory=set[str])
    _asked: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])

    @property
    def owes(self) -> bool:
        """Whether somebody waits for a suggestion."""
        return bool(self.owed)

    async def hear(self, request: TaskHelpRequest) -> None:
        """Answer a request, the same way however often it comes, and follow the talk if help was offered."""
        if request.node_id == self.voice.node_id or request.msg_id in self._answering:
            return
        self._answering.add(request.msg_id)
        try:
            can_help = await self._answer(request)
        finally:
            self._answering.discard(request.msg_id)
        if can_help:
            await self.follow(request)

    async def _answer(self, request: TaskHelpRequest) -> bool:
        said = self.said(request)
        if said is not None:
            await self.voice.repeat(said, HIVE_TOPIC)
            return isinstance(said.message, TaskHelpResponse) and said.message.can_help
        means = self.means()
        why = refusal(request.wants, replace(means, talks=len(self._following)))
        if why is None and request.repository not in self.repositories.open:
            return False  # still on its way to GitHub: it is asked again in two seconds
        if why is not None and self.voice.node_id not in request.asked:
            return False  # nobody waits for this agent's word
        if self._floods(request.node_id):
            log.warning("a claimant asks for help too often", claimant=request.node_id)
            return False
        await self.say(request, why, tuple(sorted(means.capabilities)))
        return why is None

    async def say(
        self, request: TaskHelpRequest, why_not: str | None, capabilities: tuple[str, ...] = ()
    ) -> None:
        """Offer help, or say why not: as an answer, or to withdraw what was offered."""
        issue = issue_of(request)
        self.metrics.help.labels("offered" if why_not is None else "refused").inc()
        log.info("answers a request for help", issue=str(issue), claimant=request.node_id, refusal=why_not)
        response = TaskHelpResponse(
            **self.voice.issue_header(issue),
            request_id=request.msg_id,
            can_help=why_not is None,
            capabilities=capabilities[:64],
            eta_seconds=self.eta_s if why_not is None else None,
            reason=(why_not or "")[:300],
        )
        await self.voice.announce(response, issue)

    def said(self, request: TaskHelpRequest) -> Signed | None:
        """Return this agent's last answer to a request, from its log."""
        for signed in reversed(self.voice.journal.sent(issue_of(request))):
            message = signed.message
            if isinstance(message, TaskHelpResponse) and message.request_id == request.msg_id:
                return signed
        return None

    async def follow(self, request: TaskHelpRequest) -> None:
        """Take part in the talk on a request until it is over; a second call for the same returns at once."""
        if request.msg_id in self._following:
            return
        self._following.add(request.msg_id)
        topic = issue_topic(request.issue_id)
        try:
            async with self.mesh.subscribe(topic) as subscription, trio.open_nursery() as nursery:
                talk = Talk(self, request, nursery)
                with trio.move_on_after(LINGER_S) as patience:
                    async for received in subscription:
                        heard = self.inbox.read(topic, received.data, received.author)
                        if heard is None:
                            continue
                        patience.deadline = trio.current_time() + LINGER_S
                        await talk.hear(heard)
                        if talk.over:
                            break
                nursery.cancel_scope.cancel()  # nobody waits for what is still being thought about
        finally:
            self._following.discard(request.msg_id)
            self.owed.discard(request.msg_id)

    async def task_of(self, request: TaskHelpRequest) -> Task | None:
        """Return the peer's task, as GitHub has it; None when it names no base to look at. Raises GitHubError."""
        repo = self.repositories.open.get(request.repository)
        if request.base_sha is None or repo is None:
            return None
        title, body = await self.repositories.read(request.repository, request.issue_id)
        return Task(
            repository=request.repository,
            number=request.issue_id,
            epoch=request.epoch,
            title=title,
            body=body,
            base_sha=request.base_sha,
            clone_url=repo.facts.clone_url,
        )

    def _floods(self, claimant: str) -> bool:
        now, times = self.monotonic(), self._asked.setdefault(claimant, deque(maxlen=PER_CLAIMANT))
        if len(times) == PER_CLAIMANT and now - times[0] < EVERY_S:
            return True
        times.append(now)
        return False


def issue_of(request: TaskHelpRequest) -> IssueIdentity:
    """Return the claim that a request is about."""
    return IssueIdentity(repository=request.repository, number=request.issue_id, epoch=request.epoch)
