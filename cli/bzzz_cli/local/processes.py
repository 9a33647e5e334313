"""The processes of a local hive: started in order, watched, started again when they die, stopped in reverse order.

Each is started in a session of its own (one signal reaches its whole group), with an open standard input that
closes when we end, a ready line on standard output (interfaces: one JSON object with `"ready": true`) and its log in
a file. What Kubernetes does for a crashed container is done here by `_watch`, with shorter pauses.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import trio

from bzzz_cli.errors import ComponentError
from bzzz_cli.local import linux
from bzzz_cli.local.children import describe_exit, parse_ready, tail, wait_exited
from bzzz_cli.local.files import write_json
from hmmm.errors import excerpt

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0
STABLE_S: Final = 60.0
"""A process that lived this long is forgiven its earlier crashes. Kubernetes waits 10 s doubling to 5 min, forgiven
after 10 min; on one machine somebody is watching."""
MAX_READY_LINE: Final = 64 * 1024
KILLED_S: Final = 5.0

What = Literal["started", "died", "restarted", "stopped", "killed"]


@dataclass(frozen=True)
class Command:
    """How a process is started. It inherits nothing but `environment`."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0
    restart: bool = True
    """False for a process whose state would be lost: its death ends the hive."""


def argv_of(program: str | Path, arguments: Sequence[str | Path]) -> tuple[str, ...]:
    """Make an argument vector of texts and paths."""
    return (str(program), *(str(a) for a in arguments))


@dataclass(frozen=True)
class Event:
    """Something that happened to a process."""

    what: What
    name: str
    pid: int
    detail: str = ""


class _Life:
    """One command and its present process."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.started_at = 0.0
        self.restarts = 0
        self.stopping = False

    @property
    def pid(self) -> int:
        return 0 if self.process is None else self.process.pid


class Supervisor:
    """All processes of one hive. Use by `async with trio.open_nursery()`: its tasks live in that nursery."""

    def __init__(
        self,
        nursery: trio.Nursery,
        log_dir: Path,
        *,
        process_file: Path | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._nursery = nursery
        self._log_dir = log_dir
        self._process_file = process_file
        self._on_event = on_event
        self._tiers: list[list[_Life]] = []
        log_dir.mkdir(parents=True, exist_ok=True)

    async def start(self, *commands: Command) -> list[dict[str, Any]]:
        """Start processes side by side, wait until all are ready, and watch them from then on.

        Returns their ready lines, in the order of the commands. What is started by one call is stopped together.
        Raises ComponentError when one ends or is not ready in time.
        """
        tier = [
            _Life(command, self._log_dir / f"{command.name.replace('/', '-')}.log") for command in commands
        ]
        self._tiers.append(tier)
        failures: list[ComponentError] = []

        async def bring_up(life: _Life) -> None:
            try:
                await self._spawn(life)
            except ComponentError as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for life in tier:
                nursery.start_soon(bring_up, life)
        if failures:
            raise failures[0]
        for life in tier:
            self._on_event(Event("started", life.command.name, life.pid))
            self._nursery.start_soon(self._watch, life)
        return [life.ready for life in tier]

    async def stop(self) -> None:
        """Stop everything, the last started first; what does not end in its time is killed."""
        with trio.CancelScope(shield=True):
            for tier in self._tiers:
                for life in tier:
                    life.stopping = True
            for tier in reversed(self._tiers):
                async with trio.open_nursery() as nursery:
                    for life in tier:
                        nursery.start_soon(self._stop_one, life)
        self._tiers.clear()
        self._write_processes()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that run."""
        lives = (life for tier in self._tiers for life in tier)
        return {life.command.name: life.pid for life in lives if life.process and life.process.poll() is None}

    async def _spawn(self, life: _Life) -> None:
        command = life.command
        log_start = life.log.stat().st_size if life.log.exists() else 0
        ours = os.getpid()

        def before_exec() -> None:
            linux.die_with_parent(signal.SIGKILL)
            if os.getppid() != ours:
                os._exit(1)

        with life.log.open("ab") as log:
            try:
                # On the main thread, not in a worker: see `linux.die_with_parent`. It takes milliseconds.
                life.process = subprocess.Popen(  # noqa: ASYNC220
                    command.argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=dict(command.environment),
                    start_new_session=True,
                    preexec_fn=before_exec,  # calls nothing but prctl, which was loaded before
                )
            except OSError as error:
                raise ComponentError(
                    f"{command.name}: {command.argv[0]} cannot be started: {error}"
                ) from error
        life.started_at = time.monotonic()
        is_ready = trio.Event()
        self._nursery.start_soon(self._read_output, life, life.process, is_ready)
        await self._wait_until_ready(life, life.process, is_ready, log_start)
        self._write_processes()

    async def _wait_until_ready(
        self, life: _Life, process: subprocess.Popen[bytes], is_ready: trio.Event, log_start: int
    ) -> None:
        ended = False

        async with trio.open_nursery() as nursery:

            async def watch_for_an_end() -> None:
                nonlocal ended
                await wait_exited(process)
                ended = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch_for_an_end)
            with trio.move_on_after(life.command.ready_timeout_s):
                await is_ready.wait()
            nursery.cancel_scope.cancel()
        if is_ready.is_set():
            return
        await self._kill(process)
        wanted = f"expected a ready line within {life.command.ready_timeout_s:g} s"
        came = f"it ended with {describe_exit(process.returncode)}" if ended else "none came"
        raise ComponentError(
            f"{life.command.name}: {wanted}, {came}; its log {life.log} ends:\n{tail(life.log, log_start)}"
        )

    async def _read_output(self, life: _Life, process: subprocess.Popen[bytes], is_ready: trio.Event) -> None:
        """Take the ready line; whatever else a process prints goes to its log."""
        assert process.stdout is not None
        stream = trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
        process.stdout.close()
        buffer = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with stream:
                async for chunk in stream:
                    buffer += chunk
                    *lines, buffer = buffer.split(b"\n")
                    buffer = buffer[-MAX_READY_LINE:]
                    for line in lines:
                        ready = parse_ready(line)
                        if ready is not None and not is_ready.is_set():
                            life.ready = ready
                            is_ready.set()
                        else:
                            with life.log.open("ab") as log:
                                log.write(line + b"\n")

    async def _watch(self, life: _Life) -> None:
        crashes = 0
        while True:
            assert life.process is not None
            await wait_exited(life.process)
            if life.stopping:
                return
            ended = describe_exit(life.process.returncode)
            self._on_event(Event("died", life.command.name, life.pid, ended))
            self._end_group(life.process)
            if not life.command.restart:
                raise ComponentError(
                    f"{life.command.name} ended with {ended} and its state is lost; the hive stops. "
                    f"Its log {life.log} ends:\n{tail(life.log)}"
                )
            crashes = 0 if time.monotonic() - life.started_at > STABLE_S else crashes + 1
            if not await self._revive(life, crashes):
                return
            life.restarts += 1
            self._write_processes()
            self._on_event(Event("restarted", life.command.name, life.pid))

    async def _revive(self, life: _Life, crashes: int) -> bool:
        """Start a process again, with growing pauses, until it is ready; False if the hive stops meanwhile."""
        while True:
            await trio.sleep(min(FIRST_PAUSE_S * 2 ** max(crashes - 1, 0), LONGEST_PAUSE_S))
            if life.stopping:
                return False
            try:
                await self._spawn(life)
            except ComponentError as error:
                if life.stopping:
                    return False
                crashes += 1
                self._on_event(Event("died", life.command.name, life.pid, excerpt(str(error))))
            else:
                return True

    async def _stop_one(self, life: _Life) -> None:
        process = life.process
        if process is None:
            return
        if process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with trio.move_on_after(life.command.stop_timeout_s):
                await wait_exited(process)
        clean = process.poll() is not None
        await self._kill(process)
        self._on_event(
            Event(
                "stopped" if clean else "killed",
                life.command.name,
                process.pid,
                describe_exit(process.returncode),
            )
        )

    async def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process and whatever is left of its group."""
        self._end_group(process)
        with trio.move_on_after(KILLED_S):
            await wait_exited(process)

    @staticmethod
    def _end_group(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()  # nothing was ever written, so nothing is flushed into a broken pipe

    def _write_processes(self) -> None:
        if self._process_file is None:
            return
        lives = (life for tier in self._tiers for life in tier if life.process is not None)
        write_json(
            self._process_file,
            {life.command.name: {"pid": life.pid, "restarts": life.restarts} for life in lives},
        )
