"""Durations as Kubernetes writes them: `30s`, `20m`, `1h30m`, `500ms`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DURATION_PATTERN: Final = r"^([0-9]{1,9}(ms|s|m|h))+$"
MAX_CHARACTERS: Final = 40
_PART: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h)", re.ASCII)
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def parse_duration(text: str) -> timedelta:
    """Read a duration as Kubernetes writes them: `30s`, `20m`, `1h30m`, `500ms`.

    Raises ValueError.
    """
    if len(text) > MAX_CHARACTERS or re.fullmatch(DURATION_PATTERN, text, re.ASCII) is None:
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


def is_duration(field: str) -> str:
    """Return the CEL expression that says whether a field's text can be parsed; others stand on it."""
    return f"{field}.matches('{DURATION_PATTERN}')"


@dataclass(frozen=True)
class DurationBetween:
    """Annotates a timedelta that is written as text in the manifest and lies between two bounds, inclusive."""

    low: str
    high: str

    @property
    def expected(self) -> str:
        """What is said of anything else, here and by the API server."""
        return f"expected a duration from {self.low} to {self.high}, like 30s, 20m or 1h30m"

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read from text or a timedelta; write as text."""
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.plain_serializer_function_ser_schema(format_duration)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Text; pattern and bounds in CEL, so that whoever misses either is told both in one sentence."""
        # CEL parses what the pattern allows, except sums beyond 292 years, which it refuses as we do
        bounds = (
            f"{is_duration('self')} && "
            f"duration(self) >= duration('{self.low}') && duration(self) <= duration('{self.high}')"
        )
        return {
            "type": "string",
            "minLength": 2,
            "maxLength": MAX_CHARACTERS,
            "x-kubernetes-validations": [{"rule": bounds, "message": self.expected}],
        }

    def check(self, value: object) -> timedelta:
        """Return the duration. Raises ValueError outside the bounds or for anything that is no duration."""
        try:
            duration = value if isinstance(value, timedelta) else parse_duration(str(value))
        except ValueError as error:
            raise ValueError(self.expected) from error
        if not parse_duration(self.low) <= duration <= parse_duration(self.high):
            raise ValueError(self.expected)
        return duration
