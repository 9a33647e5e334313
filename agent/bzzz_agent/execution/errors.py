"""What can go wrong between a plan and a commit. The claimant states each on the issue, word for word."""

from __future__ import annotations

from hmmm.errors import BzzzError


class ExecutionError(BzzzError):
    """Root: the execution of an issue cannot go on. `reason` is a constant word, good as a metric's label."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PlanFailedError(ExecutionError):
    """No plan could be made: nothing to do, or the source of plans failed or talked nonsense."""


class CommandFailedError(ExecutionError):
    """The command ended with a failure."""


class PatchRefusedError(ExecutionError):
    """What the execution left may not become a commit; the text names the path."""


class LimitExceededError(ExecutionError):
    """Time, tokens or money are spent; the work was stopped."""


class GitError(ExecutionError):
    """git failed in the agent's own clone or at the remote. `output` is all that it said, for classification only."""

    def __init__(self, reason: str, message: str, output: str = "") -> None:
        super().__init__(reason, message)
        self.output = output


class PushRefusedError(GitError):
    """The remote's branch is not where it was expected: somebody else pushed."""


class RunnerUnavailableError(ExecutionError):
    """The runner does not answer."""


class RunnerRefusedError(ExecutionError):
    """The runner answered with an error; `reason` is its code in lower case."""
