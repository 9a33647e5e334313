"""Membership on connect: both sides show their cards, or the connection ends (architecture §4).

Protocol `/bzzz/membership/1.0.0`, one stream a connection, opened by whoever dialled: both sides send their card,
then the signed revocations that they know (empty: none), each as a frame of a 4-byte big-endian length and
that many bytes; a card has at most 4 KiB, revocations at most 256 KiB. Until a peer has shown a valid card of its
own peer id, it hears no gossip and none of its own is read. Cards that expire and revocations that arrive end
connections that are open.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import cast

import trio
from libp2p.abc import IHost, INetConn, INetStream, INetwork, INotifee
from libp2p.custom_types import TProtocol
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.rcmgr import Direction
from multiaddr import Multiaddr

from bzzz_mesh.background import Background
from bzzz_mesh.errors import RefusedExchangeError
from bzzz_mesh.framing import frame, read_frame
from bzzz_mesh.limits import TokenBuckets
from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.muxer import abort
from bzzz_mesh.settings import MEMBERSHIP_PROTOCOL, MeshSettings
from bzzz_mesh.signals import Bell
from bzzz_mesh.streams import open_stream
from hmmm.errors import RemoteProtocolError
from hmmm.membership import MAX_CARD_BYTES, MAX_REVOCATIONS_BYTES, Roster

EXCHANGES_PER_S = 1.0
EXCHANGES_AT_ONCE = 10
"""Each costs a few signatures and up to 260 kB of JSON to look at."""
REFRESH_S = 10.0
"""Revocations are asked of one peer at most so often, whatever version it claims to have."""


class Membership:
    """Who of the connected peers belongs to the hive, now."""

    def __init__(
        self,
        host: IHost,
        roster: Roster,
        settings: MeshSettings,
        metrics: MeshMetrics,
        background: Background,
    ) -> None:
        self._host = host
        self.roster = roster
        self._settings = settings
        self._metrics = metrics
        self._background = background
        self._admitted: set[ID] = set()
        self._last_seen: dict[str, float] = {}
        self._strangers = 0
        self._cut_off: dict[ID, float] = {}
        self._refreshed: dict[ID, float] = {}
        limits = settings.limits
        self._offences = TokenBuckets(limits.offences_per_s, limits.offences)
        self._exchanges = TokenBuckets(EXCHANGES_PER_S, EXCHANGES_AT_ONCE)
        self.changed = Bell()
        """Rings when a peer is admitted or gone."""
        self.on_admitted: list[Callable[[ID], None]] = []
        self.on_connection_lost: list[Callable[[ID], None]] = []

    def start(self) -> None:
        """Answer exchanges and watch connections from now on."""
        self._host.set_stream_handler(TProtocol(MEMBERSHIP_PROTOCOL), self._answer)
        self._host.get_network().register_notifee(_ConnectionWatch(self._connected, self._disconnected))

    def is_admitted(self, peer: ID) -> bool:
        """Whether a connected peer has shown a card that is valid now."""
        return peer in self._admitted and self.is_member(str(peer))

    def is_member(self, peer_id: str) -> bool:
        """Whether a valid card of this peer id is known, connected or not."""
        return self.roster.card_of(peer_id, self._settings.clock()) is not None

    async def wait_admitted(self, peer: ID) -> bool:
        """Wait for a peer's card as long as it may take; return whether it came."""
        with trio.move_on_after(self._settings.timeouts.exchange_s):
            while not self.is_admitted(peer):
                await self.changed.wait()
        return self.is_admitted(peer)

    def admitted(self) -> tuple[ID, ...]:
        """Return the peers that are connected and admitted."""
        return tuple(self._admitted)

    def heard(self, peer_id: str) -> None:
        """Take note that a peer lives."""
        self._last_seen[peer_id] = monotonic()

    def last_seen(self, peer_id: str) -> float | None:
        """Return when a member was last heard, on the clock of `time.monotonic`."""
        return self._last_seen.get(peer_id)

    def forgive_silence(self, seconds: float) -> None:
        """Count a time in which this process itself stood still as nobody's silence."""
        for peer_id in self._last_seen:
            self._last_seen[peer_id] += seconds

    def offend(self, peer: ID, reason: str, detail: str = "") -> None:
        """Count what a peer sent that no honest one sends; cut it off when that is too much."""
        self._metrics.drop(reason, str(peer), detail)
        if not self._offences.take(str(peer)) and peer not in self._cut_off:
            self._cut_off[peer] = monotonic() + self._settings.limits.cut_off_s
            self.disconnect(peer, "offences", "too many malformed or wrongly signed frames")

    def disconnect(self, peer: ID, reason: str, detail: str = "") -> None:
        """Close all connections to a peer at once."""
        self._metrics.refuse(reason, str(peer), detail)
        self._admitted.discard(peer)
        self.changed.ring()
        for connection in self._host.get_network().get_connections(peer):
            self._background.start(abort, connection)

    def revoke(self, raw: bytes) -> bool:
        """Take in signed revocations; return whether they are newer than those known.

        Raises MalformedError, SignatureError, CardRefusedError.
        """
        newer = self.roster.revoke(raw)
        if newer:
            self.enforce()
        return newer

    def renew(self, raw: bytes) -> bool:
        """Take in a new card of one's own and show it to all who are connected, before the old one ends.

        Returns whether it is newer. Raises MalformedError, SignatureError, CardRefusedError.
        """
        newer = self.roster.renew(raw, self._settings.clock())
        if newer:
            for peer in self._admitted:
                self._background.start(self._exchange_by_dialling, peer)
        return newer

    def enforce(self) -> None:
        """End the connections of peers whose cards are no longer valid, and update the gauges."""
        for peer in [peer for peer in self._admitted if not self.is_member(str(peer))]:
            self.disconnect(peer, "card_ended", "its card expired or was revoked")
        now = monotonic()
        self._cut_off = {peer: until for peer, until in self._cut_off.items() if until > now}
        self._metrics.members.set(len(self.roster.members(self._settings.clock())))
        self._metrics.peers.set(len(self._admitted))

    def learn_revocations(self, peer: ID, version: int) -> None:
        """Exchange again with a peer that says it knows newer revocations."""
        now = monotonic()
        if (
            version <= self.roster.revocations.version
            or now - self._refreshed.get(peer, -REFRESH_S) < REFRESH_S
        ):
            return
        self._refreshed[peer] = now
        self._background.start(self._exchange_by_dialling, peer)

    def _connected(self, connection: INetConn) -> None:
        self._background.start(self._require_exchange, connection)

    def _disconnected(self, connection: INetConn) -> None:
        peer = connection.muxed_conn.peer_id
        if not self._host.get_network().get_connections(peer):
            self._admitted.discard(peer)
            self._refreshed.pop(peer, None)
            self._metrics.peers.set(len(self._admitted))
        for callback in self.on_connection_lost:
            callback(peer)
        self.changed.ring()

    async def _require_exchange(self, connection: INetConn) -> None:
        peer = connection.muxed_conn.peer_id
        if peer in self._cut_off:
            await abort(connection)
            return
        stranger = not self.is_admitted(peer)
        if stranger and self._strangers >= self._settings.limits.strangers:
            self._metrics.refuse("strangers", str(peer), "too many connections without a card")
            await abort(connection)
            return
        self._strangers += stranger
        try:
            if cast("SwarmConn", connection).direction is Direction.OUTBOUND:
                await self._exchange_by_dialling(peer)
            await self.wait_admitted(peer)
        finally:
            self._strangers -= stranger
        if not self.is_admitted(peer) and not connection.is_closed:
            self._metrics.refuse("no_card", str(peer), "no valid card in time")
            await abort(connection)

    async def _exchange_by_dialling(self, peer: ID) -> None:
        try:
            with trio.fail_after(self._settings.timeouts.exchange_s):
                async with open_stream(self._host, peer, MEMBERSHIP_PROTOCOL) as stream:
                    await self._exchange(stream, peer)
        except RefusedExchangeError as error:
            self.disconnect(peer, error.reason, str(error))
        except Exception as error:  # whatever a peer or a dying connection makes of it
            self._metrics.drop("exchange_failed", str(peer), repr(error))

    async def _answer(self, stream: INetStream) -> None:
        peer = stream.muxed_conn.peer_id
        if not self._exchanges.take(str(peer)):
            self.offend(peer, "exchanges", "the membership exchange again and again")
            await stream.reset()
            return
        try:
            with trio.fail_after(self._settings.timeouts.exchange_s):
                await self._exchange(stream, peer)
                await stream.close()
        except RefusedExchangeError as error:
            self.disconnect(peer, error.reason, str(error))

    async def _exchange(self, stream: INetStream, peer: ID) -> None:
        """Show our card and revocations and take in theirs, at the same time: neither waits for the other."""
        ours = frame(self.roster.own_card) + frame(self.roster.revocations_bytes)
        refusal: RefusedExchangeError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.write, ours)
            try:
                card = await read_frame(stream, MAX_CARD_BYTES)
                revocations = await read_frame(stream, MAX_REVOCATIONS_BYTES)
                self._admit(peer, card, revocations)
            except RefusedExchangeError as error:
                refusal = error
                nursery.cancel_scope.cancel()
        if refusal is not None:
            raise refusal

    def _admit(self, peer: ID, card_bytes: bytes, revocations: bytes) -> None:
        try:
            if revocations:
                self.revoke(revocations)
            card = self.roster.admit(card_bytes, self._settings.clock())
        except RemoteProtocolError as error:
            raise RefusedExchangeError(error.reason, str(error)) from error
        if card.peer_id != str(peer):
            raise RefusedExchangeError("borrowed_card", f"card of {card.peer_id}: shown by {peer}; refused")
        self.heard(card.peer_id)
        if peer in self._admitted:
            return
        self._admitted.add(peer)
        self._metrics.peers.set(len(self._admitted))
        self._metrics.members.set(len(self.roster.members(self._settings.clock())))
        for callback in self.on_admitted:
            callback(peer)
        self.changed.ring()


class _ConnectionWatch(INotifee):
    """Tells us of connections; the library calls it inline, so nothing here may take time."""

    def __init__(
        self, on_connected: Callable[[INetConn], None], on_disconnected: Callable[[INetConn], None]
    ) -> None:
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected

    async def connected(self, network: INetwork, conn: INetConn) -> None:  # noqa: ARG002  the library's interface
        self._on_connected(conn)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:  # noqa: ARG002
        self._on_disconnected(conn)

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...
