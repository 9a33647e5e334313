"""The mesh as the rest of the hive sees it: join, publish, subscribe, peers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import trio
from libp2p.host.basic_host import BasicHost
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from prometheus_client import CollectorRegistry

from bzzz_mesh import remedies
from bzzz_mesh.background import Background
from bzzz_mesh.cards import Cards
from bzzz_mesh.dialer import Dialer
from bzzz_mesh.errors import AddressError, ClosedMeshError, ListenError, MessageTooLargeError, TopicError
from bzzz_mesh.host import InboundStreams, build_host, check_port_is_free, swarm_of
from bzzz_mesh.limits import TokenBucket
from bzzz_mesh.membership import Membership
from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.muxer import abort
from bzzz_mesh.names import Address
from bzzz_mesh.presence import Presence
from bzzz_mesh.pubsub import MembersPubsub
from bzzz_mesh.router import FloodingGossipSub
from bzzz_mesh.settings import MAX_TOPIC_CHARACTERS, MeshSettings
from bzzz_mesh.subscriptions import Subscription, Subscriptions
from hmmm.errors import excerpt
from hmmm.membership import Roster

PACE = 0.8
"""Share of the rate that receivers allow an author at which we pace ourselves: clocks and batching differ."""


@dataclass(frozen=True)
class PeerStatus:
    """What is known of a peer now."""

    peer_id: str
    connected: bool
    """Connected, with a valid card, and heard within the last seconds."""
    member: bool
    """A valid card of this peer id is known."""
    topics: frozenset[str]
    """What it subscribed to; empty when not connected."""
    last_seen: float | None
    """When it was last heard, on the clock of `time.monotonic`; None for never."""
    node_id: str | None = None
    """Its node's name, from its card."""


class Mesh:
    """This node on the mesh; made by `join`."""

    def __init__(
        self, settings: MeshSettings, roster: Roster, host: BasicHost, registry: CollectorRegistry
    ) -> None:
        self._settings = settings
        self._roster = roster
        self._host = host
        self._swarm = swarm_of(host)
        self._metrics = metrics = MeshMetrics(registry)
        self._background = Background(metrics)
        self._membership = Membership(host, roster, settings, metrics, self._background)
        cards = Cards(host, self._membership, settings, metrics)
        self._subscriptions = Subscriptions(settings.limits.subscription_buffer, metrics)
        self._router = FloodingGossipSub(settings.gossip, metrics)
        self._pubsub = MembersPubsub(
            host,
            self._router,
            settings,
            metrics,
            self._membership,
            cards,
            self._subscriptions.deliver,
            self._background,
        )
        self._presence = Presence(host, self._membership, settings.timeouts, self._background)
        self._dialer = Dialer(host, self._membership, settings.timeouts, metrics, self._background)
        limits = settings.limits
        self._pace = TokenBucket(PACE * limits.author_messages_per_s, PACE * limits.author_burst)
        self._closed = False
        self._swarm.stream_policy = InboundStreams(settings, metrics)  # pyright: ignore[reportAttributeAccessIssue]
        cards.start()
        self._membership.start()
        self._presence.start()
        self._pubsub.start()

    @property
    def peer_id(self) -> str:
        """This node's peer id."""
        return str(self._host.get_id())

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach this node: multiaddrs with its peer id."""
        return tuple(str(address) for address in self._host.get_addrs())

    async def publish(self, topic: str, data: bytes) -> None:
        """Send a message to a topic's members. It may be lost: what must arrive needs ids and answers (§5).

        Waits while this node is above the rate that others allow it, and up to 2 s while a peer's queue is more than
        half full. Raises MessageTooLargeError, TopicError, ClosedMeshError.
        """
        limit = self._settings.limits.max_message_bytes
        if len(data) > limit:
            raise MessageTooLargeError(
                f"message: expected at most {limit} bytes, got {len(data)}; shorten it"
            )
        _check_topic(topic)
        self._check_open()
        while not self._pace.take():  # noqa: ASYNC110  a token comes by time alone
            await trio.sleep(self._pace.wait_s())
        await self._wait_queued(
            self._settings.gossip.outbound_queue // 2, self._settings.timeouts.back_pressure_s
        )
        self._check_open()
        await self._pubsub.publish(topic, data)
        self._metrics.published.inc()
        # a loop of publishes that never yields fills queues that nobody gets to empty: 32 of 100 were delivered
        await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncGenerator[Subscription]:
        """Join a topic: an iterator over what others say there (not oneself). Several at a time may listen.

        The topic is left some seconds after its last subscriber. Raises TopicError, ClosedMeshError.
        """
        _check_topic(topic)
        self._check_open()
        subscription = self._subscriptions.add(topic)
        try:
            await self._pubsub.subscribe(topic)
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            if not self._subscriptions.wanted(topic):
                self._background.start(self._leave, topic)

    async def connect(self, peer_id: str, addresses: Iterable[str]) -> None:
        """Keep a peer connected from now on; the addresses replace those known. Returns at once.

        Raises AddressError.
        """
        self._check_open()
        self._dialer.keep(peer_id, addresses)

    def let_go(self, peer_id: str) -> None:
        """Keep a peer connected no longer; a connection that there is stays until either side ends it."""
        self._dialer.let_go(peer_id)

    @property
    def dialled(self) -> frozenset[str]:
        """The peer ids that are kept connected."""
        return frozenset(self._dialer.targets)

    def peers(self) -> tuple[PeerStatus, ...]:
        """Return all peers known: connected, to be dialled, or with a valid card; ordered by peer id."""
        connected = {str(peer) for peer in self._membership.admitted()}
        cards = {card.peer_id: card for card in self._roster.members(self._settings.clock())}
        topics = self._topics_by_peer()
        known = (connected | set(cards) | set(self._dialer.targets)) - {self.peer_id}
        return tuple(
            PeerStatus(
                peer_id=peer_id,
                connected=peer_id in connected,
                member=peer_id in cards,
                topics=frozenset(topics.get(peer_id, ())) if peer_id in connected else frozenset(),
                last_seen=self._membership.last_seen(peer_id),
                node_id=cards[peer_id].node_id if peer_id in cards else None,
            )
            for peer_id in sorted(known)
        )

    def on_topic(self, topic: str) -> frozenset[str]:
        """Return the connected members that are subscribed to a topic, without this node."""
        subscribed = {str(peer) for peer in self._pubsub.peer_topics.get(topic, ())}
        return frozenset(subscribed & {str(peer) for peer in self._membership.admitted()})

    async def wait_for_members(self, topic: str, peer_ids: Iterable[str], timeout: float) -> frozenset[str]:
        """Wait until all these members are on a topic, `timeout` seconds at most; return those that are."""
        wanted = frozenset(peer_ids)
        with trio.move_on_after(timeout):
            while not wanted <= self.on_topic(topic):
                await self._membership.changed.wait()
        return wanted & self.on_topic(topic)

    def revoke(self, revocations: bytes) -> bool:
        """Take in signed revocations and spread them; return whether they were news.

        Raises MalformedError, SignatureError, CardRefusedError.
        """
        return self._membership.revoke(revocations)

    def renew(self, card: bytes) -> bool:
        """Take in a new card of this node's own and show it to all who are connected; return whether it is newer.

        Raises MalformedError, SignatureError, CardRefusedError.
        """
        return self._membership.renew(card)

    def _topics_by_peer(self) -> dict[str, set[str]]:
        topics: dict[str, set[str]] = {}
        for topic, peers in self._pubsub.peer_topics.items():
            for peer in peers:
                topics.setdefault(str(peer), set()).add(topic)
        return topics

    async def _leave(self, topic: str) -> None:
        await trio.sleep(self._settings.timeouts.linger_s)
        if not self._subscriptions.wanted(topic):
            await self._pubsub.unsubscribe(topic)

    async def _wait_queued(self, at_most: int, timeout: float) -> None:
        """Wait until no peer's queue holds more, `timeout` seconds at most."""
        with trio.move_on_after(timeout):
            while self._pubsub.queued() > at_most:  # noqa: ASYNC110  the library's queues tell nobody
                await trio.sleep(0.005)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedMeshError("mesh: was left; join again to speak")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Listen, dial and gossip inside this context."""
        listen = Multiaddr(self._settings.listen)
        try:
            async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
                await nursery.start(self._background.run)
                stack.push_async_callback(self._background.end)
                await stack.enter_async_context(self._host.run([listen]))
                if not self._swarm.listeners:
                    raise ListenError(f"listen {listen}: cannot be used on this machine; choose another")
                await stack.enter_async_context(background_trio_service(self._pubsub))
                await stack.enter_async_context(background_trio_service(self._router))
                await self._pubsub.wait_until_ready()
                self._presence.watch()
                self._pubsub.announce()
                for text in self._settings.bootstrap:
                    address = Address.parse(text)
                    if address.peer_id is None:
                        raise AddressError(f"bootstrap {address}: expected it to end in /p2p/PEER")
                    self._dialer.keep(address.peer_id, [text])
                try:
                    yield
                finally:
                    await self._shut_down()
        finally:
            self._pubsub.seen_messages.stop()

    async def _shut_down(self) -> None:
        """Let queued messages reach the peers, say goodbye to all at the same time, then close their sockets."""
        self._closed = True
        self._subscriptions.close()
        with trio.move_on_after(self._settings.timeouts.drain_s, shield=True):
            await self._pubsub.finish()
        with trio.move_on_after(self._settings.timeouts.goodbye_s, shield=True):
            # the library closes one connection after the other, 0.2 s each
            async with trio.open_nursery() as nursery:
                for connection in self._swarm.get_connections():
                    nursery.start_soon(connection.close)
        with trio.move_on_after(self._settings.timeouts.goodbye_s, shield=True):
            for connection in self._swarm.get_connections():
                await abort(connection)
        await self._background.end()


@asynccontextmanager
async def join(
    settings: MeshSettings, membership: Roster, registry: CollectorRegistry
) -> AsyncGenerator[Mesh]:
    """Join the mesh; leave it at the end of the context.

    Raises ListenError, AddressError, ValueError for settings that cannot be used. An exception of the body comes out
    as it is.
    """
    remedies.install()
    await check_port_is_free(settings.listen)
    mesh = Mesh(settings, membership, build_host(settings), registry)
    raised: BaseException | None = None
    try:
        async with mesh.running():
            try:
                yield mesh
            except BaseException as error:
                raised = error
                raise
    except BaseExceptionGroup as group:
        serious = [error for error in _leaves(group) if not _is_shutdown_race(error)]
        if not serious:
            return
        if len(serious) == 1 and (
            serious[0] is raised or isinstance(serious[0], (ListenError, AddressError))
        ):
            raise serious[0] from None
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error


def _is_shutdown_race(error: BaseException) -> bool:
    """Exactly what the library raises when a peer connects while the host is closing."""
    return isinstance(error, RuntimeError) and str(error) == "Nursery is closed to new arrivals"


def _check_topic(topic: str) -> None:
    if not 0 < len(topic) <= MAX_TOPIC_CHARACTERS or not topic.isascii() or not topic.isprintable():
        raise TopicError(
            f"topic {excerpt(topic)}: expected 1 to {MAX_TOPIC_CHARACTERS} printable ASCII characters"
        )
