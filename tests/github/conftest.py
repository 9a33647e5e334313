"""One real server for most tests, and a way to start others; git by its own command line."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import Process, Processes

WIDGETS = "/repos/acme/widgets"
_numbers = itertools.count(1)


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git as a person would, without their configuration; its output."""
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.test", "-c", "init.defaultBranch=trunk")
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr}"


def unique(name: str) -> str:
    """A name that no other test uses."""
    return f"{name}-{next(_numbers)}"


@dataclass
class Server:
    """A running server."""

    process: Process
    folder: Path

    @property
    def url(self) -> str:
        return self.process.ready["url"]

    def as_user(self, login: str | None) -> httpx.Client:
        """A client with a user's token; None for nobody's."""
        headers = {"Authorization": f"Bearer tok-{login}"} if login else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def remote(self, name: str, login: str | None = "bot") -> str:
        """A URL for git with a user's token as the password."""
        host = self.url.removeprefix("http://")
        return f"http://x-access-token:tok-{login}@{host}/{name}.git" if login else f"{self.url}/{name}.git"

    def clone(self, name: str, into: Path, login: str | None = "bot") -> Path:
        """A fresh clone."""
        git(into.parent, "clone", "-q", self.remote(name, login), str(into))
        return into

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "record.jsonl").read_text().splitlines()]


USERS = [
    {"login": "boss", "token": "tok-boss", "permission": "admin"},
    {"login": "bot", "token": "tok-bot"},
    {"login": "ada", "token": "tok-ada"},
    {"login": "guest", "token": "tok-guest", "permission": "read"},
]

Start = Callable[..., Server]


def start(processes: Processes, folder: Path, **changes: object) -> Server:
    """Start a server; `changes` are settings."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "stateDir": str(folder / "state"),
        "users": USERS,
        "repositories": [{"name": "acme/widgets"}],
        "limits": {"requestsPerHour": 1_000_000, "anonymousPerHour": 1_000_000},
        "record": str(folder / "record.jsonl"),
        **changes,
    }
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    argv = [sys.executable, "-m", "bzzz_github_server", "--config", path]
    return Server(processes.start("github", argv, ready_within=60), folder)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's checkout: two branches, a tag, HEAD on `trunk`, uncommitted work."""
    folder = tmp_path_factory.mktemp("project")
    git(folder, "init", "-q")
    (folder / "src").mkdir()
    (folder / "src" / "app.py").write_text("def add(a, b):\n    return a - b\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "naïve name.txt").write_text("x\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    git(folder, "tag", "v1")
    git(folder, "branch", "bzzz/issue-1")
    (folder / "README.md").write_text("# Project\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Second")
    (folder / "README.md").write_text("not committed\n")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    repositories = [
        {
            "name": "acme/widgets",
            "source": str(project),
            "issues": [
                {"title": "Adds wrongly", "body": "1 + 1 is 0", "labels": ["bzzz"]},
                {"title": "From a stranger", "labels": ["bzzz"], "authorAssociation": "NONE"},
                {"title": "From Eve", "author": "eve", "authorAssociation": "COLLABORATOR"},
            ],
        },
        {"name": "acme/secret", "private": True},
        {"name": "acme/plain", "drafts": False},
        {"name": "ada/mine"},
    ]
    with Processes(folder) as processes:
        yield start(processes, folder, repositories=repositories)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Start]:
    """Starts a server of the test's own; all are ended after the test."""
    with Processes(tmp_path) as processes:
        yield lambda **changes: start(processes, tmp_path / unique("server"), **changes)


def client(login: str | None) -> Any:
    """A fixture: a client of the common server."""

    @pytest.fixture(name=login or "nobody")
    def fixture(server: Server) -> Iterator[httpx.Client]:
        with server.as_user(login) as made:
            yield made

    return fixture


boss, bot, ada, guest, nobody = (client(login) for login in ("boss", "bot", "ada", "guest", None))


def commit_on(
    bot: httpx.Client, repository: str, branch: str, path: str = "new.txt", message: str = "Work"
) -> str:
    """Make a branch off the default one with one commit by REST; the commit."""
    api = f"/repos/{repository}"
    default = bot.get(api).json()["default_branch"]
    base = bot.get(f"{api}/git/ref/heads/{default}").json()["object"]["sha"]
    entry = {"path": path, "mode": "100644", "type": "blob", "content": f"{branch}\n"}
    tree = bot.post(f"{api}/git/trees", json={"base_tree": base, "tree": [entry]}).json()["sha"]
    body = {"message": message, "tree": tree, "parents": [base]}
    sha = bot.post(f"{api}/git/commits", json=body).json()["sha"]
    made = bot.post(f"{api}/git/refs", json={"ref": f"refs/heads/{branch}", "sha": sha})
    assert made.status_code == 201, made.text
    return sha


def open_pull(bot: httpx.Client, repository: str, branch: str, **more: object) -> dict[str, Any]:
    """Open a pull request of a branch against the default one."""
    api = f"/repos/{repository}"
    base = bot.get(api).json()["default_branch"]
    answer = bot.post(f"{api}/pulls", json={"title": branch, "head": branch, "base": base, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def open_issue(client: httpx.Client, repository: str = "acme/widgets", **more: object) -> int:
    """Open an issue; its number."""
    answer = client.post(f"/repos/{repository}/issues", json={"title": unique("Issue"), **more})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["number"])


def numbers(answer: httpx.Response) -> list[int]:
    """The numbers in a list."""
    assert answer.status_code == 200, answer.text
    return [item["number"] for item in answer.json()]
