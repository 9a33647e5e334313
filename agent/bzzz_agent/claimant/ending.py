"""Ends that are not a pull request: give the issue back with the reason said everywhere, or ask a human."""

from __future__ import annotations

from datetime import timedelta

import structlog

from bzzz_agent.claimant.case import Case, StoppedError, Tools
from bzzz_agent.github.claims import ClaimLostError
from bzzz_agent.github.text import harmless
from hmmm.identity import IssueIdentity
from hmmm.messages import ESCALATION_TOPIC, Escalation, TaskReleased
from hmmm.meta import DiscussionClosed
from hmmm.records import Released

log = structlog.get_logger("bzzz.agent.end")

FINAL = frozenset({"abandoned", "needs_human"})
"""Outcomes after which the hive leaves the issue alone until a human edits it."""


async def give_back(case: Case, stop: StoppedError) -> None:
    """Close the discussion, comment, release the claim, tell the hive. Safe to repeat after a kill."""
    tools, issue = case.tools, case.issue
    log.info(
        "issue is given back", issue=str(issue), outcome=stop.outcome, reason=stop.reason, failed=stop.failed
    )
    if not case.state.ended:
        closed = DiscussionClosed(outcome=stop.outcome, reason=stop.reason[:300], failed=stop.failed)
        await tools.voice.chair(issue, stop.reason[:4000], closed)
    try:
        if stop.outcome != "taken_over":
            await case.repo.comment(issue.number, f"released-{issue.epoch}", _comment(case, stop))
            if stop.outcome in FINAL:
                case.claim = await case.repo.done(case.claim, stop.reason[:300])
            else:
                case.claim = await case.repo.release(case.claim, stop.reason[:300], failed=stop.failed)
    except ClaimLostError as lost:
        log.warning("claim was lost before it could be given back", issue=str(issue), reason=str(lost))
    released = TaskReleased(**tools.voice.issue_header(issue), reason=stop.reason[:300])
    await tools.voice.announce(released, issue)
    await tools.journal.note(Released(outcome=stop.outcome, reason=stop.reason[:300]), issue)
    tools.metrics.outcomes.labels(stop.outcome).inc()


async def close_lost(tools: Tools, issue: IssueIdentity, reason: str) -> None:
    """Close a discussion whose claim went elsewhere while this agent was away; the issue itself is not touched."""
    if not tools.journal.discussions[issue].ended:
        await tools.voice.chair(issue, reason, DiscussionClosed(outcome="taken_over", reason=reason[:300]))
    await tools.journal.note(Released(outcome="taken_over", reason=reason[:300]), issue)
    tools.metrics.outcomes.labels("taken_over").inc()


async def escalate(case: Case, reason: str) -> None:
    """Ask a human: on the mesh, on the issue, with the claim parked until the manifest's time-out."""
    tools, issue = case.tools, case.issue
    log.info("a human is asked", issue=str(issue), reason=reason)
    plan = case.state.plan
    message = Escalation(
        **tools.voice.issue_header(issue),
        reason=reason[:300],
        text=_case_for_a_human(case),
        plan_digest=None if plan is None else plan.digest,
    )
    signed = await tools.journal.say(ESCALATION_TOPIC, message, issue)
    await tools.mesh.publish(ESCALATION_TOPIC, signed.envelope.raw)


async def show_escalation(case: Case) -> None:
    """Park the claim and say on the issue what a human is asked. Safe to repeat after a kill."""
    issue = case.issue
    since = case.state.phase_since or case.tools.now()
    until = since + timedelta(seconds=timeout_s(case))  # the same however often this is repeated
    text = (
        f"This needs a human's decision: {harmless(case.state.reason)}\n\n{harmless(_case_for_a_human(case))}"
    )
    await case.repo.comment(issue.number, f"escalated-{issue.epoch}-{case.state.round}", text)
    case.claim = await case.repo.park(case.claim, until, f"escalated: {case.state.reason}")


def timeout_s(case: Case) -> float:
    """How long a human has to answer, in seconds."""
    return case.tools.settings.spec.escalation.timeout.total_seconds()


def _case_for_a_human(case: Case) -> str:
    state = case.state
    lines = [] if state.plan is None else [f"Plan of round {state.round}: {state.plan.plan.summary}"]
    lines += [f"Open objection by {o.node_id}: {o.reason}" for o in state.open_blocking]
    if state.execution is not None and not state.execution.ok:
        lines.append(f"What failed: {state.execution.reason}\n{state.execution.output[-1500:]}")
    for talk in (talk for help_ in state.helps for talk in help_.talks):
        lines.append(f"Help by {talk.helper}: {talk.outcome.replace('_', ' ')} {talk.reason}".rstrip())
    return "\n".join(lines)[:4000]


def _comment(case: Case, stop: StoppedError) -> str:
    where = f"log `{case.tools.journal.owner.node_id}`, epoch {case.issue.epoch}"
    return f"Released by {case.tools.settings.node_id}: {harmless(stop.reason)}\n\n({where})"
