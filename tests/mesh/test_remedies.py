"""What is mended in the library stays mended: each of these fails on stock py-libp2p 0.8.1."""

from __future__ import annotations

from dataclasses import replace

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from bzzz_mesh import GossipSettings, LimitSettings
from tests.mesh.attacker import attacker
from tests.mesh.support import Hive, until


async def test_an_inbound_slot_is_free_again_when_the_connection_ends(hive: Hive) -> None:
    limits = replace(LimitSettings(), connections=4)
    async with hive.node(0, limits=limits) as a:
        for turn in range(8):
            async with attacker(hive, 100 + turn, a.mesh.addresses[0]) as peer:
                await peer.show()
                await until(lambda peer=peer: a.sees_id(str(peer.host.get_id())))


async def test_a_hundred_and_fifty_topics_of_one_node_are_known_to_the_others(hive: Hive) -> None:
    topics = [f"bzzz/meta/issue/{number}" for number in range(150)]
    async with hive.nodes(2) as (a, b), trio.open_nursery() as nursery:

        async def listen(topic: str) -> None:
            async with b.mesh.subscribe(topic):
                await trio.sleep_forever()

        for topic in topics:
            nursery.start_soon(listen, topic)
        await until(lambda: a.status(b).topics == set(topics))
        nursery.cancel_scope.cancel()


async def test_subscriptions_that_were_forgotten_come_back_by_themselves(hive: Hive) -> None:
    gossip = GossipSettings(reannounce_s=0.3)
    async with hive.nodes(2, gossip=gossip) as (a, b), b.mesh.subscribe("bzzz"):
        await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
        pubsub = a.mesh._pubsub
        pubsub._forget_all_subscriptions(ID.from_string(b.mesh.peer_id))
        assert not a.mesh.on_topic("bzzz")
        await until(lambda: a.mesh.on_topic("bzzz") == {b.mesh.peer_id})


async def test_a_gossip_stream_that_breaks_is_opened_again_and_nothing_is_lost(hive: Hive) -> None:
    async with hive.nodes(2) as (a, b), b.mesh.subscribe("bzzz") as subscription:
        await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
        peer = ID.from_string(b.mesh.peer_id)
        for turn in range(3):
            await a.mesh._pubsub.peers[peer].reset()
            await a.mesh.publish("bzzz", f"turn {turn}".encode())
            with trio.fail_after(5):
                while (await subscription.receive()).data != f"turn {turn}".encode():
                    pass
        assert a.mesh.on_topic("bzzz") == {b.mesh.peer_id}


async def test_a_peer_that_offends_too_often_is_cut_off_for_a_while(hive: Hive) -> None:
    limits = replace(LimitSettings(), offences=5, cut_off_s=1.0)
    async with (
        hive.node(0, limits=limits) as a,
        a.mesh.subscribe("bzzz"),
        attacker(hive, 7, a.mesh.addresses[0]) as peer,
    ):
        stream = await peer.gossip()
        bad = rpc_pb2.RPC(publish=[peer.message(after_signature=b"\x00" * 64) for _ in range(10)])
        await stream.write(encode_varint_prefixed(bad.SerializeToString()))
        with trio.fail_after(5):
            await peer.cut_off()
        assert a.refused("offences") == 1
        await peer.connect()
        with trio.fail_after(5):
            await peer.cut_off()
        await until(lambda: not a.mesh._membership._cut_off)
        await peer.connect()
        await peer.show()
        await until(lambda: a.sees_id(str(peer.host.get_id())))


async def test_only_so_many_strangers_wait_for_their_cards_at_a_time(hive: Hive) -> None:
    limits = replace(LimitSettings(), strangers=2)
    async with hive.node(0, limits=limits) as a, trio.open_nursery() as nursery:
        address = a.mesh.addresses[0]

        async def lurk(number: int) -> None:
            async with attacker(hive, number, address) as peer:
                await peer.cut_off()

        for number in range(100, 105):
            nursery.start_soon(lurk, number)
        await until(lambda: a.refused("strangers") == 3)
        async with hive.node(1, a) as b:
            await until(lambda: a.sees(b), 15)


async def test_announced_addresses_are_what_others_are_told(hive: Hive) -> None:
    async with hive.node(0, announce=("/dns4/bzzz-0.bzzz/tcp/4001",)) as a:
        assert a.mesh.addresses == (f"/dns4/bzzz-0.bzzz/tcp/4001/p2p/{a.mesh.peer_id}",)


async def test_a_subscription_made_while_a_peer_is_just_being_connected_is_not_missed(hive: Hive) -> None:
    """Stock greets with its topics, waits, and only then lists the peer: a topic joined meanwhile is never told."""
    topics = [f"topic {number}" for number in range(300)]
    async with hive.node(0) as a, hive.node(1) as b, trio.open_nursery() as nursery:

        async def listen(number: int) -> None:
            await b.mesh._membership.changed.wait()
            for _ in range(number):  # each a step later than the one before, across all of the greeting
                await trio.lowlevel.checkpoint()
            async with b.mesh.subscribe(topics[number]):
                await trio.sleep_forever()

        for number in range(len(topics)):
            nursery.start_soon(listen, number)
        await b.mesh.connect(a.mesh.peer_id, a.mesh.addresses)
        await until(lambda: a.sees(b))
        await until(lambda: a.status(b).topics == set(topics), 5)
        nursery.cancel_scope.cancel()
