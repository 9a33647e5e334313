"""What there is to know of a child process: whether it is ready, how it ended, what its log says last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import trio


async def wait_exited(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process's end and return its exit code, negative for a signal."""
    if process.poll() is None:
        with suppress(OSError, AttributeError):  # pidfd: Linux 5.3; elsewhere by asking
            handle = os.pidfd_open(process.pid)
            try:
                await trio.lowlevel.wait_readable(handle)
            finally:
                os.close(handle)
    while process.poll() is None:  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.05)
    return process.returncode


def parse_ready(line: bytes) -> dict[str, Any] | None:
    """Return a ready line's object; None for any other output."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or cast("dict[str, Any]", value).get("ready") is not True:
        return None
    return cast("dict[str, Any]", value)


def describe_exit(code: int | None) -> str:
    """Say how a process ended: `exit code 3`, `SIGKILL`."""
    if code is None:
        return "no end"
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def tail(log: Path, start: int = 0, lines: int = 15) -> str:
    """Return the last lines of a log, from a position on."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(f"  {line[:300]}" for line in text.splitlines()[-lines:]) or "  (nothing)"
