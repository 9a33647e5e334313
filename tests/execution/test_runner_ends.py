"""A runner that ends amid a command: the command is carried out again, from the start, in the runner's next life."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import trio

from bzzz_agent.execution import Execution, ExecutionSettings, RunnerUnavailableError, Task
from hmmm.plan import Plan
from tests.support.git_http import serving
from tests.support.processes import Processes
from tests.support.workspace import Repository, Workspace, start_runner

TOKEN = "a-github-token"
PLAN = Plan(
    summary="Write into the readme", steps=("Write into it.",), footprint=("README.md",), tests=("none",)
)
LENGTH = f"2.7{os.getpid()}"
"""Of the command's sleep, by which it is found."""


@dataclass
class World:
    """An agent's execution on a served repository, with a runner of its own that can be killed."""

    execution: Execution
    task: Task
    processes: Processes
    runner: Workspace

    async def kill_runner_amid_the_command(self) -> None:
        """Kill it once the command sleeps, and start its next life on the same socket."""
        with trio.fail_after(30):
            while not any(
                LENGTH in p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]
            ):
                await trio.sleep(0.05)
        os.kill(self.runner.process.pid, signal.SIGKILL)
        self.runner.process.wait()
        command = [str(part) for part in self.runner.process.popen.args]  # type: ignore[union-attr]
        self.runner.process = await trio.to_thread.run_sync(lambda: self.processes.start("runner", command))


@pytest.fixture
def world(tmp_path: Path, processes: Processes) -> Iterator[World]:
    repository = Repository.make(tmp_path / "user", {"README.md": "# Widgets\n"})
    (tmp_path / "served").mkdir()
    repository.bare(tmp_path / "served" / "widgets.git")
    runner = start_runner(processes)

    async def token() -> str:
        return TOKEN

    settings = ExecutionSettings(
        state_dir=tmp_path / "state",
        type="command",
        plan="dryRun",
        command=("sh", "-c", f"sleep {LENGTH}; echo done >> README.md"),
        timeout_s=30.0,
    )
    with serving(tmp_path / "served", TOKEN) as server:
        task = Task("acme/widgets", 7, 1, "Write", "", repository.head, server.url("widgets.git"))
        yield World(Execution(settings, runner.client(), None, token), task, processes, runner)


async def test_a_command_whose_runner_was_killed_is_carried_out_again(world: World) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.kill_runner_amid_the_command)
        executed = await world.execution.execute(world.task, PLAN)
    assert executed.files == ("README.md",)
    assert executed.patch.decode().count("+done") == 1


async def test_a_command_that_ends_its_runner_twice_is_given_up(world: World) -> None:
    async def twice() -> None:
        await world.kill_runner_amid_the_command()
        await world.kill_runner_amid_the_command()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(twice)
        with pytest.raises(RunnerUnavailableError):
            await world.execution.execute(world.task, PLAN)
