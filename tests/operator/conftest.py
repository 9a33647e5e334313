"""Fixtures: one API server for all of the operator's tests, a hive in a namespace of its own for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operator.rig import Rig, prepare
from tests.support.kube_api import ApiServer
from tests.support.processes import Processes


@pytest.fixture(scope="package")
def api() -> Iterator[ApiServer]:
    """An API server with our definitions."""
    with ApiServer.start() as server:
        prepare(server)
        yield server


@pytest.fixture
def rig(api: ApiServer) -> Iterator[Rig]:
    """A hive whose archive runs and whose operator does not yet."""
    with tempfile.TemporaryDirectory(prefix="bo", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            made = Rig(api, processes, folder)
            made.archive.start()
            yield made
            made.close()
