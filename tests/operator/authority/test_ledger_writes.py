"""The ledger on a real API server: one writer at a time, nothing without need, and put right when somebody edits it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bzzz_operator.authority import (
    AgentWish,
    Authority,
    ForeignLedgerError,
    LedgerError,
    Settlement,
    must_restart,
)
from hmmm.errors import CardRefusedError
from hmmm.membership import judge_card
from tests.operator.authority.conftest import Cluster, CrashError

BZZZ = AgentWish("bzzz", "11111111-2222-3333-4444-555555555555", 2)


async def reconcile(authority: Authority) -> Settlement:
    for wish in authority._wishes():
        await authority.ensure_keys(wish)
    return await authority.settle()


def test_the_scribe_has_a_card_before_any_agent_is_known(cluster: Cluster) -> None:
    async def nothing(authority: Authority) -> str:
        return authority.public_key

    key = cluster.run(nothing)
    assert list(cluster.cards) == ["hive-scribe"]
    assert cluster.data["hive.pub"] == key
    labels = cluster.get("configmap", "hive-members")["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "bzzz-operator"


def test_nodes_get_cards_the_archive_its_list_and_a_restart_writes_nothing(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]
    settled = cluster.run(reconcile)
    assert list(cluster.cards) == ["bzzz-0", "bzzz-1", "hive-scribe"]
    assert {n: s.serial for n, s in settled.nodes.items()} == {
        n: card.serial for n, card in cluster.cards.items() if n != "hive-scribe"
    }
    assert [change.kind for change in settled.changes] == ["Issued", "Issued"]
    entry = settled.logs[1].to_object()
    assert entry["key"] == cluster.cards["bzzz-1"].log_key
    assert entry["host"] == f"bzzz-1.bzzz.{cluster.namespace}.svc.cluster.local"
    assert (entry["nodeId"], entry["port"], len(entry["replicationKey"])) == ("bzzz-1", 4002, 64)
    here = cluster.server.mark()
    again = cluster.run(reconcile)
    assert (again.written, again.changes, again.nodes, again.logs) == (False, (), settled.nodes, settled.logs)
    assert cluster.server.writes(since=here, agent="bzzz-operator") == []


def test_agents_that_are_not_known_yet_at_the_start_lose_nothing(cluster: Cluster) -> None:
    async def only_open(_: Authority) -> None:
        pass

    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    cards = cluster.cards
    cluster.wishes = []
    cluster.run(only_open)
    assert cluster.cards == cards


def test_a_scaled_down_node_is_revoked_once_it_has_left(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    card = cluster.cards["bzzz-1"]
    cluster.wishes = [replace(BZZZ, replicas=1, leaving=frozenset({1}))]
    assert not cluster.run(reconcile).written
    cluster.wishes = [replace(BZZZ, replicas=1)]
    settled = cluster.run(reconcile)
    assert [(change.kind, change.node_id, change.agent) for change in settled.changes] == [
        ("Gone", "bzzz-1", "bzzz")
    ]
    assert [log.node_id for log in settled.logs] == ["bzzz-0"]
    with pytest.raises(CardRefusedError):
        judge_card(card, cluster.now, cluster.revocations.revoked)
    cluster.wishes = []
    cluster.run(reconcile)
    assert list(cluster.cards) == ["hive-scribe"]


def test_callers_at_the_same_time_share_one_write(cluster: Cluster) -> None:
    cluster.wishes = [AgentWish(f"kind-{n}", f"uid-{n}", 2) for n in range(20)]

    async def all_at_once(authority: Authority) -> list[Settlement]:
        async def one(wish: AgentWish) -> Settlement:
            await authority.ensure_keys(wish)
            return await authority.settle()

        return await asyncio.gather(*(one(wish) for wish in cluster.wishes))

    here = cluster.server.mark()
    settlements = cluster.run(all_at_once)
    assert len(cluster.cards) == 41
    changes = [change.node_id for settlement in settlements for change in settlement.changes]
    assert sorted(changes) == sorted(set(cluster.cards) - {"hive-scribe"}), "each is told once"
    writes = cluster.server.writes(since=here, agent="bzzz-operator")
    ledger = [write for write in writes if write.resource == "configmaps"]
    assert len(ledger) <= 12, "one to open, then far fewer than one a caller"
    for wish, settlement in zip(cluster.wishes, settlements, strict=True):
        assert f"{wish.name}-0" in settlement.nodes


def test_two_operators_never_overwrite_each_other(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]

    async def race() -> None:
        apis = [cluster.api(), cluster.api()]
        try:
            from bzzz_operator.authority import AuthoritySettings

            rivals = [
                Authority(
                    api,
                    AuthoritySettings("hive", cluster.namespace),
                    lambda: cluster.wishes,
                    lambda: cluster.now,
                )
                for api in apis
            ]
            await asyncio.gather(*(rival.open() for rival in rivals))
            assert rivals[0].public_key == rivals[1].public_key
            for _ in range(3):
                await asyncio.gather(*(reconcile(rival) for rival in rivals))
        finally:
            for api in apis:
                await api.close()

    asyncio.run(race())
    serials = [card.serial for card in cluster.cards.values()]
    assert len(set(serials)) == 3
    assert all(not r.covers(serial) for r in cluster.revocations.revoked for serial in serials)
    assert len(cluster.revocations.revoked) == 1, "no card was given and revoked by the way"


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_the_ledger_s_write_costs_nothing(cluster: Cluster, after: bool) -> None:
    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    card = cluster.cards["bzzz-1"]
    cluster.wishes = [replace(BZZZ, revoke={1: "r1"})]
    with pytest.raises(CrashError):
        cluster.run(reconcile, crash_at=1, after=after)
    settled = cluster.run(reconcile)
    assert settled.nodes["bzzz-1"].revoked
    assert [r.serial for r in cluster.revocations.revoked if not r.and_below] == [card.serial]
    assert [log.node_id for log in settled.logs] == ["bzzz-0"]


def test_what_somebody_changed_in_the_ledger_is_put_right(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    before = cluster.data
    patch = json.dumps({"data": {"members.json": "[]", "card-bzzz-0.json": None, "note": "hi"}})
    cluster.server.kubectl("patch", "configmap", "hive-members", "-n", cluster.namespace, "-p", patch)
    cluster.run(reconcile)
    assert cluster.data == before


def test_an_edit_while_the_operator_runs_is_noticed_when_it_is_told(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]

    async def edited(authority: Authority) -> tuple[bool, bool]:
        await reconcile(authority)
        cluster.server.kubectl("delete", "configmap", "hive-members", "-n", cluster.namespace)
        cluster.now += timedelta(seconds=1)
        unnoticed = await authority.settle()
        told = await authority.settle(reread=True)
        return unnoticed.written, told.written

    assert cluster.run(edited) == (False, True)
    assert len(cluster.cards) == 3


def test_a_ledger_of_another_hive_key_is_refused(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    before = cluster.data
    cluster.put_seed("hive-hive-key", "hive.seed", "77" * 32)
    with pytest.raises(ForeignLedgerError) as refusal:
        cluster.run(reconcile)
    assert refusal.value.reason == "LedgerOfAnotherHive"
    assert cluster.data == before


def test_a_damaged_ledger_is_refused_and_left(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    patch = json.dumps({"data": {"ledger.json": "{"}})
    cluster.server.kubectl("patch", "configmap", "hive-members", "-n", cluster.namespace, "-p", patch)
    with pytest.raises(LedgerError, match="remove this key"):
        cluster.run(reconcile)
    assert cluster.data["ledger.json"] == "{"


def test_a_pod_is_restarted_while_it_is_older_than_its_keys(cluster: Cluster) -> None:
    cluster.wishes = [BZZZ]
    cluster.run(reconcile)
    cluster.now += timedelta(hours=1)
    cluster.wishes = [replace(BZZZ, rotate={0: "r1"})]
    restarts = cluster.run(reconcile).restarts
    assert must_restart("bzzz-0", "2026-03-01T12:59:59Z", restarts)
    assert must_restart("bzzz-0", "2026-03-01T13:00:00Z", restarts), "in doubt once more than needed"
    assert not must_restart("bzzz-0", "2026-03-01T13:00:01Z", restarts)
    assert not must_restart("bzzz-1", "2026-03-01T12:00:00Z", restarts)
