"""Who wrote a gossip message: libp2p's pubsub signature, checked strictly.

libp2p pubsub spec, "Message Signing" (StrictSign): the signature is over `libp2p-pubsub:` and the message without
`signature` and `key`. Members have Ed25519 keys, whose peer id contains the key; py-libp2p's own check also takes other
kinds of keys from the message, ignores a `key` that does not match, and raises on some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from hmmm.envelope import public_key_of
from hmmm.errors import MalformedError, SignatureError

PREFIX: Final = b"libp2p-pubsub:"
MULTIHASH_PREFIX_BYTES: Final = 2
"""Identity hash and length, before the serialised public key inside a peer id."""
MAX_ID_BYTES: Final = 64
SEQUENCE_BYTES: Final = 8


@dataclass(frozen=True)
class Author:
    """The key behind a message's `from`."""

    peer_id: str
    key: Ed25519PublicKey


@lru_cache(maxsize=1024)
def _author(from_id: bytes) -> Author:
    peer_id = str(ID(from_id))
    return Author(peer_id, Ed25519PublicKey.from_public_bytes(public_key_of(peer_id)))


def author_of(message: rpc_pb2.Message) -> str:
    """Check a message's form and signature and return its author's peer id.

    Raises MalformedError, SignatureError.
    """
    if len(message.topicIDs) != 1:
        raise MalformedError(
            "bad_topic", f"message: expected one topic, got {len(message.topicIDs)}; dropped"
        )
    if not 0 < len(message.from_id) <= MAX_ID_BYTES or len(message.seqno) != SEQUENCE_BYTES:
        raise MalformedError(
            "malformed", "message: expected an author and an 8-byte sequence number; dropped"
        )
    try:
        author = _author(message.from_id)
    except ValueError as error:
        raise SignatureError("bad_key_id", "message: expected an Ed25519 author; dropped") from error
    if message.key and message.key != message.from_id[MULTIHASH_PREFIX_BYTES:]:
        raise SignatureError("wrong_key", f"message by {author.peer_id}: carries another's key; dropped")
    signed = rpc_pb2.Message(
        data=message.data, topicIDs=message.topicIDs, from_id=message.from_id, seqno=message.seqno
    )
    try:
        author.key.verify(message.signature, PREFIX + signed.SerializeToString())
    except InvalidSignature as error:
        raise SignatureError(
            "bad_signature", f"message by {author.peer_id}: signature does not verify; dropped"
        ) from error
    return author.peer_id
