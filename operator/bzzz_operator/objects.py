"""Reading plain Kubernetes objects without tripping over what is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

Json = dict[str, Any]


def part(body: Mapping[str, Any] | None, *path: str) -> Json:
    """Return the mapping at a path; an empty one if it is absent."""
    found: object = body
    for name in path:
        found = cast("Mapping[str, object]", found).get(name) if isinstance(found, Mapping) else None
    return cast("Json", found) if isinstance(found, dict) else {}


def items(body: Mapping[str, Any] | None, *path: str) -> list[Json]:
    """Return the list of mappings at a path; an empty one if it is absent."""
    found = part(body, *path[:-1]).get(path[-1])
    return cast("list[Json]", found) if isinstance(found, list) else []


def name_of(body: Mapping[str, Any]) -> str:
    """Return an object's name."""
    return str(body["metadata"]["name"])


def uid_of(body: Mapping[str, Any]) -> str:
    """Return an object's uid."""
    return str(body["metadata"].get("uid", ""))


def labels_of(body: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's labels."""
    return part(body, "metadata", "labels")


def annotations_of(body: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's annotations."""
    return part(body, "metadata", "annotations")


def is_deleted(body: Mapping[str, Any]) -> bool:
    """Whether an object is being deleted."""
    return body["metadata"].get("deletionTimestamp") is not None


def controller_of(body: Mapping[str, Any]) -> Json | None:
    """Return the reference to the object that controls this one."""
    return next((ref for ref in items(body, "metadata", "ownerReferences") if ref.get("controller")), None)
