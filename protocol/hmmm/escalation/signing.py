"""HMAC-SHA256 over `timestamp.body`, both ways between the authority and whoever alerts people.

The timestamp is signed, so that a recorded request is worth nothing after five minutes; within them a receiver
remembers what it has taken in (`Replays`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from hmmm.errors import RemoteProtocolError, SignatureError

TIMESTAMP_HEADER: Final = "X-Bzzz-Timestamp"
SIGNATURE_HEADER: Final = "X-Bzzz-Signature"
TOKEN_HEADER: Final = "X-Bzzz-Token"  # noqa: S105  a header's name
"""The webhook's own check (n8n's header authentication), before anything of a request is read."""

MAX_AGE_S: Final = 300
"""How far a request's timestamp may be from the receiver's clock, either way."""
MIN_SECRET_BYTES: Final = 16
MAX_REPLAYS: Final = 4096
"""Of requests with a valid signature in ten minutes: a human's answers are far fewer."""

_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE: Final = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)


def signed_headers(secret: bytes, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that sign a body at this moment. Raises ValueError for a secret that is too short."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"expected a secret of at least {MIN_SECRET_BYTES} bytes, came {len(secret)}")
    timestamp = str(int(now.timestamp()))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: _signature(secret, timestamp, body)}


def check_signature(secret: bytes, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Check that a body was signed with the secret, lately; return the signature, by which it is known.

    Header names are looked up without regard to case. Raises SignatureError, of reason `signature` or `stale`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    timestamp, signature = given.get(TIMESTAMP_HEADER.lower(), ""), given.get(SIGNATURE_HEADER.lower(), "")
    if (
        len(secret) < MIN_SECRET_BYTES
        or not _TIMESTAMP.fullmatch(timestamp)
        or not _SIGNATURE.fullmatch(signature)
    ):
        raise SignatureError(
            "signature", f"expected {TIMESTAMP_HEADER} in seconds and {SIGNATURE_HEADER} as sha256=…; refused"
        )
    if not hmac.compare_digest(signature, _signature(secret, timestamp, body)):
        raise SignatureError("signature", f"{SIGNATURE_HEADER} does not fit the body and the secret; refused")
    off = int(timestamp) - now.timestamp()
    if abs(off) > MAX_AGE_S:
        raise SignatureError(
            "stale", f"{TIMESTAMP_HEADER} is {off:+.0f} s off, expected at most {MAX_AGE_S} s; refused"
        )
    return signature


class Replays:
    """The signatures taken in while their timestamps are fresh; bounded, and full rather than forgetful."""

    def __init__(self, limit: int = MAX_REPLAYS) -> None:
        self._limit = limit
        self._seen: OrderedDict[str, float] = OrderedDict()

    def take(self, signature: str, now: datetime) -> None:
        """Take a checked signature in. Raises RemoteProtocolError, of reason `replayed` or `busy`."""
        at = now.timestamp()
        while self._seen and next(iter(self._seen.values())) < at - 2 * MAX_AGE_S:
            self._seen.popitem(last=False)
        if signature in self._seen:
            raise RemoteProtocolError("replayed", "this very request was taken in before; refused")
        if len(self._seen) >= self._limit:
            raise RemoteProtocolError("busy", f"{self._limit} requests within minutes; try again later")
        self._seen[signature] = at


def _signature(secret: bytes, timestamp: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
