"""Fixtures: a hive with a running scribe, one for a test or one for a module that only reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scribe.rig import Rig
from tests.support.processes import Processes
from tests.support.sidecar import Logs


@contextmanager
def running_rig() -> Iterator[Rig]:
    """A rig in a path short enough for unix sockets; its processes are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="bs", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            yield Rig(processes, Logs(processes, folder), folder / "scribe")


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A hive of this test alone, its scribe not started."""
    with running_rig() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """A hive for tests that only read, its scribe not started."""
    with running_rig() as made:
        yield made
