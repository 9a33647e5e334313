"""Pub/sub that takes messages from members only, and that nothing a peer sends can stop.

On py-libp2p's `Pubsub`, replaced where it loses messages or trusts its peers (docs/mesh.md has the list):

- gossip flows to and from a peer only once it has shown its card;
- frames are read in bulk and handled in order by one task a stream (stock: three reads and a task a message);
- a message passes one gate: size, form, signature, card, rate; failing ones are counted by reason, never forwarded;
- a message whose author's card is unknown waits, bounded, while the card is asked for;
- an outbound stream that breaks is opened again without forgetting what the peer subscribed to.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import IHost, INetStream
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.utils.varint import encode_varint_prefixed

from bzzz_mesh.background import Background
from bzzz_mesh.cards import Cards
from bzzz_mesh.frames import FrameReader
from bzzz_mesh.limits import TokenBuckets
from bzzz_mesh.membership import Membership
from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.router import FloodingGossipSub
from bzzz_mesh.settings import MAX_TOPIC_CHARACTERS, MeshSettings
from bzzz_mesh.signing import author_of
from hmmm.errors import MalformedError, RemoteProtocolError, excerpt

if TYPE_CHECKING:
    from libp2p.network.stream.net_stream import NetStream

MAX_MESSAGES_PER_RPC = 1024
BATCH_BYTES = 32 * 1024
DISCARDED_BYTES = 1024
REOPEN_FIRST_S = 0.25
REOPEN_MAX_S = 3.0


class Deliver(Protocol):
    """Where accepted messages go: the subscribers of this process."""

    def __call__(self, topic: str, data: bytes, author: str) -> None:
        """Take a message without waiting."""
        ...


class MembersPubsub(Pubsub):
    """Pub/sub among members."""

    def __init__(
        self,
        host: IHost,
        router: FloodingGossipSub,
        settings: MeshSettings,
        metrics: MeshMetrics,
        membership: Membership,
        cards: Cards,
        deliver: Deliver,
        background: Background,
    ) -> None:
        gossip, limits = settings.gossip, settings.limits
        super().__init__(
            host,
            router,
            strict_signing=True,
            max_subscriptions_per_peer=gossip.max_subscriptions_per_peer,
            max_inbound_rpc_size=gossip.max_rpc_bytes,
        )
        # stock starts at time() in whole seconds: after a burst, kill -9 and a restart, peers took the next 100
        # messages for ones they had seen
        self.counter = time.time_ns()
        self._gossip = router
        self._settings = settings
        self._metrics = metrics
        self._membership = membership
        self._cards = cards
        self._deliver = deliver
        self._rates = TokenBuckets(limits.author_messages_per_s, limits.author_burst)
        self._held: set[bytes] = set()
        self._opening: set[ID] = set()
        self._finishing = False
        self._background = background

    def start(self) -> None:
        """Talk to members as they are admitted, from now on."""
        self._membership.on_admitted.append(self._open_to)
        self._membership.on_connection_lost.append(self._check_stream)

    def announce(self) -> None:
        """Tell all peers one's subscriptions every few seconds, once tasks can run."""
        self._background.start(self._reannounce)

    def get_hello_packet(self) -> rpc_pb2.RPC:
        """Return all own subscriptions. Without the signed peer record that stock adds to every frame and checks
        in every frame, which was 40 % of the CPU: nothing here uses those records."""
        topics = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic) for topic in self.topic_ids]
        return rpc_pb2.RPC(subscriptions=topics)

    # -- outbound: one stream and one queue a peer ----------------------------------------------------------

    async def _handle_new_peer_with_retry(self, peer_id: ID, timeout: float | None = None) -> None:
        """Called by the library for every connection: too early, the peer has shown no card yet."""

    def _open_to(self, peer: ID) -> None:
        if peer not in self._opening and peer not in self.peers and not self._finishing:
            self._opening.add(peer)
            self._background.start(self._open_until_done, peer)

    def _check_stream(self, peer: ID) -> None:
        """One of perhaps two connections is gone. Stock notices at the next message that ours was on it."""
        stream = self.peers.get(peer)
        if stream is not None and stream.muxed_conn.is_closed:
            self._handle_dead_peer(peer)

    async def _open_until_done(self, peer: ID) -> None:
        pause = REOPEN_FIRST_S
        try:
            while self._membership.is_admitted(peer) and peer not in self.peers:
                try:
                    await self._open(peer)
                except (
                    Exception
                ) as error:  # a connection that is just breaking: tried until it is gone or well
                    self._metrics.drop("gossip_stream", str(peer), repr(error))
                    await trio.sleep(pause)
                    pause = min(pause * 2, REOPEN_MAX_S)
        finally:
            self._opening.discard(peer)

    async def _open(self, peer: ID) -> None:
        stream = await self.host.new_stream(peer, list(self.protocols))
        if self._finishing or not self._membership.is_admitted(peer):
            await stream.reset()
            return
        self._gossip.add_peer(peer, stream.get_protocol())
        queue = RpcQueue(self._settings.gossip.outbound_queue, self._settings.gossip.max_rpc_bytes)
        # greeting and listing in one step: stock greets, waits for it to be sent and then lists the peer; a topic
        # joined meanwhile is in neither the greeting nor an announcement, and the peer never hears of it
        queue.push(self.get_hello_packet(), priority=True)
        self.peers[peer] = stream
        self.peer_queues[peer] = queue
        self._background.start(self._send_queued, peer, stream, queue)
        for topic, peers in list(self.peer_topics.items()):
            if peer in peers:
                await self._replay_recent_messages(peer, topic)
                await self._gossip.on_peer_subscribed(peer, topic)

    async def _send_queued(self, peer: ID, stream: INetStream, queue: RpcQueue) -> None:
        try:
            while (rpc := await queue.pop()) is not None:
                frames = bytearray(encode_varint_prefixed(rpc.SerializeToString()))
                # what waits goes out in one write: a write costs ten times what its bytes cost
                while len(queue) > 0 and len(frames) < BATCH_BYTES and (rpc := await queue.pop()) is not None:
                    frames += encode_varint_prefixed(rpc.SerializeToString())
                await stream.write(bytes(frames))
            if self._finishing:
                await _end_once_read(stream)
        except Exception as error:  # the stream broke, for whatever reason
            if self._membership.is_admitted(peer) and self._peer_is_connected(peer):
                self._metrics.drop("gossip_stream", str(peer), repr(error))
        if self.peers.get(peer) is stream:
            self._handle_dead_peer(peer)

    def _handle_dead_peer(self, peer_id: ID) -> None:
        """Forget a peer's stream; forget its subscriptions only if it is gone.

        Stock forgets them too when just our stream to it broke: the peer does not tell them again, and hears
        nothing any more.
        """
        connected = self._peer_is_connected(peer_id)
        self._clear_pending_announce_retries_for_peer(peer_id)
        self._replayed_recent_topics.pop(peer_id, None)
        if not connected:
            self._forget_all_subscriptions(peer_id)
        if self.peers.pop(peer_id, None) is not None:
            queue = self.peer_queues.pop(peer_id, None)
            if queue is not None:
                queue.close()
            self._gossip.remove_peer(peer_id)
        if connected and self._membership.is_admitted(peer_id):
            self._open_to(peer_id)
        self._membership.changed.ring()

    async def _reannounce(self) -> None:
        while True:
            await trio.sleep(self._settings.gossip.reannounce_s)
            hello = self.get_hello_packet()
            if hello.subscriptions:
                for queue in self.peer_queues.values():
                    queue.push(hello)

    async def finish(self) -> None:
        """Send what is queued and wait until all peers have read it. Nothing can be published any more.

        Closing the connections before loses messages that were written: Yamux throws away what streams hold when
        it reads the farewell, and a socket that is closed with unread bytes makes the peer's kernel throw away its own.
        """
        self._finishing = True
        for queue in self.peer_queues.values():
            queue.close()  # what it holds still goes out
        while self.peers:
            await self._membership.changed.wait()

    def queued(self) -> int:
        """Return how many messages wait for the slowest peer."""
        return max((len(queue) for queue in self.peer_queues.values()), default=0)

    # -- inbound: one task a stream -------------------------------------------------------------------------

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's frames until it ends, the peer is no member any more, or breaks the protocol."""
        peer: ID = stream.muxed_conn.peer_id
        if not await self._membership.wait_admitted(peer):
            await stream.reset()
            return
        reader = FrameReader(stream, self.max_inbound_rpc_size)
        # a new stream begins with all subscriptions: what was known before may be of the peer's former life
        self._forget_all_subscriptions(peer)
        try:
            while self._membership.is_admitted(peer):
                frame = await reader.next()
                if frame is None:
                    return
                await self._handle_frame(peer, frame)
        except RemoteProtocolError as error:
            self._membership.offend(peer, error.reason, str(error))
        finally:
            # whatever ended the reading: the peer must see that nobody reads any more, and open another stream
            with trio.move_on_after(1, shield=True):
                await stream.reset()

    async def _handle_frame(self, peer: ID, frame: bytes) -> None:
        rpc = parse_rpc(frame)
        self._membership.heard(str(peer))
        for subscription in rpc.subscriptions:
            self.handle_subscription(peer, subscription)
        for message in rpc.publish:
            if self._is_subscribed_to_msg(message):
                await self.push_msg(peer, message)
        if rpc.HasField("control"):
            await self._gossip.handle_rpc(rpc, peer)

    def handle_subscription(self, origin_id: ID, sub_message: rpc_pb2.RPC.SubOpts) -> None:
        """Take in that a peer joined or left a topic."""
        topic = sub_message.topicid
        if not sub_message.subscribe:
            self._forget_subscription(origin_id, topic)
            self._membership.changed.ring()
            return
        if origin_id in self.peer_topics.get(topic, ()):
            return
        count = self._peer_subscription_count.get(origin_id, 0)
        if not 0 < len(topic) <= MAX_TOPIC_CHARACTERS or count >= self.max_subscriptions_per_peer:
            self._membership.offend(origin_id, "bad_subscription", f"topic of {len(topic)} characters")
            return
        self.peer_topics.setdefault(topic, set()).add(origin_id)
        self._peer_subscription_count[origin_id] = count + 1
        self._background.start(self._replay_recent_messages, origin_id, topic)
        self._background.start(self._gossip.on_peer_subscribed, origin_id, topic)
        self._membership.changed.ring()

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Judge a message, deliver it here and hand it on. What fails is counted and goes no further."""
        if msg_forwarder == self.my_id:
            self._mark_msg_seen(msg)
            await self._gossip.publish(msg_forwarder, msg)
            return
        message_id = self.get_message_id(msg)
        if self._is_msg_seen(msg) or message_id in self._held:
            self._metrics.duplicates.inc()
            return
        if len(msg.data) > self._settings.limits.max_message_bytes:
            self._membership.offend(msg_forwarder, "oversized", f"message of {len(msg.data)} bytes")
            return
        try:
            author = author_of(msg)
        except RemoteProtocolError as error:
            self._membership.offend(msg_forwarder, error.reason, str(error))
            return
        if author == str(self.my_id):
            return  # our own, from before a restart
        if self._membership.is_member(author):
            await self._accept(msg_forwarder, msg, author)
        else:
            self._hold(msg_forwarder, msg, author, message_id)

    def _hold(self, forwarder: ID, message: rpc_pb2.Message, author: str, message_id: bytes) -> None:
        if len(self._held) >= self._settings.limits.held_messages:
            self._metrics.drop("hold_full", str(forwarder), f"message by {author}, whose card is unknown")
            return
        self._held.add(message_id)
        self._background.start(self._accept_with_card, forwarder, message, author, message_id)

    async def _accept_with_card(
        self, forwarder: ID, message: rpc_pb2.Message, author: str, message_id: bytes
    ) -> None:
        try:
            if await self._cards.ask(author, forwarder):
                await self._accept(forwarder, message, author)
            else:
                self._metrics.drop("no_card", str(forwarder), f"message by {author}, whose card nobody has")
        finally:
            self._held.discard(message_id)

    async def _accept(self, forwarder: ID, message: rpc_pb2.Message, author: str) -> None:
        self._mark_msg_seen(message)
        if not self._rates.take(author):
            self._metrics.drop("rate", author, "author above its rate")
            return
        self._membership.heard(author)
        self._metrics.received.inc()
        self._deliver(message.topicIDs[0], message.data, author)
        await self._gossip.publish(forwarder, message)


async def _end_once_read(stream: INetStream) -> None:
    """Say that this was all and wait for the peer's answer: `stream_handler` resets a stream that it has read whole."""
    await cast("NetStream", stream).close_write()  # the interface leaves it out
    with suppress(StreamError):
        while await stream.read(DISCARDED_BYTES):
            pass  # peers never write on a stream that is ours


def parse_rpc(frame: bytes) -> rpc_pb2.RPC:
    """Parse a GossipSub frame.

    Raises MalformedError.
    """
    rpc = rpc_pb2.RPC()
    try:
        rpc.ParseFromString(frame)
    except (DecodeError, ValueError) as error:
        raise MalformedError(
            "malformed_rpc", f"frame: expected a GossipSub RPC: {excerpt(repr(error))}"
        ) from error
    if len(rpc.publish) > MAX_MESSAGES_PER_RPC:
        raise MalformedError(
            "malformed_rpc",
            f"frame: expected at most {MAX_MESSAGES_PER_RPC} messages, got {len(rpc.publish)}",
        )
    return rpc
