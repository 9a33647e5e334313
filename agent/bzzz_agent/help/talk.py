"""A helper's side of one talk: chosen, it suggests; told what failed, it suggests once more; unable, it withdraws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
import trio

from bzzz_agent.execution import Suggestion, Trouble
from bzzz_agent.inbox import Heard
from hmmm.errors import BzzzError, LocalProtocolError
from hmmm.identity import IssueIdentity
from hmmm.messages import HIVE_TOPIC, MetaMessage, Signed, TaskHelpRequest, TaskHelpResponse, issue_topic
from hmmm.meta import (
    DiscussionClosed,
    ExecutionFinished,
    HelpChosen,
    HelpClosed,
    HelpSuggestion,
    HelpTried,
    PlanProposed,
)
from hmmm.plan import Plan

if TYPE_CHECKING:
    from bzzz_agent.help.helper import Helper

log = structlog.get_logger("bzzz.agent.help")

PLAN_S: Final = 10.0
"""How long the plan is waited for; its claimant says it again every few seconds."""
NOTHING: Final = "it found nothing to suggest"


@dataclass
class Talk:
    """What this agent has heard in one talk; what it has said is in its log."""

    helper: Helper
    request: TaskHelpRequest
    nursery: trio.Nursery
    over: bool = False
    _plan: Plan | None = None
    _plan_is_known: trio.Event = field(default_factory=trio.Event)
    _begun: set[str] = field(default_factory=set[str])
    """Words of the claimant that are being thought about, by msg_id."""
    _failures: dict[str, str] = field(default_factory=dict[str, str])
    """What failed with each of this helper's suggestions, by msg_id."""

    @property
    def _issue(self) -> IssueIdentity:
        request = self.request
        return IssueIdentity(repository=request.repository, number=request.issue_id, epoch=request.epoch)

    async def hear(self, heard: Heard) -> None:
        """Take in a word of the discussion; only the claimant's count."""
        message, request, me = heard.signed.message, self.request, self.helper.voice.node_id
        if not isinstance(message, MetaMessage) or heard.card.node_id != request.node_id:
            return
        if (message.repository, message.epoch) != (request.repository, request.epoch):
            return
        match message.parameters:
            case PlanProposed(plan=plan) if heard.signed.digest == request.plan_digest:
                self._plan = plan
                self._plan_is_known.set()
            case HelpChosen(request_id=request.msg_id) as chosen if chosen.helper == me:
                await self._asked(message, request.problem)
            case HelpTried(request_id=request.msg_id) as tried if self._is_mine(tried.suggestion):
                self._failures[tried.suggestion] = message.content.text
                await self._asked(message, message.content.text)
            case HelpClosed(request_id=request.msg_id) as closed if closed.helper == me:
                self.over = True
            case ExecutionFinished(ok=True) | DiscussionClosed():
                self.over = True
            case _:
                pass

    async def _asked(self, message: MetaMessage, problem: str) -> None:
        """Suggest something; a word that was answered before gets the same answer again."""
        before = self._reply_to(message)
        if before is not None:
            await self.helper.voice.repeat(before, issue_topic(self.request.issue_id))
            return
        answered = self.helper.said(self.request)
        if (
            answered is not None
            and isinstance(answered.message, TaskHelpResponse)
            and not answered.message.can_help
        ):
            await self.helper.voice.repeat(answered, HIVE_TOPIC)  # withdrawn already
            return
        if message.msg_id not in self._begun:
            self._begun.add(message.msg_id)
            self.helper.owed.add(self.request.msg_id)
            self.nursery.start_soon(self._suggest, message, problem)

    async def _suggest(self, message: MetaMessage, problem: str) -> None:
        helper = self.helper
        async with helper.thinking:
            started = helper.monotonic()
            try:
                suggestion, why_not = await self._think(problem), NOTHING
            except BzzzError as error:
                suggestion, why_not = None, str(error)
                log.warning("cannot help after all", issue=str(self._issue), problem=why_not)
            helper.eta_s = max(1.0, helper.monotonic() - started)
        if suggestion is None:
            await helper.say(self.request, why_not)
        else:
            await self._say(message, suggestion)
            helper.metrics.help.labels("given").inc()
        helper.owed.discard(self.request.msg_id)

    async def _think(self, problem: str) -> Suggestion | None:
        with trio.move_on_after(PLAN_S):
            await self._plan_is_known.wait()
        task = await self.helper.task_of(self.request)
        if self._plan is None or task is None:
            return None
        trouble = Trouble(problem, self.request.wants, self._tried())
        return await self.helper.execution.suggest(task, self._plan, trouble)

    def _tried(self) -> tuple[str, ...]:
        return tuple(
            f"{word.content.text}\n\nThen: {self._failures.get(word.msg_id, 'it failed')}"
            for word in self._suggestions()
        )

    async def _say(self, message: MetaMessage, suggestion: Suggestion) -> None:
        """Reply; a patch that makes the message too large for an envelope is left out."""
        digest = self.request.plan_digest
        if digest is None:
            return
        words = HelpSuggestion(plan_digest=digest, request_id=self.request.msg_id, patch=suggestion.patch)
        try:
            await self.helper.voice.answer(self._issue, message, suggestion.text, words)
        except LocalProtocolError as error:
            log.warning("a suggestion goes without its patch", issue=str(self._issue), problem=str(error))
            bare = words.model_copy(update={"patch": None})
            await self.helper.voice.answer(self._issue, message, suggestion.text, bare)

    def _reply_to(self, message: MetaMessage) -> Signed | None:
        for signed in self.helper.voice.journal.sent(self._issue):
            word = signed.message
            if (
                isinstance(word, MetaMessage)
                and word.query_type == "help_suggestion"
                and word.parent_id == message.msg_id
            ):
                return signed
        return None

    def _suggestions(self) -> list[MetaMessage]:
        words = (signed.message for signed in self.helper.voice.journal.sent(self._issue))
        return [
            word
            for word in words
            if isinstance(word, MetaMessage)
            and isinstance(word.parameters, HelpSuggestion)
            and word.parameters.request_id == self.request.msg_id
        ]

    def _is_mine(self, suggestion: str) -> bool:
        return any(word.msg_id == suggestion for word in self._suggestions())
