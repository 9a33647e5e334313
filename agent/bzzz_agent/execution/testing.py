"""The repository's own tests, run on exactly what will be committed."""

from __future__ import annotations

from collections.abc import Sequence

from bzzz_agent.execution.clone import Clone
from bzzz_agent.execution.runner_client import Runner
from bzzz_agent.execution.task import TestOutcome
from bzzz_agent.execution.workbench import checked_out


async def run_tests(
    clone: Clone, runner: Runner, tree: str, argv: Sequence[str], timeout_s: float
) -> TestOutcome:
    """Run the test command on a fresh checkout of a tree: nothing that the execution left beside it can help or hurt.

    A failing test is an outcome, not an error: the pull request states it.
    """
    if not argv:
        return TestOutcome("not_configured")
    async with checked_out(clone, runner, tree):
        result = await runner.run(argv, timeout_s=timeout_s)
    if result.exit == "timeout":
        return TestOutcome("timeout", None, result.seconds, result.tail)
    code = result.exit if isinstance(result.exit, int) else None
    return TestOutcome("passed" if result.ok else "failed", code, result.seconds, result.tail)
