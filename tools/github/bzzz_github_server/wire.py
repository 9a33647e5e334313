"""Requests and answers as values, apart from the sockets they came by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl

from bzzz_github_server.errors import Refusal

Json: TypeAlias = dict[str, Any]

JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """One request; `path` is as sent (still percent-encoded), header names are in lower case."""

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Path and query as sent."""
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    @property
    def query(self) -> dict[str, str]:
        """The query's last value a name."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def accept(self) -> str:
        """The media types asked for, in lower case."""
        return self.headers.get("accept", "").lower()

    def json(self) -> Json:
        """The body as an object; an empty body is an empty object.

        Raises:
            Refusal: 400 when it is not JSON, 422 when it is JSON but no object.
        """
        if not self.body:
            return {}
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError) as problem:
            raise Refusal(400, "Problems parsing JSON") from problem
        if not isinstance(value, dict):
            raise Refusal(422, "Invalid request.\n\nExpected a JSON object.")
        return cast("Json", value)


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


def reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return Response(status, body, {"Content-Type": JSON_TYPE, **(headers or {})})


def empty(status: int = 204) -> Response:
    """Answer without a body."""
    return Response(status)


def refuse(refusal: Refusal) -> Response:
    """Answer with an error in GitHub's shape."""
    return reply(refusal.body(), refusal.status, refusal.headers)
