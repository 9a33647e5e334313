"""The libp2p host: an Ed25519 identity, TCP, Noise, Yamux, and nothing else.

The library's defaults also accept plaintext peers, dial whatever addresses it hears of and stop accepting under its own
resource heuristics; what is not named here is off.
"""

from __future__ import annotations

import errno
from typing import cast

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_noise_key
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify.identify import ID as IDENTIFY_PROTOCOL
from libp2p.identity.identify_push.identify_push import ID_PUSH as IDENTIFY_PUSH_PROTOCOL
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from multiaddr import Multiaddr

from bzzz_mesh.errors import AddressError, ListenError
from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.muxer import BoundedYamux
from bzzz_mesh.settings import MeshSettings

SEED_BYTES = 32
STREAMS_A_PEER = 64
"""For the resource manager's total: both directions, members and strangers."""


def build_host(settings: MeshSettings) -> BasicHost:
    """Build a host that is not listening yet.

    Raises ValueError for a seed of the wrong length, AddressError for an address to announce that is none.
    """
    if len(settings.seed) != SEED_BYTES:
        raise ValueError(f"mesh seed: expected {SEED_BYTES} bytes, got {len(settings.seed)}")
    private = Ed25519PrivateKey.from_bytes(settings.seed)
    keys = KeyPair(private, private.get_public_key())
    noise = Noise(keys, noise_privkey=new_noise_key().private_key)
    host = new_host(
        key_pair=keys,
        sec_opt={NOISE: noise},  # the default offers plaintext and others as well
        muxer_opt={TProtocol(YAMUX): BoundedYamux},
        connection_config=_connection_config(settings),
        resource_manager=_resource_manager(settings),
        announce_addrs=[_announced(text) for text in settings.announce] or None,
        disable_identify_address_discovery=True,
    )
    assert isinstance(host, BasicHost)
    swarm = swarm_of(host)
    # one attempt a dial: the dial loop decides when the next one is, and at which address
    swarm.retry_config = RetryConfig(max_retries=0)
    swarm.auto_connector = _NoAutoConnector(swarm)
    # identify would have us read unbounded answers and believe peers' addresses; its client side runs as a system
    # task, whose failure ends the process
    host._schedule_identify = _no_identify  # pyright: ignore[reportPrivateUsage]
    host.remove_stream_handler(TProtocol(IDENTIFY_PROTOCOL))
    host.remove_stream_handler(TProtocol(IDENTIFY_PUSH_PROTOCOL))
    return host


def swarm_of(host: BasicHost) -> Swarm:
    """Return the host's network by its real type."""
    return cast("Swarm", host.get_network())


class InboundStreams:
    """What the safe stream handler of `remedies` asks."""

    def __init__(self, settings: MeshSettings, metrics: MeshMetrics) -> None:
        self.max_streams = settings.limits.streams_per_connection
        self._metrics = metrics

    def stream_refused(self, peer: str) -> None:
        """Count a stream beyond what a connection may hold open."""
        self._metrics.drop("streams", peer, f"more than {self.max_streams} streams on a connection")

    def stream_failed(self, peer: str, error: Exception) -> None:
        """Count an inbound stream whose handler raised: the stream was reset, the rest goes on."""
        self._metrics.drop("stream_failed", peer, repr(error))


async def check_port_is_free(listen: str) -> None:
    """Check that nobody listens at a fixed port.

    The library listens with SO_REUSEPORT: two nodes started on one port by mistake would share it silently, and each
    get some of the other's connections. Raises ListenError.
    """
    parts = listen.split("/")
    if len(parts) != 5 or parts[1] not in ("ip4", "ip6") or parts[3] != "tcp" or not parts[4].isdigit():
        raise ListenError(f"listen {listen}: expected /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT")
    family = trio.socket.AF_INET if parts[1] == "ip4" else trio.socket.AF_INET6
    with trio.socket.socket(family, trio.socket.SOCK_STREAM) as probe:
        probe.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        try:
            await probe.bind((parts[2], int(parts[4])))
        except (OSError, OverflowError) as error:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            hint = "another process listens there" if taken else str(error)
            raise ListenError(
                f"listen {listen}: cannot be used: {hint}; choose another or stop it"
            ) from error


def _connection_config(settings: MeshSettings) -> ConnectionConfig:
    limits, timeouts = settings.limits, settings.timeouts
    return ConnectionConfig(
        max_connections=limits.connections,
        high_watermark=limits.connections,
        min_connections=0,
        low_watermark=0,
        dial_timeout=timeouts.dial_s,
        inbound_upgrade_timeout=timeouts.exchange_s,
        outbound_upgrade_timeout=timeouts.exchange_s,
        inbound_stream_protocol_negotiation_timeout=timeouts.exchange_s,
        outbound_stream_protocol_negotiation_timeout=timeouts.exchange_s,
    )


def _resource_manager(settings: MeshSettings) -> ResourceManager:
    connections = settings.limits.connections
    return ResourceManager(
        limits=ResourceLimits(max_connections=2 * connections, max_streams=STREAMS_A_PEER * connections),
        # the mesh has limits of its own; these would cut members off after a few failures of anybody, or when
        # the machine's memory is low
        enable_metrics=False,
        enable_memory_limits=False,
        enable_circuit_breaker=False,
        enable_graceful_degradation=False,
        enable_rate_limiting=False,
    )


class _NoAutoConnector(AutoConnector):
    """Stock dials every address it ever heard of, whatever the watermarks say, until it has 128 connections."""

    async def maybe_connect(self) -> None:
        """Dial nobody: the dial loop does."""

    def record_disconnect(self, peer_id: ID) -> None:
        """Keep no list of everybody who ever left."""


def _announced(text: str) -> Multiaddr:
    try:
        return Multiaddr(text)
    except Exception as error:
        raise AddressError(f"announce {text}: expected a multiaddr like /dns4/HOST/tcp/PORT") from error


def _no_identify(*_: object, **__: object) -> None:
    return None
