"""Only members hear and speak: cards, revocations, and what happens to who has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import trio

from hmmm.envelope import SigningKey
from hmmm.errors import SignatureError
from hmmm.membership import Roster, read_card
from tests.mesh.support import FAST, Hive, Node, seed_of, take, until

FOREIGN = Hive(name="other", key=SigningKey.hive(sha256(b"other hive").digest()))
IMPOSTOR = Hive(name="local", key=FOREIGN.key)


def _ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def _roster(authority: Hive, **changes: Any) -> Roster:
    return Roster(authority.name, authority.key.public, authority.card(66, **changes))


STRANGERS = {
    "a card of another hive": lambda hive: _roster(FOREIGN),
    "a card by another key that claims this hive": lambda hive: _roster(IMPOSTOR),
    "a card that expired": lambda hive: _roster(hive, not_before=_ago(2), not_after=_ago(1)),
    "a card that is not valid yet": lambda hive: _roster(hive, not_before=_ago(-1), not_after=_ago(-2)),
    "the card of another member": lambda hive: _roster(hive, peer_id=SigningKey.mesh(seed_of(1)).key_id),
}


@pytest.mark.parametrize("with_what", STRANGERS)
async def test_a_stranger_is_disconnected_and_never_heard(hive: Hive, with_what: str) -> None:
    async with hive.nodes(2) as (a, b), b.mesh.subscribe("bzzz") as at_b, a.mesh.subscribe("bzzz") as at_a:
        async with (
            hive.node(66, a, b, roster=STRANGERS[with_what](hive)) as stranger,
            stranger.mesh.subscribe("bzzz") as at_stranger,
        ):
            await until(lambda: stranger.count("dials_total", outcome="connected") >= 2)
            await stranger.mesh.publish("bzzz", b"let me in")
            await until(lambda: all(_refused(node) + _refused(stranger) > 0 for node in (a, b)))
            await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
            await a.mesh.publish("bzzz", b"for members")
            assert await take(at_b, 1) == [b"for members"], "and nothing by the stranger before"
            await b.mesh.publish("bzzz", b"go on")
            assert await take(at_a, 1) == [b"go on"], "and nothing by the stranger before"
            assert stranger.mesh.peer_id not in a.mesh.on_topic("bzzz") | b.mesh.on_topic("bzzz")
        assert [message async for message in at_stranger] == [], "a stranger hears nothing"


def _refused(node: Node) -> float:
    return sum(
        sample.value
        for family in node.registry.collect()
        for sample in family.samples
        if sample.name == "bzzz_mesh_peers_refused_total"
    )


async def test_a_member_that_is_revoked_is_disconnected_everywhere_within_seconds(hive: Hive) -> None:
    async with hive.nodes(3) as (a, b, c):
        serial = read_card(c.roster.own_card, hive=hive.name, hive_key=hive.key.public).serial
        assert a.mesh.revoke(hive.revocations(1, serial)), "news"
        assert not a.mesh.revoke(hive.revocations(1, serial)), "no news"
        # b learns it from a, by the beat
        await until(lambda: b.roster.revocations.version == 1)
        await until(lambda: not a.sees(c) and not b.sees(c))
        assert c.mesh.peer_id not in {status.peer_id for status in a.mesh.peers()}
        async with b.mesh.subscribe("bzzz") as subscription:
            await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
            await c.mesh.publish("bzzz", b"still here")
            await a.mesh.publish("bzzz", b"good")
            assert await take(subscription, 1) == [b"good"]


async def test_who_comes_later_learns_the_revocations_when_it_connects(hive: Hive) -> None:
    async with hive.node(0) as a:
        a.mesh.revoke(hive.revocations(7, 99))
        async with hive.node(1, a) as b:
            await until(lambda: b.sees(a))
            assert b.roster.revocations.version == 7


async def test_who_was_revoked_while_away_is_refused_by_those_who_know_and_by_who_comes_later(
    hive: Hive,
) -> None:
    async with hive.node(0) as a:
        thief = hive.roster(2)
        a.mesh.revoke(hive.revocations(1, thief.own.serial))
        async with hive.node(1, a) as late, hive.node(2, a, late, roster=thief) as revoked:
            await until(lambda: late.sees(a))
            await until(lambda: min(_refused(node) + _refused(revoked) for node in (a, late)) > 0)
            await until(lambda: revoked.count("dials_total", outcome="connected") >= 2)
            assert not a.sees(revoked)
            assert not late.sees(revoked)


async def test_revocations_by_another_key_are_refused(hive: Hive) -> None:
    async with hive.node(0) as a:
        with pytest.raises(SignatureError):
            a.mesh.revoke(IMPOSTOR.revocations(9, 1))


async def test_a_card_that_expires_ends_the_connection(hive: Hive) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=2)
    async with hive.node(0) as a, hive.node(1, a, roster=hive.roster(1, not_after=ends)) as b:
        await until(lambda: a.sees(b))
        await until(lambda: not a.sees(b))
        assert datetime.now(UTC) >= ends
        assert a.refused("card_ended") == 1


async def test_a_replaced_card_replaces_the_old_one(hive: Hive) -> None:
    async with hive.node(0) as a:
        async with hive.node(1, a) as b:
            await until(lambda: a.sees(b))
        async with hive.node(1, a) as b:
            await until(lambda: a.roster.card_bytes_of(b.mesh.peer_id) == b.roster.own_card)


async def test_the_peers_list_names_members_and_those_still_awaited(hive: Hive) -> None:
    absent = SigningKey.mesh(seed_of(9)).key_id
    async with hive.nodes(2) as (a, b), b.mesh.subscribe("bzzz"):
        await a.mesh.connect(absent, ["/ip4/127.0.0.1/tcp/9"])
        await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5)
        assert {status.peer_id for status in a.mesh.peers()} == {b.mesh.peer_id, absent}
        there, away = a.status(b), a.status(absent)
        assert (there.connected, there.member, there.topics, there.node_id) == (
            True,
            True,
            {"bzzz"},
            "bzzz-1",
        )
        assert (away.connected, away.member, away.topics, away.last_seen) == (False, False, frozenset(), None)
        assert a.count("peers") == 1
        assert a.count("members") == 2


async def test_waiting_for_members_returns_those_who_came(hive: Hive) -> None:
    absent = SigningKey.mesh(seed_of(9)).key_id
    async with hive.nodes(2) as (a, b):
        async with trio.open_nursery() as nursery:
            present: list[frozenset[str]] = []

            async def wait() -> None:
                present.append(await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id], 5))
                present.append(await a.mesh.wait_for_members("bzzz", [b.mesh.peer_id, absent], 0.2))
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait)
            async with b.mesh.subscribe("bzzz"):
                await trio.sleep_forever()
        assert present == [{b.mesh.peer_id}, {b.mesh.peer_id}]


async def test_the_seed_is_not_in_the_settings_text(hive: Hive) -> None:
    from bzzz_mesh import MeshSettings

    assert seed_of(1).hex() not in repr(MeshSettings(seed=seed_of(1), timeouts=FAST))
    assert repr(seed_of(1)) not in repr(MeshSettings(seed=seed_of(1), timeouts=FAST))
