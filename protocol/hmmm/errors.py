"""What can go wrong in the protocol, by whose fault it is.

`LocalProtocolError` is our own bug or misuse; `RemoteProtocolError` is somebody else's message, card or log
block that does not hold. Texts say what was expected, what came and what becomes of it; foreign text in
them is cut to `FOREIGN_TEXT_LIMIT` characters (facts: style of kopf's client errors).
"""

from __future__ import annotations

FOREIGN_TEXT_LIMIT = 256


def excerpt(foreign: object) -> str:
    """Return foreign text made safe for a log line: one line, printable, at most 256 characters."""
    text = foreign if isinstance(foreign, str) else repr(foreign)
    printable = "".join(c if c.isprintable() else " " for c in text[: FOREIGN_TEXT_LIMIT + 1])
    return printable if len(printable) <= FOREIGN_TEXT_LIMIT else printable[:FOREIGN_TEXT_LIMIT] + "…"


class BzzzError(Exception):
    """Root of every error that this project raises itself."""


class ProtocolError(BzzzError):
    """Root of the protocol's errors."""


class LocalProtocolError(ProtocolError):
    """We tried something that the protocol does not allow in this state."""


class RemoteProtocolError(ProtocolError):
    """Something that came from outside does not hold; it is dropped.

    `reason` is a constant word per kind of failure (a metric's label and the key under which a peer's
    first offence is logged).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MalformedError(RemoteProtocolError):
    """Bytes that are not the message, card, record or bundle that they should be."""


class SignatureError(RemoteProtocolError):
    """A signature that is missing, by another key, or does not verify."""


class CardRefusedError(RemoteProtocolError):
    """A membership card that does not admit its bearer: foreign hive, expired, revoked, not yet valid."""


class NotAdmittedError(RemoteProtocolError):
    """A valid message that this receiver does not admit: over-hopped, expired, too many, foreign repository."""


class EvidenceError(RemoteProtocolError):
    """A link of the chain of evidence that does not hold."""
