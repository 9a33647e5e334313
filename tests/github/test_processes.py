"""The server as a process: imports fast, starts with a clear word or not at all, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from bzzz_github_server.errors import SettingsError
from bzzz_github_server.seeding import build
from bzzz_github_server.server import CONNECTIONS
from bzzz_github_server.settings import load
from tests.github.conftest import WIDGETS, Start, git
from tests.support.processes import Processes, eventually


def children(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    assert found, "expected the emulator as a child"
    return found


def gone(processes: list[psutil.Process]) -> None:
    eventually(lambda: not any(child.is_running() for child in processes), what="the end of the children")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_and_takes_the_emulator_with_it(start_server: Start, number: int) -> None:
    process = start_server().process
    started = children(process.pid)
    os.kill(process.pid, number)
    assert process.wait() == 0
    gone(started)
    assert process.logged("stopped")


def test_a_request_that_waits_does_not_hold_up_the_end(start_server: Start) -> None:
    server = start_server(faults={"rules": [{"kind": "latency", "seconds": 60}]})
    with httpx.Client(timeout=0.3) as client, pytest.raises(httpx.TimeoutException):
        client.get(server.url + WIDGETS)
    started = time.monotonic()
    assert server.process.stop() == 0
    assert time.monotonic() - started < 10


def test_a_killed_server_leaves_no_emulator(start_server: Start) -> None:
    process = start_server().process
    started = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    gone(started)


def test_a_killed_emulator_ends_the_server_with_a_reason(start_server: Start) -> None:
    process = start_server().process
    children(process.pid)[0].kill()
    assert process.wait() == 1
    assert "emulator" in process.logged("cannot_run")[0]["problem"]


def test_thousands_of_files_are_imported_in_seconds(start_server: Start, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.mkdir()
    git(source, "init", "-q")
    for number in range(4000):
        folder = source / f"package{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"module{number}.py").write_text(f"value = {number}\n")
    git(source, "add", ".")
    git(source, "commit", "-qm", "Large")
    started = time.monotonic()
    server = start_server(repositories=[{"name": "acme/large", "source": str(source)}])
    assert time.monotonic() - started < 10
    with server.as_user("bot") as bot:
        tree = bot.get("/repos/acme/large/git/trees/trunk?recursive=1").json()
    assert len([entry for entry in tree["tree"] if entry["type"] == "blob"]) == 4000


def test_a_bare_repository_a_detached_head_and_a_worktree_are_imported(
    start_server: Start, project: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(project), "bare.git")
    git(tmp_path, "clone", "-q", str(project), "detached")
    git(tmp_path / "detached", "checkout", "-q", "v1")
    git(tmp_path / "detached", "worktree", "add", "-q", "-b", "side", str(tmp_path / "tree"), "v1")
    sources = {"bare": "bare.git", "detached": "detached", "tree": "tree"}
    repositories = [
        {"name": f"acme/{name}", "source": str(tmp_path / path)} for name, path in sources.items()
    ]
    server = start_server(repositories=repositories)
    with server.as_user("bot") as bot:
        branches = {name: bot.get(f"/repos/acme/{name}").json()["default_branch"] for name in sources}
        commits = {name: len(bot.get(f"/repos/acme/{name}/commits").json()) for name in sources}
    assert branches == {"bare": "trunk", "detached": "main", "tree": "side"}
    assert commits == {"bare": 2, "detached": 1, "tree": 1}


def test_pushes_never_reach_the_source(start_server: Start, project: Path, tmp_path: Path) -> None:
    before = git(project, "for-each-ref"), git(project, "status", "--porcelain")
    server = start_server(repositories=[{"name": "acme/widgets", "source": str(project)}])
    clone = server.clone("acme/widgets", tmp_path / "clone")
    git(clone, "commit", "-q", "--allow-empty", "-m", "Pushed")
    git(clone, "push", "-q", "origin", "HEAD")
    assert (git(project, "for-each-ref"), git(project, "status", "--porcelain")) == before


def start_badly(tmp_path: Path, config: object) -> str:
    """Start with a configuration that does not hold; what the log says."""
    path = tmp_path / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    with Processes(tmp_path) as processes:
        argv = [sys.executable, "-m", "bzzz_github_server", "--config", path]
        process = processes.start("github", argv, ready_within=None)
        assert process.wait(30) == 1
        assert process.out.read_text() == ""
        return process.logged("cannot_run")[0]["problem"]


USERS = [{"login": "boss", "token": "tok", "permission": "admin"}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": []}, "users"),
        ({"users": [{"login": "-bad-", "token": "x"}]}, "users.0.login"),
        ({"host": "0.0.0.0"}, "host"),
        ({"repositories": [{"name": "no-owner"}]}, "repositories.0.name"),
        ({"repositories": [{"name": "a/.."}]}, "repositories.0.name"),
        ({"repositories": [{"name": "a/b"}, {"name": "A/B"}]}, "each name once"),
        (
            {"repositories": [{"name": "a/b", "source": "/nowhere"}]},
            "expected a git repository with a commit at /nowhere",
        ),
        ({"surprise": 1}, "surprise"),
        ({"faults": {"rules": [{"kind": "drop", "path": "("}]}}, "faults.rules.0.path"),
        (
            {
                "apps": [
                    {
                        "appId": 1,
                        "slug": "a",
                        "privateKeyFile": "/nowhere",
                        "installationId": 1,
                        "account": "a",
                    }
                ]
            },
            "private key",
        ),
    ],
)
def test_a_bad_configuration_is_refused_with_the_field(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    config = {"stateDir": str(tmp_path / "state"), "users": USERS, **change}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=words):
        build(load(tmp_path / "config.json"), "127.0.0.1:1")


def test_a_missing_or_broken_file_and_an_empty_source_are_refused(tmp_path: Path) -> None:
    assert "does not hold" in start_badly(tmp_path, "{")
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    repositories = [{"name": "a/b", "source": str(tmp_path / "empty")}]
    config = {"stateDir": str(tmp_path / "state"), "users": USERS, "repositories": repositories}
    assert "commit first" in start_badly(tmp_path, config)


def test_a_taken_port_is_named(start_server: Start, tmp_path: Path) -> None:
    taken = int(start_server().url.rpartition(":")[2])
    config = {"stateDir": str(tmp_path / "state"), "users": USERS, "port": taken}
    assert f"expected port {taken}" in start_badly(tmp_path, config)


def test_bodies_that_are_too_large_or_malformed_are_refused(start_server: Start) -> None:
    server = start_server()
    host, _, port = server.url.removeprefix("http://").rpartition(":")

    def raw(head: str) -> bytes:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head.encode())
            return connection.recv(65_536)

    start = f"POST {WIDGETS}/issues HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tok-bot\r\n"
    assert b" 413 " in raw(f"{start}Content-Length: 99999999999\r\n\r\n")
    assert b" 400 " in raw(f"{start}Content-Length: minus\r\n\r\n")
    assert b" 400 " in raw(f"{start}Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert httpx.get(f"{server.url}/healthz").json() == {"ok": True}


def test_more_connections_than_it_takes_are_closed_and_the_others_go_on(start_server: Start) -> None:
    server = start_server()
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(CONNECTIONS)
        ]
        eventually(lambda: psutil.Process(server.process.pid).num_threads() > CONNECTIONS, what="all threads")
        with socket.create_connection((host, int(port)), 10) as extra:
            assert extra.recv(1) == b""
        sockets[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in sockets[0].recv(4096)

    def has_room() -> bool:
        try:
            return httpx.get(f"{server.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    eventually(has_room, what="room for others")


def test_a_server_on_every_address_answers_with_the_address_that_clients_have(start_server: Start) -> None:
    server = start_server(host="0.0.0.0", port=0, origin="http://github:8000")
    assert server.url == "http://github:8000"
    port = server.process.ready["port"]
    answer = httpx.get(f"http://127.0.0.1:{port}{WIDGETS}", timeout=10).json()
    assert answer["clone_url"] == "http://github:8000/acme/widgets.git"
