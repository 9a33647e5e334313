"""Opening and ending streams of our own protocols to a connected peer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID


@asynccontextmanager
async def open_stream(host: IHost, peer: ID, protocol: str) -> AsyncGenerator[INetStream]:
    """Open a stream and end it at the end: closed when all went well, else reset.

    Raises what opening raises; the caller bounds the time.
    """
    stream = await host.new_stream(peer, [TProtocol(protocol)])
    try:
        yield stream
    except BaseException:
        # shielded and bounded: a reset that waits for a hung peer must not outlive the caller's deadline by much
        with trio.move_on_after(0.5, shield=True):
            await stream.reset()
        raise
    await stream.close()
