"""Delivers every open escalation until the webhook's own 2xx; the state is in the object, and so outlives a restart.

On a queue of its own: a webhook that hangs must not keep HiveAgents waiting.
"""

from __future__ import annotations

from typing import Final

import aiohttp
import structlog

from bzzz_operator.api import Api
from bzzz_operator.errors import OperatorError
from bzzz_operator.escalation.notices import RELAY, delivery_body, delivery_of, notice_of
from bzzz_operator.escalation.secret import read_credentials
from bzzz_operator.escalation.webhook import deliver
from bzzz_operator.kinds import HIVE_AGENT, META_DISCUSSION
from bzzz_operator.objects import Json, part
from bzzz_operator.runtime.clock import Now, utc_now
from bzzz_operator.runtime.metrics import Metrics
from bzzz_operator.runtime.queue import WorkQueue
from bzzz_operator.runtime.store import Store
from bzzz_operator.settings import EscalationWebhook, OperatorSettings
from hmmm.escalation import Notice, Outcome, after_attempt, is_due

log = structlog.get_logger("bzzz.operator.escalation")

WORKERS: Final = 4


class EscalationRelay:
    """Names of MetaDiscussions come in by `due`; `run` works on them."""

    def __init__(
        self, api: Api, store: Store, settings: OperatorSettings, metrics: Metrics, now: Now = utc_now
    ) -> None:
        self._api = api
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        self.queue: WorkQueue[str] = WorkQueue(self._reconcile)

    def due(self, name: str) -> None:
        """Have a MetaDiscussion looked at; without a webhook nothing is."""
        if self._settings.escalation is not None:
            self.queue.add(name)

    async def run(self) -> None:
        """Deliver, until cancelled."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            try:
                await self.queue.run(WORKERS)
            finally:
                self._session = None
                self.queue.close()

    async def _reconcile(self, name: str) -> float | None:
        webhook = self._settings.escalation
        discussion = self._store.get(META_DISCUSSION, name)
        if discussion is None or webhook is None or self._session is None:
            return None
        settings = self._settings
        notice = notice_of(discussion, settings.hive, settings.public_url, self._api_url(discussion))
        if notice is None:
            return None
        delivery = delivery_of(discussion, notice.escalation_id)
        now = self._now()
        if not is_due(delivery, now):
            due = delivery.next_attempt_at
            return None if due is None or delivery.state == "Delivered" else (due - now).total_seconds()
        outcome = await self._attempt(self._session, webhook, notice)
        after = after_attempt(delivery, outcome, self._now())
        self._metrics.escalations.labels("delivered" if outcome.delivered else "failed").inc()
        told = {"discussion": name, "escalation": notice.escalation_id, "attempts": after.attempts}
        if outcome.delivered:
            log.info("escalation delivered", **told)
        else:
            log.warning("escalation not delivered; sent again", **told, problem=after.problem)
        answer = await self._api.apply(
            META_DISCUSSION, delivery_body(discussion, after), subresource="status", manager=RELAY
        )
        self._store.put(META_DISCUSSION, answer, quiet=True)
        due = after.next_attempt_at
        return None if due is None else (due - self._now()).total_seconds()

    async def _attempt(
        self, session: aiohttp.ClientSession, webhook: EscalationWebhook, notice: Notice
    ) -> Outcome:
        try:
            credentials = await read_credentials(self._api, webhook.secret_name)
        except OperatorError as error:
            return Outcome(problem=str(error)[:300])
        return await deliver(session, webhook.url, credentials, notice, self._now)

    def _api_url(self, discussion: Json) -> str | None:
        """Return the API of whichever HiveAgent works on the repository."""
        repository = part(discussion, "spec", "issue").get("repository")
        for agent in self._store.all(HIVE_AGENT):
            github = part(agent, "spec", "github")
            if repository in (github.get("repositories") or ()):
                return str(github.get("apiUrl") or "https://api.github.com")
        return None
