"""Looking at a running hive: GitHub's issues and the scribe's discussions, put together into accounts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.github.client import GitHubClient, open_client
from bzzz_agent.github.errors import GitHubError
from bzzz_agent.github.metrics import GitHubMetrics
from bzzz_agent.github.settings import GitHubSettings
from bzzz_cli.local.hive import RunningHive
from bzzz_cli.local.issue_watch import IssueWatch
from bzzz_cli.local.outcome import Account, IssueSight, accounts
from bzzz_cli.local.plan import HivePlan
from bzzz_cli.local.report import PullRequestReport, gather
from bzzz_cli.local.status import ScribeClient, State, StatusError

EVIDENCE_S: Final = 60.0
"""How long an agent may take, once its pull request is there, to settle its claim and close the discussion."""
LOCAL_LOOK_S: Final = 1.0
GITHUB_LOOK_S: Final = 15.0
"""How often the issues are looked at. github.com allows 5,000 requests an hour, and the agents need theirs."""


class HiveWatch:
    """What is known of a hive's work. Make it with `watching`."""

    def __init__(self, plan: HivePlan, hive: RunningHive, scribe: ScribeClient, client: GitHubClient) -> None:
        self._scribe = scribe
        self._client = client
        local = plan.github_token is None
        self._look_every_s = LOCAL_LOOK_S if local else GITHUB_LOOK_S
        self._repositories = [
            IssueWatch(client, name, plan.agents, hive.accounts, whole=local) for name in plan.repositories
        ]
        self._sights: tuple[IssueSight, ...] | None = None
        self._looked_at = float("-inf")
        self._ever_eligible: set[tuple[str, int]] = set()
        self._pull_since: dict[str, float] = {}
        self.state = State()
        self.trouble = ""
        """Why the last look failed; empty when it did not."""

    async def look(self) -> tuple[Account, ...] | None:
        """Look again and return what became of every issue; None as long as GitHub has not been seen."""
        self.trouble = ""
        try:
            self.state = await self._scribe.state()
        except StatusError as error:
            self.trouble = str(error)
        now = trio.current_time()
        if now - self._looked_at >= self._look_every_s:
            self._looked_at = now
            try:
                sights = [sight for watch in self._repositories for sight in await watch.look()]
                self._sights = tuple(sights)
                self._ever_eligible |= {sight.key for sight in sights if sight.ineligible is None}
            except GitHubError as error:
                self.trouble = str(error)
        if self._sights is None:
            return None
        found = accounts(self._sights, frozenset(self._ever_eligible), self.state.latest())
        return tuple(self._settle(account, now) for account in found)

    async def pull_requests(self, found: tuple[Account, ...]) -> tuple[PullRequestReport, ...]:
        """Fetch the pull requests with diffs and evidence; one that cannot be read is left out and said."""
        reports: list[PullRequestReport] = []
        for account in found:
            try:
                report = await gather(self._client, self._scribe, account)
            except GitHubError as error:
                self.trouble = str(error)
                continue
            if report is not None:
                reports.append(report)
        return tuple(reports)

    def _settle(self, account: Account, now: float) -> Account:
        """A pull request whose discussion nobody closes is final after a while all the same."""
        url = account.pull_request
        if url is None or account.final:
            return account
        since = self._pull_since.setdefault(url, now)
        return replace(account, final=now - since > EVIDENCE_S)


@asynccontextmanager
async def watching(plan: HivePlan, hive: RunningHive) -> AsyncGenerator[HiveWatch]:
    """Watch a hive for the length of a block."""
    settings = GitHubSettings(api_url=hive.api_url, token_file=hive.github_token_file)
    scribe = ScribeClient(hive.scribe_url)
    try:
        async with open_client(settings, GitHubMetrics(CollectorRegistry())) as client:
            yield HiveWatch(plan, hive, scribe, client)
    finally:
        with trio.CancelScope(shield=True):
            await scribe.aclose()
