"""Keys on a real API server: made once, kept through everything, replaced by a rotation alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bzzz_operator.authority import AgentWish, Authority, DamagedKeyError, NotOursError
from bzzz_operator.errors import TryAgainError
from hmmm.envelope import SigningKey
from hmmm.hypercore_proof import log_key_of_seed
from tests.operator.authority.conftest import Cluster, CrashError

SIDECAR = Path(__file__).parents[3] / "sidecar"
UID = "11111111-2222-3333-4444-555555555555"
SECRETS = ("bzzz-mesh-keys", "bzzz-log-seeds", "bzzz-runner-token")


def wish(replicas: int = 2, **changes: object) -> AgentWish:
    return AgentWish(**{"name": "bzzz", "uid": UID, "replicas": replicas} | changes)  # pyright: ignore[reportArgumentType]


def ensure(cluster: Cluster, wanted: AgentWish, **crash: object) -> None:
    cluster.wishes = [wanted]
    cluster.run(lambda authority: authority.ensure_keys(wanted), **crash)  # pyright: ignore[reportArgumentType]


def test_the_hive_s_secrets_are_made_once_and_read_ever_after(cluster: Cluster) -> None:
    async def told(authority: Authority) -> tuple[str, str, str]:
        return authority.public_key, authority.archive_token, authority.archive_replication_key

    first = cluster.run(told)
    seed = cluster.seeds("hive-hive-key")["hive.seed"]
    assert SigningKey.hive(bytes.fromhex(seed)).public.hex() == first[0]
    assert cluster.seeds("hive-archive-token") == {"token": first[1]}
    assert re.fullmatch("[0-9a-f]{64}", cluster.seeds("hive-scribe-keys")["mesh.seed"])
    assert re.fullmatch("[0-9a-f]{64}", cluster.seeds("hive-archive-keys")["noise.seed"])
    assert len(cluster.seeds("hive-metrics-token")["token"]) >= 16
    assert "ownerReferences" not in cluster.get("secret", "hive-hive-key")["metadata"]
    here = cluster.server.mark()
    assert cluster.run(told) == first
    assert cluster.server.writes(since=here, agent="bzzz-operator") == [], "a restart writes nothing"


def test_the_archive_s_key_is_the_one_that_the_archive_itself_derives(cluster: Cluster) -> None:
    async def told(authority: Authority) -> str:
        return authority.archive_replication_key

    key = cluster.run(told)
    program = (
        "const { archiveKeys } = require('./lib/keys');"
        "console.log(archiveKeys(Buffer.from(process.argv[1], 'hex')).publicKey.toString('hex'))"
    )
    seed = cluster.seeds("hive-archive-keys")["noise.seed"]
    derived = subprocess.run(
        ["node", "-e", program, seed], cwd=SIDECAR, capture_output=True, text=True, check=True, timeout=60
    )
    assert key == derived.stdout.strip()


def test_each_ordinal_has_seeds_of_its_own_and_more_are_added_without_touching_any(cluster: Cluster) -> None:
    ensure(cluster, wish(2))
    before = {name: cluster.seeds(name) for name in SECRETS}
    assert list(before["bzzz-mesh-keys"]) == ["bzzz-0", "bzzz-1"]
    assert len({*before["bzzz-mesh-keys"].values(), *before["bzzz-log-seeds"].values()}) == 4
    ensure(cluster, wish(4))
    after = {name: cluster.seeds(name) for name in SECRETS}
    assert all(after[name].items() >= before[name].items() for name in SECRETS)
    assert list(after["bzzz-log-seeds"]) == [f"bzzz-{n}" for n in range(4)]
    ensure(cluster, wish(1))
    assert {name: cluster.seeds(name) for name in SECRETS} == after, "scaling down forgets no key"


def test_nothing_is_written_and_with_a_cache_nothing_read_when_all_is_there(cluster: Cluster) -> None:
    async def twice(authority: Authority) -> None:
        await authority.ensure_keys(wish())
        versions = {name: cluster.get("secret", name)["metadata"]["resourceVersion"] for name in SECRETS}
        here = cluster.server.mark()
        await authority.ensure_keys(wish())
        cluster.server.kubectl("delete", "secret", SECRETS[0], "-n", cluster.namespace)
        await authority.ensure_keys(wish(), versions)
        assert cluster.server.writes(since=here, agent="bzzz-operator") == []
        del versions[SECRETS[0]]
        await authority.ensure_keys(wish(), versions)
        assert len(cluster.seeds(SECRETS[0])) == 2, "what the cache misses is made again"

    cluster.run(twice)


@pytest.mark.parametrize("text", ["", "not hex", "ab" * 31, "AB" * 32, "é" * 32])
def test_a_damaged_seed_is_said_with_its_remedy_and_never_replaced(cluster: Cluster, text: str) -> None:
    ensure(cluster, wish())
    cluster.put_seed("bzzz-log-seeds", "bzzz-1", text)
    with pytest.raises(
        DamagedKeyError, match=r"bzzz-log-seeds, key bzzz-1: expected 64 hex.*restore"
    ) as refusal:
        ensure(cluster, wish())
    assert text == "" or text not in str(refusal.value)
    assert cluster.seeds("bzzz-log-seeds")["bzzz-1"] == text


def test_a_damaged_hive_key_stops_the_authority(cluster: Cluster) -> None:
    ensure(cluster, wish())
    cluster.put_seed("hive-hive-key", "hive.seed", "gone")
    with pytest.raises(DamagedKeyError, match=r"hive-hive-key, key hive\.seed"):
        ensure(cluster, wish())
    cluster.server.kubectl(
        "patch", "secret", "hive-hive-key", "-n", cluster.namespace, "-p", '{"data": {"hive.seed": null}}'
    )
    with pytest.raises(DamagedKeyError, match="came nothing; restore it"):
        ensure(cluster, wish())


def test_a_seed_that_was_brought_along_is_used(cluster: Cluster) -> None:
    seed = "5a" * 32
    cluster.server.kubectl(
        "create",
        "secret",
        "generic",
        "hive-hive-key",
        "-n",
        cluster.namespace,
        f"--from-literal=hive.seed={seed}",
    )

    async def told(authority: Authority) -> str:
        return authority.public_key

    assert cluster.run(told) == SigningKey.hive(bytes.fromhex(seed)).public.hex()


def test_somebody_else_s_secret_is_not_adopted(cluster: Cluster) -> None:
    cluster.server.kubectl(
        "create", "secret", "generic", "bzzz-mesh-keys", "-n", cluster.namespace, "--from-literal=a=b"
    )
    with pytest.raises(NotOursError, match="kubectl label secret bzzz-mesh-keys") as refusal:
        ensure(cluster, wish())
    assert refusal.value.reason == "NameConflict"
    assert cluster.seeds("bzzz-mesh-keys") == {"a": "b"}


def test_secrets_belong_to_the_agent_exactly_when_nothing_is_retained(cluster: Cluster) -> None:
    def owners(name: str) -> list[str]:
        return [owner["uid"] for owner in cluster.get("secret", name)["metadata"].get("ownerReferences", [])]

    ensure(cluster, wish())
    assert [owners(name) for name in SECRETS] == [[], [], [UID]]
    ensure(cluster, wish(retain=False))
    assert [owners(name) for name in SECRETS] == [[UID], [UID], [UID]]
    ensure(cluster, wish())
    assert [owners(name) for name in SECRETS] == [[], [], [UID]]


def test_retained_keys_are_taken_over_by_the_next_agent_and_others_are_waited_for(cluster: Cluster) -> None:
    ensure(cluster, wish())
    before = cluster.seeds("bzzz-log-seeds")
    cluster.server.kubectl(
        "delete", "secret", "bzzz-runner-token", "-n", cluster.namespace
    )  # as its owner went
    ensure(cluster, wish(uid="next"))
    assert cluster.seeds("bzzz-log-seeds") == before
    with pytest.raises(TryAgainError, match="earlier HiveAgent"):
        ensure(cluster, wish(uid="third"))


def test_a_rotation_replaces_both_seeds_of_its_node_once(cluster: Cluster) -> None:
    ensure(cluster, wish())
    before = {name: cluster.seeds(name) for name in SECRETS}
    ensure(cluster, wish(rotate={1: "r1"}))
    after = {name: cluster.seeds(name) for name in SECRETS}
    for name in ("bzzz-mesh-keys", "bzzz-log-seeds"):
        assert after[name]["bzzz-0"] == before[name]["bzzz-0"]
        assert after[name]["bzzz-1"] != before[name]["bzzz-1"]
    ensure(cluster, wish(rotate={1: "r1", 9: "r9"}))
    assert {name: cluster.seeds(name) for name in SECRETS} == after
    ensure(cluster, wish(3, rotate={1: "r1", 2: "r2"}))
    third = cluster.seeds("bzzz-mesh-keys")["bzzz-2"]
    ensure(cluster, wish(3, rotate={1: "r1", 2: "r2"}))
    assert cluster.seeds("bzzz-mesh-keys")["bzzz-2"] == third, "new keys need no rotation"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_a_rotation_that_is_interrupted_anywhere_ends_with_one_card_and_one_restart(
    cluster: Cluster, crash_at: int, after: bool
) -> None:
    async def reconcile(authority: Authority) -> dict[str, str]:
        await authority.ensure_keys(cluster.wishes[0])
        settlement = await authority.settle()
        return {node: moment.isoformat() for node, moment in settlement.restarts.items()}

    cluster.wishes = [wish()]
    assert cluster.run(reconcile) == {}
    old = cluster.cards["bzzz-1"]
    cluster.wishes = [wish(rotate={1: "r1"})]
    with pytest.raises(CrashError):
        cluster.run(reconcile, crash_at=crash_at, after=after)
    restarts = cluster.run(reconcile)
    assert list(restarts) == ["bzzz-1"]
    assert cluster.run(reconcile) == restarts
    card = cluster.cards["bzzz-1"]
    seeds = [cluster.seeds(name)["bzzz-1"] for name in ("bzzz-mesh-keys", "bzzz-log-seeds")]
    assert card.peer_id == SigningKey.mesh(bytes.fromhex(seeds[0])).key_id != old.peer_id
    assert card.log_key == log_key_of_seed(bytes.fromhex(seeds[1])) != old.log_key
    assert [r.serial for r in cluster.revocations.revoked if not r.and_below] == [old.serial]
