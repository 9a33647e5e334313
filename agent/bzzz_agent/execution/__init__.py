"""From an agreed plan to a commit: workspace, checks, tests (architecture §9)."""

from __future__ import annotations

from bzzz_agent.execution.errors import (
    CommandFailedError,
    ExecutionError,
    GitError,
    LimitExceededError,
    PatchRefusedError,
    PlanFailedError,
    PushRefusedError,
    RunnerRefusedError,
    RunnerUnavailableError,
)
from bzzz_agent.execution.facade import Execution
from bzzz_agent.execution.runner_client import Runner
from bzzz_agent.execution.settings import ExecutionSettings
from bzzz_agent.execution.task import (
    Advice,
    Executed,
    Feedback,
    FeedbackItem,
    OnProgress,
    Suggestion,
    Task,
    TestOutcome,
    Trouble,
)

__all__ = [
    "Advice",
    "CommandFailedError",
    "Executed",
    "Execution",
    "ExecutionError",
    "ExecutionSettings",
    "Feedback",
    "FeedbackItem",
    "GitError",
    "LimitExceededError",
    "OnProgress",
    "PatchRefusedError",
    "PlanFailedError",
    "PushRefusedError",
    "Runner",
    "RunnerRefusedError",
    "RunnerUnavailableError",
    "Suggestion",
    "Task",
    "TestOutcome",
    "Trouble",
]
