"""Does recorded traffic keep to GitHub's own description of its API?

Takes the server's records (see `recorder`) and GitHub's OpenAPI description, `api.github.com.json` of the npm
package `@octokit/openapi`, and names every request or answer that does not fit. Needs `jsonschema-rs`, a
development dependency:

    python -m bzzz_github_server.contract RECORDS.jsonl [--spec api.github.com.json]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

import jsonschema_rs

from bzzz_github_server.emulator import FOLDER
from bzzz_github_server.wire import Json

SPEC = FOLDER / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"
UNDECLARED = frozenset({304, 400, 401, 403, 404, 405, 413, 429})
"""Statuses that any operation may answer with, whether its description says so or not; so may 5xx."""

# Parameters that hold slashes; all others end at one.
_SPANNING = re.compile(r"\{(ref|path|basehead|branch)\}$")
_BASE = "urn:github"


@dataclass(frozen=True)
class Violation:
    """One thing that does not fit."""

    kind: Literal["operation", "query", "request", "status", "response"]
    operation: str
    """Method and path template; the path itself where no template fits."""
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.operation}: {self.message}"


@dataclass(frozen=True)
class _Operation:
    method: str
    template: str
    pattern: re.Pattern[str]
    description: Json

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


class Contract:
    """GitHub's description, ready to check records against.

    All schemas are in one registry and refer to each other by URN: inlining them costs gigabytes.
    """

    def __init__(self, spec: Path = SPEC) -> None:
        description: Json = json.loads(spec.read_bytes())
        self._components: Json = description["components"]
        self._operations = sorted(_operations(description["paths"]), key=_specificity)
        schemas = _convert({"components": {"schemas": self._components["schemas"]}})
        self._registry = jsonschema_rs.Registry([(_BASE, schemas)], draft=jsonschema_rs.Draft202012)
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def check(self, record: Mapping[str, Any]) -> list[Violation]:
        """What of one record does not fit; nothing where a fault was injected or a page was asked for."""
        if record.get("faults"):
            return []
        path, _, query = str(record["path"]).partition("?")
        operation = self._find(str(record["method"]), path)
        if operation is None:
            name = f"{record['method']} {path}"
            return [Violation("operation", name, "GitHub's description has no such operation")]
        return [
            *self._query(operation, query),
            *self._request(operation, str(record.get("request") or "")),
            *self._response(operation, int(record["status"]), str(record.get("response") or ""), record),
        ]

    def operation(self, record: Mapping[str, Any]) -> str | None:
        """Method and template of a record's operation."""
        found = self._find(str(record["method"]), str(record["path"]).partition("?")[0])
        return found.name if found else None

    def _find(self, method: str, path: str) -> _Operation | None:
        return next((o for o in self._operations if o.method == method and o.pattern.match(path)), None)

    def _query(self, operation: _Operation, query: str) -> Iterator[Violation]:
        parameters: list[Json] = [self._resolve(item) for item in operation.description.get("parameters", [])]
        known = {item["name"] for item in parameters if item["in"] == "query"}
        for name, _ in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                yield Violation("query", operation.name, f"no parameter {name!r}")

    def _request(self, operation: _Operation, text: str) -> Iterator[Violation]:
        if not text:
            return
        declared: Json = self._resolve(operation.description.get("requestBody", {}))
        schema = declared.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            yield Violation("request", operation.name, "a body was sent, none is described")
            return
        for message in self._errors(f"{operation.name} request", schema, text):
            yield Violation("request", operation.name, message)

    def _response(
        self, operation: _Operation, status: int, text: str, record: Mapping[str, Any]
    ) -> Iterator[Violation]:
        responses: Json = operation.description["responses"]
        if str(status) not in responses:
            if status < 500 and status not in UNDECLARED:
                yield Violation("status", operation.name, f"{status} is not among {sorted(responses)}")
            return
        declared = self._resolve(responses[str(status)])
        schema = declared.get("content", {}).get("application/json", {}).get("schema")
        kind = str(cast("Json", record.get("headers") or {}).get("Content-Type", "application/json"))
        if schema is None or not text or "json" not in kind:
            return
        for message in self._errors(f"{operation.name} {status}", schema, text):
            yield Violation("response", operation.name, f"{status}: {message}")

    def _errors(self, name: str, schema: Json, text: str) -> Iterator[str]:
        try:
            value: object = json.loads(text)
        except ValueError:
            yield "expected JSON"
            return
        if name not in self._validators:
            self._validators[name] = jsonschema_rs.Draft202012Validator(
                _convert(schema), registry=self._registry, validate_formats=False
            )
        for error in self._validators[name].iter_errors(value):
            where = "/".join(str(part) for part in error.instance_path)
            yield f"{error.message[:200]} at /{where}"

    def _resolve(self, item: Json) -> Json:
        """Follow a `$ref` to a parameter, request or response."""
        if "$ref" not in item:
            return item
        _, _, kind, name = str(item["$ref"]).split("/")
        return self._components[kind][name]


def _operations(paths: Json) -> Iterator[_Operation]:
    for template, item in paths.items():
        parts = [_part(part) for part in template.split("/")]
        pattern = re.compile("^" + "/".join(parts) + "$")
        for method in ("get", "post", "patch", "put", "delete"):
            if method in item:
                shared = item.get("parameters", [])
                description = {**item[method], "parameters": [*shared, *item[method].get("parameters", [])]}
                yield _Operation(method.upper(), template, pattern, description)


def _part(part: str) -> str:
    if _SPANNING.search(part):
        return re.escape(part[: part.index("{")]) + ".+"
    return re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(part))


def _specificity(operation: _Operation) -> tuple[bool, int]:
    """Templates without spanning parameters come first, then those with the fewest parameters."""
    return _SPANNING.search(operation.template) is not None, operation.template.count("{")


def _convert(node: Any) -> Any:
    """OpenAPI 3.0 to JSON Schema 2020-12: `nullable`, and references into the registry."""
    if isinstance(node, list):
        return [_convert(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema: Json = {
        name: f"{_BASE}{value}" if name == "$ref" and isinstance(value, str) else _convert(value)
        for name, value in cast("Json", node).items()
    }
    nullable = schema.get("nullable")
    if not isinstance(nullable, bool):
        return schema
    del schema["nullable"]
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def main() -> int:
    """Check a file of records; print what does not fit with its count; exit 1 if there is any."""
    parser = argparse.ArgumentParser(prog="bzzz_github_server.contract", description=main.__doc__)
    parser.add_argument("records", type=Path)
    parser.add_argument("--spec", type=Path, default=SPEC)
    arguments = parser.parse_args()
    contract = Contract(arguments.spec)
    records = [json.loads(line) for line in arguments.records.read_text("utf-8").splitlines()]
    found = Counter(str(violation) for record in records for violation in contract.check(record))
    for violation, count in found.most_common():
        print(f"{count} x {violation}")
    print(f"{len(records)} records, {found.total()} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
