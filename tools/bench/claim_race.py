"""Sixteen claimers, forty issues, all at once, with the agent's own client against the local GitHub server.

Harder than the hive's daily life, in which agents wait their turn: here nobody does. Three times: reads that are fresh,
reads that lag, and answers that are lost after they were applied. An issue with two winners breaks the bench; so does
one with none.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.github import (
    Claim,
    GitHubMetrics,
    GitHubRepository,
    GitHubSettings,
    RepositorySettings,
    UnavailableError,
    open_client,
    open_repository,
)
from hmmm.claims import read_claim
from hmmm.eligibility import EligibilityRules, IssueFacts
from tests.support.processes import Processes
from tools.bench.rows import BrokenError, Context, Row, at_most, percentile, plain

CLAIMERS = 16
ISSUES = 40
ACCOUNTS = 4
"""Claimers share accounts, four to one, as a hive's replicas do."""
REPOSITORY = "acme/race"
LABEL = "bzzz"
PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
SCENARIOS: dict[str, list[dict[str, Any]]] = {
    "fresh reads": [],
    "reads up to 0.5 s late": [{"kind": "staleReads", "seconds": 0.5}],
    "1 answer in 10 lost": [{"kind": "lostAnswer", "probability": 0.1, "methods": ["POST", "PATCH"]}],
}
PATIENCE_S = 120.0
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})


@dataclass
class Server:
    """The running GitHub server and its record."""

    url: str
    record: Path
    admin: httpx.Client

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Put fault rules in force."""
        self.admin.put("/_faults", json={"seed": 1, "rules": rules}).raise_for_status()

    def open_issues(self, count: int) -> list[int]:
        """Open issues; their numbers."""
        issue = {"title": "Crash on empty input", "body": "It crashes.", "labels": [LABEL]}
        answers = [self.admin.post(f"/repos/{REPOSITORY}/issues", json=issue) for _ in range(count)]
        return [answer.raise_for_status().json()["number"] for answer in answers]

    def exchanges(self) -> list[dict[str, Any]]:
        """Return every request so far."""
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def nonces(self, number: int) -> list[str]:
        """Return the claims that an issue's ref has seen, newest first: the truth, walked commit by commit."""
        ref = self.admin.get(f"/repos/{REPOSITORY}/git/ref/claims/issue-{number}")
        sha = ref.json()["object"]["sha"] if ref.status_code == 200 else None
        found: list[str] = []
        while sha is not None:
            commit = self.admin.get(f"/repos/{REPOSITORY}/git/commits/{sha}").raise_for_status().json()
            found.append(read_claim(commit["message"].encode()).nonce)
            sha = commit["parents"][0]["sha"] if commit["parents"] else None
        return found


def measure(context: Context) -> Iterator[Row]:
    """Race through each scenario on one server."""
    with Processes(context.folder) as processes:
        server = _server(processes, context.folder)
        with server.admin:
            for name, faults in SCENARIOS.items():
                context.say(name)
                yield from trio.run(_race, server, name, faults, context)
        processes.all[0].stop()


def _server(processes: Processes, folder: Path) -> Server:
    users = [{"login": "owner", "token": "token-owner", "permission": "admin"}]
    users += [
        {"login": f"bot-{n}", "token": f"token-bot-{n}", "permission": "write"} for n in range(ACCOUNTS)
    ]
    config = {
        "stateDir": str(folder / "github"),
        "users": users,
        "repositories": [{"name": REPOSITORY}],
        "limits": {"requestsPerHour": 10_000_000, "anonymousPerHour": 1_000_000},
        "record": str(folder / "record.jsonl"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    for n in range(ACCOUNTS):
        (folder / f"token-{n}").write_text(f"token-bot-{n}")
    argv = [sys.executable, "-m", "bzzz_github_server", "--config", str(folder / "config.json")]
    url = processes.start("github", argv).ready["url"]
    headers = {"Authorization": "Bearer token-owner"}
    return Server(
        url, folder / "record.jsonl", httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
    )


@asynccontextmanager
async def _claimers(server: Server, folder: Path) -> AsyncIterator[list[GitHubRepository]]:
    """Sixteen agents, each with a connection of its own."""
    rules = EligibilityRules(frozenset({LABEL}), accounts=frozenset(f"bot-{n}" for n in range(ACCOUNTS)))
    async with AsyncExitStack() as stack:
        agents: list[GitHubRepository] = []
        for n in range(CLAIMERS):
            settings = GitHubSettings(api_url=server.url, token_file=folder / f"token-{n % ACCOUNTS}")
            client = await stack.enter_async_context(
                open_client(settings, GitHubMetrics(CollectorRegistry()))
            )
            agents.append(
                await open_repository(client, REPOSITORY, RepositorySettings(rules), f"bzzz-{n}", PEER)
            )
        yield agents


async def _race(server: Server, name: str, faults: list[dict[str, Any]], context: Context) -> list[Row]:
    numbers = server.open_issues(context.times(ISSUES))
    won: dict[int, list[Claim]] = {number: [] for number in numbers}
    seconds: list[float] = []
    async with _claimers(server, context.folder) as agents:
        issues = [await agents[0].issue(number) for number in numbers]
        before = len(server.exchanges())
        server.faults(faults)
        for facts in issues:
            started = time.perf_counter()
            with trio.fail_after(PATIENCE_S):
                won[facts.number] = await _claim_at_once(agents, facts)
            seconds.append(time.perf_counter() - started)
        server.faults([])
    made = [e for e in server.exchanges()[before:] if not e["path"].startswith("/_faults")]
    return _judge(server, name, won, made, seconds)


async def _claim_at_once(agents: list[GitHubRepository], facts: IssueFacts) -> list[Claim]:
    """Let all agents claim one issue; each repeats an unclear try under its nonce, as the agent does."""
    won: list[Claim] = []

    async def one(agent: GitHubRepository) -> None:
        nonce = f"{agent.agent.node_id}-{facts.number}"
        while True:
            try:
                result = await agent.acquire(facts, nonce=nonce)
            except UnavailableError:
                continue
            if isinstance(result, Claim):
                won.append(result)
            return

    async with trio.open_nursery() as nursery:
        for agent in agents:
            nursery.start_soon(one, agent)
    return won


def _judge(
    server: Server, name: str, won: dict[int, list[Claim]], made: list[dict[str, Any]], seconds: list[float]
) -> list[Row]:
    doubles = [number for number, claims in won.items() if len(claims) > 1]
    orphans = [number for number, claims in won.items() if not claims]
    told = {number: [claim.record.nonce for claim in claims] for number, claims in won.items()}
    wrong = [number for number in won if server.nonces(number) != told[number]]
    if doubles or orphans or wrong:
        raise BrokenError(
            f"{name}: claimed twice {doubles}, by nobody {orphans}, not as the ref says {wrong}"
        )
    issues, story = len(won), f"{CLAIMERS} claimers, {len(won)} issues"
    writes = Counter(_kind(e["path"]) for e in made if e["method"] in WRITES)
    each = ", ".join(f"{kind} {plain(count / issues)}" for kind, count in writes.most_common())
    late = percentile(seconds, 99)
    return [
        Row(f"{name}, double claims", 0, "issues", promise=at_most(0), note=story),
        Row(f"{name}, claimed by nobody", 0, "issues", promise=at_most(0)),
        Row(f"{name}, requests an issue", len(made) / issues, ""),
        Row(f"{name}, writes an issue, losers' included", writes.total() / issues, "", note=each),
        Row(f"{name}, until all 16 know, p50", percentile(seconds, 50), "s", note=f"p99 {late:.2f} s"),
    ]


def _kind(path: str) -> str:
    """Return what a write is for, by its path."""
    for part, kind in (("git/commits", "commit"), ("git/refs", "ref"), ("assignees", "assignee")):
        if part in path:
            return kind
    return "label" if "labels" in path else "other"
