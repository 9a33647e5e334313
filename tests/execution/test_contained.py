"""The runner as it is in a pod: a container around it, its own UID for commands too, the agent's UID alone let in.

Containers of a pod differ in their UID and share a group; that much is imitated here, the container itself is not.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bzzz_agent.execution.command import make_repository
from tests.support.processes import Process, Processes, eventually
from tests.support.workspace import RUNNER, TOKEN, a_tar, python

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as other UIDs")

AGENT, RUNNERS, HYPERCORE, GROUP = 10_001, 10_002, 10_003, 10_000
PYTHON = "/usr/bin/python3"
ASK = """
import base64, http.client, json, socket, sys
path, token, method, route, body = sys.argv[1:]
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
connection = Connection("runner", timeout=60)
connection.request(method, route, base64.b64decode(body), {"Authorization": "Bearer " + token})
answer = connection.getresponse()
print(json.dumps({"status": answer.status, "body": answer.read().decode()}))
"""


@dataclass
class Pod:
    """A runner, and the folders that containers share."""

    process: Process
    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "run.sock"

    @property
    def root(self) -> Path:
        return self.folder / "workspace"

    def ask(
        self, method: str, route: str, body: bytes = b"", *, uid: int = AGENT, groups: int | None = GROUP
    ) -> subprocess.CompletedProcess[str]:
        """Send a request with the right token as some container's UID."""
        arguments = [str(self.socket), TOKEN, method, route, base64.b64encode(body).decode()]
        argv = as_user(uid, groups, PYTHON, "-c", ASK, *arguments)
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    def answer(self, method: str, route: str, body: bytes = b"", *, uid: int = AGENT) -> tuple[int, str]:
        """Return status and body."""
        done = self.ask(method, route, body, uid=uid)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return answer["status"], answer["body"]

    def run(self, argv: list[str], env: dict[str, str] | None = None) -> tuple[Any, str]:
        """Run a command as the agent would; return how it ended and what it printed."""
        order = {"argv": argv, "env": env or {}, "timeout_s": 30}
        status, body = self.answer("POST", "/run", json.dumps(order).encode())
        assert status == 200, body
        events = [json.loads(line) for line in body.splitlines()]
        text = b"".join(
            base64.b64decode(e[name]) for e in events for name in ("stdout", "stderr") if name in e
        )
        return events[-1]["exit"], text.decode()


def as_user(uid: int, group: int | None, *argv: str | Path) -> list[str]:
    groups = "--clear-groups" if group is None else f"--groups={group}"
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", groups, *(str(part) for part in argv)]


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A runner that is not root, in volumes that belong to root and the pod's group."""
    with tempfile.TemporaryDirectory(prefix="pod", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        for volume in ("run", "workspace", "opt"):
            (folder / volume).mkdir()
            os.chown(folder / volume, 0, GROUP)
            (folder / volume).chmod(0o755 if volume == "opt" else 0o2777)
        program = Path(shutil.copy(RUNNER, folder / "opt" / "bzzz_runner.py"))
        token = folder / "token"
        token.write_text(TOKEN)
        os.chown(token, 0, GROUP)
        token.chmod(0o440)
        options = [
            "--socket",
            folder / "run" / "run.sock",
            "--root",
            folder / "workspace",
            "--token-file",
            token,
        ]
        options += ["--isolation", "container", "--peer-uid", str(AGENT)]
        with Processes(tmp_path) as processes:
            argv = as_user(RUNNERS, GROUP, PYTHON, program, *options)
            yield Pod(processes.start("runner", argv), folder)


def test_the_agents_uid_alone_is_let_in_whatever_it_knows(pod: Pod) -> None:
    assert pod.answer("GET", "/healthz") == (200, '{"ok": true, "isolation": "container", "busy": false}')
    for uid in (RUNNERS, HYPERCORE, 0):
        status, body = pod.answer("DELETE", "/workspace", uid=uid)
        assert status == 403, uid
        assert "FOREIGN_PEER" in body
    outside = pod.ask("GET", "/healthz", uid=10_009, groups=None)
    assert "PermissionError" in outside.stderr
    status = pod.socket.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (RUNNERS, GROUP, 0o660)


def test_the_socket_is_for_its_folders_group_also_where_the_folder_does_not_hand_it_on(pod: Pod) -> None:
    pod.process.stop()
    (pod.folder / "run").chmod(0o0777)
    argv = pod.process.popen.args
    assert isinstance(argv, list)
    with Processes(pod.folder) as processes:
        processes.start("again", [str(part) for part in argv])
        assert pod.socket.stat().st_gid == GROUP


REACH = """
import ctypes, http.client, json, os, socket, sys
runner, socket_path, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = {}
def attempt(name, action):
    try:
        seen[name] = repr(action())
    except Exception as error:
        seen[name] = f"refused: {type(error).__name__}"
def ptrace():
    if ctypes.CDLL(None, use_errno=True).ptrace(16, runner, None, None) != 0:
        raise PermissionError
def call():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(socket_path)
        s.sendall(f"DELETE /workspace HTTP/1.1\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode())
        answer = s.recv(64).decode()
    if " 403 " in answer:
        raise PermissionError(answer)
    return answer
attempt("memory", lambda: open(f"/proc/{runner}/mem", "rb"))
attempt("environment", lambda: open(f"/proc/{runner}/environ", "rb").read())
attempt("descriptors", lambda: os.listdir(f"/proc/{runner}/fd"))
attempt("ptrace", ptrace)
attempt("runner", call)
print(json.dumps(seen))
"""


def test_a_command_reaches_neither_the_runners_memory_nor_the_runner(pod: Pod) -> None:
    ended, text = pod.run(list(python(REACH, str(pod.process.pid), str(pod.socket), TOKEN)))
    assert ended == 0, text
    seen = json.loads(text)
    assert set(seen) == {"memory", "environment", "descriptors", "ptrace", "runner"}
    assert all(said.startswith("refused") for said in seen.values()), seen


def test_a_command_has_a_home_and_a_place_for_temporary_files(pod: Pod) -> None:
    script = 'touch "$HOME/a" "$TMPDIR/b" c && echo "$HOME $TMPDIR $PWD $USER" && id -u'
    ended, text = pod.run(["sh", "-c", script])
    root = pod.root
    assert (ended, text) == (0, f"{root}/home {root}/tmp {root}/checkout bzzz\n{RUNNERS}\n")


def test_an_image_without_git_is_enough(pod: Pod) -> None:
    class Asked(Exception):  # noqa: N818 - not an error: it carries what the agent would have sent
        pass

    class Recorder:
        async def run(self, argv: list[str], **_: object) -> None:
            raise Asked(argv)

    with pytest.raises(Asked) as asked:
        next(iter(make_repository(Recorder()).__await__()))  # pyright: ignore[reportArgumentType]
    argv = ["/bin/sh", *asked.value.args[0][1:]]
    ended, text = pod.run(argv, {"PATH": "/nowhere"})
    assert ended == 0
    assert "not found" in text


def test_nothing_that_a_command_left_is_there_for_the_next(pod: Pod) -> None:
    left = [pod.root / "stray", pod.folder / "run" / "stray", Path(f"/tmp/contained-{os.getpid()}")]
    script = " && ".join(f"mkdir {path} && touch {path}/x" for path in left) + " && (setsid sleep 300 &)"
    assert pod.run(["sh", "-c", script])[0] == 0
    assert not left[1].exists(), "beside the socket nothing stays"
    assert pod.answer("PUT", "/workspace", a_tar({"a.txt": "a"}))[0] == 200
    assert [path for path in left if path.exists()] == []
    assert pod.run(["cat", "a.txt"]) == (0, "a")


def test_a_runner_whose_socket_was_replaced_ends_itself(pod: Pod) -> None:
    order = {"argv": ["sh", "-c", f"rm {pod.socket} && touch {pod.socket}"], "timeout_s": 30}
    pod.ask("POST", "/run", json.dumps(order).encode())
    assert pod.process.wait(10) == 1
    assert eventually(lambda: pod.process.logged("socket_replaced"))
