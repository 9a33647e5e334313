"""Frames on our own streams: a 4-byte big-endian length, then that many bytes; bounded before reading."""

from __future__ import annotations

from typing import Final

from libp2p.abc import INetStream
from libp2p.io.exceptions import IncompleteReadError

from bzzz_mesh.errors import RefusedExchangeError

LENGTH_BYTES: Final = 4


def frame(data: bytes) -> bytes:
    """Return data with its length before it."""
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


async def read_exactly(stream: INetStream, size: int) -> bytes:
    """Read `size` bytes; the caller bounds the size and the time.

    Raises IncompleteReadError when the stream ends early, and what the stream raises.
    """
    data = bytearray()
    while len(data) < size:
        chunk = await stream.read(size - len(data))
        if not chunk:
            raise IncompleteReadError(f"expected {size} bytes, the stream ended after {len(data)}")
        data += chunk
    return bytes(data)


async def read_frame(stream: INetStream, limit: int) -> bytes:
    """Read one frame of at most `limit` bytes.

    Raises RefusedExchangeError (reason `oversized`) before reading a longer one.
    """
    size = int.from_bytes(await read_exactly(stream, LENGTH_BYTES), "big")
    if size > limit:
        raise RefusedExchangeError("oversized", f"frame: expected at most {limit} bytes, {size} announced")
    return await read_exactly(stream, size)
