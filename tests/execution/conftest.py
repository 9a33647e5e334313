"""Fixtures of the execution's tests: one real runner for most of them, as starting one takes a second."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Processes
from tests.support.workspace import Workspace, isolations, start_runner


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The runner in its best isolation."""
    with Processes(tmp_path_factory.mktemp("runner")) as processes:
        running = start_runner(processes)
        yield running
        running.process.stop()
        shutil.rmtree(running.folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["namespaces", "user", "bubblewrap"])
def isolated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A runner in each isolation that this machine has."""
    if request.param not in isolations():
        pytest.skip(f"{request.param}: needs " + ("bwrap" if request.param == "bubblewrap" else "root"))
    with Processes(tmp_path_factory.mktemp("runner")) as processes:
        running = start_runner(processes, isolation=request.param)
        yield running
        running.process.stop()
        shutil.rmtree(running.folder, ignore_errors=True)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Programs that end with the test."""
    with Processes(tmp_path) as running:
        yield running
    for process in running.all:
        if "socket" in process.ready:
            shutil.rmtree(Path(process.ready["socket"]).parents[1], ignore_errors=True)
