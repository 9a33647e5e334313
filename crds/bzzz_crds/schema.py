"""From a pydantic model to the structural schema of a CustomResourceDefinition.

What differs from JSON Schema: references are written out, there is no null (the API server drops it as our models do),
unknown fields are pruned rather than forbidden, an object that may be left out defaults to what its own fields default
to, and every list says how server-side apply merges it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from bzzz_crds.durations import format_duration

Schema = dict[str, Any]

TYPE_META: Final[dict[str, Schema]] = {
    "apiVersion": {"type": "string", "description": "Version of this schema: bzzz.dev/v1alpha1."},
    "kind": {"type": "string", "description": "Kind of the object."},
    "metadata": {"type": "object"},
}
"""Served by the API server itself; a structural schema may only name them."""
_OF_JSON_SCHEMA: Final = frozenset(
    {"title", "$ref", "$defs", "anyOf", "properties", "items", "default", "const"}
)


class _Generator(GenerateJsonSchema):
    """pydantic's own, but for durations, whose defaults are written as manifests write them."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return `openAPIV3Schema` for a kind's model (with apiVersion, kind and metadata among its fields)."""
    raw = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = cast("dict[str, Schema]", raw.get("$defs", {}))
    schema = _structural(raw, definitions)
    properties = cast("dict[str, Schema]", schema["properties"])
    schema["properties"] = {name: TYPE_META.get(name, each) for name, each in properties.items()}
    schema["required"] = [name for name in schema["required"] if name not in TYPE_META]
    return schema


def _structural(raw: Schema, definitions: dict[str, Schema]) -> Schema:
    raw = _resolved(raw, definitions)
    out = {key: value for key, value in raw.items() if key not in _OF_JSON_SCHEMA}
    if "const" in raw:
        out["enum"] = [raw["const"]]
    if raw.get("default") is not None:
        out["default"] = raw["default"]
    if raw.get("type") == "array":
        out["items"] = _structural(raw["items"], definitions)
        out.setdefault("x-kubernetes-list-type", "atomic")
    if raw.get("type") == "object":
        _finish_object(raw, out, definitions)
    return out


def _finish_object(raw: Schema, out: Schema, definitions: dict[str, Schema]) -> None:
    values = out.pop("additionalProperties", None)
    out.pop("propertyNames", None)  # CEL could say it; the bound on the number of entries is what matters
    if isinstance(values, dict):
        out["additionalProperties"] = _structural(cast("Schema", values), definitions)
    if "properties" not in raw:
        return
    required = cast("list[str]", raw.get("required", []))
    properties: dict[str, Schema] = {}
    for name, each in cast("dict[str, Schema]", raw["properties"]).items():
        properties[name] = _structural(each, definitions)
        if name not in required and "anyOf" not in each and properties[name].get("type") == "object":
            properties[name]["default"] = _defaults(properties[name])
    out["properties"] = properties


def _defaults(schema: Schema) -> Schema:
    """Return the object that defaults alone make: the API server checks a default by CEL before it fills it in."""
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    return {name: each["default"] for name, each in properties.items() if "default" in each}


def _resolved(raw: Schema, definitions: dict[str, Schema]) -> Schema:
    """Write out a reference or an optional value; what stands beside it (description, default) wins."""
    target: Schema = {}
    if "$ref" in raw:
        target = _resolved(definitions[str(raw["$ref"]).rsplit("/", 1)[-1]], definitions)
    elif "anyOf" in raw:
        present = [each for each in cast("list[Schema]", raw["anyOf"]) if each.get("type") != "null"]
        if len(present) != 1:
            raise ValueError(f"expected one type or null, came {len(present)} types: {raw}")
        target = _resolved(present[0], definitions)
    beside = {key: value for key, value in raw.items() if key not in {"$ref", "anyOf"}}
    return {**target, **beside} if target else beside
