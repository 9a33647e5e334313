"""One at a time, across processes."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster.steps import Steps


@contextmanager
def locked(file: Path, steps: Steps, holder: str) -> Generator[None, None, None]:
    """Hold an exclusive lock on `file`; says whom it waits for. The kernel frees it if the process dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.say(f"waiting for {holder} to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
