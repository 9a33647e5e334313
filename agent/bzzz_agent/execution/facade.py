"""Everything that a claimant does with code: plan, execute, test, commit, push."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
import trio

from bzzz_agent.execution.again import once_more
from bzzz_agent.execution.builtin import Builtin
from bzzz_agent.execution.clone import Clone
from bzzz_agent.execution.command import CommandModel, make_repository, run_command, shown
from bzzz_agent.execution.errors import ExecutionError, LimitExceededError
from bzzz_agent.execution.git import Remote
from bzzz_agent.execution.helping import Helping
from bzzz_agent.execution.kept import keep, kept_file, recall
from bzzz_agent.execution.limits import Meter, expect_success
from bzzz_agent.execution.looking_up import FoundAnswer, look_up_answer
from bzzz_agent.execution.patch import PatchRules, tree_with
from bzzz_agent.execution.planning import Planning, plan_object
from bzzz_agent.execution.runner_client import Runner
from bzzz_agent.execution.settings import ExecutionSettings
from bzzz_agent.execution.task import (
    Advice,
    Executed,
    Feedback,
    OnProgress,
    Suggestion,
    Task,
    TestOutcome,
    Trouble,
)
from bzzz_agent.execution.testing import run_tests
from bzzz_agent.execution.workbench import checked_out
from bzzz_agent.reasoning.model import ReasoningModel
from bzzz_agent.reasoning.usage import Budget, Usage
from hmmm.claims import branch_of
from hmmm.plan import Plan

log = structlog.get_logger("bzzz.agent.execution")

GitToken = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class _Work:
    """How an executor described what it did."""

    output_tail: str
    notes: str


class Execution:
    """The agent's hands. What they leave in a workspace counts once it has passed the checks on git's tree."""

    def __init__(
        self,
        settings: ExecutionSettings,
        runner: Runner,
        model: ReasoningModel | None,
        git_token: GitToken | None = None,
        command_model: CommandModel | None = None,
    ) -> None:
        self._settings, self._runner, self._model, self._git_token = settings, runner, model, git_token
        self._command_model = command_model
        self._rules = PatchRules(
            settings.patch_bytes, settings.max_files, settings.protected_paths, settings.outside_footprint
        )
        self._clones: dict[str, Clone] = {}
        self._meters: dict[tuple[str, int, int], Meter] = {}
        self._preparing = trio.Lock()

    async def plan(
        self, task: Task, feedback: Feedback | None = None, on_progress: OnProgress | None = None
    ) -> Plan:
        """Make the first plan, or one that meets the feedback. Raises ExecutionError."""
        clone = await self._clone_with(task)
        planning = Planning(
            self._settings, clone, self._runner, self._rules, self._model, self._command_model
        )
        return await once_more(lambda: planning.plan(task, feedback, self._meter(task), on_progress))

    async def look_up(self, task: Task, question: str) -> FoundAnswer | None:
        """Return what issue or repository answer to a question; None where they do not, or no model can tell.

        Raises ExecutionError.
        """
        if self._model is None or self._model.settings.small:
            return None
        clone = await self._clone_with(task)
        return await look_up_answer(self._model, clone, task, question, self._meter(task))

    @property
    def can_help(self) -> bool:
        """Whether there is anything to help a peer with: a command for it, or a model that can judge."""
        return bool(self._settings.help_command) or (
            self._model is not None and not self._model.settings.small
        )

    async def suggest(self, task: Task, plan: Plan, trouble: Trouble) -> Suggestion | None:
        """Return what would get a stuck peer's work further; None where nothing is found. Raises ExecutionError."""
        clone = await self._clone_with(task)
        helping = Helping(self._settings, clone, self._runner, self._rules, self._model, self._command_model)
        return await once_more(lambda: helping.suggest(task, plan, trouble, self._meter(task)))

    async def execute(
        self,
        task: Task,
        plan: Plan,
        on_progress: OnProgress | None = None,
        advice: Advice | None = None,
    ) -> Executed:
        """Carry an agreed plan out and return the change, checked; the same plan is not carried out twice with the
        same advice.

        Raises ExecutionError; PatchRefusedError says what of the result, or of the advice's patch, may not be
        committed, and why.
        """
        return await once_more(lambda: self._execute(task, plan, on_progress, advice))

    async def _execute(
        self, task: Task, plan: Plan, on_progress: OnProgress | None, advice: Advice | None
    ) -> Executed:
        clone = await self._clone_with(task)
        kept = kept_file(self._settings.state_dir, task, plan, advice)
        known = await recall(clone, kept, self._settings.patch_bytes)
        if known is not None:
            return known
        meter, started = self._meter(task), trio.current_time()
        tree = task.base_sha
        if advice is not None and advice.patch is not None:
            tree = await tree_with(clone, tree, advice.patch.encode(), plan, self._rules)
        async with checked_out(clone, self._runner, tree, task.base_sha) as checkout:
            await make_repository(self._runner)
            work = await self._work(task, plan, meter, on_progress, advice)
            patch = await checkout.collect(plan, self._rules)
        executed = Executed(
            patch=patch.diff,
            tree_sha=patch.tree,
            files=patch.files,
            left_out=patch.reverted,
            usage=meter.used,
            seconds=trio.current_time() - started,
            output_tail=work.output_tail,
            notes=work.notes,
        )
        log.info(
            "executed",
            issue=f"{task.repository}#{task.number}",
            files=len(patch.files),
            bytes=len(patch.diff),
        )
        await trio.to_thread.run_sync(keep, kept, task.base_sha, executed)
        return executed

    async def _work(
        self,
        task: Task,
        plan: Plan,
        meter: Meter,
        on_progress: OnProgress | None,
        advice: Advice | None,
    ) -> _Work:
        settings, feedback = self._settings, None if advice is None else advice.feedback
        if settings.type == "command":
            result = await run_command(
                self._runner,
                settings.command,
                task,
                plan_object(plan, feedback),
                timeout_s=settings.timeout_s,
                on_progress=on_progress,
                model=self._command_model,
                meter=meter,
            )
            expect_success(result, shown(settings.command), settings.timeout_s)
            return _Work(result.tail, f"Made by the command {shown(settings.command)}.")
        if self._model is None:
            raise ExecutionError(
                "no_model", "execution.type builtin needs spec.model; set it, or use a command"
            )
        builtin = Builtin(
            self._runner, self._model, task, plan, meter, settings.timeout_s, on_progress, feedback
        )
        try:
            with trio.fail_after(settings.timeout_s):
                done = await builtin.execute()
        except trio.TooSlowError as error:
            raise LimitExceededError(
                "time",
                f"builtin: expected an end within {settings.timeout_s:.0f} s (execution.timeout); stopped",
            ) from error
        return _Work(done.said, done.notes)

    async def test(self, task: Task, executed: Executed) -> TestOutcome:
        """Run the repository's test command on what was executed. Raises ExecutionError where it cannot be run."""
        return await self._test(task, executed.tree_sha)

    async def test_base(self, task: Task) -> TestOutcome:
        """Run it on what was there before. Raises ExecutionError where it cannot be run."""
        return await self._test(task, task.base_sha)

    async def _test(self, task: Task, tree: str) -> TestOutcome:
        clone = await self._clone_with(task)
        settings = self._settings
        outcome = await once_more(
            lambda: run_tests(clone, self._runner, tree, settings.test, settings.timeout_s)
        )
        log.info(
            "tested",
            issue=f"{task.repository}#{task.number}",
            tree=tree,
            outcome=outcome.outcome,
            seconds=outcome.seconds,
        )
        return outcome

    async def commit(self, task: Task, executed: Executed, message: str, at: datetime) -> str:
        """Commit the change on the task's base, dated `at`, and return the commit: the same change, message and moment
        make the same one, so that a restarted agent makes no second."""
        clone = await self._clone_with(task)
        return await clone.commit(executed.tree_sha, task.base_sha, message, at, self._settings.author)

    async def push(self, task: Task, head_sha: str, expected_old: str | None) -> None:
        """Move the issue's branch on the remote from where it is expected (None: nowhere) to a commit.

        Raises PushRefusedError when it is elsewhere, GitError.
        """
        clone = await self._clone_with(task)
        await clone.push(await self._remote(task), head_sha, branch_of(task.number), expected_old)

    def usage(self, task: Task) -> Usage:
        """Return what this life of the agent has used of its model for an issue's claim."""
        return self._meter(task).used

    def _meter(self, task: Task) -> Meter:
        key = (task.repository, task.number, task.epoch)
        return self._meters.setdefault(key, Meter(Budget(self._settings.tokens, self._settings.usd)))

    async def _remote(self, task: Task) -> Remote:
        return Remote(task.clone_url, await self._git_token() if self._git_token is not None else None)

    async def _clone_with(self, task: Task) -> Clone:
        """Return the repository's clone, with the task's base in it."""
        async with self._preparing:
            clone = self._clones.get(task.repository)
            if clone is None:
                clone = Clone(
                    self._settings.state_dir / "clones" / task.repository.replace("/", "__").lower()
                )
                await clone.prepare()
                await self._warn_without_isolation()
                self._clones[task.repository] = clone
            await clone.fetch(await self._remote(task), task.base_sha)
        return clone

    async def _warn_without_isolation(self) -> None:
        health = await self._runner.health()
        if health.isolation == "none":
            log.error("commands run WITHOUT ISOLATION: they can read and change all that this user can")
        else:
            log.info("commands are isolated", by=health.isolation)
