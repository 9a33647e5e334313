"""The list of members: who is added is dialled, who left is not; an unreadable list leaves the last one in force."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from bzzz_mesh import Directory, Members
from tests.mesh.support import Hive, Node, until


def entry(node: Node, name: str) -> dict[str, object]:
    return {"nodeId": name, "peerId": node.mesh.peer_id, "addresses": list(node.mesh.addresses)}


async def test_a_member_that_is_added_to_the_list_is_dialled(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    path.write_text("[]")
    read: list[Members] = []
    hive = Hive()
    async with hive.node(1) as one, hive.node(2) as two, trio.open_nursery() as nursery:
        directory = Directory(one.mesh, path, on_members=read.append)
        nursery.start_soon(directory.run)
        await until(lambda: read == [()])
        path.write_text("{ half a list")
        path.with_suffix(".new").write_text(json.dumps([entry(one, "bzzz-0"), entry(two, "bzzz-1")]))
        await trio.lowlevel.checkpoint()
        path.with_suffix(".new").replace(path)
        await until(lambda: one.sees(two))
        assert [m.node_id for m in read[-1]] == ["bzzz-0", "bzzz-1"]
        nursery.cancel_scope.cancel()


async def test_a_member_that_left_the_list_is_dialled_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    hive = Hive()
    async with hive.node(1) as one, trio.open_nursery() as nursery:
        async with hive.node(2) as two:
            path.write_text(json.dumps([entry(two, "bzzz-1")]))
            directory = Directory(one.mesh, path)
            nursery.start_soon(directory.run)
            await until(lambda: one.sees(two))
            gone = two.mesh.peer_id
            assert gone in one.mesh.dialled
        path.with_suffix(".new").write_text("[]")
        path.with_suffix(".new").replace(path)
        await until(lambda: gone not in one.mesh.dialled)
        nursery.cancel_scope.cancel()


async def test_a_renewed_card_is_shown_to_peers_without_losing_them(tmp_path: Path) -> None:
    hive = Hive()
    path, card = tmp_path / "card.json", tmp_path / "new.json"
    path.write_text("[]")
    async with hive.nodes(2) as (one, two), trio.open_nursery() as nursery:
        held = tmp_path / "held.json"
        held.write_bytes(one.roster.own_card)
        nursery.start_soon(Directory(one.mesh, path, card_file=held).run)
        card.write_bytes(hive.card(0))
        card.replace(held)
        await until(lambda: two.roster.card_bytes_of(one.mesh.peer_id) == held.read_bytes())
        assert one.roster.own_card == held.read_bytes()
        assert one.sees(two)
        assert two.sees(one)
        assert one.refused("card_ended") + two.refused("card_ended") == 0
        nursery.cancel_scope.cancel()


async def test_a_peer_is_reached_at_the_addresses_it_announces(tmp_path: Path) -> None:
    hive = Hive()
    async with hive.node(1) as one, hive.node(2) as two:
        directory = Directory(one.mesh, tmp_path / "none")
        await directory.reach(two.mesh.peer_id, ["/not/an/address"])
        assert not one.sees(two)
        await directory.reach(two.mesh.peer_id, two.mesh.addresses)
        await until(lambda: one.sees(two))
