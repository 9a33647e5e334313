"""What a command can reach, tried from inside by a command (architecture §3: the workspace holds nothing secret)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import trio

from bzzz_agent.execution.runner_client import RunResult
from tests.support.processes import Processes, eventually
from tests.support.workspace import COMMAND_UID, OTHER_UID, Workspace, a_tar, isolations, python, start_runner

SECRET = "the-mesh-seed-that-nobody-may-see"


@dataclass
class Agent:
    """A stand-in for the agent's process: a secret in its environment, a seed file, a socket."""

    pid: int
    seed: Path
    log_socket: Path


@pytest.fixture
def agent(tmp_path: Path, isolated: Workspace) -> Iterator[Agent]:
    """The agent runs as whoever runs the runner, in a folder of its own, closed as agents' folders are."""
    owner = OTHER_UID if isolated.isolation == "bubblewrap" and os.geteuid() == 0 else os.geteuid()
    home = Path(f"/tmp/agent-test-{os.getpid()}-{isolated.isolation}")
    home.mkdir(mode=0o700)
    seed = home / "mesh.seed"
    seed.write_text(SECRET)
    seed.chmod(0o600)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home / "log.sock"))
    listening.listen()
    (home / "log.sock").chmod(0o660)
    for path in (home, seed, home / "log.sock"):
        os.chown(path, owner, owner)
    process = subprocess.Popen(
        ["sleep", "300"], env={"BZZZ_SECRET": SECRET}, user=owner, group=owner if os.geteuid() == 0 else None
    )
    yield Agent(process.pid, seed, home / "log.sock")
    process.kill()
    process.wait()
    listening.close()
    seed.unlink()
    (home / "log.sock").unlink()
    home.rmdir()


async def inside(workspace: Workspace, source: str, *arguments: str, timeout_s: float = 20) -> RunResult:
    runner = workspace.client()
    async with runner.alone():
        return await runner.run(python(source, *arguments), timeout_s=timeout_s)


REACH = """
import ctypes, json, os, socket, sys
environ, seed, token, log_socket, runner_socket, pid = sys.argv[1:]
seen = {}
def attempt(name, action):
    try:
        seen[name] = repr(action())
    except Exception as error:
        seen[name] = f"refused: {type(error).__name__}"
def connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        return "connected"
def ptrace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, int(pid), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "attached"
attempt("environ", lambda: open(environ).read())
attempt("seed", lambda: open(seed).read())
attempt("token", lambda: open(token).read())
attempt("log socket", lambda: connect(log_socket))
attempt("runner socket", lambda: connect(runner_socket))
attempt("ptrace", ptrace)
attempt("signal", lambda: os.kill(int(pid), 9))
for name in ("/etc/bzzz-was-here", "/usr/bzzz-was-here", os.path.dirname(seed) + "/x", os.path.dirname(token) + "/x",
             os.path.dirname(os.path.dirname(runner_socket)) + "/workspace/x"):
    attempt("write " + name, lambda: open(name, "w").write("x"))
print(json.dumps(seen))
"""


async def test_a_command_reaches_neither_the_agents_secrets_nor_its_sockets(
    isolated: Workspace, agent: Agent
) -> None:
    result = await inside(
        isolated,
        REACH,
        f"/proc/{agent.pid}/environ",
        str(agent.seed),
        str(isolated.folder / "token"),
        str(agent.log_socket),
        str(isolated.socket),
        str(agent.pid),
    )
    assert result.ok, result.tail
    seen: dict[str, str] = json.loads(result.stdout)
    assert len(seen) == 12
    reached = {name for name, word in seen.items() if not word.startswith("refused")}
    # bwrap's own root is the command's: what it writes there is nowhere outside
    inside_only = {name for name in reached if name.startswith("write ") and not Path(name[6:]).exists()}
    assert reached - inside_only == set()
    assert isolated.isolation == "bubblewrap" or not inside_only
    assert SECRET.encode() not in result.stdout
    assert psutil.pid_exists(agent.pid)


async def test_a_command_sees_only_the_environment_that_it_was_given(processes: Processes) -> None:
    running = start_runner(processes, environment={"BZZZ_SECRET": SECRET})
    runner = running.client()
    result = await runner.run(["env"], env={"GIVEN": "this"}, timeout_s=10)
    names = {line.split("=")[0] for line in result.stdout.decode().splitlines()}
    assert names == {"GIVEN", "PATH", "HOME", "LANG", "TMPDIR"}


async def test_a_command_has_no_capability_and_can_gain_none(isolated: Workspace) -> None:
    result = await inside(isolated, "print(open('/proc/self/status').read())")
    status = dict(line.split(":\t", 1) for line in result.stdout.decode().splitlines() if ":\t" in line)
    assert int(status["CapEff"], 16) == 0
    assert int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    if isolated.isolation != "bubblewrap":
        assert status["Uid"].split() == [str(COMMAND_UID)] * 4
        assert status["Groups"].split() in ([], [str(COMMAND_UID)])


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3):
            os.close(fd)
        os.execvp("sleep", ["sleep", sys.argv[1]])
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[2]))
"""


def sleepers(seconds: str) -> list[int]:
    found: list[int] = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds]:
            found.append(process.pid)
    return found


async def test_a_daemon_dies_with_the_command_that_left_it(isolated: Workspace) -> None:
    length = f"70{COMMAND_UID}.{os.getpid()}"
    result = await inside(isolated, DAEMON, length, "0")
    assert result.exit == 0
    assert sleepers(length) == []


async def test_a_wipe_ends_the_running_command_and_its_daemons(isolated: Workspace) -> None:
    length = f"71{COMMAND_UID}.{os.getpid()}"
    runner = isolated.client()
    results: list[RunResult] = []

    async def run() -> None:
        results.append(await runner.run(python(DAEMON, length, "60"), timeout_s=60))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(15):
            while not sleepers(length):
                await trio.sleep(0.02)
        await isolated.client().wipe()
    assert results[0].exit == "cancelled"
    assert sleepers(length) == []


async def test_a_caller_that_goes_away_ends_its_command(isolated: Workspace) -> None:
    length = f"72{COMMAND_UID}.{os.getpid()}"
    runner = isolated.client()
    with trio.move_on_after(20) as scope:
        async with trio.open_nursery() as nursery:

            async def hang_up() -> None:
                while not sleepers(length):
                    await trio.sleep(0.02)
                scope.cancel()

            nursery.start_soon(hang_up)
            await runner.run(python(DAEMON, length, "60"), timeout_s=60)
    await isolated.client().wipe()
    assert sleepers(length) == []


@pytest.mark.parametrize("isolation", ["namespaces", "user", "bubblewrap"])
def test_nothing_outlives_a_runner_that_is_killed(isolation: str, processes: Processes) -> None:
    if isolation not in isolations():
        pytest.skip("not on this machine")
    length = f"73{len(isolation)}{COMMAND_UID}.{os.getpid()}"
    running = start_runner(processes, isolation=isolation)
    order = json.dumps({"argv": ["sleep", length], "timeout_s": 60})
    caller = subprocess.Popen(
        ["curl", "-s", "--unix-socket", running.socket, "-d", order, "http://runner/run", "-H",
         "Authorization: Bearer a-token-of-the-runner-0123456789"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(lambda: sleepers(length), what="the command runs")
    os.kill(running.process.pid, signal.SIGKILL)
    caller.wait(10)
    eventually(lambda: not sleepers(length), what="the command is gone")


FORKS = """
import os, sys, time
count = 0
try:
    while count < 3000:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError as error:
    print(count, type(error).__name__, flush=True)
"""


@pytest.mark.parametrize("isolation", ["namespaces", "user", "bubblewrap"])
async def test_a_fork_bomb_is_bounded_and_swept_up(isolation: str, processes: Processes) -> None:
    if isolation not in isolations():
        pytest.skip("not on this machine")
    running = start_runner(processes, "--processes", "64", isolation=isolation)
    before = len(psutil.pids())
    result = await inside(running, FORKS)
    count, error = result.stdout.decode().split()
    assert int(count) < 400
    assert error == "BlockingIOError"
    eventually(lambda: len(psutil.pids()) < before + 40, what="the processes are gone")


async def test_output_without_end_is_cut_and_counted(isolated: Workspace) -> None:
    runner = isolated.client()
    async with runner.alone():
        result = await runner.run(["yes"], timeout_s=1, output_limit=10_000)
    assert result.exit == "timeout"
    assert len(result.stdout) == 10_000
    assert result.dropped > 0


async def test_a_file_larger_than_the_limit_cannot_be_written(processes: Processes) -> None:
    running = start_runner(processes, "--file-mb", "1")
    result = await inside(running, "f = open('large', 'wb')\nwhile True: f.write(b'x' * 65536)")
    assert not result.ok
    assert "File too large" in result.tail


async def test_memory_beyond_the_limit_is_not_given(processes: Processes) -> None:
    running = start_runner(processes, "--memory-mb", "128")
    result = await inside(running, "x = bytearray(512 << 20)")
    assert "MemoryError" in result.tail


async def test_nothing_of_one_issue_is_left_for_the_next(isolated: Workspace, tmp_path: Path) -> None:
    tar = tmp_path / "checkout.tar"
    tar.write_bytes(a_tar({"a.txt": "a"}))
    runner = isolated.client()
    leave = (
        "import os\n"
        "for p in ('x', os.environ['HOME'] + '/x', os.environ['TMPDIR'] + '/x', '/tmp/x', '/dev/shm/x'):\n"
        "    open(p, 'w').write('left')\n"
        "os.mkdir('closed'); open('closed/x', 'w'); os.chmod('closed', 0)\n"
    )
    look = (
        "import os\n"
        "places = ('.', os.environ['HOME'], os.environ['TMPDIR'], '/tmp', '/dev/shm')\n"
        "print([p for p in places if os.path.exists(p + '/x') or os.path.exists(p + '/closed')])"
    )
    await runner.put_checkout(tar)
    assert (await runner.run(python(leave), timeout_s=10)).ok
    await runner.put_checkout(tar)
    result = await runner.run(python(look), timeout_s=10)
    assert result.stdout.decode().strip() == "[]"


def test_a_runner_without_isolation_says_so_loudly(processes: Processes) -> None:
    running = start_runner(processes, isolation="none")
    assert running.isolation == "none"
    assert running.process.logged("NO_ISOLATION")[0]["level"] == "error"


async def test_without_isolation_a_daemon_still_dies(processes: Processes) -> None:
    length = f"74{COMMAND_UID}.{os.getpid()}"
    running = start_runner(processes, isolation="none")
    assert (await inside(running, DAEMON, length, "0")).exit == 0
    assert sleepers(length) == []


def test_the_sockets_folder_is_closed_to_the_commands_user(isolated: Workspace) -> None:
    mode = isolated.socket.parent.stat().st_mode
    assert mode & 0o007 == 0
    assert isolated.socket.stat().st_mode & 0o777 == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start a process as somebody else")
def test_a_caller_of_another_user_is_refused(processes: Processes) -> None:
    running = start_runner(processes, isolation="user")
    for path in (running.socket.parent, running.socket):
        path.chmod(0o777)  # even if it could get there
    connect = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "print(s.recv(12).decode())"
    )
    answer = subprocess.run(
        ["/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable, "-c", connect, running.socket],
        user=COMMAND_UID, group=COMMAND_UID, extra_groups=[], capture_output=True, text=True, timeout=10,
    )  # fmt: skip
    assert answer.stdout.strip() == "HTTP/1.1 403", answer.stderr
