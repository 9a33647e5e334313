"""Processes that the cluster started, remembered by id and start time, so that none is mistaken for another."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

POLL_S = 0.02


def start_time(pid: int) -> int | None:
    """Return when a process began, in ticks since the machine's start; None where there is none, or only its corpse.

    A killed process whose first thread is a zombie lives on while others end: until then it holds its ports.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} and threads <= 1 else int(fields[19])


def remember(folder: Path, name: str, pid: int) -> None:
    """Write down a running process."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"pid": pid, "started": start_time(pid)}))


def running(folder: Path, name: str) -> int | None:
    """Return the id of a remembered process if that very process still runs."""
    try:
        record = json.loads((folder / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    pid = int(record["pid"])
    return pid if record["started"] is not None and start_time(pid) == record["started"] else None


def remembered(folder: Path) -> list[str]:
    """Return the names of all remembered processes."""
    return sorted(f.stem for f in folder.glob("*.json"))


def stop(folder: Path, name: str, *, number: int = signal.SIGKILL, within: float = 10.0) -> bool:
    """Signal a remembered process and wait for its end; False if it did not run, TimeoutError if it stays."""
    pid = running(folder, name)
    if pid is None:
        return False
    os.kill(pid, number)
    deadline = time.monotonic() + within
    while running(folder, name) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} (process {pid}) still runs {within} s after signal {number}")
        time.sleep(POLL_S)
    return True
