"""HTTP/1.1 for one request a connection, on h11: as little server as a command on this machine needs.

Nothing is shielded from cancellation and every wait has an end, so that a command that stops reading holds up neither
the agent's end nor its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import h11
import trio

from bzzz_agent.model_proxy.errors import ProxyError

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Both providers refuse larger requests by themselves (32 MB with files, which are not sent here)."""
REQUEST_S: Final = 30.0
"""From connection to the end of the request."""
SEND_S: Final = 60.0
"""A client that takes nothing for so long is gone."""
READ_SIZE: Final = 64 * 1024


@dataclass(frozen=True)
class Request:
    """A request, whole."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Exchange:
    """One request and its answer on one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.started = False
        """Whether an answer has begun: from then on an error can only be told by breaking off."""

    async def read(self) -> Request | None:
        """Return the request, None when the client sent none. Raises ProxyError."""
        try:
            with trio.fail_after(REQUEST_S):
                return await self._read()
        except trio.TooSlowError as error:
            raise ProxyError(
                408, "timeout_error", f"expected the request within {REQUEST_S:.0f} s"
            ) from error
        except h11.RemoteProtocolError as error:
            raise ProxyError(
                400, "invalid_request_error", "expected HTTP/1.1, came something else"
            ) from error

    async def _read(self) -> Request | None:
        event = await self._next()
        if not isinstance(event, h11.Request):
            return None
        body = bytearray()
        while isinstance(part := await self._next(), h11.Data):
            body += part.data
            if len(body) > MAX_BODY_BYTES:
                raise ProxyError(
                    413, "request_too_large", f"expected at most {MAX_BODY_BYTES} bytes, came more"
                )
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        path, _, query = event.target.decode("latin-1").partition("?")
        return Request(event.method.decode("latin-1"), path, query, headers, bytes(body))

    async def _next(self) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._stream.receive_some(READ_SIZE))

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Begin an answer whose length nobody knows yet."""
        await self._send(h11.Response(status_code=status, headers=[*headers, ("connection", "close")]))
        self.started = True

    async def send(self, chunk: bytes) -> None:
        """Send a piece of it. Raises trio.BrokenResourceError when the client is gone."""
        await self._send(h11.Data(data=chunk))

    async def try_send(self, chunk: bytes) -> bool:
        """Send a piece of it; return whether the client was there to take it."""
        try:
            await self.send(chunk)
        except trio.BrokenResourceError:
            return False
        return True

    async def end(self) -> None:
        """Say that it is whole."""
        await self._send(h11.EndOfMessage())

    async def answer(self, status: int, body: bytes) -> None:
        """Send a whole answer in JSON."""
        await self.begin(status, [("content-type", "application/json"), ("content-length", str(len(body)))])
        await self.send(body)
        await self.end()

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if not data:
            return
        with trio.move_on_after(SEND_S) as deadline:
            await self._stream.send_all(data)
        if deadline.cancelled_caught:
            raise trio.BrokenResourceError(f"the client took nothing for {SEND_S:.0f} s")
