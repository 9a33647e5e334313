"""Open pull requests that solve an issue already: by people, or by other tools, of whom the hive hears nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bzzz_agent.github.answers import PullRequest, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.permissions import Permissions
from hmmm.closing import closes
from hmmm.eligibility import vouches

PAGE_SIZE: Final = 100
"""The newest open pull requests that are looked at; an older one that nobody merged is no reason to wait."""
OWN_BRANCHES: Final = "bzzz/issue-"
"""Head branches of the hive's own pull requests: each is about its own issue, whatever words stand in it."""


@dataclass(frozen=True)
class _Page:
    etag: str | None
    pulls: tuple[PullRequest, ...]


class Solutions:
    """Looks through one repository's open pull requests; keep one, it remembers the ETag."""

    def __init__(self, client: GitHubClient, repository: str, permissions: Permissions) -> None:
        self._client = client
        self._repository = repository
        self._permissions = permissions
        self._page = _Page(None, ())

    async def of(self, number: int) -> PullRequest | None:
        """Return an open pull request that closes an issue, by somebody who may write; None if there is none.

        A stranger's counts for nothing: else anybody could keep the hive from an issue. Raises GitHubError.
        """
        for pull_request in await self._open():
            words = f"{pull_request.title}\n{pull_request.body or ''}"
            if self._is_own(pull_request) or not closes(words, self._repository, number):
                continue
            author = "" if pull_request.user is None else pull_request.user.login
            if vouches(await self._permissions.of(author)):
                return pull_request
        return None

    def _is_own(self, pull_request: PullRequest) -> bool:
        source = pull_request.head.repo
        here = source is not None and source.full_name.lower() == self._repository.lower()
        return here and pull_request.head.ref.startswith(OWN_BRANCHES)

    async def _open(self) -> tuple[PullRequest, ...]:
        answer = await self._client.request(
            "GET",
            f"/repos/{self._repository}/pulls",
            kind="pulls.list",
            query={"state": "open", "sort": "created", "direction": "desc", "per_page": PAGE_SIZE},
            etag=self._page.etag,
        )
        if not answer.unchanged:
            self._page = _Page(answer.etag, read_list(PullRequest, answer.data, what="pull requests"))
        return self._page.pulls
