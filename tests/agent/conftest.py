"""Fixtures: a real log, a key, and a card that fits both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Processes
from tests.support.sidecar import Log, Logs


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """One running log without an archive, in a folder short enough for a socket's path."""
    with (
        tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as folder,
        Processes(tmp_path) as processes,
    ):
        yield Logs(processes, Path(folder)).log().start()
