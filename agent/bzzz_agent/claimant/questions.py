"""Questions to a plan are answered: from issue and repository, else by the people of the issue (architecture §6.2).

The discussion waits meanwhile (`DiscussionLimits.await_answers`), for as long as its TTL lasts; then a human is asked,
and until one has decided an answer still counts. Everything here looks
before it acts, so that a claimant that restarts asks nobody twice: a comment is found again by its id, and what was
answered is in the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from bzzz_agent.claimant.case import Case
from bzzz_agent.execution import ExecutionError
from bzzz_agent.github.answers import Comment
from bzzz_agent.github.errors import GitHubError
from bzzz_agent.github.text import harmless
from bzzz_agent.journal import StaleWordError
from hmmm.discussion import Contribution, Phase, awaited
from hmmm.messages import MetaMessage
from hmmm.meta import Answer
from hmmm.records import MessageReceived, data_of, signed_of

log = structlog.get_logger("bzzz.agent.questions")

SHOWN: Final = 2000
"""Characters of a question in a comment."""


@dataclass
class Questions:
    """Answers one discussion's questions until it is cancelled."""

    case: Case
    _looked_up: set[str] = field(default_factory=set[str])
    _asked: dict[str, Comment] = field(default_factory=dict[str, Comment])

    async def answer(self) -> None:
        """Answer what is asked, as it comes."""
        case = self.case
        while True:
            state, waits = case.state, False
            try:
                for question in self._open():
                    waits = not await self._settle(question) or waits
            except GitHubError as error:  # a locked issue takes no comment: then the discussion's TTL decides
                log.warning("a question waits", issue=str(case.issue), problem=str(error))
                waits = True
            pause = timedelta(seconds=case.tools.settings.poll_interval_s)
            await case.tools.journal.wait_change(
                case.issue, state, case.tools.now() + pause if waits else None
            )

    def _open(self) -> tuple[Contribution, ...]:
        state = self.case.state
        # once a human is asked for want of an answer, whoever answers is still heard: people come by when they can
        waits = state.phase in {Phase.LISTENING, Phase.ESCALATED} and state.closing is None
        return awaited(state) if waits else ()

    async def _settle(self, question: Contribution) -> bool:
        """Answer a question if that is possible now; return whether it was."""
        case = self.case
        if question.msg_id not in self._looked_up:
            found = await self._found(question)
            self._looked_up.add(question.msg_id)
            if found is not None:
                return await self._say(question, *found)
        asked = self._asked.get(question.msg_id)
        if asked is None:
            asked = await case.repo.comment(
                case.issue.number, _comment_id(case, question), _asking(case, question)
            )
            self._asked[question.msg_id] = asked
        reply = await case.repo.reply(case.facts, asked)
        if reply is None:
            return False
        digest = None if case.state.plan is None else case.state.plan.digest
        url = reply.url if len(reply.url) <= 500 else None
        told = Answer(plan_digest=digest, source="author", author=reply.author[:100], url=url)
        return await self._say(question, reply.text, told)

    async def _found(self, question: Contribution) -> tuple[str, Answer] | None:
        """Look into issue and repository; None if the answer stands in neither, or there is no model to look."""
        case = self.case
        try:
            found = await case.tools.execution.look_up(case.task, question.text)
        except ExecutionError as error:
            log.warning("the answer was not looked up", issue=str(case.issue), problem=str(error))
            return None
        if found is None:
            return None
        digest = None if case.state.plan is None else case.state.plan.digest
        return found.text, Answer(plan_digest=digest, source=found.source, quoted=found.quoted)

    async def _say(self, question: Contribution, text: str, answer: Answer) -> bool:
        case, parent = self.case, _message_of(self.case, question)
        if parent is None:
            return False
        try:
            await case.tools.voice.chair(case.issue, text[:4000], answer, parent)
        except StaleWordError as stale:
            log.info("the answer came too late", issue=str(case.issue), reason=str(stale))
        return True


def _comment_id(case: Case, question: Contribution) -> str:
    return f"question-{case.issue.epoch}-{question.digest[:16]}"


def _asking(case: Case, question: Contribution) -> str:
    minutes = max(1, round(case.state.limits.ttl_s / 60))
    quoted = "\n".join(f"> {line}" for line in harmless(question.text, limit=SHOWN).splitlines())
    return (
        f"{question.node_id} asks, before anything is changed:\n\n{quoted}\n\n"
        f"The next comment by the issue's author, or by somebody who may write to this repository, is taken as the "
        f"answer and goes into the plan. After {minutes} min without one somebody is asked to decide; an answer is "
        f"taken for as long as nobody has."
    )


def _message_of(case: Case, question: Contribution) -> MetaMessage | None:
    """Return a question as it was received: its answer is a reply to it."""
    for record in case.tools.journal.facts(case.issue, "message_received"):
        data = data_of(record) if record.id == question.digest else None
        if isinstance(data, MessageReceived):
            message = signed_of(data, verify=False).message
            return message if isinstance(message, MetaMessage) else None
    return None
