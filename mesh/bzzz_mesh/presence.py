"""Presence: a peer that hangs is noticed, though its TCP connection looks well.

py-libp2p does not notice a stopped process (SIGSTOP) or a network that drops. Each side keeps a stream
`/bzzz/presence/1.0.0` open to each admitted peer and writes a beat of 8 bytes every 3 s: the version of the revocations
that it knows, big-endian. So a beat also spreads revocations: who hears a higher version asks for them. Whoever was not
heard for 10 s (no beat, no gossip) is disconnected; the dialler then tries to reach it again.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID

from bzzz_mesh.background import Background
from bzzz_mesh.framing import read_exactly
from bzzz_mesh.membership import Membership
from bzzz_mesh.settings import PRESENCE_PROTOCOL, TimeoutSettings
from bzzz_mesh.streams import open_stream

BEAT_BYTES: Final = 8
CHECK_S: Final = 1.0


class Presence:
    """Beats to every admitted peer, and watches theirs."""

    def __init__(
        self, host: IHost, membership: Membership, timeouts: TimeoutSettings, background: Background
    ) -> None:
        self._host = host
        self._membership = membership
        self._timeouts = timeouts
        self._background = background
        self._beating: set[ID] = set()

    def start(self) -> None:
        """Listen to beats and beat to whoever is admitted, from now on."""
        self._host.set_stream_handler(TProtocol(PRESENCE_PROTOCOL), self._listen)
        self._membership.on_admitted.append(lambda peer: self._background.start(self._beat, peer))

    def watch(self) -> None:
        """Watch for silent peers and ended cards, once tasks can run."""
        self._background.start(self._watch)

    async def _beat(self, peer: ID) -> None:
        if peer in self._beating:
            return
        self._beating.add(peer)
        try:
            while self._membership.is_admitted(peer):
                try:
                    async with open_stream(self._host, peer, PRESENCE_PROTOCOL) as stream:
                        await self._beat_on(stream, peer)
                except Exception:  # the stream or its connection ended; while the peer is admitted, try again
                    await trio.sleep(CHECK_S)
        finally:
            self._beating.discard(peer)

    async def _beat_on(self, stream: INetStream, peer: ID) -> None:
        while self._membership.is_admitted(peer):
            version = self._membership.roster.revocations.version
            await stream.write(version.to_bytes(BEAT_BYTES, "big"))
            await trio.sleep(self._timeouts.beat_s)

    async def _listen(self, stream: INetStream) -> None:
        peer = stream.muxed_conn.peer_id
        if not await self._membership.wait_admitted(peer):
            await stream.reset()
            return
        while self._membership.is_admitted(peer):
            try:
                version = int.from_bytes(await read_exactly(stream, BEAT_BYTES), "big")
            except (StreamError, IOException):
                return  # the peer left, or beats on another stream
            self._membership.heard(str(peer))
            self._membership.learn_revocations(peer, version)

    async def _watch(self) -> None:
        while True:
            before = monotonic()
            await trio.sleep(CHECK_S)
            stood_still = monotonic() - before - CHECK_S
            if stood_still > CHECK_S:
                # we were stopped or starved ourselves: what peers sent meanwhile is still unread
                self._membership.forgive_silence(stood_still)
            self._membership.enforce()
            for peer in self._membership.admitted():
                heard = self._membership.last_seen(str(peer)) or 0.0
                if monotonic() - heard > self._timeouts.silent_s:
                    self._membership.disconnect(
                        peer, "silent", f"not heard for {self._timeouts.silent_s:g} s"
                    )
