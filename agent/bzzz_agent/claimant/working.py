"""Changing code: execute the agreed plan, run the repository's tests, commit (architecture §9)."""

from __future__ import annotations

import structlog

from bzzz_agent.claimant.case import Case, StoppedError
from bzzz_agent.execution import Executed
from hmmm.meta import ExecutionFinished, ExecutionStarted, TestRun
from hmmm.patch_digest import patch_digest

log = structlog.get_logger("bzzz.agent.work")


async def start(case: Case) -> None:
    """Say that code is changed from here on."""
    plan = case.state.plan
    if plan is None:
        raise StoppedError("released", "there is no plan to execute", failed=True)
    await case.tools.voice.chair(case.issue, "", ExecutionStarted(plan_digest=plan.digest))


async def work(case: Case) -> None:
    """Execute, test and commit; the same plan on the same base makes the same commit, so a restart may repeat it.

    Raises ExecutionError and its kinds.
    """
    plan = case.state.plan
    if plan is None:
        raise StoppedError("released", "there is no plan to execute", failed=True)
    execution, task = case.tools.execution, case.task
    executed = await execution.execute(task, plan.plan)
    if not executed.patch:
        raise StoppedError("released", "the execution changed nothing", failed=True)
    tests = await execution.test(task, executed)
    head = await execution.commit(task, executed, commit_message(case, executed), case.claimed_at)
    finished = ExecutionFinished(
        plan_digest=plan.digest,
        ok=True,
        head_sha=head,
        tree_sha=executed.tree_sha,
        patch_digest=patch_digest(executed.patch),
        tests=TestRun(outcome=tests.outcome, exit_code=tests.exit_code, seconds=tests.seconds),
        files=executed.files[:20],
        notes=_notes(case, executed),
    )
    await case.tools.voice.chair(case.issue, f"Committed {head}; tests {tests.outcome}.", finished)


def _notes(case: Case, executed: Executed) -> str:
    """Return what a reader of the pull request must know of how the change was made."""
    notes = [executed.notes]
    if executed.left_out:
        notes.append(
            f"Changes outside the agreed footprint were put back: {', '.join(executed.left_out[:20])}."
        )
    tokens = case.tools.execution.usage(case.task).tokens
    if tokens:
        notes.append(f"The model used {tokens} tokens.")
    return " ".join(note for note in notes if note)[:1000]


def commit_message(case: Case, executed: Executed) -> str:
    """Return the commit's message: what was done, for which issue, by whom."""
    plan = case.state.plan
    summary = case.facts.title if plan is None else plan.plan.summary
    subject = " ".join(summary.split())[:72] or f"Issue {case.issue.number}"
    files = "\n".join(f"- {path}" for path in executed.files[:50])
    trailers = f"Bzzz-Agent: {case.tools.settings.node_id}\nBzzz-Issue: {case.issue}"
    return f"{subject}\n\nFor issue #{case.issue.number}.\n\n{files}\n\n{trailers}\n"
