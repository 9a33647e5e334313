"""Nodes that die, hang, move or are not there yet: real processes, real signals."""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio

from hmmm.envelope import SigningKey
from tests.mesh.support import Hive, NodeProcess, free_port, seed_of, until

Start = Callable[..., NodeProcess]


def address_of(number: int, port: int) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{SigningKey.mesh(seed_of(number)).key_id}"


async def test_a_node_killed_and_restarted_on_another_port_hears_and_is_heard_again(
    hive: Hive, start_process: Start
) -> None:
    async with hive.node(0) as a:
        first = start_process(1, a.mesh.addresses[0])
        await until(lambda: a.mesh.on_topic("bzzz") != set())
        for number in range(100):
            first.do("publish", topic="bzzz/echo", data=f"burst {number}")
        await a.mesh.publish("bzzz", b"before")
        await until(lambda: "before" in first.received())
        first.signal(signal.SIGKILL)
        await until(lambda: not first.alive)
        await until(lambda: not a.mesh.on_topic("bzzz"))
        second = start_process(1, a.mesh.addresses[0])
        await until(lambda: second.ready is not None)
        assert second.ready["addresses"] != first.ready["addresses"]
        async with a.mesh.subscribe("bzzz/echo") as echo:
            await until(lambda: a.mesh.on_topic("bzzz") != set())
            # what is said right after the restart must not look like what was said before it
            for number in range(50):
                await a.mesh.publish("bzzz", f"after {number}".encode())
            heard: set[bytes] = set()
            with trio.fail_after(10):
                while len(heard) < 50:
                    data = (await echo.receive()).data
                    if data.startswith(b"after"):
                        heard.add(data)


async def test_a_restarted_node_is_found_on_its_new_port_by_whoever_dials_it(
    hive: Hive, start_process: Start
) -> None:
    async with hive.node(0) as a:
        first = start_process(1)
        await until(lambda: first.ready is not None)
        peer_id = first.ready["peerId"]
        await a.mesh.connect(peer_id, first.ready["addresses"])
        await until(lambda: a.status(peer_id).connected)
        first.signal(signal.SIGKILL)
        await until(lambda: not a.status(peer_id).connected)
        second = start_process(1)
        await until(lambda: second.ready is not None)
        await a.mesh.connect(peer_id, second.ready["addresses"])
        await until(lambda: a.status(peer_id).connected)
        await until(lambda: peer_id in a.mesh.on_topic("bzzz"))
        await a.mesh.publish("bzzz", b"hello again")
        await until(lambda: "hello again" in second.received())


async def test_a_bootstrap_peer_that_is_absent_at_the_start_is_reached_when_it_comes(
    hive: Hive, start_process: Start
) -> None:
    port = free_port()
    early = start_process(1, address_of(2, port))
    await until(lambda: early.ready is not None)
    # more often than the three attempts after which py-libp2p gives up
    while (await early.metrics()).get("bzzz_mesh_dials_total/failed", 0) < 5:
        await trio.sleep(0.05)
    late = start_process(2, listen=f"/ip4/127.0.0.1/tcp/{port}")
    await until(lambda: late.ready is not None)
    late.do("publish", topic="bzzz", data="finally")
    await until(lambda: "finally" in early.received())


async def test_a_name_is_resolved_and_dialled(hive: Hive) -> None:
    async with hive.node(0) as a:
        port = a.mesh.addresses[0].split("/")[4]
        async with hive.node(1, f"/dns4/localhost/tcp/{port}/p2p/{a.mesh.peer_id}") as b:
            await until(lambda: a.sees(b) and b.sees(a))


async def test_a_name_nobody_knows_is_tried_on_and_the_other_address_used(hive: Hive) -> None:
    async with hive.node(0) as a, hive.node(1) as b:
        port = a.mesh.addresses[0].split("/")[4]
        await b.mesh.connect(
            a.mesh.peer_id,
            ["/dns4/nobody.invalid/tcp/1", f"/ip4/127.0.0.1/tcp/{free_port()}", f"/ip4/127.0.0.1/tcp/{port}"],
        )
        await until(lambda: b.sees(a))
        assert b.count("dials_total", outcome="failed") >= 1


async def test_another_node_at_the_dialled_address_is_not_taken_for_the_one_wanted(hive: Hive) -> None:
    async with hive.node(0) as a, hive.node(1) as b:
        wanted = SigningKey.mesh(seed_of(5)).key_id
        await b.mesh.connect(wanted, [a.mesh.addresses[0].split("/p2p/")[0]])
        await until(lambda: b.count("dials_total", outcome="failed") >= 2)
        assert not b.status(wanted).connected


async def test_a_hung_node_is_noticed_and_welcome_when_it_goes_on(hive: Hive, start_process: Start) -> None:
    async with hive.node(0) as a:
        hung = start_process(1, a.mesh.addresses[0])
        await until(lambda: a.mesh.on_topic("bzzz") != set())
        peer_id = hung.ready["peerId"]
        hung.signal(signal.SIGSTOP)
        stopped = trio.current_time()
        # publishing goes on meanwhile, although one peer reads nothing
        while a.status(peer_id).connected:
            await a.mesh.publish("bzzz", b"are you there?")
            assert trio.current_time() - stopped < 8
        assert trio.current_time() - stopped > 2, "3 s of silence in these tests, 10 s by default"
        assert a.refused("silent") == 1
        hung.signal(signal.SIGCONT)
        await until(lambda: a.status(peer_id).connected)
        await until(lambda: peer_id in a.mesh.on_topic("bzzz"))
        await a.mesh.publish("bzzz", b"welcome back")
        await until(lambda: "welcome back" in hung.received())


async def test_a_node_that_was_stopped_itself_does_not_take_the_others_for_hung(
    hive: Hive, start_process: Start
) -> None:
    async with hive.node(0) as a:
        stopped = start_process(1, a.mesh.addresses[0])
        await until(lambda: a.mesh.on_topic("bzzz") != set())
        before = (await stopped.metrics()).get("bzzz_mesh_peers_refused_total/silent", 0)
        stopped.signal(signal.SIGSTOP)
        await until(lambda: not a.status(stopped.ready["peerId"]).connected)
        stopped.signal(signal.SIGCONT)
        await until(lambda: a.status(stopped.ready["peerId"]).connected)
        assert (await stopped.metrics()).get("bzzz_mesh_peers_refused_total/silent", 0) == before


async def test_a_process_leaves_by_itself_when_told_to(hive: Hive, start_process: Start) -> None:
    async with hive.node(0) as a:
        process = start_process(1, a.mesh.addresses[0])
        await until(lambda: a.mesh.on_topic("bzzz") != set())
        process.do("stop")
        await until(lambda: not process.alive)
        assert process.process.returncode == 0, process.errors.decode()
        assert process.events[-1] == {"event": "left"}
