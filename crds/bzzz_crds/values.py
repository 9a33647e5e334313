"""The small values that manifests are made of: durations, quantities, names, URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DURATION_PATTERN: Final = r"^([0-9]{1,9}(ms|s|m|h))+$"
_PART: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h)", re.ASCII)
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


class Model(BaseModel):
    """A frozen part of a manifest: camelCase outside, unknown fields refused, nothing coerced between types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, validate_default=True
    )

    def to_object(self) -> dict[str, Any]:
        """Return the value as JSON-ready data under its manifest names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_duration(text: str) -> timedelta:
    """Read a duration as Kubernetes writes them: `30s`, `20m`, `1h30m`, `500ms`.

    Raises ValueError.
    """
    if len(text) > 40 or re.fullmatch(DURATION_PATTERN, text, re.ASCII) is None:
        raise ValueError("expected a duration like 30s, 20m or 1h30m")
    total_ms = sum(int(number) * _UNIT_MS[unit] for number, unit in _PART.findall(text))
    try:
        return timedelta(milliseconds=total_ms)
    except OverflowError as error:
        raise ValueError("expected a duration below a billion days") from error


def format_duration(duration: timedelta) -> str:
    """Write a duration in its largest units: 90 s is `1m30s`."""
    rest = duration // timedelta(milliseconds=1)
    text = ""
    for unit in ("h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNIT_MS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


@dataclass(frozen=True)
class DurationBetween:
    """Annotates a timedelta that is written as text in the manifest and lies between two bounds, inclusive."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read from text or a timedelta; write as text."""
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.plain_serializer_function_ser_schema(format_duration)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Text with a pattern; the bounds are no part of a structural schema, they go to CEL."""
        return {"type": "string", "pattern": DURATION_PATTERN, "maxLength": 40}

    def check(self, value: object) -> timedelta:
        """Return the duration. Raises ValueError outside the bounds or for anything that is no duration."""
        wanted = f"expected a duration from {self.low} to {self.high}, like 30s, 20m or 1h30m"
        try:
            duration = value if isinstance(value, timedelta) else parse_duration(str(value))
        except ValueError as error:
            raise ValueError(wanted) from error
        if not parse_duration(self.low) <= duration <= parse_duration(self.high):
            raise ValueError(wanted)
        return duration


def _safe_url(url: str) -> str:
    """Credentials travel to these addresses: plain http only where the wire is our own."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise ValueError("expected a URL like https://api.github.com") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ValueError("expected a URL like https://api.github.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected a URL without user or password; name a Secret by credentialsSecretRef")
    internal = (
        "." not in host
        or host.endswith((".svc", ".svc.cluster.local", ".localhost"))
        or host.startswith("127.")
    )
    if parts.scheme == "http" and not internal and host != "::1":
        raise ValueError("expected https, except to this machine or a service of the cluster")
    return url.rstrip("/")


Url = Annotated[str, Field(max_length=500), AfterValidator(_safe_url)]
"""Where an API is served; without a trailing slash, query or credentials."""

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]

SecretName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]

RepositoryName = Annotated[str, Field(max_length=140, pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
"""owner/name, as GitHub spells it."""

LabelName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^\S(.*\S)?$")]
"""A label of an issue; GitHub allows 50 characters."""

CapabilityName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9+.#_-]*$")]
"""A language or tool; an issue asks for it by the label `lang:NAME` or `tool:NAME`."""

Argument = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]

Glob = Annotated[str, Field(min_length=1, max_length=240, pattern=r"^[^/\x00\\][^\x00\\]*$")]
"""A pattern over the repository's files: `*` within a folder, `**` across."""

Quantity = Annotated[str, Field(max_length=20, pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)?$")]
"""An amount of storage, as Kubernetes writes it."""

Dollars = Annotated[str, Field(pattern=r"^(0\.[0-9]{2}|[1-9][0-9]{0,5}(\.[0-9]{1,2})?)$")]
"""Money in US dollars; text, because binary floats are no money."""


class SecretRef(Model):
    """A Secret in the same namespace."""

    name: SecretName


class Metadata(Model):
    """The part of ObjectMeta that a user writes."""

    model_config = ConfigDict(alias_generator=None)

    name: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """At most 50 characters: a pod's name and its labels, which Kubernetes cuts at 63, are made from it."""
    namespace: DnsLabel | None = None
    labels: dict[str, str] = Field(default_factory=dict, max_length=100)
    annotations: dict[str, str] = Field(default_factory=dict, max_length=100)
