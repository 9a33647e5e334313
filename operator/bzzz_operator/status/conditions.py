"""From what is known to `status`: conditions, counts, the selector. Pure; time comes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bzzz_operator.desired import names
from bzzz_operator.objects import items, part
from bzzz_operator.status import reasons
from bzzz_operator.status.problems import Problem, is_blocked

Json = dict[str, Any]

MAX_MESSAGE: Final = 4000
"""The API allows 32768; a person reads less."""


@dataclass(frozen=True)
class StatefulSetFacts:
    """What the StatefulSet's status says; all zero before it exists."""

    exists: bool = False
    observed: bool = False
    """Its controller has seen the newest spec."""
    wanted: int = 0
    replicas: int = 0
    ready: int = 0
    updated: int = 0
    rolling: bool = False
    """Two revisions are there."""


@dataclass(frozen=True)
class AgentFacts:
    """Everything that a HiveAgent's status is made of."""

    name: str
    generation: int
    replicas: int
    suspend: bool
    stateful_set: StatefulSetFacts
    problems: Sequence[Problem] = ()
    draining: Sequence[str] = ()
    """Names of pods that are scaled away and not gone."""
    waiting_for: Sequence[str] = ()
    """Objects of an earlier HiveAgent that are still being deleted."""


def stateful_set_facts(found: Mapping[str, Any] | None) -> StatefulSetFacts:
    """Read a StatefulSet's status."""
    if found is None or "spec" not in found:
        return StatefulSetFacts()
    status = part(found, "status")
    current, update = status.get("currentRevision"), status.get("updateRevision")
    return StatefulSetFacts(
        exists=True,
        observed=int(status.get("observedGeneration") or 0) >= int(found["metadata"].get("generation") or 0),
        wanted=int(found["spec"].get("replicas") or 0),
        replicas=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        updated=int(status.get("updatedReplicas") or 0),
        rolling=current is not None and update is not None and current != update,
    )


def status_of(facts: AgentFacts, before: Mapping[str, Any], now: str) -> Json:
    """Return our part of the status. `before` is the status as it was, for times of transition; `now` is RFC 3339."""
    sts = facts.stateful_set
    ready = min(sts.ready, facts.replicas)
    known = {str(c.get("type")): c for c in items(before, "conditions")}
    conditions = [
        _condition(facts, known, now, reasons.READY, *_ready(facts, ready)),
        _condition(facts, known, now, reasons.PROGRESSING, *_progressing(facts)),
        _condition(facts, known, now, reasons.DEGRADED, *_degraded(facts.problems)),
    ]
    return {
        "observedGeneration": facts.generation,
        "replicas": sts.replicas,
        "readyReplicas": sts.ready,
        "ready": f"{sts.ready}/{facts.replicas}",
        "selector": ",".join(f"{key}={value}" for key, value in sorted(names.selector(facts.name).items())),
        "conditions": conditions,
    }


def changed_conditions(before: Mapping[str, Any], after: Json) -> Iterable[tuple[Json | None, Json]]:
    """Return (old, new) for every condition whose status or reason is another than before."""
    known = {str(c.get("type")): c for c in items(before, "conditions")}
    for condition in items(after, "conditions"):
        old = known.get(condition["type"])
        if old is None or (old["status"], old["reason"]) != (condition["status"], condition["reason"]):
            yield old, condition


def _condition(
    facts: AgentFacts,
    known: Mapping[str, Json],
    now: str,
    kind: str,
    is_true: bool,
    reason: str,
    message: str,
) -> Json:
    status = "True" if is_true else "False"
    old = known.get(kind)
    since = old["lastTransitionTime"] if old is not None and old.get("status") == status else now
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message[:MAX_MESSAGE],
        "observedGeneration": facts.generation,
        "lastTransitionTime": since,
    }


def _ready(facts: AgentFacts, ready: int) -> tuple[bool, str, str]:
    text = f"{ready} of {facts.replicas} agents are on the mesh"
    if not facts.stateful_set.exists or ready < facts.replicas:
        return False, reasons.REPLICAS_NOT_READY, text
    if facts.suspend:
        return True, reasons.SUSPENDED, f"{text}; spec.suspend: they take no new issue"
    return True, reasons.ALL_REPLICAS_READY, text


def _progressing(facts: AgentFacts) -> tuple[bool, str, str]:
    sts = facts.stateful_set
    if facts.waiting_for:
        text = (
            f"waiting for {', '.join(facts.waiting_for)} of an earlier HiveAgent {facts.name} to be deleted"
        )
        return True, reasons.WAITING_FOR_DELETION, text
    if is_blocked(facts.problems):
        return False, reasons.BLOCKED, "changes wait for what Degraded names; what runs goes on as it is"
    if facts.draining:
        text = f"{', '.join(facts.draining)}: finishing what is on the desk before being taken down"
        return True, reasons.SCALING_DOWN, text
    if not sts.observed or sts.replicas < sts.wanted:
        return True, reasons.SCALING_UP, f"{sts.replicas} of {sts.wanted} pods are there"
    if sts.replicas > sts.wanted:
        return True, reasons.SCALING_DOWN, f"{sts.replicas} pods are there, {sts.wanted} shall be"
    if sts.rolling and sts.updated < sts.wanted:
        return True, reasons.ROLLING_OUT, f"{sts.updated} of {sts.wanted} pods are of the newest kind"
    if sts.ready < sts.wanted and not facts.problems:
        return True, reasons.STARTING, f"{sts.ready} of {sts.wanted} agents are on the mesh yet"
    return False, reasons.RECONCILED, "nothing is under way"


def _degraded(problems: Sequence[Problem]) -> tuple[bool, str, str]:
    if not problems:
        return False, reasons.RECONCILED, "nothing is wrong"
    first = next((problem for problem in problems if problem.blocking), problems[0])
    rest = [problem for problem in problems if problem is not first]
    return True, first.reason, "\n".join(problem.message for problem in (first, *rest))
