"""The answer endpoint: `POST /v1/answers`, for n8n and whoever else shares the hive's webhook secret.

In this order: size, signature and age (401), replay (409), schema (400), and only then what the answer does (`Take`).
Whatever is refused is logged with its reason and never with what it carried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog
from aiohttp import web

from bzzz_operator.errors import ApiError, OperatorError
from bzzz_operator.escalation.answers import Ruling
from bzzz_operator.escalation.credentials import GetCredentials
from bzzz_operator.runtime.clock import Now, utc_now
from hmmm.errors import MalformedError, RemoteProtocolError, SignatureError
from hmmm.escalation import Answer, Replays, check_signature, read_answer
from hmmm.escalation.answer import MAX_ANSWER_BYTES

log = structlog.get_logger("bzzz.operator.answers")

PATH: Final = "/v1/answers"
Take = Callable[[Answer], Awaitable[Ruling]]
"""Records an answer whose signature holds. Raises OperatorError, ApiError when it cannot now."""


class Counted(Protocol):
    """Counts answers by result."""

    def __call__(self, result: str) -> None:
        """Count one."""
        ...


class AnswerEndpoint:
    """Serves the endpoint; `start` and `stop`."""

    def __init__(self, credentials: GetCredentials, take: Take, counted: Counted, now: Now = utc_now) -> None:
        self._credentials = credentials
        self._take = take
        self._counted = counted
        self._now = now
        self._replays = Replays()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen. Port 0 takes any free one; `port` tells which."""
        app = web.Application(client_max_size=MAX_ANSWER_BYTES)
        app.router.add_post(PATH, self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End it."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        ruling, why = await self._ruled(request)
        result = "taken" if ruling.effect else "no_effect" if ruling.status == 200 else str(ruling.status)
        self._counted(result)
        say = log.info if ruling.status == 200 else log.warning
        say("answer", status=ruling.status, why=why or result, message=ruling.message, peer=request.remote)
        return web.json_response(
            {"recorded": ruling.status == 200, "effect": ruling.effect, "message": ruling.message},
            status=ruling.status,
        )

    async def _ruled(self, request: web.Request) -> tuple[Ruling, str]:
        """Return what the caller is told, and what the log says of a refusal."""
        try:
            return await self._rule(request), ""
        except SignatureError as error:
            return Ruling(401, effect=False, message=str(error)), error.reason
        except MalformedError as error:
            return Ruling(400, effect=False, message=str(error)), error.reason
        except RemoteProtocolError as error:
            status = 409 if error.reason == "replayed" else 503
            return Ruling(status, effect=False, message=str(error)), error.reason
        except (OperatorError, ApiError) as error:
            # what went wrong inside is for the log, not for whoever knocks
            return Ruling(503, effect=False, message="it cannot be recorded now; try again"), str(error)

    async def _rule(self, request: web.Request) -> Ruling:
        """Raises SignatureError, MalformedError, RemoteProtocolError, OperatorError, ApiError."""
        body = await request.read()
        credentials = await self._credentials()
        now = self._now()
        signature = check_signature(credentials.hmac, request.headers, body, now)
        self._replays.take(signature, now)
        return await self._take(read_answer(body))
