"""Fixtures that run the real program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Processes
from tests.support.sidecar import Archive, Log, Logs, record


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Programs of this test; all are gone when it ends."""
    with Processes(tmp_path) as running:
        yield running


@pytest.fixture
def logs(processes: Processes) -> Iterator[Logs]:
    """Makes logs and archives; in a short path, since a unix socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as folder:
        yield Logs(processes, Path(folder))


@pytest.fixture
def log(logs: Logs) -> Log:
    """One running log without an archive."""
    return logs.log().start()


@pytest.fixture
def archived(logs: Logs) -> tuple[Log, Archive]:
    """One running log and the archive that follows it."""
    archive = logs.archive().start()
    log = logs.log(archived=True).start()
    archive.follow(log)
    log.wait_open()
    return log, archive


@pytest.fixture(scope="module")
def shared() -> Iterator[Log]:
    """One running log of three records, for tests that change nothing."""
    with tempfile.TemporaryDirectory(prefix="bz", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder) as processes:
            log = Logs(processes, folder).log().start()
            log.append(record(1), record(2), record(3))
            yield log
