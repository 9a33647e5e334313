"""GossipSub 1.1 as the hive needs it, on py-libp2p's router.

Authors flood their own messages to every subscriber they know (absent in 0.8.1), so that one lost mesh link loses
nothing; the mesh is the second way. Control messages are taken apart carefully: they come from members, but
a member may be broken or hostile, and the library keeps what they say without bound.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.score import PeerScorer

from bzzz_mesh.metrics import MeshMetrics
from bzzz_mesh.settings import MAX_TOPIC_CHARACTERS, GossipSettings
from hmmm.errors import MalformedError

GOSSIP_PROTOCOL: Final = TProtocol("/meshsub/1.1.0")
"""1.2 tells peers of every message received (IDONTWANT): more CPU here than the duplicates it saves."""

MAX_CONTROL_ENTRIES: Final = 1024
MAX_IDS: Final = 5000
"""Message ids in one IHAVE, as in go-libp2p."""
MAX_WANTED: Final = 256
"""Messages handed out for one IWANT; the library hands out one message as often as it is named."""
MAX_BACK_OFF_S: Final = 60


class FloodingGossipSub(GossipSub):
    """GossipSub that floods own messages, keeps to its queues and believes control messages only so far."""

    def __init__(self, settings: GossipSettings, metrics: MeshMetrics) -> None:
        super().__init__(
            [GOSSIP_PROTOCOL],
            degree=settings.degree,
            degree_low=settings.degree_low,
            degree_high=settings.degree_high,
            gossip_window=settings.history_heartbeats - 1,
            gossip_history=settings.history_heartbeats,
            heartbeat_interval=settings.heartbeat_s,
            prune_back_off=settings.prune_back_off_s,
            unsubscribe_back_off=settings.unsubscribe_back_off_s,
            # on by default, these lose honest messages: 10 a second and topic (20 of 100 delivered at 50/s),
            # a heartbeat stretched from 1 s to 30 s, and a mesh that prefers strangers' networks
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.graft_flood_threshold = 0.0  # else a rejoining peer's GRAFT is refused for 5 s
        # membership decides who may speak; scores would only cost CPU and silence the restarted
        self.scorer: PeerScorer | None = None
        self._metrics = metrics

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Hand a message to the peers that should have it.

        Stock also holds 100 messages for each connected peer that is not on the topic, for 30 s, and keeps a
        time stamp of every message for ever; `send_recent_messages` serves late subscribers.
        """
        self.mcache.put(pubsub_msg)
        for topic in pubsub_msg.topicIDs:
            self.time_since_last_publish[topic] = int(time.time())
        rpc = rpc_pb2.RPC(publish=[pubsub_msg])
        origin = ID(pubsub_msg.from_id)
        for peer in list(self._get_peers_to_send(pubsub_msg.topicIDs, msg_forwarder, origin)):
            self.send_rpc(peer, rpc)

    def _get_peers_to_send(
        self, topic_ids: Iterable[str], msg_forwarder: ID, origin: ID, msg_id: bytes | None = None
    ) -> Iterable[ID]:
        topics = list(topic_ids)
        peers = set(super()._get_peers_to_send(topics, msg_forwarder, origin, msg_id))
        pubsub = self.pubsub
        if pubsub is not None and msg_forwarder == pubsub.my_id:
            for topic in topics:
                peers.update(peer for peer in pubsub.peer_topics.get(topic, ()) if peer in self.peer_protocol)
        peers.discard(msg_forwarder)
        yield from peers

    async def send_recent_messages(self, peer_id: ID, topic: str) -> None:
        """Give a new subscriber what can still be had. By the queue: stock writes beside it, which mixes frames."""
        for message_id in self.mcache.window(topic):
            message = self.mcache.get(message_id)
            if message is not None:
                self.send_rpc(peer_id, rpc_pb2.RPC(publish=[message]))

    async def flush_pending_messages(self, peer_id: ID) -> None:
        """Nothing is held for peers that are not on a topic: see `publish`."""

    def send_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, priority: bool = False) -> None:
        """Queue a frame for a peer. Stock copies and measures it field by field first; ours mostly fit as they are."""
        queue = None if self.pubsub is None else self.pubsub.peer_queues.get(peer_id)
        if queue is None:
            return
        if peer_id in self._pending_control or rpc.ByteSize() > queue.max_message_size:
            super().send_rpc(peer_id, rpc, priority)
        elif not queue.push(rpc, priority):
            self._handle_dropped_rpc(peer_id, rpc, "queue_full")

    def _handle_dropped_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, reason: str) -> None:
        self._metrics.drop(reason, str(peer_id), "outbound")
        super()._handle_dropped_rpc(peer_id, rpc, reason)

    async def emit_control_message(self, control_msg: rpc_pb2.ControlMessage, to_peer: ID) -> None:
        """Queue a control message, before data, without a peer record (see `MembersPubsub.get_hello_packet`)."""
        self.send_rpc(to_peer, rpc_pb2.RPC(control=control_msg), priority=True)

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Obey a peer's control messages, as far as they are sensible.

        Raises MalformedError. Peer records and peer exchange are not looked at: addresses come from members'
        signed messages and the operator, never from a PRUNE that would have us dial anything.
        """
        control = rpc.control
        entries = (control.ihave, control.iwant, control.graft, control.prune)
        if sum(len(kind) for kind in entries) > MAX_CONTROL_ENTRIES:
            raise MalformedError("malformed_rpc", f"control: expected at most {MAX_CONTROL_ENTRIES} entries")
        for ihave in control.ihave:
            if ihave.topicID in self.mesh:
                del ihave.messageIDs[MAX_IDS:]
                await self.handle_ihave(ihave, sender_peer_id)
        for iwant in control.iwant:
            wanted = list(dict.fromkeys(iwant.messageIDs))[:MAX_WANTED]
            await self.handle_iwant(rpc_pb2.ControlIWant(messageIDs=wanted), sender_peer_id)
        for graft in control.graft:
            if len(graft.topicID) <= MAX_TOPIC_CHARACTERS:
                await self.handle_graft(graft, sender_peer_id)
        for prune in control.prune:
            if prune.topicID in self.mesh or prune.topicID in self.back_off:
                back_off = min(prune.backoff, MAX_BACK_OFF_S)
                await self.handle_prune(
                    rpc_pb2.ControlPrune(topicID=prune.topicID, backoff=back_off), sender_peer_id
                )

    async def _emit_control_msgs(
        self,
        peers_to_graft: dict[ID, list[str]],
        peers_to_prune: dict[ID, list[str]],
        peers_to_gossip: dict[ID, dict[str, list[bytes]]],
    ) -> None:
        """Send each peer its own control messages; stock sends each also those of the peers before it."""
        controls: defaultdict[ID, rpc_pb2.ControlMessage] = defaultdict(rpc_pb2.ControlMessage)
        for peer, topics in peers_to_graft.items():
            controls[peer].graft.extend(rpc_pb2.ControlGraft(topicID=topic) for topic in topics)
        for peer, topics in peers_to_prune.items():
            controls[peer].prune.extend(
                rpc_pb2.ControlPrune(topicID=topic, backoff=self.prune_back_off) for topic in topics
            )
        for peer, known in peers_to_gossip.items():
            controls[peer].ihave.extend(
                rpc_pb2.ControlIHave(topicID=topic, messageIDs=ids) for topic, ids in known.items()
            )
        for peer, control in controls.items():
            await self.emit_control_message(control, peer)
