"""Yamux that a peer cannot make take unbounded memory, and a way to end a connection that nobody reads.

py-libp2p's Yamux counts a peer's receive window but does not enforce it: a peer that ignores it fills memory with
unread data. Here a stream's buffer refuses more than the window it announced, which ends that stream.
"""

from __future__ import annotations

from typing import Any, Final

from libp2p.abc import INetConn
from libp2p.stream_muxer.yamux.yamux import Yamux

SLACK_BYTES: Final = 64 * 1024
"""One frame beyond the window: window updates cross with data under way."""


class WindowExceededError(OSError):
    """A peer sent more than the receive window it was given."""


class _Buffer(bytearray):
    """A stream's unread bytes, never more than its window."""

    def __init__(self, streams: dict[int, Any], stream_id: int) -> None:
        super().__init__()
        self._streams = streams
        self._stream_id = stream_id

    def extend(self, data: Any, /) -> None:
        stream = self._streams.get(self._stream_id)
        window = stream.target_recv_window if stream is not None else 0
        if len(self) + len(data) > window + SLACK_BYTES:
            raise WindowExceededError(f"stream {self._stream_id}: a window of {window} bytes was ignored")
        super().extend(data)


class _Buffers(dict[int, bytearray]):
    """The connection's buffers by stream: whatever buffer the library puts in becomes a bounded one."""

    def __init__(self, streams: dict[int, Any]) -> None:
        super().__init__()
        self._streams = streams

    def __setitem__(self, stream_id: int, _buffer: bytearray) -> None:
        super().__setitem__(stream_id, _Buffer(self._streams, stream_id))


class BoundedYamux(Yamux):
    """Yamux whose streams cannot hold more unread data than announced, and whose failure stays its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.stream_buffers = _Buffers(self.streams)

    async def start(self) -> None:
        """Run the connection; an unexpected error ends the connection instead of the host."""
        try:
            await super().start()
        except Exception:  # the library's swarm would die of it; the connection is what is broken
            await self.secured_conn.close()
            self.event_shutting_down.set()
            self.event_closed.set()
            self.event_started.set()
            if self.on_close is not None:
                await self.on_close()


async def abort(connection: INetConn) -> None:
    """Close a connection's socket at once.

    The polite way (`connection.close`) first writes a farewell and waits for ever when the peer does not read: a
    process that was stopped, a network that drops. Yamux sees the closed socket and cleans up by itself.
    """
    secured = getattr(connection.muxed_conn, "secured_conn", None)
    if secured is not None:
        await secured.close()
