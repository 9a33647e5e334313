"""DSSE envelopes: every message, card, revocation and statement travels signed in one.

Format: in-toto's Dead Simple Signing Envelope v1.0 (https://github.com/secure-systems-lab/dsse), one Ed25519
signature. The key id of a message is the libp2p peer id, of the authority's documents the hive key's hex.
Verification needs no key store: a libp2p peer id of an Ed25519 key *is* the public key (identity multihash).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope as DsseEnvelope

from hmmm.errors import MalformedError, SignatureError, excerpt

MESSAGE_TYPE: Final = "application/vnd.bzzz.message+json"
CARD_TYPE: Final = "application/vnd.bzzz.card+json"
REVOCATIONS_TYPE: Final = "application/vnd.bzzz.revocations+json"
VERDICT_TYPE: Final = "application/vnd.bzzz.verdict+json"
STATEMENT_TYPE: Final = "application/vnd.in-toto+json"

MAX_ENVELOPE_BYTES: Final = 16 * 1024
"""Largest envelope on the mesh (architecture §5)."""

MAX_JSON_DEPTH: Final = 64
"""Levels of nesting that a document may have; ours have fewer than 10."""

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519_PEER_ID_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of a libp2p PublicKey protobuf with an Ed25519 key (libp2p peer-ids spec)."""


def canonical_json(value: object) -> bytes:
    """Serialise to JSON with sorted keys and no spaces, so that equal values have equal bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def parse_json(data: bytes, *, limit: int, what: str) -> dict[str, Any]:
    """Parse bounded bytes as a JSON object.

    Raises MalformedError for anything else: deep nesting, invalid UTF-8, lone surrogates and numbers that no
    double holds included, so that what was parsed can always be serialised again.
    """
    if len(data) > limit:
        raise MalformedError("oversized", f"{what}: expected at most {limit} bytes, got {len(data)}; dropped")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
        check_json(value)
    except (ValueError, RecursionError) as error:
        raise MalformedError("malformed", f"{what}: expected a JSON object: {excerpt(str(error))}") from error
    if not isinstance(value, dict):
        raise MalformedError(
            "malformed", f"{what}: expected a JSON object, got {type(value).__name__}; dropped"
        )
    return cast("dict[str, Any]", value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_json(root: object) -> None:
    """Check that a parsed JSON value could be written again by `canonical_json`. Raises ValueError."""
    level: list[object] = [root]
    for _ in range(MAX_JSON_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                members = cast("dict[str, object]", value)
                below += members.keys()
                below += members.values()
            elif isinstance(value, list):
                below += cast("list[object]", value)
            elif isinstance(value, str):
                value.encode()  # a lone surrogate, as JSON's \ud800, has no UTF-8
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("expected numbers that a double holds")
        if not below:
            return
        level = below
    raise ValueError(f"expected at most {MAX_JSON_DEPTH} levels")


def peer_id_of(public_key: bytes) -> str:
    """Return the libp2p peer id (base58) of a raw 32-byte Ed25519 public key."""
    number = int.from_bytes(_ED25519_PEER_ID_PREFIX + public_key, "big")
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return "1" + digits  # the prefix starts with one zero byte


def public_key_of(peer_id: str) -> bytes:
    """Return the raw Ed25519 public key inside a peer id.

    Raises SignatureError when the id is not that of an Ed25519 key.
    """
    number = 0
    for character in peer_id[:64]:
        digit = _BASE58.find(character)
        if digit < 0:
            raise SignatureError("bad_key_id", f"peer id {excerpt(peer_id)}: expected base58; dropped")
        number = number * 58 + digit
    size = len(_ED25519_PEER_ID_PREFIX) + 32
    if number >= 1 << (8 * size):
        raise SignatureError("bad_key_id", f"peer id {excerpt(peer_id)}: expected an Ed25519 key; dropped")
    raw = number.to_bytes(size, "big")
    if not raw.startswith(_ED25519_PEER_ID_PREFIX) or peer_id_of(raw[-32:]) != peer_id:
        raise SignatureError("bad_key_id", f"peer id {excerpt(peer_id)}: expected an Ed25519 key; dropped")
    return raw[-32:]


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key that signs envelopes, and the key id that its signatures carry."""

    private: Ed25519PrivateKey
    key_id: str

    @classmethod
    def mesh(cls, seed: bytes) -> SigningKey:
        """Make an agent's mesh key from its 32-byte seed; its key id is the peer id."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(private, peer_id_of(raw_public(private)))

    @classmethod
    def hive(cls, seed: bytes) -> SigningKey:
        """Make the authority's hive key from its 32-byte seed; its key id is the public key's hex."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(private, raw_public(private).hex())

    @property
    def public(self) -> bytes:
        """The raw 32-byte public key."""
        return raw_public(self.private)


def raw_public(private: Ed25519PrivateKey) -> bytes:
    """Return a private key's raw 32-byte public key."""
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _canonical(payload_type: str, payload: bytes, key_id: str, signature: bytes) -> bytes:
    """Write an envelope in the one form that we take."""
    signatures = [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}]
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": signatures,
        }
    )


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope with exactly one signature, as it came or as it will go.

    `raw` is the very bytes on the wire; `digest` is their identity everywhere in the protocol: two
    envelopes with one payload but different bytes are different envelopes.
    """

    payload_type: str
    payload: bytes
    key_id: str
    signature: bytes
    raw: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the wire bytes, 64 hex digits."""
        return sha256_hex(self.raw)

    @classmethod
    def sign(cls, payload_type: str, payload: bytes, key: SigningKey) -> Envelope:
        """Sign a payload and wrap it. The bytes are canonical: the same input gives the same envelope."""
        dsse = DsseEnvelope(payload, payload_type, {})
        signature = key.private.sign(dsse.pae())
        raw = _canonical(payload_type, payload, key.key_id, signature)
        return cls(payload_type, payload, key.key_id, signature, raw)

    @classmethod
    def parse(cls, raw: bytes, *, expected_type: str, limit: int = MAX_ENVELOPE_BYTES) -> Envelope:
        """Parse wire bytes; the signature is not checked yet.

        Only the canonical form that `sign` makes is taken: otherwise anyone could wrap another's signed message in
        other bytes, which would be a second message by an author who sent one.

        Raises MalformedError.
        """
        data = parse_json(raw, limit=limit, what="envelope")
        try:
            dsse = DsseEnvelope.from_dict(data)  # pyright: ignore[reportUnknownMemberType]
            (signature,) = dsse.signatures.values()
            signed = bytes.fromhex(signature.signature)
            fields = (dsse.payload_type, dsse.payload, signature.keyid)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise MalformedError(
                "malformed", f"envelope: expected DSSE with one signature: {excerpt(repr(error))}"
            ) from error
        payload_type, payload, key_id = fields
        if not isinstance(key_id, str) or not isinstance(payload_type, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MalformedError("malformed", "envelope: expected text for payloadType and keyid; dropped")
        if payload_type != expected_type:
            raise MalformedError(
                "wrong_type", f"envelope: expected {expected_type}, got {excerpt(payload_type)}; dropped"
            )
        if _canonical(payload_type, payload, key_id, signed) != raw:
            raise MalformedError(
                "not_canonical",
                "envelope: expected sorted keys, no spaces and nothing but DSSE's fields; dropped",
            )
        return cls(payload_type, payload, key_id, signed, raw)

    def verify(self, public_key: bytes) -> None:
        """Check the signature with a raw Ed25519 public key.

        Raises SignatureError.
        """
        pae = DsseEnvelope(self.payload, self.payload_type, {}).pae()
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.signature, pae)
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                "bad_signature", f"envelope by {excerpt(self.key_id)}: signature does not verify; dropped"
            ) from error

    def verify_hive(self, hive_key: bytes) -> None:
        """Check that the hive key signed, and that the key id, which no signature covers, names that key.

        Raises SignatureError.
        """
        if self.key_id != hive_key.hex():
            raise SignatureError(
                "other_signer", f"expected the hive key {hive_key.hex()}, got {excerpt(self.key_id)}; dropped"
            )
        self.verify(hive_key)

    def verify_peer(self) -> None:
        """Check the signature against the key that the peer id in `key_id` contains.

        Raises SignatureError.
        """
        self.verify(public_key_of(self.key_id))
