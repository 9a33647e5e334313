"""What is mended in libp2p==0.8.1 from outside, each with its reason; docs/mesh.md has the measurements.

Patches of the library's classes and modules are here and nowhere else; behaviour that can be had by
subclassing is in `muxer`, `pubsub` and `router`. `install` is called by `join`, and may be called twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol, cast

import libp2p.protocol_muxer.multiselect_communicator as communicator_module
import libp2p.stream_muxer.yamux.yamux as yamux_module
import trio
from libp2p.exceptions import ParseError
from libp2p.io.abc import Reader
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

if TYPE_CHECKING:
    from libp2p.abc import IMuxedConn, IMuxedStream
    from libp2p.io.abc import ReadWriteCloser
    from multiaddr import Multiaddr

SUPPORTED_VERSION: Final = "0.8.1"

MAX_NEGOTIATION_BYTES: Final = 1024
"""A protocol's name; ours have 30 characters."""
MAX_STREAM_WINDOW_BYTES: Final = 1024 * 1024
"""Unread bytes a stream may hold; the library lets its window grow to 16 MiB."""

_installed = False


class StreamPolicy(Protocol):
    """What the safe stream handler asks the mesh; found as `stream_policy` on the swarm."""

    max_streams: int

    def stream_refused(self, peer: str) -> None:
        """Take note that a stream was one too many."""
        ...

    def stream_failed(self, peer: str, error: Exception) -> None:
        """Take note that the handler of an inbound stream raised."""
        ...


def install() -> None:
    """Apply all patches, once a process.

    Raises RuntimeError on another version of libp2p: every patch was made for this one and must be looked at again.
    """
    global _installed
    if _installed:
        return
    found = version("libp2p")
    if found != SUPPORTED_VERSION:
        raise RuntimeError(
            f"libp2p: expected {SUPPORTED_VERSION}, which bzzz_mesh.remedies mends; got {found}"
        )
    _send_fewer_window_updates()
    _quiet_library_logs()
    _keep_stream_errors_from_the_host()
    _bound_negotiation()
    _bound_stream_windows()
    _free_inbound_slots()
    _installed = True


def _send_fewer_window_updates() -> None:
    """Stock answers every read with a window update: a packet of overhead a message."""
    os.environ.setdefault("PY_YAMUX_RELEASE_ON_READ", "0")


def _quiet_library_logs() -> None:
    """Stock logs a line or a traceback for whatever a peer sends: log floods. We count and log once instead."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)


def _keep_stream_errors_from_the_host() -> None:
    """Stock lets an inbound stream's exception end the whole host: 4 of 33 abuse cases killed the process.

    Also bounds how many streams a peer holds open on one connection: stock allows 10,000.
    """
    stock = cast(
        "Callable[[SwarmConn, IMuxedStream], Awaitable[None]]",
        SwarmConn._handle_muxed_stream,  # pyright: ignore[reportPrivateUsage]
    )

    async def handle_safely(connection: SwarmConn, stream: IMuxedStream) -> None:
        policy = cast("StreamPolicy | None", getattr(connection.swarm, "stream_policy", None))
        peer = str(connection.muxed_conn.peer_id)
        try:
            if policy is not None and len(connection.streams) >= policy.max_streams:
                policy.stream_refused(peer)
                await stream.reset()
                return
            await stock(connection, stream)
        except Exception as error:  # whatever it is: it came with this stream and ends with it
            if policy is not None:
                policy.stream_failed(peer, error)
            await _reset_quietly(stream)

    _replace(SwarmConn, "_handle_muxed_stream", handle_safely)


def _replace(owner: type, name: str, method: Callable[..., Awaitable[None]]) -> None:
    """Put a method in place of the library's; raises AttributeError if there is none of that name."""
    getattr(owner, name)
    setattr(owner, name, method)


async def _reset_quietly(stream: IMuxedStream) -> None:
    try:
        await stream.reset()
    except Exception as error:  # the connection is gone already: nothing is left to reset
        logging.getLogger("libp2p.bzzz").debug("stream reset failed: %r", error)


def _bound_negotiation() -> None:
    """Stock reads a protocol name of any announced length into memory, before knowing who asks."""

    async def read_delim(reader: Reader) -> bytes:
        line = await read_varint_prefixed_bytes_limited(reader, MAX_NEGOTIATION_BYTES)
        if line[-1:] != b"\n":
            raise ParseError("expected a protocol name that ends in a newline")
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise ParseError("expected a protocol name in UTF-8") from error
        return line[:-1]

    communicator_module.read_delim = read_delim  # pyright: ignore[reportPrivateImportUsage]


def _bound_stream_windows() -> None:
    """Stock grows a stream's window up to 16 MiB, 16 streams a connection: 256 MiB a peer."""
    yamux_module.MAX_WINDOW_SIZE = MAX_STREAM_WINDOW_BYTES


def _free_inbound_slots() -> None:
    """Stock holds an inbound connection's slot until the host stops: after 250 connections none is accepted."""

    async def handle_inbound(
        swarm: Swarm, stream: ReadWriteCloser, listener: Multiaddr, _event: object
    ) -> None:
        raw = RawConnection(stream, False)
        try:
            muxed: IMuxedConn = await swarm.upgrade_inbound_raw_conn(raw, listener)
        except Exception as error:  # a stranger's handshake: whatever is wrong with it, the socket is closed
            logging.getLogger("libp2p.bzzz").debug("inbound handshake failed: %r", error)
            await stream.close()
            return
        closed = cast("trio.Event | None", getattr(muxed, "event_closed", None))
        if closed is not None:
            await closed.wait()

    _replace(Swarm, "_do_handle_inbound_connection", handle_inbound)
