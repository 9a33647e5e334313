"""From a manifest's text to models, with one line for each field that does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bzzz_crds.errors import ManifestError
from bzzz_crds.hiveagent import API_VERSION, HiveAgent
from bzzz_crds.rules import RULE_ERROR
from bzzz_crds.yaml_documents import load_documents

SET_BY_THE_SERVER: Final = frozenset(
    {"creationTimestamp", "deletionTimestamp", "finalizers", "generation", "managedFields", "ownerReferences"}
    | {"deletionGracePeriodSeconds", "resourceVersion", "selfLink", "uid"}
)
"""Fields of metadata that `kubectl get -o yaml` prints and nobody writes."""


def load_manifests(text: str) -> list[HiveAgent]:
    """Read all HiveAgents of a YAML file, in its order.

    Raises ManifestError, whose problems name the document, the field's path, what was expected and what came.
    """
    documents = load_documents(text)
    if not documents:
        raise ManifestError(["file: expected at least one HiveAgent, came nothing"])
    agents: list[HiveAgent] = []
    problems: list[str] = []
    for index, document in enumerate(documents, start=1):
        where = "" if len(documents) == 1 else f"document {index}: "
        try:
            agents.append(HiveAgent.model_validate(_without_server_fields(document)))
        except ValidationError as error:
            problems += [where + line for line in describe(error, HiveAgent)]
    names = [(agent.metadata.namespace, agent.name) for agent in agents]
    problems += [
        f"metadata.name: expected each name once, came {name} again"
        for index, (space, name) in enumerate(names)
        if (space, name) in names[:index]
    ]
    if problems:
        raise ManifestError(problems)
    return agents


def _without_server_fields(document: object) -> object:
    """Take what `kubectl get -o yaml` printed as if the user had written it."""
    if not isinstance(document, dict):
        return document
    fields = cast("dict[str, Any]", document)
    kept = {key: value for key, value in fields.items() if key != "status"}
    metadata = kept.get("metadata")
    if isinstance(metadata, dict):
        written = cast("dict[str, Any]", metadata)
        kept["metadata"] = {k: v for k, v in written.items() if k not in SET_BY_THE_SERVER}
    return kept


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one `path: expected …, came …` a problem."""
    lines: list[str] = []
    problems = error.errors(include_url=False)
    for problem in problems:
        if problem["type"] == "too_short" and any(_is_below(p["loc"], problem["loc"]) for p in problems):
            continue  # the list is only short because its bad entries, reported by themselves, were left out
        path = _path(problem["loc"])
        if problem["type"] == RULE_ERROR:
            below = cast("list[list[str]]", problem.get("ctx", {}).get("problems", []))
            lines += [f"{path}.{name}: {text}" if path else f"{name}: {text}" for name, text in below]
        else:
            lines.append(f"{path or 'document'}: {_say(problem, model)}")
    return lines


def _is_below(location: tuple[int | str, ...], above: tuple[int | str, ...]) -> bool:
    return len(location) > len(above) and location[: len(above)] == above


def _path(location: Sequence[int | str]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _say(problem: ErrorDetails, model: type[BaseModel]) -> str:
    kind, location = problem["type"], problem["loc"]
    if kind == "missing":
        return "expected a value, came nothing"
    if kind == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        wanted = f"expected {close[0]}" if close else f"expected one of {', '.join(known)}"
        return f"{wanted}, came an unknown field"
    if kind == "literal_error" and location[-1:] == ("apiVersion",):
        return f"expected {API_VERSION}, came {_shown(problem)}"
    return f"{_wanted(problem)}, came {_shown(problem)}"


def _wanted(problem: ErrorDetails) -> str:
    """Say what a field takes, in the manifest's words instead of Python's."""
    limits = problem.get("ctx", {})
    wanted = {
        "int_type": "a whole number",
        "bool_type": "true or false",
        "string_type": "text",
        "tuple_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "string_pattern_mismatch": f"text like {limits.get('pattern')}",
        "string_too_short": f"at least {limits.get('min_length')} characters",
        "string_too_long": f"at most {limits.get('max_length')} characters",
        "too_short": f"at least {limits.get('min_length')} entries",
        "too_long": f"at most {limits.get('max_length')} entries",
        "greater_than_equal": f"at least {limits.get('ge')}",
        "less_than_equal": f"at most {limits.get('le')}",
        "literal_error": f"{limits.get('expected')}",
    }.get(problem["type"])
    return f"expected {wanted}" if wanted else problem["msg"].removeprefix("Value error, ")


def _shown(problem: ErrorDetails) -> str:
    """Show a small value, name the type of a large one; nothing that a key may have been pasted into."""
    value = cast("object", problem["input"])
    if any("credentials" in str(part).lower() for part in problem["loc"]):
        return "something else"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{len(value)} characters: {value[:60]!r}…"
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)[:40]
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Names of the fields that the model has at a path."""
    current = model
    for part in location:
        for name, field in current.model_fields.items():
            if part in {name, field.alias}:
                current = next(_models_in(field.annotation), current)
                break
    return [field.alias or name for name, field in current.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
