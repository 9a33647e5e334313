"""The executor `command`: any coding tool, told what to do by two JSON files (architecture §9)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import trio

from bzzz_agent.execution.errors import ExecutionError, LimitExceededError, RunnerUnavailableError
from bzzz_agent.execution.limits import Meter
from bzzz_agent.execution.runner_client import Runner, RunResult
from bzzz_agent.execution.task import OnProgress, Task, Trouble
from bzzz_agent.model_proxy import ModelProxy, Session, Upstream

ISSUE_FILE: Final = "BZZZ_ISSUE_FILE"
PLAN_FILE: Final = "BZZZ_PLAN_FILE"
PROBLEM_FILE: Final = "BZZZ_PROBLEM_FILE"
PROGRESS_EVERY_S: Final = 1.0

_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_REPOSITORY: Final = (
    "git init -q . && git add -A && "
    "git -c user.name=base -c user.email=base@localhost commit -q -m base || true"
)
"""Many coding tools want a git repository around them. This one is theirs to play with: it never leaves."""


def expand(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Replace $(NAME) as Kubernetes does in a container's command: $$ is a $, unknown names stay as they are."""

    def replaced(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else env.get(name, match.group(0))

    return [_REFERENCE.sub(replaced, argument) for argument in argv]


def shown(argv: Sequence[str]) -> str:
    """Return a command line as people read it, short."""
    text = shlex.join(argv)
    return text if len(text) <= 200 else text[:199] + "…"


async def make_repository(runner: Runner) -> None:
    """Make a throw-away git repository of the checkout, where the workspace has git."""
    await runner.run(["sh", "-c", _REPOSITORY], timeout_s=60, output_limit=4096)


@dataclass(frozen=True)
class CommandModel:
    """The manifest's model, for commands that ask it by themselves by way of the model proxy."""

    proxy: ModelProxy
    upstream: Callable[[], Upstream]
    """Asked for each run, so that a key that was replaced is taken up."""

    @asynccontextmanager
    async def opened(self, meter: Meter) -> AsyncGenerator[Session]:
        """Let one run use it, on the issue's account."""
        async with self.proxy.session(self.upstream(), meter) as session:
            yield session


async def run_command(
    runner: Runner,
    argv: Sequence[str],
    task: Task,
    plan: Mapping[str, Any],
    *,
    timeout_s: float,
    on_progress: OnProgress | None = None,
    model: CommandModel | None = None,
    meter: Meter | None = None,
    trouble: Trouble | None = None,
) -> RunResult:
    """Run a command in the checkout that is there, with the issue and the plan as files beside it, and for a helper
    the problem.

    With `model` it may ask the manifest's model, and what that uses is added to the meter. Raises LimitExceededError
    when it used up what the meter allows (the command is ended), and what the runner raises.
    """
    env = {
        ISSUE_FILE: await runner.put_file("issue.json", _json(task.to_object())),
        PLAN_FILE: await runner.put_file("plan.json", _json(plan)),
    }
    if trouble is not None:
        env[PROBLEM_FILE] = await runner.put_file("problem.json", _json(trouble.to_object()))
    if model is None or meter is None:
        return await _run(runner, argv, env, timeout_s, on_progress, None)
    async with model.opened(meter) as session:
        env |= model.proxy.environment(session)
        return await _run(runner, argv, env, timeout_s, on_progress, session)


async def _run(
    runner: Runner,
    argv: Sequence[str],
    env: Mapping[str, str],
    timeout_s: float,
    on_progress: OnProgress | None,
    session: Session | None,
) -> RunResult:
    lines = _LastLine()
    problem: ExecutionError | None = None
    result: RunResult | None = None
    async with trio.open_nursery() as nursery:
        if on_progress is not None:
            nursery.start_soon(lines.tell, on_progress)
        if session is not None:
            nursery.start_soon(_cancel_when_spent, session, nursery.cancel_scope)
        try:
            result = await runner.run(expand(argv, env), env=env, timeout_s=timeout_s, on_output=lines.take)
        except ExecutionError as error:  # raised below, outside of the nursery, which would wrap it
            problem = error
        nursery.cancel_scope.cancel()
    if session is not None and session.spent.is_set():
        raise LimitExceededError("model_budget", f"{shown(argv)}: {session.problem}")
    if result is None:
        raise problem or RunnerUnavailableError("runner_gone", f"{argv[0]}: cancelled")
    return result


async def _cancel_when_spent(session: Session, scope: trio.CancelScope) -> None:
    await session.spent.wait()
    scope.cancel()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode(errors="replace")


class _LastLine:
    """The last line that a command printed, told at most once a second."""

    def __init__(self) -> None:
        self._line = ""

    def take(self, chunk: bytes) -> None:
        lines = [line for line in chunk.decode(errors="replace").splitlines() if line.strip()]
        self._line = lines[-1][:200] if lines else self._line

    async def tell(self, on_progress: OnProgress) -> None:
        told = ""
        while True:
            if self._line != told:
                told = self._line
                await on_progress(told)
            await trio.sleep(PROGRESS_EVERY_S)
