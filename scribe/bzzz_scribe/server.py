"""Serves the ASGI application on trio: hypercorn's protocol, our own accept loop.

Why not `hypercorn.trio.serve`: its connections shield every send from cancellation, so a client that stops reading
keeps the process from ending (hypercorn 0.18, graceful timeout 3 s: 20 s after the shutdown trigger it still waited).
Here each send has a deadline, connections are counted, and on the way out those that linger are closed under their
senders.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

SEND_S: Final = 15.0
"""A client that takes no byte for so long is gone."""
KEEP_ALIVE_S: Final = 5
"""From connection or last answer to the next whole request head. A connection that its client closed counts so long."""
MAX_CONNECTIONS: Final = 256
MAX_HEAD_BYTES: Final = 16 * 1024
GRACE_S: Final = 2.0
"""Requests under way get so long when the process ends."""


class BoundedStream(trio.abc.HalfCloseableStream):
    """A TCP connection whose sends end: a peer that does not read is as good as gone."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send. Raises trio.BrokenResourceError when the peer took nothing for `SEND_S`."""
        view = memoryview(data)
        step = 64 * 1024
        for start in range(0, len(view), step):
            with trio.move_on_after(SEND_S) as deadline:
                await self._stream.send_all(view[start : start + step])
            if deadline.cancelled_caught:
                raise trio.BrokenResourceError(f"the client took nothing for {SEND_S:.0f} s")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send may go through."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive what is there."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()


class HttpServer:
    """Listens at once when made; serves while `run` runs."""

    def __init__(self, app: Callable[..., Awaitable[None]], host: str, port: int) -> None:
        """Bind. Raises OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(128)
        except OSError:
            self._socket.close()
            raise
        config = self._config = Config()
        config.keep_alive_timeout = KEEP_ALIVE_S
        config.h11_max_incomplete_size = MAX_HEAD_BYTES
        config.include_server_header = False
        config.errorlog = None
        config.accesslog = None
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._context = WorkerContext(None)
        self._streams: set[BoundedStream] = set()
        shown = f"[{host}]" if ":" in host else host
        self.url: str = f"http://{shown}:{self._socket.getsockname()[1]}"

    async def run(self, stop: trio.Event) -> None:
        """Serve until `stop` is set, then let requests under way finish within `GRACE_S`."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._socket))
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(self._accept, listener, connections)
                await stop.wait()
                accepting.cancel_scope.cancel()
            await self._context.terminated.set()
            with trio.move_on_after(GRACE_S):
                while self._streams:  # noqa: ASYNC110  connections end one by one, and nobody else waits for it
                    await trio.sleep(0.02)
            for stream in list(self._streams):
                await trio.aclose_forcefully(stream)
            connections.cancel_scope.cancel()

    async def _accept(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        async with listener:
            await trio.serve_listeners(self._serve, [listener], handler_nursery=connections)

    async def _serve(self, raw: trio.SocketStream) -> None:
        if len(self._streams) >= MAX_CONNECTIONS:
            await trio.aclose_forcefully(raw)
            return
        stream = BoundedStream(raw)
        self._streams.add(stream)
        try:
            # annotated as an SSLStream, but made for plain ones too: it tries the handshake and catches AttributeError
            await TCPServer(self._app, self._config, self._context, ConnectionState({}), cast("Any", stream))
        finally:
            self._streams.discard(stream)
