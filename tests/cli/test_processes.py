"""The supervisor, on real processes: started in order, started again, stopped in reverse, none left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import trio

from bzzz_cli.errors import ComponentError
from bzzz_cli.local.processes import Command, Event, Supervisor

CHILD = Path(__file__).with_name("child.py")
SUPERVISE = Path(__file__).with_name("supervise.py")


def command(folder: Path, name: str, *manners: str, **options: object) -> Command:
    return Command(name, (sys.executable, str(CHILD), str(folder / "journal"), name, *manners), **options)


def journal(folder: Path) -> list[tuple[str, str]]:
    path = folder / "journal"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


def noted_pids(folder: Path) -> set[int]:
    return {int(line.split()[2]) for line in (folder / "journal").read_text().splitlines()}


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.02)


async def test_processes_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs")
        (ready,) = await supervisor.start(command(tmp_path, "first"))
        await supervisor.start(command(tmp_path, "second"))
        await supervisor.start(command(tmp_path, "third"))
        pids = supervisor.pids
        await supervisor.stop()
        nursery.cancel_scope.cancel()
    assert ready == {"ready": True, "name": "first"}
    assert journal(tmp_path) == [
        ("start", "first"),
        ("start", "second"),
        ("start", "third"),
        ("end", "third"),
        ("end", "second"),
        ("end", "first"),
    ]
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_what_a_process_prints_besides_its_ready_line_is_in_its_log(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs")
        await supervisor.start(command(tmp_path, "log/bzzz-0"))
        await supervisor.stop()
        nursery.cancel_scope.cancel()
    assert (tmp_path / "logs" / "log-bzzz-0.log").read_text() == "some chatter before the ready line\n"


async def test_a_killed_process_is_started_again_and_its_new_pid_is_told(tmp_path: Path) -> None:
    events: list[Event] = []
    process_file = tmp_path / "processes.json"
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs", process_file=process_file, on_event=events.append)
        await supervisor.start(command(tmp_path, "agent"))
        before = supervisor.pids["agent"]
        os.kill(before, signal.SIGKILL)
        await until(lambda: any(event.what == "restarted" for event in events))
        after = supervisor.pids["agent"]
        assert json.loads(process_file.read_text()) == {"agent": {"pid": after, "restarts": 1}}
        await supervisor.stop()
        nursery.cancel_scope.cancel()
    assert before != after
    assert [(e.what, e.detail) for e in events] == [
        ("started", ""),
        ("died", "SIGKILL"),
        ("restarted", ""),
        ("stopped", "exit code 0"),
    ]


async def test_the_death_of_a_process_that_cannot_be_restarted_ends_the_hive(tmp_path: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ComponentError, match="github ended with SIGKILL")):
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, tmp_path / "logs")
            await supervisor.start(command(tmp_path, "github", restart=False))
            os.kill(supervisor.pids["github"], signal.SIGKILL)
            await trio.sleep(20)


async def test_a_process_that_ends_before_it_is_ready_is_named_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs")
        with pytest.raises(
            ComponentError, match=r"archive: expected a ready line .* exit code 3(.|\n)*no component is here"
        ):
            await supervisor.start(command(tmp_path, "archive", "unready"))
        await supervisor.stop()
        nursery.cancel_scope.cancel()


async def test_a_process_that_never_says_ready_is_ended(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs")
        with pytest.raises(ComponentError, match=r"within 1 s, none came"):
            await supervisor.start(command(tmp_path, "mute", "silent", ready_timeout_s=1))
        nursery.cancel_scope.cancel()
    assert not any(psutil.pid_exists(pid) for pid in noted_pids(tmp_path))


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs")
        with pytest.raises(ComponentError, match="sidecar: /does/not/exist cannot be started"):
            await supervisor.start(Command("sidecar", ("/does/not/exist",)))


async def test_a_process_that_ignores_sigterm_is_killed_in_the_end(tmp_path: Path) -> None:
    events: list[Event] = []
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs", on_event=events.append)
        await supervisor.start(command(tmp_path, "deaf", "stubborn", stop_timeout_s=0.3))
        pid = supervisor.pids["deaf"]
        await supervisor.stop()
        nursery.cancel_scope.cancel()
    assert (events[-1].what, events[-1].detail) == ("killed", "SIGKILL")
    assert not psutil.pid_exists(pid)


async def test_a_process_inherits_no_secret_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, tmp_path / "logs")
        await supervisor.start(command(tmp_path, "agent", environment={"LANG": "C.UTF-8"}))
        environment = psutil.Process(supervisor.pids["agent"]).environ()
        await supervisor.stop()
        nursery.cancel_scope.cancel()
    assert "GITHUB_TOKEN" not in environment
    assert environment["LANG"] == "C.UTF-8"


@pytest.fixture
def hive(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper with a supervisor and a family of processes, up."""
    process = subprocess.Popen([sys.executable, str(SUPERVISE), str(tmp_path)], start_new_session=True)
    deadline = time.monotonic() + 30
    while not ((tmp_path / "up").exists() and ("start", "second-grandchild") in journal(tmp_path)):
        assert time.monotonic() < deadline, "the hive did not come up"
        assert process.poll() is None, "the hive ended"
        time.sleep(0.02)
    yield process
    for left in (*psutil.Process().children(recursive=True), *map(_process, noted_pids(tmp_path))):
        if left is not None and left.is_running():
            left.kill()
    process.wait(10)


def _process(pid: int) -> psutil.Process | None:
    return psutil.Process(pid) if psutil.pid_exists(pid) else None


def wait_until_gone(pids: set[int], seconds: float = 20) -> set[int]:
    deadline = time.monotonic() + seconds
    while (left := {pid for pid in pids if _runs(pid)}) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _runs(pid: int) -> bool:
    process = _process(pid)
    try:
        return process is not None and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_hive_stops_it_cleanly_and_leaves_nothing(
    hive: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    hive.send_signal(number)
    assert hive.wait(20) == 7
    assert wait_until_gone(noted_pids(tmp_path)) == set()
    ends = [name for word, name in journal(tmp_path) if word == "end"]
    assert ends[-1] == "first"
    assert set(ends) == {"first", "second", "third"}


def test_ctrl_c_at_a_terminal_reaches_keeper_and_hive_and_stops_once(
    hive: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    os.killpg(hive.pid, signal.SIGINT)
    assert hive.wait(20) == 7
    assert wait_until_gone(noted_pids(tmp_path)) == set()


def test_sigkill_of_the_hives_process_leaves_nothing(hive: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (worker,) = psutil.Process(hive.pid).children()
    worker.kill()
    assert hive.wait(20) == 128 + signal.SIGKILL
    assert wait_until_gone(noted_pids(tmp_path)) == set()


def test_sigkill_of_the_keeper_stops_the_hive_cleanly(hive: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (worker,) = psutil.Process(hive.pid).children()
    hive.kill()
    members = {child.pid for child in psutil.Process(worker.pid).children()} | {worker.pid}
    assert wait_until_gone(members) == set()
    assert [name for word, name in journal(tmp_path) if word == "end"][-1] == "first"


def test_sigkill_of_keeper_and_hive_at_once_takes_the_components_along(
    hive: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (worker,) = psutil.Process(hive.pid).children()
    components = {child.pid for child in worker.children()}
    assert len(components) == 3
    os.killpg(hive.pid, signal.SIGKILL)
    assert wait_until_gone(components | {worker.pid}) == set()
