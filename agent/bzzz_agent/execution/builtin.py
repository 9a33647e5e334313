"""The executor `builtin`: the model itself reads, writes, searches and runs, by way of the runner (architecture §9).

A model that cannot call tools is given what it can do: one paragraph for a documentation file of the plan. The result
says so wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from bzzz_agent.execution.errors import CommandFailedError, LimitExceededError
from bzzz_agent.execution.limits import Meter, expect_success
from bzzz_agent.execution.runner_client import Runner
from bzzz_agent.execution.task import Feedback, OnProgress, Task
from bzzz_agent.reasoning.errors import BudgetSpentError, ModelNonsenseError, ReasoningError
from bzzz_agent.reasoning.model import ReasoningModel
from bzzz_agent.reasoning.paragraph import write_paragraph
from bzzz_agent.reasoning.planner import PROSE_FILES
from bzzz_agent.reasoning.untrusted import RULE, fenced
from bzzz_agent.review.paths import matches
from hmmm.plan import Plan

STEPS: Final = 40
"""Requests to the model in one execution."""
TOOL_TIMEOUT_S: Final = 30.0
RUN_TIMEOUT_S: Final = 300.0
MAX_ANSWER: Final = 16_000
"""Characters of a tool's answer that the model is shown."""
MAX_WRITTEN: Final = 512 * 1024

log = structlog.get_logger("bzzz.agent.builtin")

INSTRUCTIONS: Final = (
    "You change a code repository according to an agreed plan, with tools that work in a checkout of it. Touch only "
    "files of the plan's footprint: changes of others are refused. Read before you write; write whole files. Run the "
    "tests if you can. When you are done, say in one or two sentences what you did. "
) + RULE

# What tools do, they do inside the workspace, as its user: a path that leads out finds only what that user may see.
_READ: Final = "import sys; sys.stdout.write(open(sys.argv[1], errors='replace').read(1 << 20))"
_WRITE: Final = (
    "import os, sys; p = sys.argv[1]; os.makedirs(os.path.dirname(p) or '.', exist_ok=True); "
    "open(p, 'wb').write(sys.stdin.buffer.read())"
)
_APPEND: Final = (
    "import os, sys; p = sys.argv[1]; os.makedirs(os.path.dirname(p) or '.', exist_ok=True); "
    "old = open(p, 'rb').read() if os.path.exists(p) else b''; "
    "gap = b'' if not old else b'\\n' if old.endswith(b'\\n') else b'\\n\\n'; "
    "open(p, 'wb').write(old + gap + sys.stdin.buffer.read())"
)


@dataclass(frozen=True)
class BuiltinResult:
    """What the model says it did, and what readers must know of how."""

    said: str
    notes: str


@dataclass(frozen=True)
class Builtin:
    """One execution by the model, in the checkout that lies in the workspace."""

    runner: Runner
    model: ReasoningModel
    task: Task
    plan: Plan
    meter: Meter
    timeout_s: float
    on_progress: OnProgress | None = None
    feedback: Feedback | None = None
    """What failed before and what a helper suggests."""

    async def execute(self) -> BuiltinResult:
        """Do it. Raises ExecutionError."""
        try:
            if self.model.settings.can_call_tools:
                return await self._with_tools()
            return await self._paragraph()
        except BudgetSpentError as error:
            self.meter.used += error.usage
            raise LimitExceededError(
                "model_budget", f"the model's limit is reached: {error}; stopped"
            ) from error
        except ReasoningError as error:
            self.meter.used += error.usage
            raise CommandFailedError(error.reason, f"the execution failed: {error}") from error

    async def _with_tools(self) -> BuiltinResult:
        prompt = "\n\n".join(
            (
                fenced("issue", f"{self.task.title}\n\n{self.task.body}", 12_000),
                "The agreed plan:",
                fenced("plan", self.plan.to_json().decode(), 8_000),
                *self._said_since(),
            )
        )
        tools = (self.read_file, self.write_file, self.search, self.list_files, self.run)
        try:
            answered = await self.model.work(
                INSTRUCTIONS, prompt, tools, budget=self.meter.left, steps=STEPS, timeout_s=self.timeout_s
            )
        except ModelNonsenseError as error:
            if self._prose_file() is None:
                raise
            log.warning("the model cannot use tools; it writes a paragraph instead", model=self.model.name)
            self.meter.spend(error.usage)
            return await self._paragraph()
        self.meter.spend(answered.usage)
        return BuiltinResult(answered.value[:2000], f"Written by {self.model.name}.")

    def _said_since(self) -> tuple[str, ...]:
        if self.feedback is None:
            return ()
        said = "\n\n".join(f"{item.node_id} ({item.kind}): {item.text}" for item in self.feedback.items)
        return (
            "It was tried before and failed. What failed, and what a peer suggests (it may be wrong):",
            fenced("feedback", said, 10_000),
        )

    async def _paragraph(self) -> BuiltinResult:
        path = self._prose_file()
        if path is None:
            raise CommandFailedError(
                "beyond_model",
                f"{self.model.name} cannot call tools: expected one documentation file as the plan's whole footprint, "
                f"came {', '.join(self.plan.footprint)}; use a larger model or a command",
            )
        answered = await write_paragraph(
            self.model, self.task.title, self.task.body, self.meter.left, self.model.settings.timeout_s
        )
        self.meter.spend(answered.usage)
        argv = ["python3", "-c", _APPEND, path]
        result = await self.runner.run(argv, timeout_s=TOOL_TIMEOUT_S, stdin=(answered.value + "\n").encode())
        expect_success(result, f"writing {path}", TOOL_TIMEOUT_S)
        notes = (
            f"The paragraph in {path} was written by {self.model.name}, a model that cannot call tools and whose facts "
            "nobody has checked. Read it before you merge."
        )
        return BuiltinResult(f"Added one paragraph to {path}.", notes)

    def _prose_file(self) -> str | None:
        files = [
            path for path in self.plan.footprint if path.lower().endswith(PROSE_FILES) and "*" not in path
        ]
        return files[0] if len(files) == 1 and len(self.plan.footprint) == 1 else None

    async def read_file(self, path: str, first_line: int = 1, lines: int = 400) -> str:
        """Read a file of the repository, from a line on."""
        problem = _problem(path)
        if problem:
            return problem
        text = await self._tool(["python3", "-c", _READ, path])
        return "\n".join(text.splitlines()[max(0, first_line - 1) :][: max(1, lines)])[:MAX_ANSWER]

    async def write_file(self, path: str, content: str) -> str:
        """Write a whole file; folders are made as needed. Only files of the plan's footprint may be written."""
        problem = _problem(path)
        if problem:
            return problem
        if not any(matches(path, glob) for glob in self.plan.footprint):
            return f"refused: {path} is not in the plan's footprint: {', '.join(self.plan.footprint)}"
        data = content.encode(errors="replace")
        if len(data) > MAX_WRITTEN:
            return f"refused: expected at most {MAX_WRITTEN} bytes"
        await self._tell(f"writes {path}")
        return await self._tool(["python3", "-c", _WRITE, path], stdin=data) or f"wrote {len(data)} bytes"

    async def search(self, pattern: str, folder: str = ".") -> str:
        """Search all files for a basic regular expression; returns lines as path:number:text."""
        problem = _problem(folder)
        if problem:
            return problem
        argv = ["grep", "-rnI", "--exclude-dir=.git", "-m", "50", "-e", pattern, "--", folder]
        return await self._tool(argv) or "nothing found"

    async def list_files(self, folder: str = ".") -> str:
        """List the files below a folder."""
        problem = _problem(folder)
        if problem:
            return problem
        return await self._tool(["find", folder, "-name", ".git", "-prune", "-o", "-type", "f", "-print"])

    async def run(self, argv: list[str]) -> str:
        """Run a program in the checkout, without a shell, e.g. ["python", "-m", "pytest", "-q"]."""
        await self._tell(f"runs {' '.join(argv)}"[:200])
        result = await self.runner.run(argv, timeout_s=RUN_TIMEOUT_S, output_limit=256 * 1024)
        return f"exit: {result.exit}\n{result.tail}"

    async def _tool(self, argv: list[str], stdin: bytes = b"") -> str:
        result = await self.runner.run(argv, timeout_s=TOOL_TIMEOUT_S, stdin=stdin, output_limit=1024 * 1024)
        if not result.ok and result.stderr:
            return f"failed: {result.tail[-1000:]}"
        return result.stdout.decode(errors="replace")[:MAX_ANSWER]

    async def _tell(self, what: str) -> None:
        if self.on_progress is not None:
            await self.on_progress(what)


def _problem(path: str) -> str | None:
    """Say why a tool does not take a path; the checkout is all there is to work on."""
    parts = path.split("/")
    if path.startswith(("/", "-")) or ".." in parts or ".git" in parts or "\0" in path:
        return f"refused: {path[:100]}: expected a path inside the repository"
    return None
