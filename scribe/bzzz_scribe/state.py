"""What the table, the API and the pages show, as JSON-ready views of folded state. Pure: no clock, no I/O.

A discussion's view follows from the claimant's log alone, so two scribes, or one before and after its store was
deleted, show it byte for byte alike. What the mesh tells (load, presence, last seen) is in the agents' views only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bzzz_scribe.store import Document
from bzzz_scribe.words import Asked
from hmmm.discussion import ClosedRound, Discussion, Help
from hmmm.messages import Capabilities
from hmmm.records import EvidenceSealed, Released


@dataclass(frozen=True)
class Provenance:
    """Where a discussion stands in its log, and what the log says of it beside the discussion itself."""

    log_key: str
    first_seq: int
    last_seq: int
    title: str = ""
    released: Released | None = None
    released_at: datetime | None = None
    sealed: EvidenceSealed | None = None
    sealed_length: int | None = None
    last_messages: tuple[Document, ...] = ()
    asked: Asked | None = None


@dataclass(frozen=True)
class AgentSight:
    """What is known of an agent: who it is from cards and logs, how it is from the mesh."""

    node_id: str
    peer_id: str | None = None
    log_key: str | None = None
    capabilities: Capabilities | None = None
    last_seen: datetime | None = None
    connected: bool = False


def discussion_view(state: Discussion, where: Provenance) -> Document:
    """Return all that is shown of a discussion."""
    released = where.released
    plan = state.plan
    return {
        "repository": state.issue.repository,
        "number": state.issue.number,
        "epoch": state.issue.epoch,
        "title": where.title,
        "phase": state.phase.value,
        "live": not state.ended and released is None,
        "claimant": state.claimant,
        "claimantPeer": state.claimant_peer,
        "round": state.round,
        "openedAt": moment(state.opened_at),
        "deadline": moment(plan.deadline) if plan is not None and state.closing is None else None,
        "plan": None if plan is None else _plan(state),
        "reviewers": [] if plan is None else list(plan.reviewers),
        "participants": list(state.participants),
        "objections": [
            {
                "msgId": o.msg_id,
                "nodeId": o.node_id,
                "severity": o.severity,
                "reason": o.reason,
                "rule": o.rule,
                "round": o.round,
                "status": o.status,
                "resolution": o.resolution,
            }
            for o in state.objections
        ],
        "openBlocking": len(state.open_blocking),
        "rounds": [_round(r) for r in state.rounds],
        "countersigned": _countersigned(state),
        "outcome": state.outcome or (None if released is None else released.outcome),
        "reason": state.reason or ("" if released is None else released.reason),
        "verdict": state.verdict,
        "verdicts": sorted(state.verdicts),
        "escalation": _escalation(state, where),
        "lastMessages": list(where.last_messages),
        "helps": [_help(help_) for help_ in state.helps],
        "tests": _tests(state),
        "pullRequest": state.pull_request,
        "phaseTimestamps": _phase_timestamps(state.phases),
        "endedAt": _ended_at(state, where),
        "phases": [[phase, moment(at)] for phase, at in state.phases],
        "safeguards": [{"safeguard": s, "nodeId": node} for s, node in state.safeguards],
        "violations": list(state.violations),
        "logKey": where.log_key,
        "firstSeq": where.first_seq,
        "lastSeq": where.last_seq,
        "sealed": _sealed(where),
    }


def agent_view(sight: AgentSight, issue: str | None, now: datetime, live_s: float) -> Document:
    """Return what is shown of an agent; `issue` is what it works on by its log, `live_s` seconds.

    An agent that nobody heard for `live_s` and that is not connected is shown as `away`.
    """
    told = sight.capabilities
    heard = sight.last_seen is not None and (now - sight.last_seen).total_seconds() <= live_s
    present = sight.connected or heard
    phase = "unknown" if told is None else told.phase
    return {
        "nodeId": sight.node_id,
        "peerId": sight.peer_id,
        "logKey": sight.log_key,
        "phase": phase if present or sight.last_seen is None else "away",
        "present": present,
        "issue": issue,
        "models": [] if told is None else [{"name": m.name, "reasoning": m.reasoning} for m in told.models],
        "tools": [] if told is None else list(told.tools),
        "languages": [] if told is None else list(told.languages),
        "repositories": [] if told is None else list(told.repositories),
        "load": None if told is None else told.load,
        "healthy": None if told is None else told.healthy,
        "lastSeen": None if sight.last_seen is None else moment(sight.last_seen),
    }


def moment(at: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, the one spelling used everywhere here."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plan(state: Discussion) -> Document:
    current = state.plan
    if current is None:
        return {}
    plan = current.plan
    return {
        "digest": current.digest,
        "summary": plan.summary,
        "steps": list(plan.steps),
        "footprint": list(plan.footprint),
        "tests": list(plan.tests),
        "windowSeconds": current.window_s,
        "openedAt": moment(current.opened_at),
    }


def _escalation(state: Discussion, where: Provenance) -> Document | None:
    asked = where.asked
    if asked is None:
        return None
    over = state.ended or where.released is not None
    word = "Answered" if asked.answered else "Released" if over else "Waiting"
    return {"id": asked.id, "reason": asked.reason, "state": word, "since": moment(asked.since)}


def _ended_at(state: Discussion, where: Provenance) -> str | None:
    if state.ended and state.phases:
        return moment(state.phases[-1][1])
    return None if where.released_at is None else moment(where.released_at)


def _round(closed: ClosedRound) -> Document:
    return {
        "round": closed.round,
        "closedAt": moment(closed.closed_at),
        "next": closed.next,
        "reason": closed.reason,
        "silent": list(closed.silent),
        "expected": sorted(closed.expected),
        "countersigned": sorted(closed.countersigned),
        "disputed": list(closed.disputed),
    }


def _help(help_: Help) -> Document:
    return {
        "phase": help_.phase.value,
        "since": moment(help_.at),
        "problem": help_.problem,
        "wants": list(help_.wants),
        "asked": list(help_.asked),
        "offers": [offer.node_id for offer in help_.offers if offer.can_help],
        "refused": [{"nodeId": o.node_id, "reason": o.reason} for o in help_.offers if not o.can_help],
        "helper": help_.helper,
        "talks": [
            {
                "helper": talk.helper,
                "outcome": talk.outcome,
                "reason": talk.reason,
                "suggestions": [
                    {"text": said.text, "patch": said.patch is not None, "outcome": said.outcome}
                    for said in talk.suggestions
                ],
            }
            for talk in help_.talks
        ],
    }


def _countersigned(state: Discussion) -> Document | None:
    if not state.rounds:
        return None
    last = state.rounds[-1]
    return {"signed": len(last.countersigned & last.expected), "of": len(last.expected)}


def _tests(state: Discussion) -> Document | None:
    run = None if state.execution is None else state.execution.tests
    return (
        None if run is None else {"outcome": run.outcome, "exitCode": run.exit_code, "seconds": run.seconds}
    )


def _phase_timestamps(phases: Iterable[tuple[str, datetime]]) -> dict[str, str]:
    """Return when each phase first began; `phases` in the view has every change."""
    first: dict[str, str] = {}
    for phase, at in phases:
        first.setdefault(phase, moment(at))
    return first


def _sealed(where: Provenance) -> Document | None:
    """Return what was sealed, without the token: who knows it may read the transcript."""
    sealed = where.sealed
    if sealed is None:
        return None
    return {
        "headSha": sealed.head_sha,
        "baseSha": sealed.base_sha,
        "treeSha": sealed.tree_sha,
        "patchDigest": sealed.patch_digest,
        "planDigest": sealed.plan_digest,
        "length": where.sealed_length,
    }
