"""Looking for work: the open issues with the hive's labels, and the claim refs of those.

The list has unassigned issues and assigned ones alike, because a dead claimant's issue stays assigned. Each page
and the list of refs carry an ETag: while nothing changes a poll is answered 304, which costs nothing of the limit.
What it shows may lag behind; only the claim ref's compare-and-set decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import trio

from bzzz_agent.github.answers import Issue, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.refs import ClaimRefStore, Tip
from hmmm.claims import LeaseWatch
from hmmm.eligibility import IssueFacts

PAGE_SIZE: Final = 100
MAX_PAGES: Final = 10
"""Oldest first: a hive with over a thousand open issues of its label works them off from the front."""


@dataclass(frozen=True)
class Poll:
    """What a poll found: facts of every open, labelled issue, and the tip of each one ever claimed."""

    issues: tuple[IssueFacts, ...] = ()
    claims: dict[int, Tip] = field(default_factory=dict[int, Tip])
    changed: bool = False
    """Something differs from this poller's last call."""
    stood_still_s: dict[int, float] = field(default_factory=dict[int, float])
    """For how long this poller has seen each tip unchanged, on its own monotonic clock."""


@dataclass(frozen=True)
class _Page:
    etag: str | None
    has_next: bool
    issues: tuple[IssueFacts, ...]


class Poller:
    """Polls one repository; keep one, it remembers ETags."""

    def __init__(
        self,
        client: GitHubClient,
        repository: str,
        labels: frozenset[str],
        store: ClaimRefStore,
        watch: LeaseWatch,
    ) -> None:
        self._client = client
        self._path = f"/repos/{repository}/issues"
        self._labels = ",".join(sorted(labels))
        self._store = store
        self._watch = watch
        self._pages: dict[int, _Page] = {}

    async def poll(self) -> Poll:
        """Look once. Raises GitHubError."""
        issues, issues_changed = await self._issues()
        numbers = frozenset(issue.number for issue in issues)
        claims, claims_changed = await self._store.list(numbers)
        now_s = trio.current_time()
        stood_still_s = {n: self._watch.observe(n, tip.sha, now_s) for n, tip in claims.items()}
        self._watch.forget_all_but(numbers)
        return Poll(issues, claims, issues_changed or claims_changed, stood_still_s)

    async def _issues(self) -> tuple[tuple[IssueFacts, ...], bool]:
        found: dict[int, IssueFacts] = {}
        changed = False
        number = 1
        while number <= MAX_PAGES:
            page, news = await self._page(number)
            changed |= news
            found |= {issue.number: issue for issue in page.issues if not issue.is_pull_request}
            if not page.has_next:
                break
            number += 1
        self._pages = {n: page for n, page in self._pages.items() if n <= number}
        return tuple(found.values()), changed

    async def _page(self, number: int) -> tuple[_Page, bool]:
        known = self._pages.get(number)
        query: dict[str, str | int] = {
            "state": "open",
            "labels": self._labels,
            "sort": "created",
            "direction": "asc",
            "per_page": PAGE_SIZE,
            "page": number,
        }
        answer = await self._client.request(
            "GET", self._path, kind="issues.list", query=query, etag=None if known is None else known.etag
        )
        if answer.unchanged and known is not None:
            return known, False
        issues = read_list(Issue, answer.data, what="issues")
        page = _Page(answer.etag, answer.has_next, tuple(issue.facts for issue in issues))
        self._pages[number] = page
        return page, True
