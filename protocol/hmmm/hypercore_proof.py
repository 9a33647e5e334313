"""Checks Hypercore proof bundles with nothing but the log's key: no storage, no network, no Hypercore.

A bundle (`hypercore-proof/1`, made by the sidecar and the archive) holds blocks, the Merkle tree nodes that
cannot be computed from them, and the head that the log's owner signed. Hash and signature rules are those of
Hypercore 11 (measured in Python and JavaScript against 11.37.1):

    leaf = b2b(00 | u64le size | data)              parent = b2b(01 | u64le size | left | right)
    tree = b2b(02 | (hash | u64le index | u64le size) of each root)
    signed = TREE | key | tree | u64le length | u64le fork        key = b2b(MANIFEST | manifest)

where b2b is BLAKE2b-256, TREE and MANIFEST are namespaces, and nodes are numbered as in flat-tree: leaves
even, a parent between its children. Bundles are canonical: blocks ascending, nodes ascending, none twice, none
that the verifier computes itself, none unused. So each byte of a bundle either matters or is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hmmm.errors import EvidenceError, excerpt

PROOF_FORMAT: Final = "hypercore-proof/1"
CONSISTENCY_FORMAT: Final = "hypercore-consistency/1"

MAX_BLOCKS: Final = 10_000
"""Blocks a bundle (sidecar/lib/proof.js refuses to make bigger ones)."""
MAX_BLOCK_BYTES: Final = 64 * 1024
"""One block: the largest record that the sidecar appends."""
MAX_TOTAL_BYTES: Final = 32 * 1024 * 1024
"""All blocks of a bundle."""
MAX_NODES: Final = MAX_BLOCKS * 40
"""Tree nodes a bundle; a path in a log of `MAX_LENGTH` blocks has 40."""
MAX_LENGTH: Final = 1 << 40
"""Blocks a log."""
_MAX_SIZE: Final = 1 << 53
"""Bytes under one node; JavaScript's largest exact integer."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class VerifiedLog:
    """What a bundle proves: a head signed by the log's owner, and blocks below it."""

    length: int
    tree_hash: str
    """64 hex digits."""
    blocks: dict[int, bytes]
    """By sequence number, ascending."""


@dataclass(frozen=True)
class VerifiedGrowth:
    """What a consistency proof shows: the log at the old length is a prefix of the log at a signed later head.

    Tree hashes are 64 hex digits. The old pair is the caller's to compare with what was kept from then.
    """

    old_length: int
    old_tree_hash: str
    length: int
    tree_hash: str


@dataclass(frozen=True)
class _Node:
    size: int
    hash: bytes


def verify_bundle(bundle: Mapping[str, object], key_hex: str) -> VerifiedLog:
    """Check a `hypercore-proof/1` bundle against the log's key.

    Raises EvidenceError, whatever the input is: reason `malformed` (not such a bundle), `oversized`,
    `wrong_log` (another log's), `truncated` (the log was rewritten), `bad_proof` (blocks, nodes and head do not
    belong together) or `bad_signature`.
    """
    key, public, head = _provenance(bundle, key_hex, PROOF_FORMAT)
    nodes = _Nodes(_nodes(bundle))
    blocks = _blocks(bundle, head.length)
    nodes.climb({2 * seq: _Node(len(data), _leaf_hash(data)) for seq, data in blocks.items()}, head.length)
    tree = nodes.tree_hash(head.length)
    nodes.finish()
    head.check(key, public, tree)
    return VerifiedLog(head.length, tree.hex(), blocks)


def verify_consistency(proof: Mapping[str, object], key_hex: str) -> VerifiedGrowth:
    """Check a `hypercore-consistency/1` document against the log's key.

    Raises EvidenceError with the reasons of `verify_bundle`. A result whose old tree hash is not the one kept
    from then means that the log's past was rewritten.
    """
    key, public, head = _provenance(proof, key_hex, CONSISTENCY_FORMAT)
    old_length = _integer(proof, "oldLength", 1, head.length)
    nodes = _Nodes(_nodes(proof))
    old_roots = {index: nodes.use(index) for index in _full_roots(old_length)}
    nodes.climb(old_roots, head.length)
    tree = nodes.tree_hash(head.length)
    nodes.finish()
    head.check(key, public, tree)
    return VerifiedGrowth(old_length, _tree_hash(old_roots).hex(), head.length, tree.hex())


def verify_head(key_hex: str, signing_key: bytes, length: int, tree_hash: str, signature: str) -> None:
    """Check a head's signature as a pull request quotes it, without any block.

    `signing_key` is the raw public key, which `log_key_of` must map to `key_hex`. Raises EvidenceError.
    """
    if log_key_of(signing_key) != key_hex:
        _refuse("wrong_log", "signing key: expected the one that the log's key was made from")
    raw = _hex(signature, 68, "signature")
    _Head(0, length, raw).check(bytes.fromhex(key_hex), signing_key, _hex(tree_hash, 32, "treeHash"))


def log_key_of(signing_key: bytes) -> str:
    """Return a log's key (64 hex digits) from the raw Ed25519 public key that signs it."""
    return _blake(_MANIFEST_NAMESPACE, _MANIFEST_HEAD, _SIGNER_NAMESPACE, signing_key).hex()


def log_key_of_seed(seed: bytes) -> str:
    """Return the key of the log that a sidecar with this 32-byte seed keeps."""
    return log_key_of(_public_key(seed))


def replication_key_of_seed(seed: bytes) -> str:
    """Return the Noise key under which that sidecar replicates (sidecar/lib/keys.js derives it likewise)."""
    return _public_key(hmac.new(seed, b"bzzz/replication/1", hashlib.sha256).digest()).hex()


def _public_key(seed: bytes) -> bytes:
    return (
        Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    )


# --- hashes


def _blake(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number)


_NAMESPACE: Final = _blake(b"hypercore")
_TREE_NAMESPACE: Final = _blake(_NAMESPACE, b"\x00")
_MANIFEST_NAMESPACE: Final = _blake(_NAMESPACE, b"\x03")
_SIGNER_NAMESPACE: Final = _blake(_NAMESPACE, b"\x04")
_MANIFEST_HEAD: Final = bytes([1, 0, 0, 1, 1, 0])
"""Version 1, no flags, BLAKE2b, quorum 1, one signer, Ed25519; then the signer's namespace and public key."""


def _leaf_hash(data: bytes) -> bytes:
    return _blake(b"\x00", _u64(len(data)), data)


def _tree_hash(roots: Mapping[int, _Node]) -> bytes:
    return _blake(b"\x02", *(node.hash + _u64(index) + _u64(node.size) for index, node in roots.items()))


# --- the tree


def _depth(index: int) -> int:
    return (index + 1 & ~index).bit_length() - 1 if index & 1 else 0


def _sibling(index: int) -> int:
    return index ^ (2 << _depth(index))


def _parent(index: int) -> int:
    depth = _depth(index)
    return (index | (1 << depth)) & ~(2 << depth)


def _full_roots(length: int) -> list[int]:
    """Return the roots of a log of that many blocks, left to right."""
    roots: list[int] = []
    start = 0
    while length:
        width = 1 << (length.bit_length() - 1)
        roots.append(2 * start + width - 1)
        start += width
        length -= width
    return roots


class _Nodes:
    """The nodes that a bundle supplies, each of which must be used, and those computed from them."""

    def __init__(self, supplied: dict[int, _Node]) -> None:
        self._unused = supplied
        self._known: dict[int, _Node] = {}

    def use(self, index: int) -> _Node:
        """Return a node that is known or supplied."""
        node = self._known.get(index) or self._unused.pop(index, None)
        if node is None:
            _refuse("bad_proof", f"tree node {index}: expected in the bundle, it is missing")
        self._known[index] = node
        return node

    def climb(self, start: Mapping[int, _Node], length: int) -> None:
        """Compute every ancestor of the start nodes up to the roots of a log of that length, lowest level first."""
        roots = set(_full_roots(length))
        self._add(start)
        levels: dict[int, list[int]] = {}
        for index in start:
            levels.setdefault(_depth(index), []).append(index)
        depth = 0
        while levels:
            parents: dict[int, _Node] = {}
            for index in levels.pop(depth, []):
                parent = _parent(index)
                if index not in roots and parent not in parents:
                    left, right = sorted((index, _sibling(index)))
                    parents[parent] = self._join(self.use(left), self.use(right))
            self._add(parents)
            if parents:
                levels.setdefault(depth + 1, []).extend(parents)
            depth += 1

    def _add(self, computed: Mapping[int, _Node]) -> None:
        for index, node in computed.items():
            if index in self._unused or self._known.get(index, node) != node:
                _refuse(
                    "bad_proof", f"tree node {index}: expected to be computed, the bundle supplies it as well"
                )
            self._known[index] = node

    def _join(self, left: _Node, right: _Node) -> _Node:
        size = left.size + right.size
        if size > _MAX_SIZE:
            _refuse("malformed", "tree nodes: expected sizes that add up to at most 2^53 bytes")
        return _Node(size, _blake(b"\x01", _u64(size), left.hash, right.hash))

    def tree_hash(self, length: int) -> bytes:
        """Return the hash over all roots of a log of that length."""
        return _tree_hash({index: self.use(index) for index in _full_roots(length)})

    def finish(self) -> None:
        """Refuse supplied nodes that proved nothing."""
        if self._unused:
            _refuse("bad_proof", f"tree node {min(self._unused)}: expected only nodes that the proof needs")


# --- reading the document; it may be anything


@dataclass(frozen=True)
class _Head:
    fork: int
    length: int
    signature: bytes
    """As Hypercore stores it: one signature, by signer 0, 64 bytes, no patch."""

    def check(self, key: bytes, public: bytes, tree: bytes) -> None:
        prefix, signature, suffix = self.signature[:2], self.signature[2:66], self.signature[66:]
        if prefix != b"\x01\x00" or suffix != b"\x00\x00":
            _refuse("bad_signature", "head: expected exactly one signature by the log's one signer")
        signed = _TREE_NAMESPACE + key + tree + _u64(self.length) + _u64(self.fork)
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
        except (InvalidSignature, ValueError):
            _refuse(
                "bad_signature",
                f"head at length {self.length}: its signature does not hold for these blocks and nodes",
            )


def _provenance(document: Mapping[str, object], key_hex: str, format_: str) -> tuple[bytes, bytes, _Head]:
    """Return the log's key, the public key that signs it, and the head, whose signature is not yet checked."""
    document = _object(document, "proof")
    if document.get("format") != format_:
        _refuse("malformed", f"format: expected {format_}, got {excerpt(document.get('format'))}")
    key = _hex(key_hex, 32, "expected key")
    if document.get("key") != key_hex:
        _refuse("wrong_log", f"key: expected {key_hex}, got {excerpt(document.get('key'))}")
    manifest = _hex(document.get("manifest"), 70, "manifest")
    if _blake(_MANIFEST_NAMESPACE, manifest) != key:
        _refuse("wrong_log", "manifest: expected the one that the log's key is the hash of")
    if manifest[:6] != _MANIFEST_HEAD:
        _refuse("malformed", "manifest: expected version 1 with one Ed25519 signer")
    head = _object(document.get("head"), "head")
    fork = _integer(head, "fork", 0, _MAX_SIZE)
    if fork != 0:
        _refuse("truncated", f"fork: expected 0, got {fork}: the log was cut and written anew")
    length = _integer(head, "length", 1, MAX_LENGTH)
    return key, manifest[38:70], _Head(fork, length, _hex(head.get("signature"), 68, "head.signature"))


def _blocks(bundle: Mapping[str, object], length: int) -> dict[int, bytes]:
    entries = _list(bundle.get("blocks"), MAX_BLOCKS, "blocks")
    if not entries:
        _refuse("malformed", "blocks: expected at least one")
    blocks: dict[int, bytes] = {}
    total, last = 0, -1
    for entry in entries:
        block = _object(entry, "block")
        seq = _integer(block, "seq", last + 1, length - 1)
        blocks[seq] = _block_data(block.get("data"), seq)
        total, last = total + len(blocks[seq]), seq
        if total > MAX_TOTAL_BYTES:
            _refuse("oversized", f"blocks: expected at most {MAX_TOTAL_BYTES} bytes in all")
    return blocks


def _block_data(value: object, seq: int) -> bytes:
    text = _typed(value, str, f"block {seq}")
    if len(text) > 4 * MAX_BLOCK_BYTES // 3 + 4:
        _refuse("oversized", f"block {seq}: expected at most {MAX_BLOCK_BYTES} bytes")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data).decode() != text:
        _refuse("malformed", f"block {seq}: expected canonical base64")
    return data


def _nodes(document: Mapping[str, object]) -> dict[int, _Node]:
    nodes: dict[int, _Node] = {}
    last = -1
    for entry in _list(document.get("nodes"), MAX_NODES, "nodes"):
        parts = _list(entry, 3, "node")
        if len(parts) != 3:
            _refuse("malformed", "node: expected [index, size, hash]")
        fields = {"index": parts[0], "size": parts[1]}
        last = _integer(fields, "index", last + 1, 2 * MAX_LENGTH)
        nodes[last] = _Node(_integer(fields, "size", 0, _MAX_SIZE), _hex(parts[2], 32, "node's hash"))
    return nodes


def _typed(value: object, kind: type[_T], what: str) -> _T:
    if type(value) is not kind:
        _refuse("malformed", f"{what}: expected {kind.__name__}, got {excerpt(type(value).__name__)}")
    return cast("_T", value)


def _object(value: object, what: str) -> dict[str, object]:
    return cast("dict[str, object]", _typed(value, cast("type[object]", dict), what))


def _list(value: object, limit: int, what: str) -> list[object]:
    items = cast("list[object]", _typed(value, cast("type[object]", list), what))
    if len(items) > limit:
        _refuse("oversized", f"{what}: expected at most {limit} entries, got {len(items)}")
    return items


def _integer(fields: Mapping[str, object], name: str, low: int, high: int) -> int:
    value = _typed(fields.get(name), int, name)
    if not low <= value <= high:
        _refuse(
            "malformed",
            f"{name}: expected {low} to {high}, got {value if -_MAX_SIZE < value < _MAX_SIZE else 'more'}",
        )
    return value


def _hex(value: object, size: int, what: str) -> bytes:
    text = _typed(value, str, what)
    try:
        raw = bytes.fromhex(text) if len(text) == 2 * size else b""
    except ValueError:
        raw = b""
    if raw.hex() != text or not raw:
        _refuse("malformed", f"{what}: expected {2 * size} lower-case hex digits")
    return raw


def _refuse(reason: str, message: str) -> NoReturn:
    raise EvidenceError(reason, f"{message}; the evidence is refused")


__all__: Iterable[str] = (
    "VerifiedGrowth",
    "VerifiedLog",
    "log_key_of",
    "log_key_of_seed",
    "replication_key_of_seed",
    "verify_bundle",
    "verify_consistency",
    "verify_head",
)
