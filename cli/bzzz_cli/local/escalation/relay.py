"""Tells the webhook what waits for a human, and brings what people answered to the scribe until the claimant has it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import aiohttp
import structlog

from bzzz_cli.answering import ESCALATED
from bzzz_cli.errors import CommandError
from bzzz_cli.local.answers import LocalHive, View
from bzzz_cli.local.escalation.books import Answered, Books
from bzzz_cli.local.escalation.resource import as_resource
from bzzz_cli.local.escalation.settings import RelaySettings, read_secret
from bzzz_operator.errors import OperatorError
from bzzz_operator.escalation.answers import Ruling, rule
from bzzz_operator.escalation.notices import notice_of
from bzzz_operator.escalation.webhook import deliver
from hmmm.envelope import sha256_hex
from hmmm.escalation import Answer, Notice, Outcome, after_attempt, is_due
from hmmm.verdict import SignedVerdict

log = structlog.get_logger("bzzz.local.escalation")

POLL_S: Final = 1.0
AT_ONCE: Final = 4
"""Deliveries side by side; a webhook that hangs keeps no more waiting."""
AGAIN_POLLS: Final = 5
"""The scribe keeps what it was brought in memory: brought again, every so many polls, until the claimant has it."""


def _now() -> datetime:
    return datetime.now(UTC)


class LocalRelay:
    """`run` delivers and brings; `take` records an answer."""

    def __init__(self, hive: LocalHive, settings: RelaySettings, books: Books) -> None:
        self._hive = hive
        self._settings = settings
        self._books = books
        self._taking = asyncio.Lock()
        self._under_way: set[str] = set()
        self._away = ""

    async def run(self) -> None:
        """Look at the hive every second, until cancelled. Nothing that fails ends it."""
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as tasks,
        ):
            poll = 0
            while True:
                for view in await self._look():
                    self._start_delivery(tasks, session, view)
                    if poll % AGAIN_POLLS == 0:
                        await self._bring(view)
                poll += 1
                await asyncio.sleep(POLL_S)

    async def take(self, answer: Answer) -> Ruling:
        """Decide on an answer whose signature holds, and record it. Raises OperatorError when it cannot now."""
        async with self._taking:
            try:
                views = await asyncio.to_thread(self._hive.discussions)
            except CommandError as error:
                raise OperatorError(str(error)) from error
            of = (answer.issue.repository, answer.issue.number)
            view = next((one for one in views if (one.repository, one.number) == of), None)
            before = self._books.answer(answer.escalation_id)
            resource = (
                None if view is None else as_resource(view.body, None if before is None else before.answer)
            )
            ruling = rule(answer, resource, self._settings.hive)
            if ruling.patch is None or view is None:
                return ruling
            signed = self._sign(answer, view).decode() if ruling.effect else None
            self._books.answered(Answered(answer=answer, signed=signed))
            await self._bring(view)
            return ruling

    def _sign(self, answer: Answer, view: View) -> bytes:
        verdict = SignedVerdict(
            verdict_id=str(uuid4()),
            issue=view.identity,
            verdict=answer.verdict,
            text=answer.text,
            decided_by=answer.by,
            decided_at=_now(),
        )
        return self._hive.sign(verdict)

    async def _look(self) -> list[View]:
        """Return all discussions; none while the scribe is away, which is logged once."""
        try:
            views = await asyncio.to_thread(self._hive.discussions)
        except CommandError as error:
            if not self._away:
                log.warning("the scribe does not answer; tried again every second", error=str(error))
            self._away = str(error)
            return []
        if self._away:
            log.info("the scribe answers again")
            self._away = ""
        return views

    def _start_delivery(self, tasks: asyncio.TaskGroup, session: aiohttp.ClientSession, view: View) -> None:
        settings = self._settings
        notice = notice_of(as_resource(view.body, None), settings.hive, settings.public_url, settings.api_url)
        if notice is None or notice.escalation_id in self._under_way or len(self._under_way) >= AT_ONCE:
            return
        if is_due(self._books.delivery(notice.escalation_id), _now()):
            self._under_way.add(notice.escalation_id)
            tasks.create_task(self._deliver(session, notice))

    async def _deliver(self, session: aiohttp.ClientSession, notice: Notice) -> None:
        try:
            outcome = await self._attempt(session, notice)
            after = after_attempt(self._books.delivery(notice.escalation_id), outcome, _now())
            self._books.delivered(after)
        finally:
            self._under_way.discard(notice.escalation_id)
        told = {
            "issue": str(notice.issue),
            "escalation": notice.escalation_id,
            "attempts": after.attempts,
        }
        if outcome.delivered:
            log.info("escalation delivered", **told)
        else:
            log.warning("escalation not delivered; sent again", **told, problem=after.problem)

    async def _attempt(self, session: aiohttp.ClientSession, notice: Notice) -> Outcome:
        try:
            credentials = read_secret(self._settings.secret)
        except OperatorError as error:
            return Outcome(problem=str(error)[:300])
        return await deliver(session, self._settings.url, credentials, notice, _now)

    async def _bring(self, view: View) -> None:
        """Bring the signed verdict for a discussion that still waits for it."""
        asked = view.body["escalation"]
        kept = None if asked is None else self._books.answer(asked["id"])
        if kept is None or kept.signed is None or view.phase != ESCALATED:
            return
        signed = kept.signed.encode()
        if sha256_hex(signed) in view.body["verdicts"]:
            return
        try:
            await asyncio.to_thread(self._hive.bring, signed)
        except CommandError as error:
            log.warning("the verdict could not be brought; tried again", error=str(error))
