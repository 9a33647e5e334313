"""Scaling down without dropping work: ask pods to finish, then take them away from the top (contract: drain). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bzzz_operator.desired import names
from bzzz_operator.objects import annotations_of, is_deleted, name_of
from bzzz_operator.status.pods import has_finished, is_draining, ordinal_of

Pod = Mapping[str, Any]


@dataclass(frozen=True)
class ScalePlan:
    """What to do about the number of pods, now."""

    replicas: int
    """Of the StatefulSet."""
    drain: tuple[str, ...] = ()
    """Pods to ask to finish."""
    resume: tuple[str, ...] = ()
    """Pods that were asked to finish and are wanted again, before they did."""
    restart: tuple[str, ...] = ()
    """Pods that had finished and are wanted again: a new life takes issues again."""
    leaving: frozenset[int] = frozenset()
    """Ordinals beyond the wanted ones that still have a pod."""
    draining: tuple[str, ...] = ()
    """Names of pods that are still finishing."""
    look_again: timedelta | None = None
    """When the first of them runs out of time."""


def plan_scale(
    wanted: int, current: int | None, pods: Iterable[Pod], now: datetime, drain_timeout: timedelta
) -> ScalePlan:
    """Decide how many pods there shall be.

    `wanted` is `spec.replicas`, `current` the StatefulSet's, None before it exists. StatefulSets take pods away from
    the highest ordinal down, so a pod that has finished waits for those above it.
    """
    by_ordinal = {ordinal: pod for pod in pods if (ordinal := ordinal_of(pod)) >= 0}
    leaving = frozenset(ordinal for ordinal in by_ordinal if ordinal >= wanted)
    kept = [by_ordinal[o] for o in sorted(by_ordinal) if o < wanted and is_draining(by_ordinal[o])]
    kept = [pod for pod in kept if not is_deleted(pod)]
    resume = tuple(name_of(pod) for pod in kept if not has_finished(pod))
    restart = tuple(name_of(pod) for pod in kept if has_finished(pod))
    if current is None or current <= wanted:
        return ScalePlan(wanted, resume=resume, restart=restart, leaving=leaving)
    drain: list[str] = []
    busy: dict[int, timedelta] = {}
    for ordinal in range(wanted, current):
        pod = by_ordinal.get(ordinal)
        if pod is None or is_deleted(pod):
            continue
        if not is_draining(pod):
            drain.append(name_of(pod))
            if not has_finished(pod):  # one that does not even run is not waited for
                busy[ordinal] = drain_timeout
            continue
        left = drain_timeout - (now - drain_since(pod, now))
        if not has_finished(pod) and left > timedelta(0):
            busy[ordinal] = left
    return ScalePlan(
        replicas=max(busy, default=wanted - 1) + 1,
        drain=tuple(drain),
        resume=resume,
        restart=restart,
        leaving=leaving,
        draining=tuple(name_of(by_ordinal[ordinal]) for ordinal in sorted(busy)),
        look_again=min(busy.values(), default=None),
    )


def drain_since(pod: Pod, now: datetime) -> datetime:
    """Return when a pod was asked to finish; now, where nobody wrote it down."""
    text = annotations_of(pod).get(names.DRAIN_SINCE)
    try:
        return datetime.fromisoformat(text) if text else now
    except ValueError:
        return now
