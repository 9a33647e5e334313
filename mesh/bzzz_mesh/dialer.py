"""The dial loop: every peer that should be there is dialled until it is, for ever.

py-libp2p drops a bootstrap peer that is absent at the start for good after 3 failures, and cannot dial a restarted
peer (same key, new address) for minutes: its old addresses are tried first and its id is in a 60 s negative cache.
So before each attempt both are cleared, and one address is dialled at a time: the library tries only one of its kind.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
import trio
from libp2p.host.basic_host import BasicHost
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from bzzz_mesh.background import Background
from bzzz_mesh.errors import AddressError
from bzzz_mesh.host import swarm_of
from bzzz_mesh.membership import Membership
from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.names import Address, check_peer_id, resolve
from bzzz_mesh.settings import TimeoutSettings
from bzzz_mesh.signals import Bell

MAX_TARGETS = 512
MAX_ADDRESSES = 16
CONCURRENT_DIALS = 8
STAGGER_S = 0.25
"""Head start of the lower peer id, so that two nodes that start together make one connection, not two."""

_log = structlog.stdlib.get_logger("bzzz.mesh")
_chance = random.SystemRandom()


@dataclass
class _Target:
    peer: ID
    addresses: tuple[Address, ...]
    wake: Bell
    over: bool = False


class Dialer:
    """Keeps connections to all targets."""

    def __init__(
        self,
        host: BasicHost,
        membership: Membership,
        timeouts: TimeoutSettings,
        metrics: MeshMetrics,
        background: Background,
    ) -> None:
        self._host = host
        self._swarm = swarm_of(host)
        self._membership = membership
        self._timeouts = timeouts
        self._metrics = metrics
        self._targets: dict[str, _Target] = {}
        self._slots = trio.CapacityLimiter(CONCURRENT_DIALS)
        self._background = background

    @property
    def targets(self) -> tuple[str, ...]:
        """The peer ids that are kept connected."""
        return tuple(self._targets)

    def keep(self, peer_id: str, addresses: Iterable[str]) -> None:
        """Keep a peer connected; its addresses replace those known. Oneself is skipped.

        Raises AddressError for an id or address that cannot be dialled, or too many of them.
        """
        check_peer_id(peer_id)
        parsed = tuple(Address.parse(text) for text in addresses)
        for address in parsed:
            if address.peer_id not in (None, peer_id):
                raise AddressError(f"address {address}: expected one of {peer_id}")
        if not 0 < len(parsed) <= MAX_ADDRESSES:
            raise AddressError(f"peer {peer_id}: expected 1 to {MAX_ADDRESSES} addresses, got {len(parsed)}")
        if peer_id == str(self._host.get_id()):
            return
        target = self._targets.get(peer_id)
        if target is not None:
            target.addresses = parsed
            target.wake.ring()
            return
        if len(self._targets) >= MAX_TARGETS:
            raise AddressError(f"peer {peer_id}: already {MAX_TARGETS} peers to dial; refused")
        target = self._targets[peer_id] = _Target(ID.from_string(peer_id), parsed, Bell())
        self._background.start(self._keep_dialled, target)

    def let_go(self, peer_id: str) -> None:
        """Dial a peer no longer; a connection that there is stays."""
        target = self._targets.pop(peer_id, None)
        if target is not None:
            target.over = True
            target.wake.ring()

    async def _keep_dialled(self, target: _Target) -> None:
        timeouts = self._timeouts
        if str(self._host.get_id()) > str(target.peer):
            await trio.sleep(STAGGER_S)
        pause = timeouts.redial_first_s
        while not target.over:
            if self._is_connected(target.peer):
                pause = timeouts.redial_first_s
                with trio.move_on_after(1.0):
                    await self._membership.changed.wait()
                continue
            async with self._slots:
                await self._dial(target)
            if self._is_connected(target.peer):
                await self._membership.wait_admitted(target.peer)
            if not self._is_connected(target.peer):
                with trio.move_on_after(pause * _chance.uniform(0.8, 1.2)):
                    await target.wake.wait()
                pause = min(pause * 2, timeouts.redial_max_s)

    def _is_connected(self, peer: ID) -> bool:
        return any(not connection.is_closed for connection in self._swarm.get_connections(peer))

    async def _dial(self, target: _Target) -> None:
        for address in target.addresses:
            try:
                for place in await resolve(address, self._timeouts.resolve_s):
                    if await self._dial_one(target.peer, place):
                        return
            except AddressError as error:
                self._metrics.dials.labels("unresolved").inc()
                _log.info("dial", peer=str(target.peer), address=str(address), error=str(error))

    async def _dial_one(self, peer: ID, address: Address) -> bool:
        if self._is_connected(peer):
            return True
        self._host.get_peerstore().clear_addrs(peer)
        self._swarm.unblock_peer(peer)
        try:
            with trio.fail_after(self._timeouts.dial_s):
                await self._host.connect(PeerInfo(peer, [Multiaddr(address.transport)]))
        except Exception as error:  # refused, unreachable, too slow, another key there: the loop tries again
            self._metrics.dials.labels("failed").inc()
            _log.debug("dial", peer=str(peer), address=str(address), error=repr(error))
            return False
        self._metrics.dials.labels("connected").inc()
        return True
