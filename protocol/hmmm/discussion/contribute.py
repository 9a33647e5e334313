"""What others say to a plan, and what it does to the discussion (architecture §6.2, §6.3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hmmm.discussion.events import IllegalEventError, Spoken
from hmmm.discussion.state import AnswerGiven, ClosedRound, Contribution, Discussion, ObjectionState
from hmmm.messages import MetaMessage
from hmmm.meta import Answer, Countersigned, Objection, Reviewing, plan_answered

LEFT_OUT = "left_out"
"""Rule of an objection that says that the account of a round lacks its author's message (§6.3)."""


def contribute(state: Discussion, moved: Discussion, event: Spoken, now: datetime) -> Discussion:
    """Take in an answer to the plan, or the claimant's answer to a question.

    Raises IllegalEventError: reason `late`, `other_plan` or `repeated`.
    """
    message, parameters = event.message, event.message.parameters
    check_plan_digest(state, message)
    if isinstance(parameters, Answer) and message.parent_id is not None:
        moved = _answer(state, moved, message, message.parent_id, parameters)
    if event.by == "claimant":
        return moved
    if any((c.node_id, c.msg_id) == (message.node_id, message.msg_id) for c in state.contributions):
        raise IllegalEventError(
            "repeated",
            f"{message.query_type} {message.msg_id}: {message.node_id} used this id before; ignored",
        )
    moved = _join(moved, message.node_id)
    if state.closing is not None:
        return _dispute(moved, state.closing, message)
    contribution = Contribution(
        msg_id=message.msg_id,
        digest=event.digest,
        node_id=message.node_id,
        query_type=message.query_type,
        round=state.round,
        at=now,
        text=message.content.text,
        parameters=parameters,
        parent_id=message.parent_id,
    )
    moved = replace(moved, contributions=(*moved.contributions, contribution))
    if isinstance(parameters, Objection):
        moved = replace(moved, objections=(*moved.objections, _objection(contribution, parameters)))
    if isinstance(parameters, Reviewing):
        moved = _extend(state, moved, contribution, parameters)
    return moved


def countersign(state: Discussion, message: MetaMessage) -> Discussion:
    """Take in a participant's word that an account is right.

    Raises IllegalEventError: reason `other_plan` (not our account), `repeated`, or `not_participant`.
    """
    parameters = message.parameters
    digest = parameters.closed_digest if isinstance(parameters, Countersigned) else None
    for index, closed in enumerate(state.rounds):
        if closed.digest != digest:
            continue
        if message.node_id in closed.countersigned:
            raise IllegalEventError("repeated", f"countersigned {message.msg_id}: has signed before; ignored")
        if message.node_id not in closed.expected:
            raise IllegalEventError(
                "not_participant",
                f"countersigned {message.msg_id}: {message.node_id} said nothing in round {closed.round}; ignored",
            )
        signed = replace(closed, countersigned=closed.countersigned | {message.node_id})
        return replace(state, rounds=(*state.rounds[:index], signed, *state.rounds[index + 1 :]))
    raise IllegalEventError(
        "other_plan", f"countersigned {message.msg_id}: signs an account that is not ours; ignored"
    )


def _answer(
    state: Discussion, moved: Discussion, message: MetaMessage, parent_id: str, parameters: Answer
) -> Discussion:
    given = tuple(
        AnswerGiven(question, message.node_id, message.content.text, parameters, state.round)
        for question in state.contributions
        if question.msg_id == parent_id and question.query_type == "clarification_needed"
    )
    return replace(moved, answered=moved.answered | {parent_id}, answers=(*moved.answers, *given))


def check_plan_digest(state: Discussion, message: MetaMessage) -> None:
    """Check that a word is about the plan under discussion. Raises IllegalEventError: reason `late` or `other_plan`."""
    digest = plan_answered(message.parameters)
    current = None if state.plan is None else state.plan.digest
    if digest is None or digest == current:
        return
    reason = "late" if digest in state.plan_digests else "other_plan"
    raise IllegalEventError(
        reason,
        f"{message.query_type} {message.msg_id} by {message.node_id}: answers plan {digest[:12]}, "
        f"under discussion is {(current or 'none')[:12]}; ignored",
    )


def _join(moved: Discussion, node_id: str) -> Discussion:
    if node_id in moved.participants:
        return moved
    return replace(moved, participants=(*moved.participants, node_id))


def _dispute(moved: Discussion, closing: ClosedRound, message: MetaMessage) -> Discussion:
    parameters = message.parameters
    if not isinstance(parameters, Objection) or parameters.rule != LEFT_OUT:
        raise IllegalEventError(
            "late", f"{message.query_type} {message.msg_id}: the round is closed; ignored"
        )
    disputed = replace(closing, disputed=(*closing.disputed, message.msg_id))
    return replace(moved, rounds=(*moved.rounds[:-1], disputed))


def _objection(contribution: Contribution, parameters: Objection) -> ObjectionState:
    return ObjectionState(
        msg_id=contribution.msg_id,
        digest=contribution.digest,
        node_id=contribution.node_id,
        severity=parameters.severity,
        reason=parameters.reason or contribution.text,
        rule=parameters.rule,
        round=contribution.round,
        status="open",
    )


def _extend(
    state: Discussion, moved: Discussion, contribution: Contribution, parameters: Reviewing
) -> Discussion:
    """Extend the window to when the reviewer means to be ready: once for each, to the double at most (§6.2)."""
    plan = moved.plan
    again = any(c.node_id == contribution.node_id and c.query_type == "reviewing" for c in state.said())
    if plan is None or again:
        return moved
    latest = plan.opened_at + timedelta(seconds=2 * plan.window_s)
    wanted = contribution.at + timedelta(seconds=parameters.eta_s) if parameters.eta_s else latest
    return replace(moved, plan=replace(plan, deadline=max(plan.deadline, min(latest, wanted))))
