"""Proofs of the real program, on the sidecar and on the archive, hold in Python with the key alone."""

from __future__ import annotations

import json
import random

import pytest

from hmmm.errors import EvidenceError
from hmmm.hypercore_proof import (
    log_key_of_seed,
    replication_key_of_seed,
    verify_bundle,
    verify_consistency,
    verify_head,
)
from tests.support.sidecar import Archive, Log, record


def test_any_selection_of_records_is_proven(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    choice = random.Random(7)
    for length in (1, 2, 3, 30, 101):
        log.append(*(record(n) for n in range(length)))
        head = log.get("/v1/head")
        archive.wait_held(log, length)
        for _ in range(5):
            seqs = sorted(choice.sample(range(length), choice.randint(1, min(length, 12))))
            query = ",".join(map(str, seqs))
            here = log.get(f"/v1/proof?seqs={query}")
            assert archive.get(f"/v1/logs/{log.key}/proof?seqs={query}") == here
            verified = verify_bundle(here, log.key)
            assert (verified.length, verified.tree_hash) == (head["length"], head["treeHash"])
            assert {seq: json.loads(data) for seq, data in verified.blocks.items()} == {
                seq: record(seq) for seq in seqs
            }


def test_a_range_is_proven_without_a_node_too_many(log: Log) -> None:
    log.append(*(record(n) for n in range(64)))
    bundle = log.get("/v1/proof?from=0&to=64")
    assert bundle["nodes"] == []
    assert len(verify_bundle(bundle, log.key).blocks) == 64
    assert len(log.get("/v1/proof?seqs=0,63")["nodes"]) == 10  # two paths of six that share the root


def test_an_earlier_head_can_still_be_proven_at_its_length(log: Log) -> None:
    log.append(*(record(n) for n in range(20)))
    then = log.get("/v1/head")
    log.append(*(record(n) for n in range(20, 50)))
    verified = verify_bundle(log.get("/v1/proof?seqs=3,19&length=20"), log.key)
    assert (verified.length, verified.tree_hash) == (20, then["treeHash"])
    with log.client() as client:
        assert client.get("/v1/proof?seqs=3,20&length=20").status_code == 400
        assert client.get("/v1/proof?seqs=3&length=19").status_code == 409


def test_a_head_kept_from_earlier_is_shown_to_be_a_prefix(log: Log) -> None:
    heads = []
    for step in range(1, 8):
        log.append(*({"id": f"{step}-{n}"} for n in range(step)))
        heads.append(log.get("/v1/head"))
    public = bytes.fromhex(log.get("/v1/proof?seqs=0")["manifest"])[38:]
    for then in heads:
        grown = verify_consistency(log.get(f"/v1/consistency?length={then['length']}"), log.key)
        assert (grown.old_length, grown.old_tree_hash) == (then["length"], then["treeHash"])
        assert grown.tree_hash == heads[-1]["treeHash"]
        verify_head(log.key, public, then["length"], then["treeHash"], then["signature"])


def test_a_tampered_block_of_a_real_bundle_is_refused(log: Log) -> None:
    log.append(*(record(n) for n in range(10)))
    bundle = log.get("/v1/proof?seqs=2,7")
    bundle["blocks"][0]["data"] = log.get("/v1/proof?seqs=3")["blocks"][0]["data"]
    with pytest.raises(EvidenceError):
        verify_bundle(bundle, log.key)


def test_keys_can_be_told_from_the_seed_before_anything_runs(log: Log) -> None:
    seed = bytes.fromhex((log.folder / "seed").read_text())
    assert log_key_of_seed(seed) == log.key
    assert replication_key_of_seed(seed) == log.live.ready["replicationKey"]


def test_a_proof_that_is_too_big_is_refused(log: Log) -> None:
    for start in range(0, 10_100, 1000):
        log.append(*({"id": str(n)} for n in range(start, min(start + 1000, 10_100))))
    with log.client() as client:
        answer = client.get("/v1/proof")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")
        assert len(client.get("/v1/proof?from=0&to=10000").json()["blocks"]) == 10_000
