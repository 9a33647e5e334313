"""A Hypercore on paper: bundles made from blocks and a seed alone, for tests of who reads them.

Written from the format's description and on purpose the slow, obvious way, so that it shares no trick with
the verifier. `tests/sidecar` holds the verifier against the real program.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number)


_NAMESPACE = _hash(b"hypercore")


class PaperLog:
    """A log that exists only as blocks; `key` and `public` are what a verifier is given."""

    def __init__(self, blocks: list[bytes], seed: bytes = bytes(32)) -> None:
        self.blocks = blocks
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()
        self.manifest = bytes([1, 0, 0, 1, 1, 0]) + _hash(_NAMESPACE, b"\x04") + self.public
        self.key = _hash(_hash(_NAMESPACE, b"\x03"), self.manifest)

    def node(self, start: int, width: int) -> tuple[int, int, bytes]:
        """Return (index, size, hash) of the node over `width` blocks from `start`."""
        if width == 1:
            data = self.blocks[start]
            return 2 * start, len(data), _hash(b"\x00", _u64(len(data)), data)
        left, right = self.node(start, width // 2), self.node(start + width // 2, width // 2)
        size = left[1] + right[1]
        return 2 * start + width - 1, size, _hash(b"\x01", _u64(size), left[2], right[2])

    def roots(self, length: int) -> list[tuple[int, int]]:
        """Return (start, width) of each root."""
        found: list[tuple[int, int]] = []
        start = 0
        for bit in reversed(range(length.bit_length())):
            if length & (1 << bit):
                found.append((start, 1 << bit))
                start += 1 << bit
        return found

    def tree_hash(self, length: int | None = None) -> str:
        """Return the tree hash at a length, 64 hex digits."""
        nodes = [self.node(*root) for root in self.roots(len(self.blocks) if length is None else length)]
        return _hash(b"\x02", *(digest + _u64(index) + _u64(size) for index, size, digest in nodes)).hex()

    def head(self, length: int, fork: int = 0) -> dict[str, Any]:
        """Return the signed head at a length."""
        tree = bytes.fromhex(self.tree_hash(length))
        signed = _hash(_NAMESPACE, b"\x00") + self.key + tree + _u64(length) + _u64(fork)
        return {
            "fork": fork,
            "length": length,
            "signature": (b"\x01\x00" + self._private.sign(signed) + b"\x00\x00").hex(),
        }

    def bundle(self, seqs: list[int], length: int | None = None, fork: int = 0) -> dict[str, Any]:
        """Return a `hypercore-proof/1` of these blocks."""
        length = len(self.blocks) if length is None else length
        return {
            "format": "hypercore-proof/1",
            **self._provenance(length, fork),
            "blocks": [{"seq": seq, "data": base64.b64encode(self.blocks[seq]).decode()} for seq in seqs],
            "nodes": self._beside(length, [(seq, 1) for seq in seqs]),
        }

    def consistency(self, old_length: int) -> dict[str, Any]:
        """Return a `hypercore-consistency/1` from an old length to the present."""
        length = len(self.blocks)
        old = self.roots(old_length)
        nodes = self._beside(length, old) + [self._listed(root) for root in old]
        return {
            "format": "hypercore-consistency/1",
            **self._provenance(length, 0),
            "oldLength": old_length,
            "nodes": sorted(nodes),
        }

    def _provenance(self, length: int, fork: int) -> dict[str, Any]:
        return {"key": self.key.hex(), "manifest": self.manifest.hex(), "head": self.head(length, fork)}

    def _listed(self, span: tuple[int, int]) -> list[Any]:
        index, size, digest = self.node(*span)
        return [index, size, digest.hex()]

    def _beside(self, length: int, have: list[tuple[int, int]]) -> list[list[Any]]:
        """Return the largest nodes that cover what lies beside the spans one has."""

        def walk(start: int, width: int) -> list[tuple[int, int]]:
            inside = [span for span in have if start <= span[0] < start + width]
            if not inside:
                return [(start, width)]
            if (start, width) in inside:
                return []
            return walk(start, width // 2) + walk(start + width // 2, width // 2)

        spans = [span for root in self.roots(length) for span in walk(*root)]
        return sorted(self._listed(span) for span in spans)
