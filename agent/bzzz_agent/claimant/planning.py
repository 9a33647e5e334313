"""Making the plan, announcing the reviewers, revising (architecture §6.1, §6.3)."""

from __future__ import annotations

from dataclasses import replace

import structlog

from bzzz_agent.claimant.case import Case, StoppedError
from bzzz_agent.execution import Feedback, FeedbackItem, PlanFailedError
from bzzz_agent.hive import LivePlan
from bzzz_agent.ids import new_id
from bzzz_agent.review.paths import touches
from bzzz_agent.review.rules import SOLVED
from hmmm.discussion import ObjectionState
from hmmm.messages import MetaMessage, PlanFootprint, TaskClaimed, issue_topic
from hmmm.meta import MetObjection, Objection, PlanProposed, PlanRevised, Suggestion
from hmmm.plan import Plan
from hmmm.ranking import choose_reviewers

log = structlog.get_logger("bzzz.agent.plan")

MAX_NOTES = 4000
PRESENCE_S = 5.0
"""How long a claimant waits for its reviewers on the topic before it speaks (architecture §6.1)."""


async def propose(case: Case) -> None:
    """Make the first plan, name reviewers, wait for them to arrive, and publish it."""
    plan = await _plan(case, _around_others(case))
    _check_overlap(case, plan)
    reviewers = await announce(case)
    limits = case.tools.settings.limits
    parameters = PlanProposed(
        plan=plan, plan_id=new_id(), round=1, window_s=limits.window_s, reviewers=reviewers, limits=limits
    )
    signed = await case.tools.voice.chair(case.issue, plan.summary, parameters)
    await footprint(case, plan, signed.digest)


async def _plan(case: Case, feedback: Feedback | None) -> Plan:
    """Plan with what was said before about the same files; the plan's notes say where that stands."""
    task, state = case.task, case.tools.journal.discussions.get(case.issue)
    planned = state.plan.plan.footprint if state is not None and state.plan is not None else ()
    earlier = case.tools.memory.find(case.issue, f"{task.title}\n{task.body}", planned)
    plan = await case.tools.execution.plan(replace(task, earlier=earlier), feedback)
    if not earlier:
        return plan
    log.info(
        "plans with earlier discussions", issue=str(case.issue), references=[p.reference for p in earlier]
    )
    cited = "\n".join(f"- {p.reference} ({p.issue.repository}#{p.issue.number})" for p in earlier)
    notes = f"{plan.notes}\n\nEarlier discussions on the same files, given to the planner:\n{cited}".strip()
    return plan.model_copy(update={"notes": notes}) if len(notes) <= MAX_NOTES else plan


async def revise(case: Case, objections: tuple[ObjectionState, ...], verdict_text: str) -> None:
    """Make a plan that meets the objections (and a human's words) and open the next round with it."""
    state = case.state
    if state.plan is None:
        raise StoppedError("released", "there is no plan to revise", failed=True)
    await _check_solved(case, objections)
    feedback = _feedback(case, objections, verdict_text)
    plan = await _plan(case, feedback)
    if objections:
        _check_new(case, plan)
    meets = tuple(MetObjection(msg_id=o.msg_id, how=_how(plan, o, state.plan.plan)) for o in objections)
    parameters = PlanRevised(
        plan=plan,
        plan_id=new_id(),
        round=state.round + 1,
        window_s=state.limits.window_s,
        reviewers=state.plan.reviewers,
        limits=state.limits,
        supersedes=state.plan.msg_id,
        meets=meets,
    )
    signed = await case.tools.voice.chair(case.issue, plan.summary, parameters)
    await footprint(case, plan, signed.digest)


async def announce(case: Case) -> tuple[str, ...]:
    """Name the reviewers on `bzzz` and wait until they listen on the issue's topic, at most five seconds."""
    tools, issue = case.tools, case.issue
    names = choose_reviewers(
        tools.hive.reviewers(issue.repository),
        tools.settings.node_id,
        issue,
        tools.settings.limits.reviewers,
    )
    claimed = TaskClaimed(
        **tools.voice.issue_header(issue), plan_id=new_id(), reviewers=names, claim_sha=case.claim.sha
    )
    await tools.voice.announce(claimed, issue)
    await gather(case, frozenset(names))
    return names


async def gather(case: Case, names: frozenset[str]) -> None:
    """Wait until these nodes listen on the issue's topic, at most five seconds (architecture §6.1)."""
    tools, issue = case.tools, case.issue
    peers = [c.peer_id for c in tools.inbox.roster.members(tools.now()) if c.node_id in names]
    there = await tools.mesh.wait_for_members(issue_topic(issue.number), peers, PRESENCE_S)
    if len(there) < len(names):
        log.info("not everybody is here", issue=str(issue), named=sorted(names), present=len(there))


async def footprint(case: Case, plan: Plan, digest: str) -> None:
    """Tell the hive which files this claim is about to change."""
    message = PlanFootprint(
        **case.tools.voice.issue_header(case.issue),
        plan_digest=digest,
        footprint=plan.footprint,
        claimed_at=case.claimed_at,
    )
    await case.tools.voice.announce(message, case.issue)


def earlier_plans(case: Case) -> tuple[LivePlan, ...]:
    """Return the live plans of other issues that were claimed before this one."""
    mine = (case.claimed_at, case.issue.number)
    others = case.tools.hive.other_plans(case.issue.repository, case.issue.number)
    return tuple(p for p in others if (p.claimed_at, p.issue.number) < mine)


def _around_others(case: Case) -> Feedback | None:
    """The files that earlier claims are changing: the first plan already keeps out of them where it can."""
    items = tuple(
        FeedbackItem(
            node_id=p.node_id,
            kind="footprint_overlap",
            text=f"{p.issue} is changing these files",
            paths=p.footprint,
        )
        for p in earlier_plans(case)
    )
    return Feedback(items=items, previous=None) if items else None


def _check_overlap(case: Case, plan: Plan) -> None:
    """Wait for an earlier claim rather than run into it: nothing is left to do without its files."""
    for other in earlier_plans(case):
        if plan.footprint and all(any(touches(p, t) for t in other.footprint) for p in plan.footprint):
            raise StoppedError(
                "released",
                f"waits for {other.issue}: {other.node_id} is changing the same files",
                failed=False,
            )


def _check_new(case: Case, plan: Plan) -> None:
    """Refuse a plan that was objected to before: objections that lead back to it contradict each other.

    Raises PlanFailedError; a human decides then, before the rounds are used up.
    """
    for signed in case.tools.journal.sent(case.issue):
        message = signed.message
        earlier = message.parameters if isinstance(message, MetaMessage) else None
        if isinstance(earlier, PlanProposed) and _substance(earlier.plan) == _substance(plan):
            raise PlanFailedError(
                "contradiction", f"the next one would be that of round {earlier.round}, which was objected to"
            )


def _substance(plan: Plan) -> tuple[object, ...]:
    """Return what a plan would do, whatever words it is put in."""
    return (frozenset(plan.footprint), plan.steps, plan.tests, plan.failing_test, frozenset(plan.requires))


async def _check_solved(case: Case, objections: tuple[ObjectionState, ...]) -> None:
    """Give the issue back where a reviewer says, and GitHub does, that somebody else's pull request closes it."""
    if not any(objection.rule == SOLVED for objection in objections):
        return
    found = await case.repo.solved_by(case.issue.number)
    if found is not None:
        raise StoppedError("released", f"pull request #{found.number} closes it already", failed=False)


def _feedback(case: Case, objections: tuple[ObjectionState, ...], verdict_text: str) -> Feedback:
    state = case.state
    items: list[FeedbackItem] = []
    wanted = {o.msg_id for o in objections}
    for contribution in state.contributions:
        parameters = contribution.parameters
        if isinstance(parameters, Objection) and contribution.msg_id in wanted:
            kind = parameters.rule or "objection"
            items.append(
                FeedbackItem(
                    node_id=contribution.node_id, kind=kind, text=parameters.reason, paths=parameters.paths
                )
            )
        elif isinstance(parameters, Suggestion) and contribution.round == state.round:
            items.append(
                FeedbackItem(
                    node_id=contribution.node_id,
                    kind="suggestion",
                    text=contribution.text,
                    paths=parameters.paths,
                )
            )
    items += [
        FeedbackItem(
            node_id=given.parameters.author or given.node_id,
            kind="answer",
            text=f"{given.question.text[:1500]} — {given.text}",
        )
        for given in state.answers
        if given.is_news
    ]
    if verdict_text:
        items.append(FeedbackItem(node_id="human", kind="verdict", text=verdict_text, paths=()))
    return Feedback(items=tuple(items), previous=None if state.plan is None else state.plan.plan)


def _how(plan: Plan, objection: ObjectionState, before: Plan) -> str:
    dropped = sorted(set(before.footprint) - set(plan.footprint))
    if dropped:
        return f"leaves out {', '.join(dropped)}"[:300]
    if plan.tests != before.tests:
        return f"names the tests {', '.join(plan.tests)}"[:300]
    return (
        f"revised: {plan.summary}"[:300]
        if plan != before
        else f"no change was found that meets: {objection.reason}"[:300]
    )
