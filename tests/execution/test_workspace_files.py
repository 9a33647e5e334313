"""What goes into a workspace and what comes out, and what is refused on either way."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
import trio

from bzzz_agent.execution import Runner, RunnerRefusedError, RunnerUnavailableError
from tests.support.processes import Processes
from tests.support.workspace import Workspace, a_tar, python, start_runner


def entry(name: str, kind: bytes, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


async def put(workspace: Workspace, folder: Path, data: bytes) -> Runner:
    tar = folder / "in.tar"
    tar.write_bytes(data)
    runner = workspace.client()
    await runner.put_checkout(tar)
    return runner


async def names_in(runner: Runner, folder: Path, *exclude: str) -> dict[str, tarfile.TarInfo]:
    out = folder / "out.tar"
    await runner.get_checkout(out, exclude)
    with tarfile.open(out) as tar:
        return {member.name: member for member in tar}


async def test_a_checkout_comes_back_as_the_command_left_it(workspace: Workspace, tmp_path: Path) -> None:
    tar = a_tar(
        {"a.txt": "old", "folder/b.txt": "b", "run.sh": "#!/bin/sh\n"},
        [entry("link", tarfile.SYMTYPE, "folder/b.txt")],
    )
    runner = await put(workspace, tmp_path, tar)
    change = (
        "import os; open('a.txt', 'w').write('new'); os.chmod('run.sh', 0o755); "
        "os.mkfifo('pipe'); os.mkdir('.git')"
    )
    assert (await runner.run(python(change), timeout_s=10)).ok
    back = await names_in(runner, tmp_path)
    assert set(back) == {"a.txt", "folder", "folder/b.txt", "run.sh", "link"}
    assert back["run.sh"].mode == 0o755
    assert back["link"].linkname == "folder/b.txt"
    with tarfile.open(tmp_path / "out.tar") as out:
        content = out.extractfile("a.txt")
        assert content is not None
        assert content.read() == b"new"


async def test_named_folders_are_left_out_wherever_they_are(workspace: Workspace, tmp_path: Path) -> None:
    runner = await put(
        workspace, tmp_path, a_tar({"a.py": "", "x/__pycache__/a.pyc": "", "node_modules/y/z.js": ""})
    )
    assert set(await names_in(runner, tmp_path, "__pycache__", "node_modules")) == {"a.py", "x"}


HOSTILE = {
    "an absolute path": (a_tar({"/etc/x": ""}), "bad_path"),
    "a path upwards": (a_tar({"a/../../x": ""}), "bad_path"),
    "a git folder": (a_tar({".git/config": ""}), "bad_path"),
    "a git folder in capitals": (a_tar({"sub/.GIT/config": ""}), "bad_path"),
    "a link out": (a_tar({}, [entry("l", tarfile.SYMTYPE, "../x")]), "bad_link"),
    "an absolute link": (a_tar({}, [entry("l", tarfile.SYMTYPE, "/etc/passwd")]), "bad_link"),
    "a way through a link": (
        a_tar({}, [entry("l", tarfile.SYMTYPE, "."), entry("l/x", tarfile.REGTYPE)]),
        "bad_path",
    ),
    "a hard link": (a_tar({"a": ""}, [entry("b", tarfile.LNKTYPE, "a")]), "bad_entry"),
    "a device": (a_tar({}, [entry("d", tarfile.CHRTYPE)]), "bad_entry"),
    "a fifo": (a_tar({}, [entry("f", tarfile.FIFOTYPE)]), "bad_entry"),
    "the same file twice": (a_tar({"a": ""}, [entry("a", tarfile.REGTYPE)]), "bad_tar"),
    "a file as folder": (a_tar({"a": "", "a/b": ""}), "bad_tar"),
    "no tar": (b"x" * 2048, "bad_tar"),
    "half a tar": (a_tar({"a": "x" * 5000})[:3000], "bad_tar"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_tar_is_refused_and_leaves_nothing(
    name: str, workspace: Workspace, tmp_path: Path
) -> None:
    data, code = HOSTILE[name]
    with pytest.raises(RunnerRefusedError) as refusal:
        await put(workspace, tmp_path, data)
    assert refusal.value.reason == code
    assert await names_in(workspace.client(), tmp_path) == {}


async def test_more_than_the_bounds_is_refused_on_either_way(processes: Processes, tmp_path: Path) -> None:
    running = start_runner(processes, "--max-files", "10", "--max-workspace-mb", "1")
    with pytest.raises(RunnerRefusedError, match="10 entries"):
        await put(running, tmp_path, a_tar({str(n): "" for n in range(11)}))
    with pytest.raises(RunnerRefusedError, match=r"expected at most .* bytes"):
        await put(running, tmp_path, a_tar({"a": "x" * (2 << 20)}))
    runner = await put(running, tmp_path, a_tar({"a": ""}))
    grow = "f = open('sparse', 'wb'); f.truncate(1 << 29)"
    assert (await runner.run(python(grow), timeout_s=10)).ok
    with pytest.raises(RunnerRefusedError) as refusal:
        await names_in(runner, tmp_path)
    assert refusal.value.reason == "workspace_too_large"


async def test_a_file_beside_the_checkout_is_readable_and_not_writable(
    workspace: Workspace, tmp_path: Path
) -> None:
    runner = await put(workspace, tmp_path, a_tar({}))
    path = await runner.put_file("issue.json", b'{"n": 1}')
    assert (await runner.run(["cat", path], timeout_s=10)).stdout == b'{"n": 1}'
    written = await runner.run(python("import sys; open(sys.argv[1], 'w')", path), timeout_s=10)
    assert not written.ok
    assert await names_in(runner, tmp_path) == {}


async def test_exit_codes_signals_output_and_input_come_through(workspace: Workspace) -> None:
    runner = workspace.client()
    async with runner.alone():
        code = await runner.run(["sh", "-c", "cat; echo oops >&2; exit 7"], timeout_s=10, stdin=b"given")
        killed = await runner.run(["sh", "-c", "kill -SEGV $$"], timeout_s=10)
        missing = await runner.run(["no-such-program"], timeout_s=10)
        closed = await runner.run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 4"], timeout_s=10)
    assert (code.exit, code.stdout, code.stderr) == (7, b"given", b"oops\n")
    assert killed.exit == -11
    assert missing.exit == 127
    assert "no-such-program" in missing.tail
    assert closed.exit == 4


async def test_one_command_at_a_time(workspace: Workspace) -> None:
    runner = workspace.client()
    async with runner.alone(), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: runner.run(["sleep", "30"], timeout_s=60))
        with trio.fail_after(10):
            while not (await runner.health()).busy:
                await trio.sleep(0.01)
        with pytest.raises(RunnerRefusedError) as refusal:
            await runner.run(["true"], timeout_s=10)
        assert refusal.value.reason == "busy"
        await runner.wipe()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-d", "{}", "http://x/run", "-H", "Authorization: Bearer wrong"], "401"),
        (["-d", "{}", "http://x/run"], "401"),
        (["http://x/healthz"], "200"),
        (["-d", "{}", "http://x/run", "TOKEN"], "400"),
        (["-d", '{"argv": [], "timeout_s": 1}', "http://x/run", "TOKEN"], "400"),
        (["-d", '{"argv": ["a\\u0000"], "timeout_s": 1}', "http://x/run", "TOKEN"], "400"),
        (["-d", '{"argv": ["a"], "timeout_s": 1e999}', "http://x/run", "TOKEN"], "400"),
        (["-d", '{"argv": ["a"], "timeout_s": true}', "http://x/run", "TOKEN"], "400"),
        (["-d", '{"argv": ["a"], "timeout_s": 1, "env": {"A=B": ""}}', "http://x/run", "TOKEN"], "400"),
        (["-d", '{"argv": ["a"], "timeout_s": 1, "stdin": "%"}', "http://x/run", "TOKEN"], "400"),
        (["-d", "[" * 100_000, "http://x/run", "TOKEN"], "400"),
        (["-T", "/dev/null", "http://x/files/..%2fx", "TOKEN"], "400"),
        (["-H", "Content-Length: 99999999999", "-X", "PUT", "http://x/workspace", "TOKEN"], "413"),
        (["-X", "PUT", "http://x/workspace", "TOKEN"], "411"),
        (["http://x/elsewhere", "TOKEN"], "404"),
    ],
)
def test_bad_requests_are_answered_with_what_was_expected(
    arguments: list[str], status: str, workspace: Workspace, tmp_path: Path
) -> None:
    if "-d" in arguments:
        body = tmp_path / "body"
        body.write_text(arguments[1])
        arguments = ["-d", f"@{body}", *arguments[2:]]
    given = [a for a in arguments if a != "TOKEN"]
    if "TOKEN" in arguments:
        given += ["-H", "Authorization: Bearer a-token-of-the-runner-0123456789"]
    command = ["curl", "-s", "-m", "10", "-w", "%{http_code}", "--unix-socket", str(workspace.socket), *given]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=15).stdout
    assert answer.endswith(status), answer


async def test_a_runner_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bzzz_agent.execution.runner_client.STARTING_S", 0.1)
    with pytest.raises(RunnerUnavailableError, match=r"runner\.sock"):
        await Runner(tmp_path / "runner.sock", "token").health()


async def test_a_runner_that_dies_under_a_command_is_noticed(processes: Processes) -> None:
    running = start_runner(processes)
    runner = running.client()

    async def kill() -> None:
        while not (await running.client().health()).busy:
            await trio.sleep(0.01)
        running.process.kill()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill)
        with pytest.raises(RunnerUnavailableError):
            await runner.run(["sleep", "60"], timeout_s=60)
