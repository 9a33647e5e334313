"""Keeping an execution within its limits: time, tokens, money."""

from __future__ import annotations

from bzzz_agent.execution.errors import CommandFailedError, LimitExceededError
from bzzz_agent.execution.runner_client import RunResult
from bzzz_agent.reasoning.usage import Tally, Usage


class Meter(Tally):
    """What one issue's planning and execution have used of the model, against what they may."""

    def spend(self, usage: Usage) -> None:
        """Add a use. Raises LimitExceededError when it was too much."""
        self.used += usage
        problem = self.budget.exceeded_by(self.used)
        if problem is not None:
            raise LimitExceededError("model_budget", f"the model's limit is reached: {problem}; stopped")


def expect_success(result: RunResult, what: str, timeout_s: float) -> RunResult:
    """Return a command's result if it ended by itself, with 0.

    Raises LimitExceededError when its time was over, CommandFailedError for any other end.
    """
    if result.exit == "timeout":
        raise LimitExceededError(
            "time", f"{what}: expected an end within {timeout_s:.0f} s (execution.timeout); stopped"
        )
    if not result.ok:
        raise CommandFailedError(
            "command_failed",
            f"{what}: expected exit code 0, came {result.exit}: {result.tail[-1500:].strip()}",
        )
    return result
