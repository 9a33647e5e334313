"""No byte of the evidence can be changed unseen, and nothing that pretends to be evidence raises."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.errors import MalformedError
from hmmm.evidence import LINKS, MAX_BUNDLE_BYTES, Bundle, Link, verify_evidence
from tests.support.discussions import DIFF, Hive, Sealed, sealed_discussion

KEY = Hive().key.public
Path = tuple[str | int, ...]


@cache
def honest() -> Sealed:
    return sealed_discussion()


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of all numbers and texts in a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def changed(value: Any, path: Path, change: Any) -> Any:
    """A copy in which the leaf at a path is what `change` makes of it."""
    if not path:
        return change(value)
    altered = copy.copy(value)
    altered[path[0]] = changed(value[path[0]], path[1:], change)
    return altered


@cache
def every_leaf() -> tuple[Path, ...]:
    return tuple(leaves(honest().bundle))


@given(leaf=st.data())
def test_any_changed_character_of_a_bundle_breaks_a_named_link(leaf: st.DataObject) -> None:
    path = leaf.draw(st.sampled_from(every_leaf()), label="path")

    def change(value: Any) -> Any:
        if not isinstance(value, str):
            return value + leaf.draw(st.sampled_from([-1, 1, 2**40]))
        where = leaf.draw(st.integers(0, len(value) - 1), label="where")
        other = leaf.draw(st.sampled_from("0aZ+ \u00e9\x00"), label="other")
        if value[where] == other:
            other = "1"
        return value[:where] + other + value[where + 1 :]

    links = verify_evidence(changed(honest().bundle, path, change), honest().pull_request, KEY, DIFF)
    assert links[-1].status == "fails"
    assert links[-1].name in LINKS


@given(leaf=st.data())
def test_any_flipped_bit_in_a_block_breaks_a_named_link(leaf: st.DataObject) -> None:
    blocks = honest().bundle["proof"]["blocks"]
    index = leaf.draw(st.integers(0, len(blocks) - 1))
    raw = bytearray(base64.b64decode(blocks[index]["data"]))
    raw[leaf.draw(st.integers(0, len(raw) - 1))] ^= 1 << leaf.draw(st.integers(0, 7))
    altered = base64.b64encode(bytes(raw)).decode()
    bundle = changed(honest().bundle, ("proof", "blocks", index, "data"), lambda _: altered)
    links = verify_evidence(bundle, honest().pull_request, KEY, DIFF)
    assert links[-1] == Link("blocks", "fails", links[-1].detail)


WHERE: list[tuple[str, Path, str]] = [
    ("format", ("format",), "bundle"),
    ("hive", ("hive",), "claimant's card"),
    ("hive key", ("hiveKey",), "hive key"),
    ("card", ("card",), "claimant's card"),
    ("statement", ("statement",), "bundle"),
    ("manifest", ("proof", "manifest"), "blocks"),
    ("log key", ("proof", "key"), "blocks"),
    ("head's length", ("proof", "head", "length"), "blocks"),
    ("head's signature", ("proof", "head", "signature"), "blocks"),
    ("a block", ("proof", "blocks", 2, "data"), "blocks"),
    ("a block's number", ("proof", "blocks", 2, "seq"), "blocks"),
    ("a node's hash", ("proof", "nodes", 0, 2), "blocks"),
    ("a node's size", ("proof", "nodes", 0, 1), "blocks"),
]


@pytest.mark.parametrize(("path", "link"), [case[1:] for case in WHERE], ids=[case[0] for case in WHERE])
def test_each_part_of_a_bundle_is_guarded_by_its_link(path: Path, link: str) -> None:
    def change(value: Any) -> Any:
        if isinstance(value, int):
            return value + 1
        middle = len(value) // 2
        return value[:middle] + ("1" if value[middle] != "1" else "2") + value[middle + 1 :]

    links = verify_evidence(changed(honest().bundle, path, change), honest().pull_request, KEY, DIFF)
    assert (links[-1].name, links[-1].status) == (link, "fails")


def test_another_log_s_manifest_signs_nothing_here() -> None:
    manifest = honest().bundle["proof"]["manifest"][:-2] + "00"
    bundle = changed(honest().bundle, ("proof", "manifest"), lambda _: manifest)
    links = verify_evidence(bundle, honest().pull_request, KEY, DIFF)
    assert (links[-1].name, links[-1].status) == ("tree signature", "fails")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(bundle=JSON, pull_request=JSON)
def test_no_json_makes_verification_raise(bundle: Any, pull_request: Any) -> None:
    links = verify_evidence(bundle, pull_request, KEY)
    assert (links[0].name, links[0].status) == ("bundle", "fails")


@given(leaf=st.data(), value=JSON)
def test_no_json_in_any_place_of_a_bundle_makes_verification_raise(leaf: st.DataObject, value: Any) -> None:
    path = leaf.draw(st.sampled_from(every_leaf()))
    depth = leaf.draw(st.integers(1, len(path)))
    links = verify_evidence(
        changed(honest().bundle, path[:depth], lambda _: value), honest().pull_request, KEY
    )
    assert all(link.name in LINKS for link in links)


@given(leaf=st.data(), value=JSON)
def test_no_json_in_any_place_of_a_pull_request_makes_verification_raise(
    leaf: st.DataObject, value: Any
) -> None:
    path = leaf.draw(st.sampled_from(tuple(leaves(honest().pull_request))))
    depth = leaf.draw(st.integers(1, len(path)))
    pull_request = changed(honest().pull_request, path[:depth], lambda _: value)
    links = verify_evidence(honest().bundle, pull_request, KEY)
    assert links[-1].name in {"pull request", "head commit", "patch"}


def test_a_bundle_survives_being_written_and_read() -> None:
    raw = json.dumps(honest().bundle).encode()
    assert Bundle.parse(raw) == Bundle.read(honest().bundle)
    assert Bundle.parse(raw).to_object() == honest().bundle


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"\xff", b'{"format":"bzzz-bundle/2"}', b" " * (MAX_BUNDLE_BYTES + 1)]
)
def test_bytes_that_are_no_bundle_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        Bundle.parse(raw)
