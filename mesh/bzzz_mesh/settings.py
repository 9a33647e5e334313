"""The mesh's settings: one frozen tree, read once, passed in. Units are in the names.

Numbers come from architecture §5 and §6 and from the measurements in docs/mesh.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from hmmm.envelope import MAX_ENVELOPE_BYTES

MEMBERSHIP_PROTOCOL: Final = "/bzzz/membership/1.0.0"
CARDS_PROTOCOL: Final = "/bzzz/cards/1.0.0"
PRESENCE_PROTOCOL: Final = "/bzzz/presence/1.0.0"

MAX_TOPIC_CHARACTERS: Final = 256
"""Topics look like `bzzz/meta/issue/42`; peers' subscriptions are kept, so their names are bounded."""


def utc_now() -> datetime:
    """Return the wall clock, which cards are judged by."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class GossipSettings:
    """How GossipSub 1.1 is run (docs/mesh.md, "Settings")."""

    degree: int = 3
    """Peers a topic's mesh aims at. Everybody is flooded by the author; the mesh is the second path. At 8 and 16
    nodes 3/2/4 cost 60 % less CPU than 6/4/12 and had the better p99: duplicates dominate."""
    degree_low: int = 2
    degree_high: int = 4
    heartbeat_s: int = 1
    """py-libp2p's default is 120 s, in which a lost message is not asked for again."""
    prune_back_off_s: int = 5
    """Default 60 s: it isolated 2 of 6 restarted nodes for a minute."""
    unsubscribe_back_off_s: int = 1
    """With the default of 10 s a topic left and joined again delivered 0 to 9 of 60 messages."""
    history_heartbeats: int = 6
    """Seconds that a message can be asked for again, and is replayed to whoever joins the topic late."""
    reannounce_s: float = 10.0
    """Own subscriptions are told to all peers again: heals what a lost stream made them forget."""
    outbound_queue: int = 4096
    """Messages waiting for one peer. py-libp2p drops silently above 32: a loop of 100 delivered 32."""
    max_rpc_bytes: int = 256 * 1024
    """Largest frame of GossipSub taken or made; a message is at most 16 KiB, replays are packed."""
    max_subscriptions_per_peer: int = 4096
    """py-libp2p ignores a peer's subscriptions silently above 100, fewer than a scribe's open issues."""


@dataclass(frozen=True)
class LimitSettings:
    """What a peer may cost us."""

    max_message_bytes: int = MAX_ENVELOPE_BYTES
    author_messages_per_s: float = 50.0
    author_burst: int = 200
    """An author above its rate is cut here, whoever forwards it; `publish` paces itself below it."""
    held_messages: int = 64
    hold_s: float = 5.0
    """A message whose author's card is unknown waits so long for the card."""
    offences: int = 100
    offences_per_s: float = 1.0
    """Malformed frames, wrong signatures and the like that a peer may send before it is cut off ..."""
    cut_off_s: float = 30.0
    """... and for how long."""
    streams_per_connection: int = 16
    """Streams that a peer may hold open to us on one connection; members need 3."""
    strangers: int = 32
    """Connections without a card at a time; each has `membership.exchange_s` to show one."""
    connections: int = 256
    subscription_buffer: int = 4096
    """Messages waiting for one subscriber here; the newest is dropped and counted when it is full."""


@dataclass(frozen=True)
class TimeoutSettings:
    """How long things may take, in seconds."""

    exchange_s: float = 5.0
    """From connection to valid card (architecture §4)."""
    dial_s: float = 10.0
    resolve_s: float = 5.0
    redial_first_s: float = 0.5
    redial_max_s: float = 5.0
    """Pause between attempts to reach a peer that should be there: doubles from first to max, jittered."""
    beat_s: float = 3.0
    silent_s: float = 10.0
    """A peer unheard for so long is hung (SIGSTOP, dead network): its connections are closed and it is dialled
    again. py-libp2p alone does not notice. With the beat and the check every second: at most 14 s."""
    linger_s: float = 2.0
    """A topic is left so long after its last subscriber, so that what is queued still gets forwarded."""
    back_pressure_s: float = 2.0
    """`publish` waits so long at most for peers' queues to drain below half."""
    drain_s: float = 2.0
    """On leaving, what was published gets so long to be read by the peers; one that hangs delays it no further."""
    goodbye_s: float = 0.5
    """On leaving, peers get so long to hear that the connection ends."""


@dataclass(frozen=True)
class MeshSettings:
    """Everything `join` needs but the roster and the metrics registry."""

    seed: bytes = field(repr=False)
    """The Ed25519 mesh key's 32-byte seed: the peer id (architecture §4). Secret."""
    listen: str = "/ip4/127.0.0.1/tcp/0"
    bootstrap: tuple[str, ...] = ()
    """Multiaddrs with `/p2p/…`, kept dialled for ever; DNS names allowed; one's own is skipped."""
    announce: tuple[str, ...] = ()
    """Addresses to give others instead of the listening one (without `/p2p/…`)."""
    gossip: GossipSettings = field(default_factory=GossipSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    clock: Callable[[], datetime] = utc_now
    """Wall clock for judging cards."""
