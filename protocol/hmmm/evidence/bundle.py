"""The bundle: everything that is needed to check a pull request's evidence, but for the key it is checked against."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import Field

from hmmm.base import Digest, Moment
from hmmm.envelope import MAX_ENVELOPE_BYTES, check_json, parse_json
from hmmm.errors import MalformedError, excerpt
from hmmm.evidence.statement import CamelModel, Seq
from hmmm.membership import MAX_CARD_BYTES, MAX_REVOCATIONS_BYTES, HiveName

BUNDLE_FORMAT: Final = "bzzz-bundle/1"
MAX_BUNDLE_BYTES: Final = 64 * 1024 * 1024
"""Far above any discussion: 100 records of 4 KiB make half a megabyte."""


class ArchiveWord(CamelModel):
    """What the archive said when it held the log's length; not signed, so it proves nothing by itself."""

    length: Seq
    tree_hash: Digest
    acknowledged_at: Moment


class Bundle(CamelModel):
    """Card, statement and proof of exactly the issue's records."""

    format: Literal["bzzz-bundle/1"] = BUNDLE_FORMAT
    hive: HiveName
    hive_key: Digest
    """For information: a reader pins the key outside the evidence (architecture §4)."""
    card: Annotated[str, Field(max_length=MAX_CARD_BYTES)]
    """The claimant's membership card as signed."""
    revocations: Annotated[str, Field(max_length=MAX_REVOCATIONS_BYTES)] | None = None
    """The newest revocations that the maker of the bundle knew, as signed."""
    statement: Annotated[str, Field(max_length=MAX_ENVELOPE_BYTES)]
    """The statement as signed, byte for byte as in the pull request."""
    proof: dict[str, Any]
    """`hypercore-proof/1` of the statement's ranges."""
    consistency: dict[str, Any] | None = None
    """`hypercore-consistency/1`, needed when the proof's head is longer than the statement's."""
    archive: ArchiveWord | None = None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a bundle's bytes. Raises MalformedError."""
        return cls.from_object(parse_json(data, limit=MAX_BUNDLE_BYTES, what="bundle"), what="bundle")

    @classmethod
    def read(cls, value: object) -> Self:
        """Validate a bundle that was parsed elsewhere. Raises MalformedError."""
        if not isinstance(value, dict):
            raise MalformedError("malformed", f"bundle: expected a JSON object, got {type(value).__name__}")
        try:
            check_json(cast("object", value))
        except ValueError as error:
            raise MalformedError("malformed", f"bundle: {excerpt(str(error))}") from error
        return cls.from_object(cast("object", value), what="bundle")
