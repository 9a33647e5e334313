"""Accounting for a round: what the claimant must list, what became of each objection, what comes next.

Architecture §6.3. The claimant computes the account with `account_for`; every observer computes it again and holds
the claimant's against it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

from hmmm.discussion.state import FINAL_ANSWERS, Contribution, Discussion, ObjectionState
from hmmm.errors import LocalProtocolError
from hmmm.meta import Decision, RoundClosed, Weighed, plan_answered

Next = Literal["execute", "revise", "escalate"]
NOT_TAKEN_UP = "not taken up: nothing blocks the plan as it is; shown to whoever reviews the pull request"


def settle_objections(state: Discussion) -> tuple[ObjectionState, ...]:
    """Return the objections as they stand at the end of the present round.

    A blocking objection of an earlier round is restated when its author objects to the new plan, and met when the
    author answers it without an objection. It lapses only if its author saw the new plan and then stayed silent
    (§6.3); a question that nobody answered, or nothing at all from its author, leaves it open.
    """
    said: dict[str, list[Contribution]] = {}
    for contribution in state.said():
        said.setdefault(contribution.node_id, []).append(contribution)
    return tuple(_settle(objection, state, said.get(objection.node_id, [])) for objection in state.objections)


def _settle(objection: ObjectionState, state: Discussion, later: list[Contribution]) -> ObjectionState:
    if objection.status != "open":
        return objection
    if objection.severity == "advisory":
        return replace(
            objection, status="noted", resolution="advisory: shown to whoever reviews the pull request"
        )
    if objection.round == state.round:
        return objection
    kinds = {c.query_type for c in later}
    if "objection" in kinds:
        return replace(
            objection, status="restated", resolution=f"its author objects to the plan of round {state.round}"
        )
    if kinds & {"no_objection", "suggestion"}:
        return replace(
            objection, status="met", resolution=f"its author accepts the plan of round {state.round}"
        )
    asks = any(c.query_type == "clarification_needed" and c.msg_id not in state.answered for c in later)
    if not asks and any(_has_seen(c, state) for c in later):
        return replace(
            objection, status="lapsed", resolution="its author saw the revised plan and stayed silent"
        )
    return objection


def _has_seen(contribution: Contribution, state: Discussion) -> bool:
    """Whether a word shows that its author has the present plan, by naming its digest."""
    return state.plan is not None and plan_answered(contribution.parameters) == state.plan.digest


def account_for(state: Discussion) -> RoundClosed:
    """Return the account that closes the present round.

    Raises LocalProtocolError when no plan is under discussion.
    """
    if state.plan is None:
        raise LocalProtocolError(f"{state.issue}: no plan to account for in {state.phase}")
    settled = {o.digest: o for o in settle_objections(state)}
    blocking = [o for o in settled.values() if o.blocks]
    following, reason = _what_next(state, blocking)
    weighed = [_weigh(c, settled.get(c.digest), state, following) for c in state.said()]
    weighed += [_weigh_objection(settled[o.digest]) for o in carried(state)]
    return RoundClosed(
        plan_digest=state.plan.digest,
        round=state.round,
        weighed=tuple(weighed),
        silent=silent_reviewers(state),
        next=following,
        reason=reason,
    )


def carried(state: Discussion) -> tuple[ObjectionState, ...]:
    """Return the objections of earlier rounds that were still open when the present one began."""
    return tuple(o for o in state.objections if o.status == "open" and o.round != state.round)


def silent_reviewers(state: Discussion) -> tuple[str, ...]:
    """Return the named reviewers who gave no answer to the present plan."""
    if state.plan is None:
        return ()
    answered = {c.node_id for c in state.said() if c.query_type in FINAL_ANSWERS}
    return tuple(r for r in state.plan.reviewers if r not in answered)


def _what_next(state: Discussion, blocking: list[ObjectionState]) -> tuple[Next, str]:
    limits = state.limits
    if blocking:
        if state.round >= limits.rounds:
            return "escalate", f"{len(blocking)} blocking after {state.round} of {limits.rounds} rounds"
        return "revise", f"{len(blocking)} blocking"
    if limits.await_answers and (news := state.news()):
        told = f"{len(news)} answered that the plan was made without"
        if state.round >= limits.rounds:
            return "escalate", f"{told} after {state.round} of {limits.rounds} rounds"
        return "revise", told
    reviewers = {c.node_id for c in state.said() if c.query_type in FINAL_ANSWERS}
    if len(reviewers) < limits.min_reviewers:
        return "escalate", f"expected at least {limits.min_reviewers} reviewers, {len(reviewers)} answered"
    if limits.require_human == "always":
        return "escalate", "the manifest asks for a human's approval of every plan"
    if limits.require_human == "onObjection" and state.objections:
        return "escalate", "the manifest asks for a human's approval after an objection"
    return "execute", "unreviewed: nobody answered" if not reviewers else ""


def _weigh(
    contribution: Contribution, objection: ObjectionState | None, state: Discussion, following: Next
) -> Weighed:
    if objection is not None:
        return _weigh_objection(objection)
    decision: Decision = "noted"
    reason = ""
    if contribution.query_type == "no_objection":
        decision = "no_objection"
    elif contribution.query_type == "reviewing":
        decision = "reviewing"
    elif contribution.query_type == "suggestion":
        reason = "the next plan is made with it" if following == "revise" else NOT_TAKEN_UP
    elif contribution.query_type == "clarification_needed":
        decision = "answered" if contribution.msg_id in state.answered else "open"
        reason = "" if decision == "answered" else "nobody answered it within the window"
    return Weighed(
        msg_id=contribution.msg_id,
        digest=contribution.digest,
        node_id=contribution.node_id,
        query_type=contribution.query_type,
        decision=decision,
        reason=reason,
    )


def _weigh_objection(objection: ObjectionState) -> Weighed:
    decision: Decision = "not_followed" if objection.status == "restated" else objection.status
    return Weighed(
        msg_id=objection.msg_id,
        digest=objection.digest,
        node_id=objection.node_id,
        query_type="objection",
        decision=decision,
        reason=objection.resolution[:300],
    )


def awaited(state: Discussion) -> tuple[Contribution, ...]:
    """Return the questions that the present round waits for."""
    if not state.limits.await_answers:
        return ()
    return tuple(c for c in state.unanswered_questions() if c.round == state.round)


def may_close(state: Discussion, now: datetime) -> bool:
    """Return whether the present round may be closed now (§6.3).

    The window must be over; past it, only announced reviews that are still out are waited for, up to the extended
    deadline. Where the manifest allows it, a round closes early once at least one reviewer and all named ones
    answered without objection or open question. Where answers are awaited, an open question keeps the round open for
    as long as the discussion's TTL lasts.
    """
    plan = state.plan
    if plan is None or awaited(state):
        return False
    if now >= plan.deadline:
        return True
    said = state.said()
    answered = {c.node_id for c in said if c.query_type in FINAL_ANSWERS}
    if now >= plan.window_end:
        return {c.node_id for c in said if c.query_type == "reviewing"} <= answered
    return (
        state.limits.close_early
        and bool(answered)
        and set(plan.reviewers) <= answered
        and not any(c.query_type == "objection" for c in said)
        and not state.open_blocking
        and not state.unanswered_questions()
    )
