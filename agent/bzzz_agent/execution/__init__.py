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
from bzzz_agent.execution.task import Executed, Feedback, FeedbackItem, OnProgress, Task, TestOutcome

__all__ = [
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
    "Task",
    "TestOutcome",
]
