"""What the mesh is for: what one member says, the others hear."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from bzzz_mesh import (
    AddressError,
    ClosedMeshError,
    LimitSettings,
    ListenError,
    MessageTooLargeError,
    TopicError,
)
from tests.mesh.support import FAST, Hive, free_port, take, until


async def test_a_thousand_messages_in_bursts_reach_both_other_nodes_once_each(
    hive: Hive, fast_limits: LimitSettings
) -> None:
    sent = [f"{number:04d} ".encode() + b"x" * 1000 for number in range(1000)]
    async with (
        hive.nodes(3, limits=fast_limits) as (a, b, c),
        b.mesh.subscribe("bzzz") as at_b,
        c.mesh.subscribe("bzzz") as at_c,
    ):
        await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id, c.mesh.peer_id], 5)
        for start in range(0, 1000, 100):
            for data in sent[start : start + 100]:
                await a.mesh.publish("bzzz", data)
            await trio.sleep(0.01)
        for subscription in (at_b, at_c):
            assert sorted(await take(subscription, 1000)) == sent
        assert b.count("messages_received_total") == 1000


async def test_all_nodes_may_speak_at_once(hive: Hive, fast_limits: LimitSettings) -> None:
    async with hive.nodes(3, limits=fast_limits) as nodes, trio.open_nursery() as nursery:
        heard: dict[int, list[bytes]] = {}

        async def listen(number: int, task_status: trio.TaskStatus[None]) -> None:
            async with nodes[number].mesh.subscribe("bzzz") as subscription:
                task_status.started()
                heard[number] = await take(subscription, 200)

        for number in range(3):
            await nursery.start(listen, number)
        for node in nodes:
            others = [other.mesh.peer_id for other in nodes if other is not node]
            assert len(await node.mesh.wait_for_members("bzzz", others, 5)) == 2

        async def speak(number: int) -> None:
            for count in range(100):
                await nodes[number].mesh.publish("bzzz", f"{number} {count}".encode())

        for number in range(3):
            nursery.start_soon(speak, number)
        await until(lambda: len(heard) == 3)
        for number in range(3):
            expected = {
                f"{other} {count}".encode() for other in range(3) if other != number for count in range(100)
            }
            assert set(heard[number]) == expected, "everybody else's messages, and not one's own"


async def test_a_message_carries_its_author_and_topic(hive: Hive) -> None:
    async with hive.nodes(2) as (a, b), b.mesh.subscribe("bzzz/meta/issue/42") as subscription:
        await a.mesh.wait_for_members("bzzz/meta/issue/42", [b.mesh.peer_id], 5)
        await a.mesh.publish("bzzz/meta/issue/42", b"plan")
        with trio.fail_after(5):
            received = await subscription.receive()
    assert (received.topic, received.data, received.author) == ("bzzz/meta/issue/42", b"plan", a.mesh.peer_id)


async def test_a_topic_that_is_left_and_joined_again_delivers_everything(hive: Hive) -> None:
    async with hive.nodes(3) as (a, b, c), c.mesh.subscribe("bzzz"):
        for turn in range(2):
            async with b.mesh.subscribe("bzzz") as subscription:
                assert await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
                for number in range(60):
                    await a.mesh.publish("bzzz", f"{turn} {number}".encode())
                got = await take(subscription, 60)
                assert sorted(got) == sorted(f"{turn} {number}".encode() for number in range(60))
            await until(lambda: not a.mesh.on_topic("bzzz") & {b.mesh.peer_id})


async def test_a_topic_is_left_only_after_its_last_subscriber_and_a_while(hive: Hive) -> None:
    async with hive.nodes(2) as (a, b):
        async with b.mesh.subscribe("bzzz") as one:
            async with b.mesh.subscribe("bzzz") as two:
                await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
                await a.mesh.publish("bzzz", b"both")
                assert await take(one, 1) == await take(two, 1) == [b"both"]
            await trio.sleep(0.4)
            assert b.mesh.peer_id in a.mesh.on_topic("bzzz"), "somebody still listens"
        assert b.mesh.peer_id in a.mesh.on_topic("bzzz"), "it lingers"
        await until(lambda: not a.mesh.on_topic("bzzz"))


async def test_who_joins_late_still_gets_the_last_seconds(hive: Hive) -> None:
    async with hive.nodes(2) as (a, b):
        await a.mesh.publish("bzzz", b"said before anybody listened")
        async with b.mesh.subscribe("bzzz") as subscription:
            assert await take(subscription, 1) == [b"said before anybody listened"]


async def test_messages_travel_by_way_of_a_node_in_the_middle(hive: Hive) -> None:
    """A and C know each other only through B: C asks B for the card of A, whose message it was handed."""
    async with hive.node(1) as b, hive.node(0, b) as a, hive.node(2, b) as c:
        await until(lambda: b.sees(a, c))
        async with b.mesh.subscribe("bzzz"), c.mesh.subscribe("bzzz") as subscription:
            await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
            await until(lambda: b.mesh.on_topic("bzzz") == {c.mesh.peer_id})
            await a.mesh.publish("bzzz", b"over two hops")
            assert await take(subscription, 1) == [b"over two hops"]
        assert c.status(a).member
        assert not c.status(a).connected


async def test_a_slow_consumer_misses_the_newest_counted_and_slows_nobody(hive: Hive) -> None:
    limits = LimitSettings(author_messages_per_s=100_000, author_burst=100_000, subscription_buffer=50)
    async with hive.nodes(2, limits=limits) as (a, b):
        async with b.mesh.subscribe("bzzz") as slow, b.mesh.subscribe("bzzz") as quick:
            await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
            for number in range(80):
                await a.mesh.publish("bzzz", str(number).encode())
                assert await take(quick, 1) == [str(number).encode()]
            assert await take(slow, 50) == [str(number).encode() for number in range(50)]
        assert b.dropped("slow_consumer") == 30


async def test_a_message_of_16_kib_passes_and_one_byte_more_is_refused_unsent(hive: Hive) -> None:
    async with hive.nodes(2) as (a, b), b.mesh.subscribe("bzzz") as subscription:
        await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
        with pytest.raises(MessageTooLargeError, match="at most 16384 bytes, got 16385"):
            await a.mesh.publish("bzzz", b"x" * 16385)
        await a.mesh.publish("bzzz", b"x" * 16384)
        assert [len(data) for data in await take(subscription, 1)] == [16384]


@pytest.mark.parametrize("topic", ["", "x" * 257, "new\nline", "bzzz/ä"])
async def test_a_topic_that_is_no_name_is_refused(hive: Hive, topic: str) -> None:
    async with hive.node(0) as node:
        with pytest.raises(TopicError):
            await node.mesh.publish(topic, b"data")
        with pytest.raises(TopicError):
            async with node.mesh.subscribe(topic):
                pass


async def test_publishing_paces_itself_below_the_rate_that_others_allow(hive: Hive) -> None:
    limits = LimitSettings(author_messages_per_s=50, author_burst=20)
    async with hive.nodes(2, limits=limits) as (a, b), b.mesh.subscribe("bzzz") as subscription:
        await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
        started = trio.current_time()
        for number in range(40):
            await a.mesh.publish("bzzz", str(number).encode())
        # 16 at once, the other 24 at 40 a second
        assert trio.current_time() - started > 0.5
        assert len(await take(subscription, 40)) == 40
        assert b.dropped("rate") == 0


async def test_a_left_mesh_ends_its_subscriptions_and_sends_nothing(hive: Hive) -> None:
    async with trio.open_nursery() as nursery:
        ended = trio.Event()

        async def listen(task_status: trio.TaskStatus[None]) -> None:
            async with node.mesh.subscribe("bzzz") as subscription:
                task_status.started()
                async for _ in subscription:
                    pass
            ended.set()

        async with hive.node(0) as node:
            await nursery.start(listen)
        with trio.fail_after(5):
            await ended.wait()
        with pytest.raises(ClosedMeshError):
            await node.mesh.publish("bzzz", b"too late")


async def test_leaving_under_traffic_is_clean_and_what_was_published_still_goes_out(
    hive: Hive, fast_limits: LimitSettings
) -> None:
    async with hive.node(0, limits=fast_limits) as a, a.mesh.subscribe("bzzz") as subscription:
        async with trio.open_nursery() as nursery:

            async def chatter() -> None:
                while True:
                    await a.mesh.publish("bzzz", b"noise")

            # what is asked here is that nothing is lost, not how fast a busy machine leaves
            patient = replace(FAST, drain_s=20.0)
            async with (
                hive.node(1, a, limits=fast_limits, timeouts=patient) as b,
                b.mesh.subscribe("bzzz"),
            ):
                assert await b.mesh.wait_for_members("bzzz", [a.mesh.peer_id], 5)
                nursery.start_soon(chatter)
                for number in range(300):
                    await b.mesh.publish("bzzz", str(number).encode())
            nursery.cancel_scope.cancel()
        assert sorted(map(int, await take(subscription, 300))) == list(range(300))
        await until(lambda: not a.sees(b))


async def test_an_error_of_the_caller_comes_out_as_it_is(hive: Hive) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with hive.node(0):
            raise KeyError("mine")


async def test_a_port_in_use_is_refused_instead_of_shared(hive: Hive) -> None:
    listen = f"/ip4/127.0.0.1/tcp/{free_port()}"
    async with hive.node(0, listen=listen):
        with pytest.raises(ListenError, match="another process listens there"):
            async with hive.node(1, listen=listen):
                pass


async def test_a_listening_address_of_another_machine_is_refused(hive: Hive) -> None:
    with pytest.raises(ListenError, match="cannot be used"):
        async with hive.node(0, listen="/ip4/203.0.113.1/tcp/0"):
            pass


async def test_a_bootstrap_address_without_a_peer_id_is_refused(hive: Hive) -> None:
    with pytest.raises(AddressError, match="/p2p/"):
        async with hive.node(0, "/ip4/127.0.0.1/tcp/4001"):
            pass


async def test_an_author_above_its_rate_is_cut_and_counted_whoever_forwards_it(hive: Hive) -> None:
    generous = replace(LimitSettings(), author_messages_per_s=10_000.0, author_burst=10_000)
    strict = LimitSettings(author_messages_per_s=1, author_burst=10)
    async with hive.node(0, limits=generous) as a, hive.node(1, a, limits=strict) as b:
        await until(lambda: b.sees(a))
        async with b.mesh.subscribe("bzzz") as subscription:
            await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
            for number in range(100):
                await a.mesh.publish("bzzz", str(number).encode())
            await until(lambda: b.dropped("rate") >= 85)
            assert len(await take(subscription, 10)) == 10
