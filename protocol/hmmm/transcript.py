"""A discussion as people read it: one JSON-ready view of an issue's log entries, for pages and for programs.

All text in it is as it was written: whoever shows it must show it as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from hmmm.base import Model
from hmmm.discussion import ClosedRound, Discussion, Help, ObjectionState, Talk
from hmmm.errors import RemoteProtocolError
from hmmm.messages import MetaMessage, Signed
from hmmm.meta import PlanProposed, PlanRevised
from hmmm.observer import Entry
from hmmm.records import EvidenceSealed, MessageReceived, MessageSent, data_of, signed_of

TRANSCRIPT_FORMAT = "bzzz-transcript/1"


def transcript_view(entries: Iterable[Entry], discussion: Discussion) -> dict[str, Any]:
    """Return the transcript of a discussion from its log's entries; entries of other issues are passed over.

    Deterministic: the same log gives the same view. Moments are ISO 8601 in UTC.
    """
    own = sorted((e for e in entries if e.record.issue == discussion.issue), key=lambda e: e.seq)
    plans: list[dict[str, Any]] = []
    records = [_entry(entry, plans) for entry in own]
    return {
        "format": TRANSCRIPT_FORMAT,
        "issue": discussion.issue.to_object(),
        "claimant": discussion.claimant,
        "claimantPeer": discussion.claimant_peer,
        "openedAt": _iso(discussion.opened_at),
        "phase": discussion.phase.value,
        "outcome": discussion.outcome,
        "reason": discussion.reason,
        "pullRequest": discussion.pull_request,
        "limits": discussion.limits.to_object(),
        "phases": [{"phase": phase, "at": _iso(at)} for phase, at in discussion.phases],
        "plans": plans,
        "rounds": [_round(closed) for closed in discussion.rounds],
        "objections": [_objection(o) for o in discussion.objections],
        "participants": list(discussion.participants),
        "ejected": sorted(discussion.ejected),
        "verdict": discussion.verdict,
        "verdictText": discussion.verdict_text,
        "execution": None if discussion.execution is None else discussion.execution.to_object(),
        "helps": [_help(help_) for help_ in discussion.helps],
        "safeguards": [{"safeguard": name, "node": node} for name, node in discussion.safeguards],
        "violations": list(discussion.violations),
        "entries": records,
    }


def _entry(entry: Entry, plans: list[dict[str, Any]]) -> dict[str, Any]:
    record = entry.record
    view: dict[str, Any] = {
        "seq": entry.seq,
        "at": _iso(record.at),
        "kind": record.kind,
        "refused": entry.refused or None,
    }
    try:
        data = data_of(record)
        signed = signed_of(data) if isinstance(data, MessageSent) else None
    except RemoteProtocolError as error:
        return {**view, "refused": entry.refused or str(error)}
    if isinstance(data, MessageSent) and signed is not None:
        if isinstance(signed.message, MetaMessage) and not entry.refused:
            plans += _plan(signed, signed.message, record.at)
        return {**view, "message": _message(signed, received=isinstance(data, MessageReceived))}
    return {**view, "data": _data(data)}


def _data(data: Model | None) -> dict[str, Any]:
    if data is None:
        return {}
    shown = data.to_object()
    if isinstance(data, EvidenceSealed):
        shown.pop("transcript_token", None)  # it is the link's secret; the page must not hand it on
    return shown


def _message(signed: Signed, *, received: bool) -> dict[str, Any]:
    message = signed.message
    view: dict[str, Any] = {
        "node": message.node_id,
        "peer": signed.peer_id,
        "received": received,
        "type": message.type,
        "msgId": message.msg_id,
        "sentAt": _iso(message.sent_at),
        "digest": signed.digest,
    }
    if not isinstance(message, MetaMessage):
        return {**view, "text": "", "body": message.to_object()}
    return {
        **view,
        "queryType": message.query_type,
        "parentId": message.parent_id,
        "hopCount": message.hop_count,
        "text": message.content.text,
        "parameters": message.parameters.to_object(),
    }


def _plan(signed: Signed, message: MetaMessage, at: datetime) -> list[dict[str, Any]]:
    parameters = message.parameters
    if not isinstance(parameters, PlanProposed):
        return []
    meets = parameters.meets if isinstance(parameters, PlanRevised) else ()
    return [
        {
            "round": parameters.round,
            "msgId": message.msg_id,
            "digest": signed.digest,
            "at": _iso(at),
            "windowSeconds": parameters.limits.window_s,
            "reviewers": list(parameters.reviewers),
            "meets": [met.to_object() for met in meets],
            **parameters.plan.to_object(),
        }
    ]


def _round(closed: ClosedRound) -> dict[str, Any]:
    return {
        "round": closed.round,
        "closedAt": _iso(closed.closed_at),
        "next": closed.next,
        "reason": closed.reason,
        "weighed": [w.to_object() for w in closed.weighed],
        "silent": list(closed.silent),
        "expected": sorted(closed.expected),
        "countersigned": sorted(closed.countersigned & closed.expected),
        "disputed": list(closed.disputed),
    }


def _objection(objection: ObjectionState) -> dict[str, Any]:
    return {
        "msgId": objection.msg_id,
        "node": objection.node_id,
        "round": objection.round,
        "severity": objection.severity,
        "rule": objection.rule,
        "reason": objection.reason,
        "status": objection.status,
        "resolution": objection.resolution,
    }


def _help(help_: Help) -> dict[str, Any]:
    return {
        "msgId": help_.msg_id,
        "at": _iso(help_.at),
        "phase": help_.phase.value,
        "problem": help_.problem,
        "wants": list(help_.wants),
        "asked": list(help_.asked),
        "helper": help_.helper,
        "offers": [
            {
                "node": offer.node_id,
                "canHelp": offer.can_help,
                "capabilities": list(offer.capabilities),
                "etaSeconds": offer.eta_s,
                "reason": offer.reason,
            }
            for offer in help_.offers
        ],
        "talks": [_talk(talk) for talk in help_.talks],
    }


def _talk(talk: Talk) -> dict[str, Any]:
    return {
        "helper": talk.helper,
        "chosenAt": _iso(talk.chosen_at),
        "outcome": talk.outcome,
        "reason": talk.reason,
        "suggestions": [
            {"msgId": s.msg_id, "text": s.text, "patch": s.patch, "outcome": s.outcome, "result": s.result}
            for s in talk.suggestions
        ],
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
