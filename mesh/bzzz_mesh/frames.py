"""GossipSub's frames off a stream: a varint length, then that many bytes; read in bulk."""

from __future__ import annotations

from typing import Final

from libp2p.abc import INetStream
from libp2p.io.exceptions import IOException
from libp2p.network.stream.exceptions import StreamError

from hmmm.errors import MalformedError

CHUNK_BYTES: Final = 64 * 1024
MAX_VARINT_BYTES: Final = 5


class FrameReader:
    """Reads what there is and hands it out frame by frame. Stock reads a length byte by byte, three locks each."""

    def __init__(self, stream: INetStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """Return the next frame, or None when the stream has ended, however it did.

        Raises MalformedError for a length that is none or above the limit, before reading that much.
        """
        while (frame := self._take()) is None:
            try:
                chunk = await self._stream.read(CHUNK_BYTES)
            except (StreamError, IOException):
                return None
            if not chunk:
                return None
            self._buffer += chunk
        return frame

    def _take(self) -> bytes | None:
        size = 0
        for index, byte in enumerate(self._buffer[:MAX_VARINT_BYTES]):
            size |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                return self._cut(index + 1, size)
        if len(self._buffer) >= MAX_VARINT_BYTES:
            raise MalformedError("malformed_rpc", "frame: expected a length, got an endless number")
        return None

    def _cut(self, start: int, size: int) -> bytes | None:
        if size > self._limit:
            raise MalformedError(
                "oversized_rpc", f"frame: expected at most {self._limit} bytes, {size} announced"
            )
        if len(self._buffer) < start + size:
            return None
        frame = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return frame
