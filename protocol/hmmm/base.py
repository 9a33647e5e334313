"""What every model of the protocol shares: frozen, and tolerant of fields that a newer version added.

Architecture §5: unknown fields are kept (a relayed or re-signed document loses nothing), unknown types ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from hmmm.envelope import canonical_json, parse_json
from hmmm.errors import MalformedError, excerpt

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of a moment: far enough from datetime's own ends that adding a window never overflows."""


def _utc(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"expected a moment from {EARLIEST.year} to {LATEST.year}")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A point in time with a zone, kept as UTC; ISO 8601 in JSON."""

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
"""An opaque id: we make UUIDv7, accept any printable ASCII up to 64 characters (architecture §5)."""

NodeId = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""A pod's name: a DNS label, as Kubernetes has it."""

PeerId = Annotated[str, Field(min_length=46, max_length=60, pattern=r"^[1-9A-HJ-NP-Za-km-z]+$")]
"""A libp2p peer id in base58."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 (or a Hypercore hash) in hex."""

GitSha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
"""A git object name."""

Repository = Annotated[str, Field(max_length=140, pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
"""owner/name, as GitHub spells it."""

Text = Annotated[str, Field(max_length=4000)]
"""Prose by an agent, a model or a human; always shown as text, never as markup."""

Line = Annotated[str, Field(max_length=300)]
"""One line of prose."""


class Model(BaseModel):
    """A frozen value of the protocol."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="strings")

    @classmethod
    def from_json(cls, data: bytes, *, limit: int, what: str) -> Self:
        """Parse bounded JSON bytes. Raises MalformedError, naming the first field that does not fit."""
        return cls.from_object(parse_json(data, limit=limit, what=what), what=what)

    @classmethod
    def from_object(cls, value: object, *, what: str) -> Self:
        """Validate a parsed JSON value. Raises MalformedError, naming the first field that does not fit."""
        try:
            return cls.model_validate(value)
        except (ValidationError, RecursionError) as error:
            raise MalformedError("malformed", f"{what}: {first_problem(error)}; dropped") from error

    def to_object(self) -> dict[str, Any]:
        """Return the value as JSON-ready data, absent fields left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_json(self) -> bytes:
        """Serialise canonically: equal values have equal bytes."""
        return canonical_json(self.to_object())


def first_problem(error: Exception) -> str:
    """Say what the first problem of a validation was, with its field's path and no foreign text unbounded."""
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in problem["loc"]) or "value"
        return f"field {excerpt(path)}: {excerpt(problem['msg'])}"
    return excerpt(str(error))
