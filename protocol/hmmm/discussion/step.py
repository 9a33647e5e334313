"""The state machine: `step(state, event, now) -> (state, effects)`; pure, total over its own errors.

`now` is the moment at which the claimant's log recorded the event. Every component folds with this code, so that
whoever has the same log has the same state (architecture §5, *one truth*).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hmmm.discussion import helping
from hmmm.discussion.conduct import (
    faults_of_account,
    faults_of_bite,
    faults_of_finish,
    faults_of_plan,
    faults_of_seal,
    faults_of_start,
)
from hmmm.discussion.contribute import LEFT_OUT, contribute, countersign
from hmmm.discussion.events import Escalated, Event, IllegalEventError, Noted, Spoken, trigger_of
from hmmm.discussion.rounds import awaited, settle_objections
from hmmm.discussion.state import (
    DELIBERATING,
    ENDED,
    ClosedRound,
    CurrentPlan,
    Discussion,
    ObjectionState,
    Phase,
)
from hmmm.discussion.transitions import LATE_ANSWER, TRANSITIONS
from hmmm.envelope import sha256_hex
from hmmm.identity import IssueIdentity
from hmmm.meta import (
    Answer,
    DiscussionClosed,
    ExecutionFinished,
    ExecutionStarted,
    HumanVerdict,
    PlanProposed,
    RoundClosed,
)
from hmmm.records import EvidenceSealed, PullRequestOpened, RoundReopened, SafeguardBit

__all__ = [
    "LEFT_OUT",
    "Effect",
    "IllegalEventError",
    "Objected",
    "PhaseChanged",
    "Violated",
    "WindowSet",
    "faults_of",
    "open_discussion",
    "step",
]


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
    `repeated`, `illegal` (the table has no such transition), `late`, `not_claimant`, `not_participant` or
    `other_plan`.
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
    if isinstance(event, Spoken):
        after = replace(after, hops={event.message.msg_id: event.message.hop_count, **after.hops})
        if event.by == "claimant":
            after = replace(after, last_claimant_digest=digest)
    after = _enter(state, after, now)
    return after, _effects(state, after)


def faults_of(state: Discussion, event: Event, now: datetime) -> tuple[str, ...]:
    """Return the rules that an event would break, or why it has no place here; empty when nothing speaks against it.

    A claimant asks this under the lock of its log, just before it appends an own word: what it decided on may have
    changed while it waited, and a violation in a log stays there.
    """
    try:
        after, _ = step(state, event, now)
    except IllegalEventError as error:
        return (str(error),)
    return after.violations[len(state.violations) :]


def _apply(state: Discussion, event: Event, now: datetime) -> Discussion:
    trigger = LATE_ANSWER if _is_late_answer(state, event) else trigger_of(event)
    if isinstance(event, Noted) and isinstance(event.fact, SafeguardBit):
        return _bite(state, event.fact)
    if isinstance(event, Spoken):
        _check_speaker(state, event, trigger)
        if trigger == "countersigned":
            return countersign(state, event.message)
    target = TRANSITIONS.get((state.phase, trigger))
    if target is None:
        raise IllegalEventError(
            "illegal", f"{state.issue}: {trigger} is not possible in {state.phase}; ignored"
        )
    moved = replace(state, phase=target)
    about_help = helping.follow(state, moved, event, now)
    return _move(state, moved, event, now) if about_help is None else about_help


def _move(state: Discussion, moved: Discussion, event: Event, now: datetime) -> Discussion:
    match event:
        case Escalated(message=message):  # an earlier answer was to an earlier question
            asked = replace(moved, reason=message.reason, verdict=None, verdict_text="")
            return helping.unhelped(asked, now)
        case Noted(fact=RoundReopened()):
            return _reopen(moved, now)
        case Noted(fact=PullRequestOpened(url=url)):
            return replace(moved, pull_request=url)
        case Noted(fact=EvidenceSealed() as sealed):
            return _blame(replace(moved, sealed=sealed), faults_of_seal(state, sealed))
        case Spoken():
            return _hear(state, moved, event, now)
        case _:
            return moved


def _is_late_answer(state: Discussion, event: Event) -> bool:
    """Whether the claimant passes on an answer to what its open round waits for, after it asked a human for want of
    one: people answer when they come by, and then the round goes on as if it had been in time."""
    return (
        state.phase is Phase.ESCALATED
        and state.closing is None
        and isinstance(event, Spoken)
        and event.by == "claimant"
        and isinstance(event.message.parameters, Answer)
        and any(question.msg_id == event.message.parent_id for question in awaited(state))
    )


def _check_speaker(state: Discussion, event: Spoken, trigger: str) -> None:
    by_participant = trigger in {"contribution", "countersigned", "help_suggestion"}
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
            faults = faults_of_start(state, parameters, now)
            return _blame(replace(moved, execution=None), faults)
        case ExecutionFinished() as parameters:
            finished = replace(moved, execution=parameters, reason=parameters.reason)
            if parameters.ok:
                finished = helping.helped(finished, parameters.suggestion, now)
            return _blame(finished, faults_of_finish(state, parameters))
        case HumanVerdict() as parameters:
            return _obey(moved, parameters, message.content.text)
        case DiscussionClosed() as parameters:
            return helping.unhelped(_end(state, moved, parameters), now)
        case Answer() if state.phase is Phase.ESCALATED:
            # the round has the discussion's time again, as after a human who asks for a revision
            resumed = replace(moved, reason="", verdict=None, verdict_text="", deliberated_s=0.0)
            return contribute(state, resumed, event, now)
        case _:
            return contribute(state, moved, event, now)


def _plan(
    state: Discussion, moved: Discussion, event: Spoken, parameters: PlanProposed, now: datetime
) -> Discussion:
    limits = parameters.limits if state.plan is None else state.limits
    plan = CurrentPlan(
        msg_id=event.message.msg_id,
        digest=event.digest,
        plan=parameters.plan,
        round=state.round + 1,
        opened_at=now,
        window_s=limits.window_s,
        deadline=now + timedelta(seconds=limits.window_s),
        reviewers=parameters.reviewers,
    )
    planned = replace(
        moved,
        plan=plan,
        round=plan.round,
        limits=limits,
        plan_digests=(*state.plan_digests, event.digest),
        verdict=None,
        verdict_text="",
    )
    return _blame(planned, faults_of_plan(state, event.message.msg_id, parameters))


def _reopen(moved: Discussion, now: datetime) -> Discussion:
    if moved.plan is None or moved.closing is not None:
        raise IllegalEventError("illegal", f"{moved.issue}: no open round to reopen; ignored")
    deadline = now + timedelta(seconds=moved.plan.window_s)
    return replace(moved, plan=replace(moved.plan, opened_at=now, deadline=deadline))


def _close_round(
    state: Discussion, moved: Discussion, event: Spoken, parameters: RoundClosed, now: datetime
) -> Discussion:
    if state.closing is not None or state.plan is None:
        raise IllegalEventError("illegal", f"{state.issue}: round {state.round} is closed already; ignored")
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
    moved = replace(moved, rounds=(*state.rounds, closed), objections=settle_objections(state))
    return _blame(moved, faults_of_account(state, event.message.msg_id, parameters, now))


def _obey(moved: Discussion, parameters: HumanVerdict, text: str) -> Discussion:
    digest = sha256_hex(parameters.signed.encode())
    if digest in moved.verdicts:
        raise IllegalEventError("repeated", f"{moved.issue}: this verdict was obeyed before; ignored")
    obeyed = replace(moved, verdict=parameters.verdict, verdict_text=text, verdicts=moved.verdicts | {digest})
    # a human who asks for another round grants it the time as well
    return replace(obeyed, deliberated_s=0.0) if parameters.verdict == "revise" else obeyed


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
    bitten = replace(state, safeguards=(*state.safeguards, (fact.safeguard, fact.node_id)), ejected=ejected)
    return _blame(bitten, faults_of_bite(state, fact))


def _blame(state: Discussion, faults: Iterable[str]) -> Discussion:
    return replace(state, violations=(*state.violations, *faults))


def _enter(before: Discussion, after: Discussion, now: datetime) -> Discussion:
    if before.phase is after.phase:
        return after
    return replace(
        after,
        deliberated_s=before.deliberated(now) if before.phase in DELIBERATING else after.deliberated_s,
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
