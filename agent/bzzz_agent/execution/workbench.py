"""Where an issue is worked on: the agent's clone on one side, the workspace on the other, and what passes between."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bzzz_agent.execution.clone import Clone, Export
from bzzz_agent.execution.patch import Patch, PatchRules, patch_from
from bzzz_agent.execution.runner_client import Runner
from hmmm.plan import Plan


@dataclass(frozen=True)
class Checkout:
    """A tree that lies in the workspace right now."""

    clone: Clone
    runner: Runner
    base: str
    path: str
    """Where commands see it."""
    folder: Path
    export: Export

    async def collect(self, plan: Plan | None, rules: PatchRules) -> Patch:
        """Fetch the checkout as it is now and turn it into a checked patch. Raises PatchRefusedError."""
        tar = self.folder / "back.tar"
        await self.runner.get_checkout(tar, exclude=self.export.junk)
        return await patch_from(self.clone, self.base, tar, self.export, plan, rules)


@asynccontextmanager
async def checked_out(
    clone: Clone, runner: Runner, tree: str, base: str | None = None
) -> AsyncGenerator[Checkout]:
    """Put a commit's or tree's files into the workspace for a while; afterwards it is wiped.

    What comes back is compared with `base`, by default with what was put there.
    """
    async with runner.alone(), clone.scratch() as folder:
        export = await clone.export(tree, folder)
        path = await runner.put_checkout(export.tar)
        yield Checkout(clone, runner, base or tree, path, folder, export)
