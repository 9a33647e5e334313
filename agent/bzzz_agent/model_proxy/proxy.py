"""The proxy's server: one for the life of an agent, a session for each run of a command."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx
import structlog
import trio

from bzzz_agent.model_proxy.errors import ProxyError
from bzzz_agent.model_proxy.http import Exchange, Request
from bzzz_agent.model_proxy.session import Session
from bzzz_agent.model_proxy.upstream import MOUNTS, Upstream
from bzzz_agent.model_proxy.wire import (
    Count,
    Format,
    Question,
    bounded,
    endpoint_of,
    error_body,
    read_question,
)
from bzzz_agent.reasoning.usage import Tally

HOST: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 64
CONNECT_S: Final = 15.0
SILENCE_S: Final = 300.0
"""Longest silence of a model that thinks before it answers; the run's own time limit comes first."""
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
SENT_ON: Final = (
    "accept",
    "content-type",
    "user-agent",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
)
"""Headers of the client's that the model's server sees; its credential is ours."""
HANDED_BACK: Final = ("content-type", "retry-after", "request-id", "x-request-id")
CREDENTIAL_REFUSED: Final = (401, 403)

log = structlog.get_logger("bzzz.agent.model_proxy")


class ModelProxy:
    """Serves the sessions that are open. Make it with `open_model_proxy`."""

    def __init__(self, http: httpx.AsyncClient, port: int) -> None:
        self._http = http
        self._sessions: dict[str, Session] = {}
        self._connections = 0
        self.origin = f"http://{HOST}:{port}"

    @asynccontextmanager
    async def session(self, upstream: Upstream, meter: Tally) -> AsyncGenerator[Session]:
        """Serve one run: what it uses is added to the meter, and its token is worth nothing afterwards."""
        session = Session(upstream, meter)
        self._sessions[session.token] = session
        try:
            yield session
        finally:
            del self._sessions[session.token]
            if session.requests:
                log.info("the command's use of models", requests=dict(session.requests))

    def environment(self, session: Session) -> dict[str, str]:
        """Return what a session's command finds in its environment."""
        return session.upstream.environment(self.origin, session.token)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; an error is the client's to see and never ours to die of."""
        if self._connections >= MAX_CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        exchange, wire = Exchange(stream), None
        try:
            request = await exchange.read()
            if request is not None:
                wire = _wire_of(request.path)
                await self._answer(exchange, request, wire)
        except ProxyError as error:
            await self._complain(exchange, wire or "openai", error)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.info("the command hung up on the model")
        except Exception:
            log.exception("model proxy: request failed")
        finally:
            self._connections -= 1
            with trio.move_on_after(1, shield=True):
                await stream.aclose()

    async def _complain(self, exchange: Exchange, wire: Format, error: ProxyError) -> None:
        log.info("model request refused", status=error.status, problem=str(error))
        if exchange.started:
            return  # the connection's end in the middle says it
        try:
            await exchange.answer(error.status, error_body(wire, error.kind, str(error)))
        except trio.BrokenResourceError:
            return

    async def _answer(self, exchange: Exchange, request: Request, wire: Format | None) -> None:
        session = self._session_of(request)  # first: who has no token learns nothing, not even what there is
        if wire is None:
            raise ProxyError(404, "not_found_error", f"expected a path below {', '.join(MOUNTS.values())}")
        if session.upstream.wire != wire:
            raise ProxyError(
                404,
                "not_found_error",
                f"the manifest's model {session.upstream.model.name} is reached in {session.upstream.wire}'s format, "
                f"at {self.origin}{MOUNTS[session.upstream.wire]}",
            )
        path = request.path.removeprefix(MOUNTS[wire])
        endpoint = endpoint_of(wire, request.method, path)
        if not endpoint.answers:
            await self._pass_on(exchange, session, request, path, request.body or None)
            return
        question = read_question(request.body)
        async with session.places:
            most = session.may_answer(question)
            body = bounded(question, endpoint, most, official=session.upstream.official_openai)
            await self._ask(exchange, session, request, path, question, body)

    def _session_of(self, request: Request) -> Session:
        """Find the session by its token, in constant time a session. Raises ProxyError (401)."""
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        for token, session in self._sessions.items():
            if hmac.compare_digest(token.encode(), given.encode("utf-8", "replace")):
                return session
        raise ProxyError(
            401,
            "authentication_error",
            "expected the token of a run that is under way, as its environment has it",
        )

    async def _ask(
        self,
        exchange: Exchange,
        session: Session,
        request: Request,
        path: str,
        question: Question,
        body: bytes,
    ) -> None:
        """Send a question on and hand its answer back, counting; broken off once it has used too much."""
        count, asked = Count(), False
        try:
            async with self._sent(session, request, path, body) as response:
                asked = response.status_code < 400
                if not asked or not question.stream:
                    answer = await _whole(response)
                    if asked:
                        count.take_answer(_json(answer))
                        count.complete = True
                    await _hand_back(exchange, response, answer)
                    return
                await exchange.begin(response.status_code, _headers(response))

                async def take(chunk: bytes) -> bool:
                    # line by line: how much arrives at once is chance, and what is within the limit is handed on
                    allowed = 0
                    for line in chunk.splitlines(keepends=True):
                        count.take_stream(line)
                        if session.over(question, count):
                            await exchange.try_send(chunk[:allowed])
                            return False
                        allowed += len(line)
                    return await exchange.try_send(chunk)

                count.complete = await _pump(response, take)
                if count.complete:
                    await exchange.end()
        finally:
            if asked:
                session.settle(question, count)

    async def _pass_on(
        self, exchange: Exchange, session: Session, request: Request, path: str, body: bytes | None
    ) -> None:
        async with self._sent(session, request, path, body) as response:
            await _hand_back(exchange, response, await _whole(response))

    @asynccontextmanager
    async def _sent(
        self, session: Session, request: Request, path: str, body: bytes | None
    ) -> AsyncGenerator[httpx.Response]:
        """Send a request to the model's server. Raises ProxyError when it cannot be reached or refuses our key."""
        upstream = session.upstream
        headers = {name: request.headers[name] for name in SENT_ON if name in request.headers}
        url = f"{upstream.url}{path}" + (f"?{request.query}" if request.query else "")
        try:
            async with self._http.stream(
                request.method, url, headers={**headers, **upstream.headers()}, content=body
            ) as response:
                if response.status_code in CREDENTIAL_REFUSED:
                    # Word for word it may quote the key.
                    raise ProxyError(
                        502,
                        "api_error",
                        f"the model's server refused the hive's key ({response.status_code}); see spec.model",
                    )
                yield response
        except httpx.HTTPError as error:
            raise ProxyError(
                502, "api_error", f"expected an answer of {upstream.model.name}, came {type(error).__name__}"
            ) from error


def _wire_of(path: str) -> Format | None:
    return next((wire for wire, mount in MOUNTS.items() if path.startswith(f"{mount}/")), None)


def _headers(response: httpx.Response) -> list[tuple[str, str]]:
    return [(name, response.headers[name]) for name in HANDED_BACK if name in response.headers]


async def _hand_back(exchange: Exchange, response: httpx.Response, body: bytes) -> None:
    await exchange.begin(response.status_code, [*_headers(response), ("content-length", str(len(body)))])
    await exchange.send(body)
    await exchange.end()


async def _whole(response: httpx.Response) -> bytes:
    """Return an answer. Raises ProxyError for one past `MAX_ANSWER_BYTES`."""
    body = bytearray()

    async def take(chunk: bytes) -> bool:
        body.extend(chunk)
        return len(body) <= MAX_ANSWER_BYTES

    if not await _pump(response, take):
        raise ProxyError(502, "api_error", f"the model's answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


async def _pump(response: httpx.Response, take: Callable[[bytes], Awaitable[bool]]) -> bool:
    """Hand out an answer piece by piece until `take` says False; return whether it came to its end.

    Left by cancellation, not by `break`: httpx's reader is four generators deep, and only an exception from the
    innermost closes them all.
    """
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_bytes():
            if scope.cancel_called or not await take(chunk):
                scope.cancel()
    return not scope.cancel_called


def _json(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


@asynccontextmanager
async def open_model_proxy(port: int = 0) -> AsyncGenerator[ModelProxy]:
    """Serve for the length of a block, on a port of this machine (0: any free one).

    Raises OSError when the port cannot be had.
    """
    timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
    listeners = await trio.open_tcp_listeners(port, host=HOST)
    bound: int = listeners[0].socket.getsockname()[1]
    # trust_env: a company's proxy to the outside is the agent's to use; redirects could carry the key elsewhere.
    async with (
        httpx.AsyncClient(timeout=timeout, follow_redirects=False) as http,
        trio.open_nursery() as nursery,
    ):
        proxy = ModelProxy(http, bound)
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()
