"""What a Secret holds: read with care, for a person may have edited or restored it."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from bzzz_operator.api import Json
from bzzz_operator.authority.errors import DamagedKeyError


@dataclass(frozen=True)
class Content:
    """What a key of a Secret holds."""

    what: str
    pattern: re.Pattern[str]
    make: Callable[[], str]


SEED: Final = Content("64 hex digits", re.compile(r"[0-9a-f]{64}", re.ASCII), lambda: secrets.token_hex(32))
TOKEN: Final = Content(
    "a token of 16 to 512 printable characters",
    re.compile(r"[!-~]{16,512}", re.ASCII),
    lambda: secrets.token_urlsafe(32),
)


def secret_of(
    name: str,
    labels: Mapping[str, str],
    values: Mapping[str, str],
    owners: list[Json] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """Return a Secret's manifest."""
    metadata: Json = {"name": name, "labels": dict(labels)}
    if owners:
        metadata["ownerReferences"] = owners
    if annotations:
        metadata["annotations"] = dict(annotations)
    data = {key: encoded(value) for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def value_of(secret: Json, key: str, content: Content) -> str:
    """Return what a Secret holds under a key.

    Raises DamagedKeyError, which shows nothing of the content.
    """
    where = f"Secret {secret['metadata'].get('namespace', '')}/{name_of(secret)}, key {key}"
    remedy = "restore it from a backup, or remove it for a new one (the node is then a new member)"
    if key not in data_of(secret):
        raise DamagedKeyError(
            f"{where}: expected {content.what}, came nothing; restore it from a backup, or delete the Secret for a new "
            "one"
        )
    try:
        text = base64.b64decode(data_of(secret)[key], validate=True).decode("ascii").strip()
    except (binascii.Error, ValueError):
        text = ""
    if content.pattern.fullmatch(text) is None:
        raise DamagedKeyError(f"{where}: expected {content.what}, came something else; {remedy}")
    return text


def encoded(text: str) -> str:
    """Return text as a Secret's `data` has it."""
    return base64.b64encode(text.encode()).decode()


def name_of(secret: Json) -> str:
    """Return a Secret's name."""
    return str(secret["metadata"]["name"])


def version_of(secret: Json) -> str:
    """Return a Secret's resourceVersion."""
    return str(secret["metadata"]["resourceVersion"])


def data_of(secret: Json) -> dict[str, str]:
    """Return a Secret's data, still encoded."""
    return cast("dict[str, str]", secret.get("data") or {})


def annotations_of(secret: Json) -> dict[str, str]:
    """Return a Secret's annotations."""
    return cast("dict[str, str]", secret["metadata"].get("annotations") or {})


def owners_of(secret: Json) -> list[dict[str, Any]]:
    """Return a Secret's owner references."""
    return cast("list[dict[str, Any]]", secret["metadata"].get("ownerReferences") or [])
