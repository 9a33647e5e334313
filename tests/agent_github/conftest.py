"""The agent's GitHub client against the real local GitHub server: one server a run, one label a test."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client import CollectorRegistry

from bzzz_agent.github import (
    Claim,
    GitHubClient,
    GitHubMetrics,
    GitHubRepository,
    GitHubSettings,
    RepositorySettings,
    open_repository,
)
from hmmm.claims import BackOff
from hmmm.eligibility import EligibilityRules
from tests.support.processes import Processes

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
REPOSITORY = "acme/widgets"
WRITERS = ("bot-0", "bot-1", "bot-2", "ada", "gone")
"""Accounts with write permission; the bots are the hive's, ada is a human, gone loses the permission."""

_labels = itertools.count(1)
_nonces = itertools.count(1)


def a_nonce() -> str:
    """A nonce that no other test uses."""
    return f"nonce-{next(_nonces)}"


@dataclass
class GitHubServer:
    """The running server, as its administrator sees it."""

    url: str
    folder: Path
    admin: httpx.Client

    def call(self, method: str, path: str, body: object = None, *, login: str = "owner") -> Any:
        """Call the API as some account; the answer's JSON."""
        headers = {"Authorization": f"Bearer token-{login}"}
        answer = self.admin.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def faults(self, *rules: dict[str, object], seed: int = 1) -> None:
        """Put fault rules in force; none lifts them."""
        self.call("PUT", "/_faults", {"seed": seed, "rules": list(rules)})

    def bitten(self) -> int:
        """How often the fault rules bit."""
        return sum(rule["bitten"] for rule in self.call("GET", "/_faults")["rules"])

    def token_file(self, login: str) -> Path:
        """A file with an account's token."""
        path = self.folder / f"token-{login}"
        path.write_text(f"token-{login}\n")
        return path

    def records(self) -> list[dict[str, Any]]:
        """Every exchange so far."""
        return [json.loads(line) for line in (self.folder / "record.jsonl").read_text().splitlines()]

    def branch(self, name: str, *, repository: str = REPOSITORY, text: str = "x") -> str:
        """Make a branch with one commit on top of main; its head."""
        base = f"/repos/{repository}/git"
        main = self.call("GET", f"{base}/ref/heads/main")["object"]["sha"]
        tree = self.call("GET", f"{base}/commits/{main}")["tree"]["sha"]
        made = self.call(
            "POST",
            f"{base}/trees",
            {
                "base_tree": tree,
                "tree": [{"path": f"{name}.txt", "mode": "100644", "type": "blob", "content": text}],
            },
        )
        commit = self.call(
            "POST", f"{base}/commits", {"message": text, "tree": made["sha"], "parents": [main]}
        )
        self.call("POST", f"{base}/refs", {"ref": f"refs/heads/{name}", "sha": commit["sha"]})
        return commit["sha"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubServer]:
    folder = tmp_path_factory.mktemp("github")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "app.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    app = {"appId": 77, "slug": "bzzz-app", "installationId": 7001, "account": "acme"}
    users = [{"login": "owner", "token": "token-owner", "permission": "admin"}]
    users += [{"login": login, "token": f"token-{login}", "permission": "write"} for login in WRITERS]
    users += [{"login": "reader", "token": "token-reader", "permission": "read"}]
    config = {
        "stateDir": str(folder / "state"),
        "users": users,
        "apps": [app | {"privateKeyFile": str(folder / "app.pem")}],
        "repositories": [
            {"name": REPOSITORY},
            {"name": "acme/plain", "drafts": False},
            {"name": "acme/many"},
            {"name": "acme/narrow"},
        ],
        "limits": {"requestsPerHour": 1_000_000, "anonymousPerHour": 1_000_000},
        "record": str(folder / "record.jsonl"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    with Processes(folder) as processes:
        process = processes.start(
            "github", [sys.executable, "-m", "bzzz_github_server", "--config", folder / "config.json"]
        )
        with httpx.Client(base_url=process.ready["url"], timeout=30) as admin:
            yield GitHubServer(process.ready["url"], folder, admin)
        process.stop()


@dataclass
class Clock:
    """A wall clock that a test sets forward."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now().astimezone() + self.ahead


@dataclass
class Hive:
    """The agents of one test, their issues told from other tests' by their label."""

    server: GitHubServer
    label: str
    repository: str = REPOSITORY
    clock: Clock = field(default_factory=Clock)

    @property
    def path(self) -> str:
        """The repository's path in the API."""
        return f"/repos/{self.repository}"

    def issue(self, title: str = "Crash on empty input", *, login: str = "owner", **fields: object) -> int:
        """Open an issue with the hive's label; its number."""
        body: dict[str, object] = {"title": title, "body": "It crashes.", "labels": [self.label]}
        return self.server.call("POST", f"{self.path}/issues", body | fields, login=login)["number"]

    def shown(self, number: int) -> dict[str, Any]:
        """An issue as the API shows it now."""
        issue = self.server.call("GET", f"{self.path}/issues/{number}")
        return issue | {
            "labels": {label["name"] for label in issue["labels"]},
            "assignees": {account["login"] for account in issue["assignees"]},
        }

    def tip(self, number: int) -> dict[str, Any] | None:
        """What the tip of an issue's claim ref says."""
        name = f"refs/claims/issue-{number}"
        refs = self.server.call("GET", f"{self.path}/git/matching-refs/claims/issue-{number}")
        (ref,) = [ref for ref in refs if ref["ref"] == name] or [None]
        if ref is None:
            return None
        commit = self.server.call("GET", f"{self.path}/git/commits/{ref['object']['sha']}")
        return json.loads(commit["message"])

    def client(self, login: str = "bot-0", **settings: object) -> GitHubClient:
        """A client; the caller closes it. Quick back-off, so that faults do not make tests slow."""
        quick: dict[str, object] = {"first_pause_s": 0.01, "attempts": 8, "patience_s": 20}
        merged = {"api_url": self.server.url, "token_file": self.server.token_file(login)} | quick | settings
        return GitHubClient(GitHubSettings.model_validate(merged), GitHubMetrics(CollectorRegistry()))

    @asynccontextmanager
    async def agent(
        self,
        node_id: str = "bzzz-0",
        *,
        login: str = "bot-0",
        lease_s: float = 900.0,
        client: GitHubClient | None = None,
        repository: str | None = None,
        accounts: frozenset[str] = frozenset(),
    ) -> AsyncIterator[GitHubRepository]:
        """One agent on the repository."""
        used = client or self.client(login)
        settings = RepositorySettings(
            EligibilityRules(frozenset({self.label}), accounts=accounts),
            lease_s=lease_s,
            back_off=BackOff(first_s=60, factor=5, most_s=3600),
        )
        try:
            yield await open_repository(
                used, repository or self.repository, settings, node_id, PEER, now=self.clock
            )
        finally:
            used.close()

    async def claim(self, agent: GitHubRepository, number: int, nonce: str | None = None) -> Claim:
        """Claim an issue that is free."""
        result = await agent.acquire(await agent.issue(number), nonce=nonce or a_nonce())
        assert isinstance(result, Claim), result
        return result


@pytest.fixture
def hive(server: GitHubServer) -> Iterator[Hive]:
    yield Hive(server, f"bzzz-{next(_labels)}")
    server.faults()


def writes_of(client: GitHubClient) -> dict[str, int]:
    """The writes that a client made, by kind; refused ones count as well."""
    counted: dict[str, int] = {}
    for metric in client._metrics.requests.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["method"] != "GET":
                kind = sample.labels["kind"]
                counted[kind] = counted.get(kind, 0) + int(sample.value)
    return counted
