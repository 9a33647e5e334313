"""Changing code: execute the agreed plan, run the repository's tests, commit (architecture §9).

A claimant is stuck when the execution fails, or when the tests fail that passed before it or that the plan names as
failing: then it asks for help (`helping`), and what a helper suggests is the next try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from bzzz_agent.claimant import helping
from bzzz_agent.claimant.case import Case, StoppedError
from bzzz_agent.claimant.excerpts import end_of, line_of
from bzzz_agent.execution import (
    Advice,
    CommandFailedError,
    Executed,
    ExecutionError,
    PatchRefusedError,
    TestOutcome,
)
from hmmm.discussion import Discussion, Suggested, Talk, may_go_on
from hmmm.meta import ExecutionFinished, ExecutionStarted, HelpTried, TestRun
from hmmm.patch_digest import patch_digest
from hmmm.plan import Plan

log = structlog.get_logger("bzzz.agent.work")

BEYOND_HELP: Final = frozenset({"model_unavailable"})
"""Failures that pass by themselves: the work is given back and tried again later."""
FAILED_BEFORE: Final = "The tests fail without this change as well."


@dataclass(frozen=True)
class Attempt:
    """What one try came to."""

    executed: Executed | None
    tests: TestOutcome | None
    problem: str = ""
    """What failed, in one line; empty when nothing did."""
    output: str = ""
    notes: str = ""

    @property
    def run(self) -> TestRun | None:
        """The tests as they are told."""
        tests = self.tests
        return (
            None
            if tests is None
            else TestRun(outcome=tests.outcome, exit_code=tests.exit_code, seconds=tests.seconds)
        )


async def start(case: Case) -> None:
    """Say that code is changed from here on."""
    plan = case.state.plan
    if plan is None:
        raise StoppedError("released", "there is no plan to execute", failed=True)
    await case.tools.voice.chair(case.issue, "", ExecutionStarted(plan_digest=plan.digest))


async def work(case: Case) -> None:
    """Execute, test and commit, or say what failed; the same plan on the same base makes the same commit, so a restart
    may repeat it.

    Raises ExecutionError and its kinds where no help may be asked for.
    """
    plan = case.state.plan
    if plan is None:
        raise StoppedError("released", "there is no plan to execute", failed=True)
    attempt = await _attempt(case, plan.plan, None)
    if not attempt.problem:
        await _commit(case, plan.digest, attempt, None)
        return
    failed = ExecutionFinished(
        plan_digest=plan.digest, ok=False, reason=attempt.problem, tests=attempt.run, output=attempt.output
    )
    await case.tools.voice.chair(case.issue, f"It failed: {attempt.problem}", failed)


async def try_suggestion(case: Case, suggested: Suggested) -> None:
    """Execute the plan once more, with what the helper suggests; commit, or tell the helper what failed now."""
    state = case.state
    talk = None if state.help is None else state.help.talk
    if state.plan is None or state.help is None or talk is None:
        return
    advice = Advice(
        claimant=state.claimant,
        helper=talk.helper,
        text=suggested.text,
        patch=suggested.patch,
        problem=_last_failure(state.help.problem, talk),
    )
    attempt = await _attempt(case, state.plan.plan, advice)
    if not attempt.problem:
        case.tools.metrics.help.labels("helped").inc()
        await _commit(case, state.plan.digest, attempt, suggested.msg_id, talk.helper)
        return
    text = end_of(f"{attempt.problem}\n\n{attempt.output}")
    parent = case.tools.journal.heard(case.issue, suggested.digest)
    if parent is None or not may_go_on(talk, state.limits):
        await helping.close(case, talk.helper, "not_helped", attempt.problem, text)
        return
    tried = HelpTried(
        plan_digest=state.plan.digest, request_id=state.help.msg_id, suggestion=suggested.msg_id
    )
    await case.tools.voice.chair(case.issue, text, tried, parent)


def _last_failure(problem: str, talk: Talk) -> str:
    results = [said.result for said in talk.suggestions if said.result]
    return results[-1] if results else problem


async def _attempt(case: Case, plan: Plan, advice: Advice | None) -> Attempt:
    """Execute and test. What a peer may be able to help with is the attempt's problem, all else is raised."""
    execution, task, asks = case.tools.execution, case.task, asks_for_help(case.state)
    try:
        executed = await execution.execute(task, plan, advice=advice)
    except (CommandFailedError, PatchRefusedError) as error:
        if not asks or error.reason in BEYOND_HELP:
            raise
        return Attempt(None, None, line_of(str(error)), end_of(str(error)))
    tests = await execution.test(task, executed)
    if tests.outcome not in {"failed", "timeout"} or not asks:
        return Attempt(executed, tests)
    if await _failed_before(case, plan):
        return Attempt(executed, tests, notes=FAILED_BEFORE)
    ended = (
        "did not end in time" if tests.outcome == "timeout" else f"failed with exit code {tests.exit_code}"
    )
    return Attempt(executed, tests, f"the repository's tests {ended}", end_of(tests.output_tail))


async def _failed_before(case: Case, plan: Plan) -> bool:
    """Whether the tests fail without the change as well, and the plan does not say that it mends them."""
    if plan.failing_test is not None:
        return False
    try:
        before = await case.tools.execution.test_base(case.task)
    except ExecutionError as error:
        log.warning("the tests were not run on the base", issue=str(case.issue), problem=str(error))
        return False
    return before.outcome in {"failed", "timeout"}


def asks_for_help(state: Discussion) -> bool:
    """Whether a failure is told to peers; a human who said proceed has decided about it."""
    return state.limits.asks_for_help and state.verdict != "proceed"


async def _commit(
    case: Case, plan_digest: str, attempt: Attempt, suggestion: str | None, helper: str | None = None
) -> None:
    executed = attempt.executed
    if executed is None or attempt.tests is None:
        return
    message = commit_message(case, executed, helper)
    head = await case.tools.execution.commit(case.task, executed, message, case.claimed_at)
    finished = ExecutionFinished(
        plan_digest=plan_digest,
        ok=True,
        head_sha=head,
        tree_sha=executed.tree_sha,
        patch_digest=patch_digest(executed.patch),
        tests=attempt.run,
        files=executed.files[:20],
        notes=_notes(case, attempt, executed, helper),
        suggestion=suggestion,
    )
    await case.tools.voice.chair(case.issue, f"Committed {head}; tests {attempt.tests.outcome}.", finished)


def _notes(case: Case, attempt: Attempt, executed: Executed, helper: str | None) -> str:
    """Return what a reader of the pull request must know of how the change was made."""
    notes = [executed.notes, attempt.notes]
    if helper is not None:
        notes.insert(0, f"It failed at first; a suggestion by {helper} was followed.")
    if executed.left_out:
        notes.append(
            f"Changes outside the agreed footprint were put back: {', '.join(executed.left_out[:20])}."
        )
    tokens = case.tools.execution.usage(case.task).tokens
    if tokens:
        notes.append(f"The model used {tokens} tokens.")
    return " ".join(note for note in notes if note)[:1000]


def commit_message(case: Case, executed: Executed, helper: str | None = None) -> str:
    """Return the commit's message: what was done, for which issue, by whom, with whose help."""
    plan = case.state.plan
    summary = case.facts.title if plan is None else plan.plan.summary
    subject = " ".join(summary.split())[:72] or f"Issue {case.issue.number}"
    files = "\n".join(f"- {path}" for path in executed.files[:50])
    trailers = f"Bzzz-Agent: {case.tools.settings.node_id}\nBzzz-Issue: {case.issue}"
    if helper is not None:
        trailers += f"\nBzzz-Helper: {helper}"
    return f"{subject}\n\nFor issue #{case.issue.number}.\n\n{files}\n\n{trailers}\n"
