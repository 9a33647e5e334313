"""Chairing one discussion: ask the state machine what is next, do it, until it has ended (architecture §6)."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
import trio

from bzzz_agent.claimant import ending, helping, planning, reporting, working
from bzzz_agent.claimant.case import Case, StoppedError
from bzzz_agent.execution import PlanFailedError
from bzzz_agent.journal import StaleWordError
from hmmm.discussion import (
    AskForHelp,
    ChooseHelper,
    CloseRound,
    CloseTalk,
    Decision,
    Discussion,
    Done,
    Escalate,
    Execute,
    GetHelp,
    GiveUp,
    ObjectionState,
    Phase,
    Propose,
    Report,
    Revise,
    TrySuggestion,
    Wait,
    decide,
)
from hmmm.meta import RoundClosed

log = structlog.get_logger("bzzz.agent.chair")

AGAIN_S = 0.05
"""Pause before deciding again, so that a disagreement with the fold cannot spin."""


async def chair(case: Case) -> None:
    """Lead the discussion to its end: a pull request.

    Raises StoppedError for every other end, ExecutionError, GitHubError, ClaimLostError.
    """
    while True:
        state = case.state
        decision = decide(state, case.tools.now())
        if isinstance(decision, Done):
            return
        if state.phase is not Phase.ESCALATED and case.claim.record.state == "parked":
            case.claim = await case.repo.resume(
                case.claim
            )  # a revision or a late answer: it is worked on again
        try:
            await _do(case, state, decision)
        except StaleWordError as stale:
            log.info("decides again", issue=str(case.issue), reason=str(stale))
            await trio.sleep(AGAIN_S)


async def _do(case: Case, state: Discussion, decision: Decision) -> None:
    match decision:
        case Propose():
            await planning.propose(case)
        case CloseRound(account=account):
            await _close_round(case, account)
        case Revise(objections=objections, verdict_text=text):
            await _revise(case, objections, text)
        case Execute():
            await _execute(case, state)
        case AskForHelp() | ChooseHelper() | TrySuggestion() | CloseTalk():
            await _get_help(case, decision)
        case Report():
            await reporting.report(case)
        case Escalate(reason=reason):
            await ending.escalate(case, reason)
        case GiveUp(reason=reason):
            abandoned = state.verdict == "abandon"
            raise StoppedError("abandoned" if abandoned else "released", reason, failed=not abandoned)
        case Wait(until=until):
            if state.phase is Phase.ESCALATED and case.claim.record.state != "parked":
                await ending.show_escalation(case)
            await _wait(case, state, until)
        case Done():
            pass


async def _revise(case: Case, objections: tuple[ObjectionState, ...], verdict_text: str) -> None:
    """Make the next plan; where none can be made that meets the objections, that is a human's question (§6.3)."""
    try:
        await planning.revise(case, objections, verdict_text)
    except PlanFailedError as error:
        await ending.escalate(case, f"no plan meets the objections: {error}")


async def _close_round(case: Case, account: RoundClosed) -> None:
    case.tools.metrics.rounds.labels(account.next).inc()
    heard = len({w.node_id for w in account.weighed})
    text = f"Round {account.round} is closed: {heard} spoke, {len(account.silent)} stayed silent; {account.next}."
    await case.tools.voice.chair(case.issue, text, account)


async def _execute(case: Case, state: Discussion) -> None:
    if state.phase is not Phase.EXECUTING:
        if state.phase is Phase.ESCALATED:
            case.claim = await case.repo.resume(case.claim)
        await working.start(case)
        return
    await working.work(case)


async def _get_help(case: Case, decision: GetHelp) -> None:
    match decision:
        case AskForHelp():
            await helping.ask(case)
        case ChooseHelper(offer=offer):
            await helping.choose(case, offer)
        case TrySuggestion(suggested=suggested):
            await working.try_suggestion(case, suggested)
        case CloseTalk(helper=helper, outcome=outcome, reason=reason):
            await helping.close(case, helper, outcome, reason)


async def _wait(case: Case, state: Discussion, until: datetime | None) -> None:
    deadline = until
    if state.phase is Phase.ESCALATED and state.phase_since is not None:
        deadline = state.phase_since + timedelta(seconds=ending.timeout_s(case))
        if case.tools.now() >= deadline:
            raise StoppedError("needs_human", f"no human answered in time: {state.reason}", failed=False)
    await case.tools.journal.wait_change(case.issue, state, deadline)
