"""DSSE envelopes: one canonical form, a key id that is the key, and a reason for everything else."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.envelope import (
    CARD_TYPE,
    MAX_ENVELOPE_BYTES,
    MAX_JSON_DEPTH,
    MESSAGE_TYPE,
    Envelope,
    SigningKey,
    canonical_json,
    parse_json,
    peer_id_of,
    public_key_of,
)
from hmmm.errors import MalformedError, RemoteProtocolError, SignatureError, excerpt

KEY = SigningKey.mesh(bytes(range(32)))
GOOD = Envelope.sign(MESSAGE_TYPE, b'{"a":1}', KEY)


def written(**changes: Any) -> bytes:
    """The good envelope's JSON with fields changed, in canonical form."""
    return canonical_json(json.loads(GOOD.raw) | changes)


def test_what_is_signed_is_read_back_and_verifies() -> None:
    parsed = Envelope.parse(GOOD.raw, expected_type=MESSAGE_TYPE)
    parsed.verify_peer()
    assert parsed == GOOD
    assert parsed.key_id == KEY.key_id == peer_id_of(KEY.public)


def test_the_same_payload_signed_twice_is_the_same_envelope() -> None:
    assert Envelope.sign(MESSAGE_TYPE, b'{"a":1}', KEY).digest == GOOD.digest


SIGNATURE = json.loads(GOOD.raw)["signatures"][0]

BAD: list[tuple[str, bytes, str]] = [
    ("empty", b"", "malformed"),
    ("not JSON", b"{", "malformed"),
    ("not UTF-8", b"\xff\xfe", "malformed"),
    ("an array", b"[]", "malformed"),
    ("too large", b" " * (MAX_ENVELOPE_BYTES + 1), "oversized"),
    ("too deep", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "malformed"),
    ("NaN", b'{"a":NaN}', "malformed"),
    ("a number beyond a double", b'{"a":1e999}', "malformed"),
    ("a lone surrogate", b'{"payload":"\\ud800"}', "malformed"),
    ("no payload", canonical_json({"payloadType": MESSAGE_TYPE, "signatures": []}), "malformed"),
    ("no signature", written(signatures=[]), "malformed"),
    ("two signatures", written(signatures=[SIGNATURE, SIGNATURE | {"keyid": "x"}]), "malformed"),
    ("signatures that are none", written(signatures="abc"), "malformed"),
    ("a signature that is no text", written(signatures=[{"keyid": "x", "sig": 5}]), "malformed"),
    ("a key id that is no text", written(signatures=[SIGNATURE | {"keyid": 5}]), "malformed"),
    ("a payload that is no base64", written(payload="a"), "malformed"),
    ("a payload type that is no text", written(payloadType=5), "malformed"),
    ("another type", written(payloadType=CARD_TYPE), "wrong_type"),
    ("spaces", GOOD.raw.replace(b":", b": "), "not_canonical"),
    ("a field of its own", written(extra=1), "not_canonical"),
    ("a signature's field of its own", written(signatures=[SIGNATURE | {"note": 1}]), "not_canonical"),
    ("a newline in base64", written(payload="eyJh\nIjoxfQ=="), "malformed"),
    ("base64 with loose bits", written(payload="eyJhIjoxfR=="), "not_canonical"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD.raw, "malformed"),
]


@pytest.mark.parametrize(("raw", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bytes_that_are_no_envelope_are_refused_for_their_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        Envelope.parse(raw, expected_type=MESSAGE_TYPE)
    assert refusal.value.reason == reason
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("payload", "bad_signature"),
        ("sig", "bad_signature"),
        ("keyid", "bad_signature"),
        ("short", "bad_signature"),
    ],
)
def test_a_signature_that_is_not_the_key_s_is_refused(field: str, reason: str) -> None:
    other = SigningKey.mesh(bytes(32))
    raw = {
        "payload": lambda: written(payload=base64.b64encode(b'{"a":2}').decode()),
        "sig": lambda: written(signatures=[SIGNATURE | {"sig": base64.b64encode(bytes(64)).decode()}]),
        "keyid": lambda: written(signatures=[SIGNATURE | {"keyid": other.key_id}]),
        "short": lambda: written(signatures=[SIGNATURE | {"sig": ""}]),
    }[field]()
    with pytest.raises(SignatureError) as refusal:
        Envelope.parse(raw, expected_type=MESSAGE_TYPE).verify_peer()
    assert refusal.value.reason == reason


def test_the_hive_s_signature_must_also_name_the_hive_s_key() -> None:
    hive = SigningKey.hive(bytes(32))
    signed = Envelope.sign(CARD_TYPE, b"{}", hive)
    signed.verify_hive(hive.public)
    renamed = json.loads(signed.raw)
    renamed["signatures"][0]["keyid"] = "0" * 64
    with pytest.raises(SignatureError, match="expected the hive key"):
        Envelope.parse(canonical_json(renamed), expected_type=CARD_TYPE).verify_hive(hive.public)


@pytest.mark.parametrize(
    "peer_id",
    ["", "0", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", KEY.key_id[:-1], "1" + KEY.key_id, "z" * 64],
)
def test_a_peer_id_that_is_no_ed25519_key_names_nobody(peer_id: str) -> None:
    with pytest.raises(SignatureError) as refusal:
        public_key_of(peer_id)
    assert refusal.value.reason == "bad_key_id"


@given(key=st.binary(min_size=32, max_size=32))
def test_a_peer_id_is_its_key(key: bytes) -> None:
    assert public_key_of(peer_id_of(key)) == key


@given(text=st.text())
def test_a_text_names_a_key_or_is_refused(text: str) -> None:
    with suppress(SignatureError):
        assert peer_id_of(public_key_of(text)) == text


@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_parsing_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Envelope.parse(raw, expected_type=MESSAGE_TYPE)


@given(payload=st.binary(max_size=300), seed=st.binary(min_size=32, max_size=32))
def test_any_payload_survives_the_wire(payload: bytes, seed: bytes) -> None:
    signed = Envelope.sign(MESSAGE_TYPE, payload, SigningKey.mesh(seed))
    parsed = Envelope.parse(signed.raw, expected_type=MESSAGE_TYPE)
    parsed.verify_peer()
    assert parsed.payload == payload


def test_json_may_nest_up_to_its_bound() -> None:
    def nested(levels: int) -> bytes:
        return b'{"a":' * levels + b"1" + b"}" * levels

    assert parse_json(nested(MAX_JSON_DEPTH - 1), limit=10_000, what="x")
    with pytest.raises(MalformedError):
        parse_json(nested(MAX_JSON_DEPTH), limit=10_000, what="x")


def test_foreign_text_in_errors_is_one_short_printable_line() -> None:
    assert excerpt("a\nb\x1b[31m\ud800") == "a b [31m "
    assert len(excerpt("x" * 10_000)) == 257
    assert excerpt({"a": 1}) == "{'a': 1}"
