"""What a helper does with a peer's trouble: its help command, or its model, in a checkout of the claim's base.

A suggestion is words and perhaps a patch. The patch is what was left in the checkout, held to the helper's own rules
and cut to the plan's footprint; the claimant holds it to its own rules again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import structlog

from bzzz_agent.execution.clone import SYMLINK, Clone
from bzzz_agent.execution.command import CommandModel, make_repository, run_command, shown
from bzzz_agent.execution.errors import ExecutionError, PatchRefusedError
from bzzz_agent.execution.limits import Meter, expect_success
from bzzz_agent.execution.patch import PatchRules
from bzzz_agent.execution.planning import plan_object
from bzzz_agent.execution.runner_client import Runner
from bzzz_agent.execution.settings import ExecutionSettings
from bzzz_agent.execution.task import Suggestion, Task, Trouble
from bzzz_agent.execution.workbench import Checkout, checked_out
from bzzz_agent.reasoning.errors import BudgetSpentError, ReasoningError
from bzzz_agent.reasoning.helper import FileDraft, HelpQuestion, advise
from bzzz_agent.reasoning.model import ReasoningModel
from bzzz_agent.reasoning.planner import named_paths
from bzzz_agent.review.paths import matches
from hmmm.plan import Plan

MAX_TEXT: Final = 2000
"""Characters of a suggestion's words."""
MAX_PATCH: Final = 6000
"""Bytes of its patch: both fit one envelope of 16 KiB, whatever of them JSON has to escape but control characters."""
MAX_SHOWN: Final = 6
MAX_SHOWN_BYTES: Final = 64 * 1024
WRITE_S: Final = 30.0
_WRITE: Final = (
    "import os, sys; p = sys.argv[1]; os.makedirs(os.path.dirname(p) or '.', exist_ok=True); "
    "open(p, 'wb').write(sys.stdin.buffer.read())"
)

log = structlog.get_logger("bzzz.agent.help")


@dataclass(frozen=True)
class Helping:
    """Everything that a suggestion is made with."""

    settings: ExecutionSettings
    clone: Clone
    runner: Runner
    rules: PatchRules
    model: ReasoningModel | None
    command_model: CommandModel | None = None

    async def suggest(self, task: Task, plan: Plan, trouble: Trouble, meter: Meter) -> Suggestion | None:
        """Return a suggestion, None where nothing is found. Raises ExecutionError."""
        if self.settings.help_command:
            return await self._by_command(task, plan, trouble, meter)
        if self.model is None:
            raise ExecutionError("no_model", "helping needs execution.helpCommand or spec.model; set one")
        return await self._by_model(self.model, task, plan, trouble, meter)

    async def _by_command(self, task: Task, plan: Plan, trouble: Trouble, meter: Meter) -> Suggestion | None:
        argv, timeout_s = self.settings.help_command, self.settings.timeout_s
        async with checked_out(self.clone, self.runner, task.base_sha) as checkout:
            await make_repository(self.runner)
            result = await run_command(
                self.runner,
                argv,
                task,
                plan_object(plan, None),
                timeout_s=timeout_s,
                model=self.command_model,
                meter=meter,
                trouble=trouble,
            )
            expect_success(result, f"helpCommand {shown(argv)}", timeout_s)
            patch = await self._patch(checkout, plan)
        said = words(result.stdout.decode(errors="replace"))
        if not said and patch is None:
            return None
        return Suggestion(said or f"{shown(argv)} changes this.", patch)

    async def _by_model(
        self, model: ReasoningModel, task: Task, plan: Plan, trouble: Trouble, meter: Meter
    ) -> Suggestion | None:
        question = HelpQuestion(
            title=task.title,
            body=task.body,
            plan=plan,
            problem=trouble.problem,
            tried=trouble.tried,
            shown=await self._files(task, plan, trouble),
        )
        try:
            answered = await advise(model, question, meter.left)
        except (BudgetSpentError, ReasoningError) as error:
            meter.used += error.usage
            raise ExecutionError(error.reason, f"{model.name} suggests nothing: {error}") from error
        meter.spend(answered.usage)
        draft = answered.value
        if not draft.can_help:
            return None
        patch = await self._written(task, plan, draft.files) if draft.files else None
        return Suggestion(words(draft.suggestion), patch)

    async def _written(self, task: Task, plan: Plan, files: list[FileDraft]) -> str | None:
        """Return the patch that whole new files make of the base; None where they may not be."""
        async with checked_out(self.clone, self.runner, task.base_sha) as checkout:
            for file in files:
                argv = ["python3", "-c", _WRITE, file.path]
                content = file.content.encode(errors="replace")
                expect_success(
                    await self.runner.run(argv, timeout_s=WRITE_S, stdin=content),
                    f"writing {file.path}",
                    WRITE_S,
                )
            return await self._patch(checkout, plan)

    async def _patch(self, checkout: Checkout, plan: Plan) -> str | None:
        """Return what the checkout changed of the plan's files, None where that is nothing that can be sent."""
        try:
            patch = await checkout.collect(plan, replace(self.rules, outside_footprint="revert"))
        except PatchRefusedError as error:
            if error.reason != "empty":
                log.warning("a suggestion goes without its patch", problem=str(error))
            return None
        try:
            text = patch.diff.decode()
        except UnicodeDecodeError:
            return None
        fits = len(patch.diff) <= MAX_PATCH and "\nBinary files " not in text
        return text if fits and _plain(text) else None

    async def _files(self, task: Task, plan: Plan, trouble: Trouble) -> dict[str, str]:
        """Return the contents of the files that the plan or the problem names."""
        entries = {
            e.path: e
            for e in await self.clone.entries(task.base_sha)
            if e.mode != SYMLINK and e.path.isprintable()
        }
        planned = [path for path in entries if any(matches(path, glob) for glob in plan.footprint)]
        named = named_paths(f"{trouble.problem}\n{task.title}\n{task.body}", tuple(entries))
        wanted = list(dict.fromkeys([*planned, *named]))[:MAX_SHOWN]
        sizes = await self.clone.sizes(entries[path].sha for path in wanted)
        return {
            path: (await self.clone.read(entries[path].sha)).decode(errors="replace")
            for path in wanted
            if sizes.get(entries[path].sha, 0) <= MAX_SHOWN_BYTES
        }


def words(text: str) -> str:
    """Return what is said, without control characters, cut to what fits an envelope."""
    plain = "".join(c for c in text if c in "\n\t" or c >= " ").strip()
    return plain.encode(errors="replace")[:MAX_TEXT].decode(errors="ignore")


def _plain(text: str) -> bool:
    """Whether text has no control characters: JSON makes six of each."""
    return all(c in "\n\t\r" or c >= " " for c in text)
