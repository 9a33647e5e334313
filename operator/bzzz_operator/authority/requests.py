"""Requests to revoke or rotate a node, which people make by annotating its HiveAgent (`bzzz revoke`, `bzzz rotate`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from bzzz_operator.authority.types import MAX_REQUEST_ID, REVOKE_ANNOTATION, ROTATE_ANNOTATION

_ORDINAL: Final = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)
_ID: Final = re.compile(rf"[!-~]{{1,{MAX_REQUEST_ID}}}", re.ASCII)
MADE_AT: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
"""How ids by `bzzz revoke` and `bzzz rotate` begin, so that of two the later one can be told."""


def requests_of(annotations: Mapping[str, str] | None) -> tuple[dict[int, str], dict[int, str]]:
    """Return the ids of a HiveAgent's revoke and rotate requests by ordinal; what is no request is left out."""
    found: dict[str, dict[int, str]] = {REVOKE_ANNOTATION: {}, ROTATE_ANNOTATION: {}}
    for name, value in (annotations or {}).items():
        for prefix, requests in found.items():
            ordinal = name.removeprefix(prefix)
            if ordinal != name and _ORDINAL.fullmatch(ordinal) and _ID.fullmatch(value):
                requests[int(ordinal)] = value
    return found[REVOKE_ANNOTATION], found[ROTATE_ANNOTATION]


def is_later(one: str, other: str) -> bool:
    """Whether a request was surely made after another, by the moments that their ids begin with."""
    moments = MADE_AT.match(one), MADE_AT.match(other)
    return moments[0] is not None and moments[1] is not None and moments[0][0] > moments[1][0]


def must_restart(node_id: str, pod_created: str, restarts: Mapping[str, datetime]) -> bool:
    """Whether a pod runs with keys that were replaced since.

    `pod_created` is `metadata.creationTimestamp`, in whole seconds rounded down: a pod of the very second is restarted
    once more than needed rather than left with the old key.
    """
    moment = restarts.get(node_id)
    return moment is not None and datetime.fromisoformat(pod_created) <= moment
