"""Applying the objects of a HiveAgent: server-side apply, and only of what differs from the cache.

Who else may have a say, decided (docs/operator.md): the first try never forces. A conflict on a child of ours, which
carries our controller reference, is drift (`kubectl edit`, `kubectl scale`): its fields are taken back by force and
an Event names manager and field. A manager that takes them again and again is told so by a condition instead of being
fought for ever. The status of custom resources, which operator and scribe share, is never forced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from bzzz_operator.api import Api
from bzzz_operator.desired.compare import covers
from bzzz_operator.desired.manifests import Manifest
from bzzz_operator.errors import ApiError
from bzzz_operator.kinds import CONFIG_MAP, HIVE_AGENT
from bzzz_operator.objects import controller_of, is_deleted, labels_of
from bzzz_operator.runtime.store import Store, slim_data
from bzzz_operator.status import reasons
from bzzz_operator.status.problems import Problem

log = structlog.get_logger()

FIGHT_TIMES: Final = 5
FIGHT_S: Final = 300.0
"""So many times within so many seconds a field is taken back; then its other manager is left alone for as long."""


@dataclass(frozen=True)
class Outcome:
    """What became of one object."""

    written: bool = False
    problem: Problem | None = None
    waiting_for: str = ""
    """An object of an earlier HiveAgent that is still being deleted."""
    taken_back: str = ""
    """Sentence about the manager that had taken a field of ours."""


class Children:
    """Applies manifests for HiveAgents."""

    def __init__(self, api: Api, store: Store) -> None:
        self._api = api
        self._store = store
        self._fights: dict[tuple[str, str], deque[float]] = {}

    def differs(self, manifest: Manifest) -> bool:
        """Whether the object is missing or has drifted, as far as the cache knows."""
        have = self._store.get(manifest.kind, manifest.name)
        return have is None or not covers(have, _comparable(manifest))

    async def ensure(self, manifest: Manifest, agent: str, uid: str, now: float) -> Outcome:
        """Bring one object to what is wanted.

        Raises ApiError when the API server cannot be reached or is overloaded; what it refuses is a problem.
        """
        what = f"{manifest.kind.kind} {manifest.name}"
        have = self._store.get(manifest.kind, manifest.name)
        if have is not None:
            blocked = _whose(have, what, agent, uid)
            if blocked is not None:
                return blocked
            if covers(have, _comparable(manifest)):
                return Outcome()
        try:
            return await self._apply(manifest, what, now)
        except ApiError as error:
            if error.unreachable or error.status == 429 or error.status >= 500:
                raise
            text = f"{what}: the API server refuses it: {error}; correct the spec, or the operator's rights"
            return Outcome(problem=Problem(reasons.REFUSED, text))

    async def _apply(self, manifest: Manifest, what: str, now: float) -> Outcome:
        try:
            self._took_in(manifest, await self._api.apply(manifest.kind, manifest.body))
            return Outcome(written=True)
        except ApiError as error:
            if not error.conflicts:
                raise
            told = "; ".join(f"{c.message} at {c.field}" for c in error.conflicts[:5])
        key = (manifest.kind.kind, manifest.name)
        fights = self._fights.setdefault(key, deque(maxlen=FIGHT_TIMES))
        if len(fights) == FIGHT_TIMES and now - fights[0] < FIGHT_S:
            text = f"{what}: {told}: it was taken back {FIGHT_TIMES} times; stop that manager from writing the field"
            return Outcome(problem=Problem(reasons.FIELD_CONFLICT, text))
        fights.append(now)
        self._took_in(manifest, await self._api.apply(manifest.kind, manifest.body, force=True))
        log.warning("drift taken back", object=what, told=told)
        return Outcome(written=True, taken_back=f"{what}: taken back: {told}")

    def _took_in(self, manifest: Manifest, answer: dict[str, Any]) -> None:
        self._store.put(manifest.kind, answer, quiet=True)


def _comparable(manifest: Manifest) -> dict[str, Any]:
    """Return what is wanted in the form in which the cache has it."""
    want = {k: v for k, v in manifest.body.items() if k not in {"apiVersion", "kind"}}
    return {**want, "data": slim_data(want["data"])} if manifest.kind == CONFIG_MAP else want


def _whose(have: Mapping[str, Any], what: str, agent: str, uid: str) -> Outcome | None:
    """Return why an object that is there must not be touched, or None if it is ours."""
    controller = controller_of(have)
    if controller is not None and controller.get("uid") == uid:
        return Outcome(waiting_for=what) if is_deleted(have) else None
    earlier = controller is not None and controller.get("kind") == HIVE_AGENT.kind
    if earlier and controller is not None and controller.get("name") == agent:
        return Outcome(waiting_for=what)  # the garbage collector takes it
    owner = labels_of(have).get("app.kubernetes.io/managed-by") or "somebody else"
    text = (
        f"metadata.name: {what} is there already and belongs to {owner}; it is left alone; rename this HiveAgent, or "
        f"delete that object"
    )
    return Outcome(problem=Problem(reasons.NAME_CONFLICT, text, blocking=True))
