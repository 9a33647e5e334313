"""The small values that custom resources are made of: names, quantities, moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from bzzz_crds.base import Model
from bzzz_crds.durations import DURATION_PATTERN, DurationBetween, format_duration, parse_duration
from bzzz_crds.urls import Url

__all__ = [
    "DURATION_PATTERN",
    "Argument",
    "Between",
    "CapabilityName",
    "DnsLabel",
    "Dollars",
    "DurationBetween",
    "Glob",
    "Image",
    "LabelName",
    "ListMapBy",
    "Model",
    "Moment",
    "Quantity",
    "RepositoryName",
    "SecretRef",
    "Url",
    "format_duration",
    "parse_duration",
]


@dataclass(frozen=True)
class Between:
    """Annotates an int with its bounds, inclusive. JSON knows one kind of number: 3.0 is 3, as to the API server."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take whole numbers within the bounds."""
        whole = core_schema.int_schema(ge=self.low, le=self.high, strict=True)
        return core_schema.no_info_before_validator_function(_whole, whole)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say so in the schema."""
        return {"type": "integer", "format": "int64", "minimum": self.low, "maximum": self.high}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]

SecretName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]

RepositoryName = Annotated[
    str, Field(min_length=3, max_length=140, pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
]
"""owner/name, as GitHub spells it."""

# classes are spelt out: what \S means differs between regular expressions of Rust (pydantic) and Go (API server)
LabelName = Annotated[
    str, Field(min_length=1, max_length=50, pattern=r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$")
]
"""A label of an issue; GitHub allows 50 characters."""

CapabilityName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9+.#_-]*$")]
"""A language or tool; an issue asks for it by the label `lang:NAME` or `tool:NAME`."""

Argument = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]

Glob = Annotated[str, Field(min_length=1, max_length=240, pattern=r"^[^/\x00\\][^\x00\\]*$")]
"""A pattern over the repository's files: `*` within a folder, `**` across."""

Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[!-~]+$")]
"""A container image's reference."""

Quantity = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)?$")]
"""An amount of storage, as Kubernetes writes it."""

Dollars = Annotated[
    str, Field(min_length=1, max_length=9, pattern=r"^(0\.[0-9]{2}|[1-9][0-9]{0,5}(\.[0-9]{1,2})?)$")
]
"""Money in US dollars; text, because binary floats are no money."""

MOMENT_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)


def _is_a_moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("expected a moment like 2026-11-27T06:15:00Z") from error
    return text


Moment = Annotated[
    str,
    Field(max_length=40, pattern=MOMENT_PATTERN),
    AfterValidator(_is_a_moment),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "minLength": 20, "maxLength": 40, "pattern": MOMENT_PATTERN}
    ),
]
"""A point in time, as RFC 3339 text."""


@dataclass(frozen=True)
class ListMapBy:
    """Annotates a tuple of models as a list that Kubernetes merges by one field, which names each entry once."""

    key: str
    """In Python's spelling of the field."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse a key that comes twice, as the API server does."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say so in the API server's words."""
        alias = "".join(part.title() if index else part for index, part in enumerate(self.key.split("_")))
        return handler(schema) | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [alias]}

    def check(self, entries: tuple[Model, ...]) -> tuple[Model, ...]:
        """Return the entries. Raises ValueError."""
        keys = [getattr(entry, self.key) for entry in entries]
        if len(set(keys)) != len(keys):
            raise ValueError(f"expected each {self.key} once")
        return entries


class SecretRef(Model):
    """A Secret in the same namespace."""

    name: SecretName = Field(description="Name of the Secret.")
