"""Real programs under test: started, waited for by their ready line, and ended for sure.

A program of this project prints one JSON line on stdout when it is ready and JSON log lines on stderr. Both
go to files, so that nothing blocks on a pipe that nobody reads. Each runs in a process group of its own;
leaving the `Processes` context kills every group that is still there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

T = TypeVar("T")

POLL_S = 0.01


def eventually(
    look: Callable[[], T], *, within: float = 10.0, what: str = "the condition", every: float = POLL_S
) -> T:
    """Call `look` until it returns something true, and return that; `every` so many seconds, more if looking is dear.

    Raises AssertionError with the last value after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {within} s, last seen {value!r}"
        time.sleep(every)


@dataclass
class Process:
    """One running program; `ready` is its ready line, parsed."""

    name: str
    popen: subprocess.Popen[bytes]
    out: Path
    err: Path
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.popen.poll() is None

    def logs(self) -> list[dict[str, Any]]:
        """Return its log lines so far, parsed; a line that is no JSON becomes {"text": line}."""
        lines = self.err.read_text(errors="replace").splitlines()
        return [_parsed(line) for line in lines if line.strip()]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines with this `event`."""
        return [line for line in self.logs() if line.get("event") == event]

    def wait(self, within: float = 15.0) -> int:
        """Wait for its end and return the exit code."""
        return self.popen.wait(within)

    def stop(self, within: float = 15.0) -> int:
        """End it in order (SIGTERM) and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> None:
        """End it at once (SIGKILL), with all it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(15)

    def wait_ready(self, within: float) -> None:
        """Wait for the ready line. Raises AssertionError with the log's tail when it ends or stays silent."""

        def line() -> str | None:
            text = self.out.read_text()
            if "\n" in text:
                return text.split("\n", 1)[0]
            assert self.running, f"{self.name} ended with {self.popen.returncode}: {self.tail()}"
            return None

        try:
            self.ready = json.loads(eventually(line, within=within, what=f"{self.name} is ready") or "{}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.tail()}") from None

    def tail(self) -> str:
        """Return the end of its log, for a failing test's message."""
        return self.err.read_text(errors="replace")[-2000:]


class Processes:
    """The programs that one test (or fixture) started; a context manager that leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.all):
            process.kill()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ready_within: float | None = 30.0,
    ) -> Process:
        """Start a program and wait for its ready line (`ready_within=None`: do not wait)."""
        count = len(self.all)
        out, err = self.folder / f"{count}-{name}.out", self.folder / f"{count}-{name}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=dict(os.environ) | dict(env or {}),
                cwd=cwd,
                start_new_session=True,
            )
        process = Process(name, popen, out, err)
        self.all.append(process)
        if ready_within is not None:
            process.wait_ready(ready_within)
        return process


def _parsed(line: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(line)
    except ValueError:
        return {"text": line}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"text": line}
