"""Where plans come from: the model, a command, or a dry run (architecture §9)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from bzzz_agent.execution.clone import SYMLINK, Clone
from bzzz_agent.execution.command import CommandModel, make_repository, run_command, shown
from bzzz_agent.execution.errors import PatchRefusedError, PlanFailedError
from bzzz_agent.execution.limits import Meter, expect_success
from bzzz_agent.execution.patch import PatchRules
from bzzz_agent.execution.runner_client import Runner
from bzzz_agent.execution.settings import ExecutionSettings
from bzzz_agent.execution.task import Feedback, OnProgress, Task
from bzzz_agent.execution.workbench import checked_out
from bzzz_agent.reasoning.errors import BudgetSpentError, ReasoningError
from bzzz_agent.reasoning.model import ReasoningModel
from bzzz_agent.reasoning.planner import Question, make_plan, named_paths
from bzzz_agent.review.failing_tests import failing_tests
from bzzz_agent.review.paths import matches
from hmmm.errors import MalformedError
from hmmm.plan import MAX_FOOTPRINT, Plan

MAX_PLAN_JSON: Final = 64 * 1024
MAX_SHOWN_FILES: Final = 3
MAX_SHOWN_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Planning:
    """Everything that a plan is made with."""

    settings: ExecutionSettings
    clone: Clone
    runner: Runner
    rules: PatchRules
    model: ReasoningModel | None
    command_model: CommandModel | None = None

    async def plan(
        self, task: Task, feedback: Feedback | None, meter: Meter, on_progress: OnProgress | None
    ) -> Plan:
        """Make a plan, or one that meets what was said about the last. Raises ExecutionError."""
        match self.settings.plan:
            case "model":
                plan = await self._by_model(task, feedback, meter)
            case "command":
                plan = await self._by_command(task, feedback, meter, on_progress)
            case "dryRun":
                plan = await self._by_dry_run(task, feedback, meter, on_progress)
        return self._finished(plan, feedback)

    def _finished(self, plan: Plan, feedback: Feedback | None) -> Plan:
        """Hold the plan to what was said: excluded files leave the footprint, whoever made the plan."""
        excluded = feedback.excluded if feedback else ()
        left = tuple(path for path in plan.footprint if not any(matches(path, glob) for glob in excluded))
        if not left:
            why = f"nothing is left without {', '.join(excluded)}" if excluded else "it names no file"
            raise PlanFailedError("nothing_to_do", f"the plan: expected files to change; {why}")
        return plan.model_copy(update={"footprint": left, "tests": plan.tests or self._own_tests()})

    def _own_tests(self) -> tuple[str, ...]:
        return (shown(self.settings.test),) if self.settings.test else ()

    async def _by_command(
        self, task: Task, feedback: Feedback | None, meter: Meter, on_progress: OnProgress | None
    ) -> Plan:
        argv, timeout_s = self.settings.plan_command, self.settings.timeout_s
        async with checked_out(self.clone, self.runner, task.base_sha):
            result = await run_command(
                self.runner,
                argv,
                task,
                plan_object(None, feedback),
                timeout_s=timeout_s,
                on_progress=on_progress,
                model=self.command_model,
                meter=meter,
            )
        expect_success(result, f"planCommand {shown(argv)}", timeout_s)
        return plan_from_json(result.stdout)

    async def _by_dry_run(
        self, task: Task, feedback: Feedback | None, meter: Meter, on_progress: OnProgress | None
    ) -> Plan:
        argv, timeout_s = self.settings.command, self.settings.timeout_s
        async with checked_out(self.clone, self.runner, task.base_sha) as checkout:
            await make_repository(self.runner)
            result = await run_command(
                self.runner,
                argv,
                task,
                plan_object(None, feedback),
                timeout_s=timeout_s,
                on_progress=on_progress,
                model=self.command_model,
                meter=meter,
            )
            expect_success(result, f"dry run of {shown(argv)}", timeout_s)
            try:
                patch = await checkout.collect(None, self.rules)
            except PatchRefusedError as error:
                if error.reason != "empty":
                    raise
                raise PlanFailedError(
                    "nothing_to_do", f"dry run of {shown(argv)}: changed nothing"
                ) from error
        if len(patch.files) > MAX_FOOTPRINT:
            raise PlanFailedError(
                "too_many_files",
                f"dry run of {shown(argv)}: expected at most {MAX_FOOTPRINT} files, changed {len(patch.files)}",
            )
        excluded = feedback.excluded if feedback else ()
        left_alone = [path for path in patch.files if any(matches(path, glob) for glob in excluded)]
        steps = [f"Run {shown(argv)}"] + [
            f"Put {path} back as it was: a peer objected"[:300] for path in left_alone[:10]
        ]
        count = len(patch.files) - len(left_alone)
        named = failing_tests(f"{task.title}\n{task.body}")  # a tool does not read issues
        return Plan(
            summary=f"Run {shown(argv)}, which changes {count} file{'' if count == 1 else 's'}",
            steps=tuple(steps),
            footprint=patch.files,
            tests=(*self._own_tests(), *named[1:]) if named else (),
            failing_test=named[0] if named else None,
            notes=f"Planned by a dry run on {task.base_sha[:12]}; the patch has {len(patch.diff)} bytes.",
        )

    async def _by_model(self, task: Task, feedback: Feedback | None, meter: Meter) -> Plan:
        if self.model is None:
            raise PlanFailedError(
                "no_model", "plan: model needs spec.model; set it, or plan by command or dryRun"
            )
        question = await self._question(task, feedback)
        try:
            answered = await make_plan(self.model, question, meter.left)
        except BudgetSpentError as error:
            meter.spend(error.usage)
            raise PlanFailedError(error.reason, str(error)) from error
        except ReasoningError as error:
            meter.spend(error.usage)
            raise PlanFailedError(error.reason, f"no plan: {error}") from error
        meter.spend(answered.usage)
        return answered.value

    async def _question(self, task: Task, feedback: Feedback | None) -> Question:
        entries = {
            entry.path: entry for entry in await self.clone.entries(task.base_sha) if entry.mode != SYMLINK
        }
        paths = tuple(path for path in entries if path.isprintable())
        named = named_paths(f"{task.title}\n{task.body}", paths)[:MAX_SHOWN_FILES]
        sizes = await self.clone.sizes(entries[path].sha for path in named)
        shown_files = {
            path: (await self.clone.read(entries[path].sha)).decode(errors="replace")
            for path in named
            if sizes.get(entries[path].sha, 0) <= MAX_SHOWN_BYTES
        }
        return Question(
            title=task.title,
            body=task.body,
            paths=paths,
            shown=shown_files,
            feedback=tuple(f"{item.node_id} ({item.kind}): {item.text}" for item in feedback.items)
            if feedback
            else (),
            previous=feedback.previous if feedback else None,
            excluded=feedback.excluded if feedback else (),
            test_command=shown(self.settings.test) if self.settings.test else None,
            earlier=tuple(passage.line for passage in task.earlier),
        )


def plan_object(plan: Plan | None, feedback: Feedback | None) -> dict[str, Any]:
    """Return what a command finds in BZZZ_PLAN_FILE: the agreed plan, or the last one and what was said about it."""
    basis = plan or (feedback.previous if feedback else None)
    said: dict[str, Any] = feedback.to_object() if feedback else {"feedback": [], "excluded": []}
    return {**(basis.to_object() if basis else {}), **said}


def plan_from_json(printed: bytes) -> Plan:
    """Understand what a plan command printed: one JSON object with a plan's fields. Raises PlanFailedError."""
    if len(printed) > MAX_PLAN_JSON:
        raise PlanFailedError(
            "bad_plan", f"planCommand: expected at most {MAX_PLAN_JSON} bytes, came {len(printed)}"
        )
    try:
        plan = Plan.from_json(printed.strip(), limit=MAX_PLAN_JSON, what="planCommand's output")
    except MalformedError as error:
        raise PlanFailedError("bad_plan", f"expected a plan as JSON: {error}") from error
    known = json.loads(plan.to_json())
    return Plan.model_validate({name: known[name] for name in Plan.model_fields if name in known})
