"""The state machine: `step(state, event, now) -> (state, effects)`; pure, total over its own errors.

`now` is the moment at which the claimant's log recorded the event. Every component folds with this code, so that
whoever has the same log has the same state (architecture §5, *one truth*).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hmmm.discussion.events import Escalated, Event, Noted, Spoken, trigger_of
from hmmm.discussion.rounds import account_for, settle_objections
from hmmm.discussion.state import (
    DELIBERATING,
    ENDED,
    ClosedRound,
    Contribution,
    CurrentPlan,
    Discussion,
    ObjectionState,
    Phase,
)
from hmmm.discussion.transitions import TRANSITIONS
from hmmm.errors import RemoteProtocolError
from hmmm.identity import IssueIdentity
from hmmm.messages import MetaMessage
from hmmm.meta import (
    Answer,
    ClarificationNeeded,
    Countersigned,
    DiscussionClosed,
    ExecutionFinished,
    ExecutionStarted,
    HumanVerdict,
    Objection,
    PlanAnswer,
    PlanProposed,
    PlanRevised,
    Reviewing,
    RoundClosed,
)
from hmmm.records import PullRequestOpened, RoundReopened, SafeguardBit

LEFT_OUT = "left_out"
"""Rule of an objection that says that the account of a round lacks its author's message (§6.3)."""


class IllegalEventError(RemoteProtocolError):
    """An event that the discussion's state does not allow; it changes nothing."""


@dataclass(frozen=True)
class PhaseChanged:
    """The discussion moved."""

    before: Phase
    after: Phase


@dataclass(frozen=True)
class WindowSet:
    """The objection window ends at another moment now."""

    deadline: datetime


@dataclass(frozen=True)
class Objected:
    """Somebody objected."""

    objection: ObjectionState


@dataclass(frozen=True)
class Violated:
    """The claimant broke a rule in its own log."""

    what: str


Effect = PhaseChanged | WindowSet | Objected | Violated


def open_discussion(issue: IssueIdentity, claimant: str, claimant_peer: str, at: datetime) -> Discussion:
    """Return the state at the claim."""
    return Discussion(
        issue=issue,
        claimant=claimant,
        claimant_peer=claimant_peer,
        opened_at=at,
        phase_since=at,
        phases=((Phase.PLANNING.value, at),),
    )


def step(state: Discussion, event: Event, now: datetime) -> tuple[Discussion, tuple[Effect, ...]]:
    """Apply one event.

    Raises IllegalEventError, with the state unchanged, for an event that has no place here: reason `closed`,
    `repeated`, `illegal` (the table has no such transition), `late`, `not_claimant` or `other_plan`.
    """
    if state.phase in ENDED:
        raise IllegalEventError(
            "closed", f"{state.issue}: is {state.phase}, {trigger_of(event)} comes too late; ignored"
        )
    digest = None if isinstance(event, Noted) else event.digest
    if digest is not None and digest in state.seen:
        raise IllegalEventError(
            "repeated", f"{state.issue}: message {digest[:12]} was taken in before; ignored"
        )
    after = _apply(state, event, now)
    if digest is not None:
        after = replace(after, seen=after.seen | {digest})
        if isinstance(event, Spoken) and event.by == "claimant":
            after = replace(after, last_claimant_digest=digest)
    after = _enter(state, after, now)
    return after, _effects(state, after)


def _apply(state: Discussion, event: Event, now: datetime) -> Discussion:
    trigger = trigger_of(event)
    if isinstance(event, Noted) and isinstance(event.fact, SafeguardBit):
        return _bite(state, event.fact)
    if isinstance(event, Spoken):
        _check_speaker(state, event, trigger)
        if trigger == "countersigned":
            return _countersign(state, event.message)
    target = TRANSITIONS.get((state.phase, trigger))
    if target is None:
        raise IllegalEventError(
            "illegal", f"{state.issue}: {trigger} is not possible in {state.phase}; ignored"
        )
    moved = replace(state, phase=target)
    match event:
        case Escalated(message=message):
            return replace(moved, reason=message.reason)
        case Noted(fact=RoundReopened()):
            return _reopen(moved, now)
        case Noted(fact=PullRequestOpened(url=url)):
            return replace(moved, pull_request=url)
        case Noted():
            return moved
        case Spoken():
            return _hear(state, moved, event, now)


def _check_speaker(state: Discussion, event: Spoken, trigger: str) -> None:
    by_participant = trigger in {"contribution", "countersigned"}
    wanted = (
        "authority"
        if trigger.startswith("human_verdict")
        else "participant"
        if by_participant
        else "claimant"
    )
    own_answer = by_participant and event.by == "claimant" and event.message.query_type == "answer"
    if event.by != wanted and not own_answer:
        raise IllegalEventError(
            "not_claimant", f"{state.issue}: {trigger} by {event.message.node_id} ({event.by}); ignored"
        )


def _hear(state: Discussion, moved: Discussion, event: Spoken, now: datetime) -> Discussion:
    message = event.message
    match message.parameters:
        case PlanProposed() as parameters:  # and PlanRevised, which is one
            return _plan(state, moved, event, parameters, now)
        case RoundClosed() as parameters:
            return _close_round(state, moved, event, parameters, now)
        case ExecutionStarted() as parameters:
            return _start(state, moved, parameters)
        case ExecutionFinished() as parameters:
            return replace(moved, execution=parameters, reason=parameters.reason)
        case HumanVerdict(verdict=verdict):
            return replace(moved, verdict=verdict, verdict_text=message.content.text)
        case DiscussionClosed() as parameters:
            return _end(state, moved, parameters)
        case _:
            return _contribute(state, moved, event, now)


def _plan(
    state: Discussion, moved: Discussion, event: Spoken, parameters: PlanProposed, now: datetime
) -> Discussion:
    expected = state.round + 1
    violations = state.violations
    if parameters.round != expected:
        violations += (f"plan {event.message.msg_id}: expected round {expected}, says {parameters.round}",)
    if (
        isinstance(parameters, PlanRevised)
        and state.plan is not None
        and parameters.supersedes != state.plan.msg_id
    ):
        violations += (f"plan {event.message.msg_id}: does not supersede {state.plan.msg_id}",)
    limits = parameters.limits if state.plan is None else state.limits
    plan = CurrentPlan(
        msg_id=event.message.msg_id,
        digest=event.digest,
        plan=parameters.plan,
        round=expected,
        opened_at=now,
        window_s=limits.window_s,
        deadline=now + timedelta(seconds=limits.window_s),
        reviewers=parameters.reviewers,
    )
    return replace(
        moved,
        plan=plan,
        round=expected,
        limits=limits,
        plan_digests=(*state.plan_digests, event.digest),
        violations=violations,
        verdict=None,
    )


def _reopen(moved: Discussion, now: datetime) -> Discussion:
    if moved.plan is None or moved.closing is not None:
        raise IllegalEventError("illegal", f"{moved.issue}: no open round to reopen; ignored")
    deadline = now + timedelta(seconds=moved.plan.window_s)
    return replace(moved, plan=replace(moved.plan, opened_at=now, deadline=deadline))


def _contribute(state: Discussion, moved: Discussion, event: Spoken, now: datetime) -> Discussion:
    message, parameters = event.message, event.message.parameters
    _check_plan_digest(state, message)
    moved = _join(moved, event)
    if isinstance(parameters, Answer) and message.parent_id is not None:
        moved = replace(moved, answered=moved.answered | {message.parent_id})
    if event.by == "claimant":
        return moved
    closing = state.closing
    if closing is not None:
        return _dispute(moved, closing, event)
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
        moved = _extend(moved, parameters, now)
    return moved


def _check_plan_digest(state: Discussion, message: MetaMessage) -> None:
    parameters = message.parameters
    digest = (
        parameters.plan_digest if isinstance(parameters, PlanAnswer | ClarificationNeeded | Answer) else None
    )
    current = None if state.plan is None else state.plan.digest
    if digest is None or digest == current:
        return
    reason = "late" if digest in state.plan_digests else "other_plan"
    raise IllegalEventError(
        reason,
        f"{message.query_type} {message.msg_id} by {message.node_id}: answers plan {digest[:12]}, "
        f"under discussion is {(current or 'none')[:12]}; ignored",
    )


def _join(moved: Discussion, event: Spoken) -> Discussion:
    node = event.message.node_id
    if event.by != "participant" or node in moved.participants:
        return moved
    return replace(moved, participants=(*moved.participants, node))


def _dispute(moved: Discussion, closing: ClosedRound, event: Spoken) -> Discussion:
    parameters = event.message.parameters
    if not isinstance(parameters, Objection) or parameters.rule != LEFT_OUT:
        raise IllegalEventError(
            "late", f"{event.message.query_type} {event.message.msg_id}: the round is closed; ignored"
        )
    disputed = replace(closing, disputed=(*closing.disputed, event.message.msg_id))
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


def _extend(moved: Discussion, parameters: Reviewing, now: datetime) -> Discussion:
    plan = moved.plan
    if plan is None:
        return moved
    latest = plan.opened_at + timedelta(seconds=2 * plan.window_s)
    wanted = now + timedelta(seconds=parameters.eta_s) if parameters.eta_s else latest
    return replace(moved, plan=replace(plan, deadline=max(plan.deadline, min(latest, wanted))))


def _close_round(
    state: Discussion, moved: Discussion, event: Spoken, parameters: RoundClosed, now: datetime
) -> Discussion:
    if state.closing is not None or state.plan is None:
        raise IllegalEventError("illegal", f"{state.issue}: round {state.round} is closed already; ignored")
    expected = account_for(state)
    violations = list(state.violations)
    if parameters.plan_digest != state.plan.digest or parameters.round != state.round:
        violations.append(
            f"round_closed {event.message.msg_id}: is not about round {state.round} and its plan"
        )
    listed = {w.digest for w in parameters.weighed}
    violations += [
        f"round_closed {event.message.msg_id}: leaves out {w.query_type} {w.msg_id} by {w.node_id}"
        for w in expected.weighed
        if w.digest not in listed
    ]
    if parameters.next == "execute" and expected.next != "execute":
        violations.append(
            f"round_closed {event.message.msg_id}: goes on to execute, expected {expected.next}"
        )
    closed = ClosedRound(
        round=state.round,
        digest=event.digest,
        closed_at=now,
        next=parameters.next,
        reason=parameters.reason,
        weighed=parameters.weighed,
        silent=parameters.silent,
        expected=frozenset(c.node_id for c in state.said()),
    )
    return replace(
        moved,
        rounds=(*state.rounds, closed),
        objections=settle_objections(state),
        violations=tuple(violations),
    )


def _countersign(state: Discussion, message: MetaMessage) -> Discussion:
    parameters = message.parameters
    if not isinstance(parameters, Countersigned):
        raise IllegalEventError("illegal", f"{message.msg_id}: expected countersigned parameters; ignored")
    for index, closed in enumerate(state.rounds):
        if closed.digest == parameters.closed_digest:
            signed = replace(closed, countersigned=closed.countersigned | {message.node_id})
            return replace(state, rounds=(*state.rounds[:index], signed, *state.rounds[index + 1 :]))
    raise IllegalEventError(
        "other_plan", f"countersigned {message.msg_id}: signs an account that is not ours; ignored"
    )


def _start(state: Discussion, moved: Discussion, parameters: ExecutionStarted) -> Discussion:
    closing = state.closing
    agreed = closing is not None and closing.next == "execute" and not closing.disputed
    if state.phase is Phase.EXECUTING:
        return moved
    allowed = state.verdict == "proceed" if state.phase is Phase.ESCALATED else agreed
    violations = state.violations
    if not allowed:
        violations += (f"execution_started in {state.phase} of round {state.round} without an agreed plan",)
    if state.plan is None or parameters.plan_digest != state.plan.digest:
        violations += ("execution_started names another plan than the one under discussion",)
    return replace(moved, violations=violations)


def _end(state: Discussion, moved: Discussion, parameters: DiscussionClosed) -> Discussion:
    violations = state.violations
    if parameters.outcome == "pull_request" and not (parameters.pull_request or state.pull_request):
        violations += ("discussion_closed names no pull request",)
    return replace(
        moved,
        outcome=parameters.outcome,
        closed_as_failure=parameters.failed,
        reason=parameters.reason,
        pull_request=parameters.pull_request or state.pull_request,
        violations=violations,
    )


def _bite(state: Discussion, fact: SafeguardBit) -> Discussion:
    flooded = fact.safeguard == "messages_per_round" and fact.node_id
    ejected = state.ejected | {fact.node_id} if flooded else state.ejected
    return replace(state, safeguards=(*state.safeguards, (fact.safeguard, fact.node_id)), ejected=ejected)


def _enter(before: Discussion, after: Discussion, now: datetime) -> Discussion:
    if before.phase is after.phase:
        return after
    return replace(
        after,
        deliberated_s=before.deliberated(now) if before.phase in DELIBERATING else before.deliberated_s,
        phase_since=now,
        phases=(*before.phases, (after.phase.value, now)),
    )


def _effects(before: Discussion, after: Discussion) -> tuple[Effect, ...]:
    effects: list[Effect] = []
    if before.phase is not after.phase:
        effects.append(PhaseChanged(before.phase, after.phase))
    if after.plan is not None and (before.plan is None or before.plan.deadline != after.plan.deadline):
        effects.append(WindowSet(after.plan.deadline))
    effects += [Objected(o) for o in after.objections[len(before.objections) :]]
    effects += [Violated(v) for v in after.violations[len(before.violations) :]]
    return tuple(effects)
