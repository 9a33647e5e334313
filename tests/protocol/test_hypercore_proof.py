"""A proof bundle proves its blocks, and any change to it is refused with EvidenceError and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.errors import EvidenceError
from hmmm.hypercore_proof import (
    log_key_of,
    log_key_of_seed,
    replication_key_of_seed,
    verify_bundle,
    verify_consistency,
    verify_head,
)
from tests.support.paper_log import PaperLog

RECORDED = json.loads((Path(__file__).parent / "fixtures" / "hypercore_bundle.json").read_text())

LOG = PaperLog([f'{{"id":"{n}"}}'.encode() for n in range(13)])
KEY = LOG.key.hex()


def refusal(bundle: Any, key: str = KEY) -> str:
    with pytest.raises(EvidenceError) as caught:
        verify_bundle(bundle, key)
    return caught.value.reason


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    bundle = copy.deepcopy(LOG.bundle([2, 5, 6]))
    place: Any = bundle
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return bundle


def test_a_bundle_of_the_real_program_verifies() -> None:
    verified = verify_bundle(RECORDED["proof"], RECORDED["key"])
    assert (verified.length, verified.tree_hash) == (RECORDED["head"]["length"], RECORDED["head"]["treeHash"])
    assert {seq: json.loads(data) for seq, data in verified.blocks.items()} == {
        line["seq"]: line["record"] for line in RECORDED["records"]
    }


def test_a_consistency_proof_of_the_real_program_verifies() -> None:
    grown = verify_consistency(RECORDED["consistency"], RECORDED["key"])
    assert (grown.length, grown.tree_hash) == (RECORDED["head"]["length"], RECORDED["head"]["treeHash"])
    assert (grown.old_length, grown.old_tree_hash) == (RECORDED["old"]["length"], RECORDED["old"]["treeHash"])


def test_the_keys_of_a_seed_are_those_of_the_real_program() -> None:
    seed = bytes.fromhex(RECORDED["seed"])
    assert log_key_of_seed(seed) == RECORDED["key"]
    assert replication_key_of_seed(seed) == RECORDED["replicationKey"]


def test_a_quoted_head_verifies_without_any_block() -> None:
    head = RECORDED["head"]
    public = bytes.fromhex(RECORDED["proof"]["manifest"])[38:]
    assert log_key_of(public) == RECORDED["key"]
    verify_head(RECORDED["key"], public, head["length"], head["treeHash"], head["signature"])
    with pytest.raises(EvidenceError, match="signature does not hold"):
        verify_head(RECORDED["key"], public, head["length"] + 1, head["treeHash"], head["signature"])
    with pytest.raises(EvidenceError, match="signing key"):
        verify_head(RECORDED["key"], bytes(32), head["length"], head["treeHash"], head["signature"])


@given(st.data())
def test_any_selection_of_blocks_of_any_log_verifies(data: st.DataObject) -> None:
    blocks = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=40))
    seqs = sorted(data.draw(st.sets(st.integers(0, len(blocks) - 1), min_size=1)))
    log = PaperLog(blocks)
    verified = verify_bundle(log.bundle(seqs), log.key.hex())
    assert verified.blocks == {seq: blocks[seq] for seq in seqs}
    assert verified.tree_hash == log.tree_hash()


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_log_that_grew_is_consistent_with_every_earlier_head(one: int, other: int) -> None:
    old, new = sorted((one, other))
    log = PaperLog([bytes([n]) for n in range(new)])
    grown = verify_consistency(log.consistency(old), log.key.hex())
    assert (grown.old_length, grown.old_tree_hash) == (old, log.tree_hash(old))
    assert (grown.length, grown.tree_hash) == (new, log.tree_hash())


def test_a_rewritten_past_shows_in_the_consistency_proof() -> None:
    before = PaperLog([bytes([n]) for n in range(9)])
    after = PaperLog([b"another", *(bytes([n]) for n in range(1, 20))])
    grown = verify_consistency(after.consistency(9), after.key.hex())
    assert grown.old_tree_hash != before.tree_hash()


def flips(value: Any, path: list[Any] | None = None) -> Iterator[tuple[list[Any], Any]]:
    """Yield every place of a document with another value of the same kind."""
    path = path or []
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flips(inner, [*path, name])
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from flips(inner, [*path, position])
    elif isinstance(value, int):
        yield path, value + 1
        yield path, value + 2
    else:
        for position, letter in enumerate(value):
            yield path, value[:position] + ("0" if letter != "0" else "1") + value[position + 1 :]


def test_no_character_of_a_bundle_can_be_changed_unseen() -> None:
    tried = 0
    for path, value in flips(LOG.bundle([2, 5, 6])):
        assert refusal(changed(path, value)), path
        tried += 1
    assert tried > 700


@pytest.mark.parametrize(
    ("name", "tamper", "reason"),
    [
        ("a block left out", lambda b: b["blocks"].pop(1), "bad_proof"),
        ("blocks swapped", lambda b: b["blocks"].reverse(), "malformed"),
        ("a block twice", lambda b: b["blocks"].append(b["blocks"][-1]), "malformed"),
        ("no blocks", lambda b: b.update(blocks=[]), "malformed"),
        ("a node left out", lambda b: b["nodes"].pop(0), "bad_proof"),
        ("nodes in another order", lambda b: b["nodes"].reverse(), "malformed"),
        ("a node that nothing needs", lambda b: b["nodes"].append([101, 1, "00" * 32]), "bad_proof"),
        (
            "a node that is computed",
            lambda b: (b["nodes"].append([5, 9, "00" * 32]), b["nodes"].sort()),
            "bad_proof",
        ),
        ("contents exchanged", lambda b: b["blocks"][0].update(data=b["blocks"][1]["data"]), "bad_signature"),
        ("a shorter head", lambda b: b["head"].update(length=8), "bad_proof"),
        ("another block's number", lambda b: b["blocks"][0].update(seq=3), "bad_proof"),
        ("base64 with loose bits", lambda b: b["blocks"][0].update(data="eyJpZCI6IjIifR=="), "malformed"),
        ("base64 of nothing known", lambda b: b["blocks"][0].update(data="%%%"), "malformed"),
        ("a true instead of 1", lambda b: b["blocks"][0].update(seq=True), "malformed"),
        ("a negative size", lambda b: b["nodes"][0].__setitem__(1, -1), "malformed"),
        ("hex in capitals", lambda b: b.update(manifest=b["manifest"].upper()), "malformed"),
        (
            "a second signature",
            lambda b: b["head"].update(signature=b["head"]["signature"] + "00"),
            "malformed",
        ),
        ("a length beyond all logs", lambda b: b["head"].update(length=1 << 60), "malformed"),
        ("an unknown format", lambda b: b.update(format="hypercore-proof/2"), "malformed"),
        ("a block beyond all limits", lambda b: b["blocks"][0].update(data="A" * 100_000), "oversized"),
        ("too many nodes", lambda b: b.update(nodes=[[0, 0, ""]] * 500_000), "oversized"),
    ],
)
def test_a_tampered_bundle_is_refused_by_its_reason(
    name: str, tamper: Callable[[dict[str, Any]], object], reason: str
) -> None:
    bundle = copy.deepcopy(LOG.bundle([2, 5, 6]))
    tamper(bundle)
    assert refusal(bundle) == reason, name


def test_another_logs_bundle_is_refused() -> None:
    other = PaperLog(LOG.blocks, seed=bytes([1] * 32))
    assert refusal(other.bundle([1])) == "wrong_log"
    assert refusal(LOG.bundle([1]) | {"manifest": other.manifest.hex()}) == "wrong_log"


def test_a_head_signed_by_another_key_is_refused() -> None:
    other = PaperLog(LOG.blocks, seed=bytes([1] * 32))
    assert refusal(LOG.bundle([1]) | {"head": other.bundle([1])["head"]}) == "bad_signature"


def test_a_truncated_log_is_refused_though_its_signature_holds() -> None:
    assert refusal(LOG.bundle([1], fork=1)) == "truncated"


def test_a_key_that_is_none_is_refused() -> None:
    for key in ("", "00", "xy" * 32, KEY.upper()):
        assert refusal(LOG.bundle([1]) | {"key": key}, key) in ("malformed", "wrong_log")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_no_document_makes_it_raise_anything_else(document: Any) -> None:
    with pytest.raises(EvidenceError):
        verify_bundle(document, KEY)
    with pytest.raises(EvidenceError):
        verify_consistency(document, KEY)


@given(st.sampled_from([path for path, _ in flips(LOG.bundle([2, 5, 6]))]), JSON)
def test_no_value_anywhere_makes_it_raise_anything_else(path: list[Any], value: Any) -> None:
    bundle = changed(path, value)
    if bundle == LOG.bundle([2, 5, 6]) and type(value) is not float and type(value) is not bool:
        assert verify_bundle(bundle, KEY).length == 13
    else:
        assert refusal(bundle)
