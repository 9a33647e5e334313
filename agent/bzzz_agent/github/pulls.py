"""Pull requests: one a head branch, opened as a draft where drafts exist, adopted where it is there already.

GitHub refuses a second open pull request of the same head and base with 422; an answer that was lost is settled
by listing. The branch `bzzz/issue-{n}` is the same for every epoch, so a successor adopts what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from bzzz_agent.github.answers import PullRequest, read, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.errors import RefusedError, RetryableError, UnavailableError
from bzzz_agent.github.text import MAX_BODY_CHARS

_SETTLING_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)


@dataclass(frozen=True)
class Opened:
    """A pull request that shows our branch."""

    pull_request: PullRequest
    adopted: bool
    """It was there already: opened by an earlier life, another agent or a human."""


class Pulls:
    """The pull requests of one repository."""

    def __init__(self, client: GitHubClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._path = f"/repos/{repository}/pulls"

    async def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of a branch of this repository onto a base. Raises GitHubError."""
        owner = self._repository.partition("/")[0]
        answer = await self._client.request(
            "GET",
            self._path,
            kind="pulls.list",
            query={"state": "open", "head": f"{owner}:{head}", "base": base, "per_page": 100},
        )
        for pull_request in read_list(PullRequest, answer.data, what="pull requests"):
            source = pull_request.head.repo
            own = source is not None and source.full_name.lower() == self._repository.lower()
            if own and pull_request.head.ref == head and pull_request.base.ref == base:
                return pull_request
        return None

    async def open(self, *, head: str, base: str, title: str, body: str, draft: bool = True) -> Opened:
        """Open a pull request, or adopt the one that its head has; a plain one where drafts are refused.

        The body of an adopted one is left as it is: `update` it. Raises RefusedError when GitHub sees nothing to
        pull or an invalid branch, UnavailableError when the outcome stayed unknown (call again), GitHubError.
        """
        known = await self.find(head, base)
        if known is not None:
            return Opened(known, adopted=True)
        as_draft = draft
        for pause_s in _SETTLING_PAUSES_S:
            delay_s = pause_s
            try:
                return Opened(await self._create(head, base, title, body, as_draft), adopted=False)
            except RefusedError as refusal:
                if as_draft and refusal.says("draft"):
                    as_draft = False
                    continue
                if not refusal.says("already exists"):
                    raise
            except RetryableError as error:
                delay_s = max(pause_s, error.delay_s)
                if delay_s > self._client.settings.patience_s:
                    raise
            await trio.sleep(delay_s)
            known = await self.find(head, base)
            if known is not None:
                return Opened(known, adopted=True)
        raise UnavailableError(
            f"pull request of {head}: opened or not, GitHub's reads do not tell; try again"
        )

    async def get(self, number: int) -> PullRequest:
        """Return a pull request. Raises NotFoundError, GitHubError."""
        answer = await self._client.request("GET", f"{self._path}/{number}", kind="pull.read")
        return read(PullRequest, answer.data, what="pull request")

    async def diff(self, number: int) -> str:
        """Return a pull request's diff as GitHub computes it. Raises NotFoundError, GitHubError."""
        answer = await self._client.request(
            "GET", f"{self._path}/{number}", kind="pull.diff", accept="application/vnd.github.diff"
        )
        return answer.text

    async def update(self, number: int, *, body: str, title: str | None = None) -> PullRequest:
        """Replace a pull request's body, and its title if given. Raises GitHubError."""
        fields: dict[str, object] = {"body": body[:MAX_BODY_CHARS]}
        if title is not None:
            fields["title"] = title
        answer = await self._client.request(
            "PATCH", f"{self._path}/{number}", kind="pull.update", body=fields, repeatable=True
        )
        return read(PullRequest, answer.data, what="pull request")

    async def _create(self, head: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        answer = await self._client.request(
            "POST",
            self._path,
            kind="pull.create",
            body={
                "head": head,
                "base": base,
                "title": title[:256],
                "body": body[:MAX_BODY_CHARS],
                "draft": draft,
                "maintainer_can_modify": False,
            },
            repeatable=False,
        )
        return read(PullRequest, answer.data, what="pull request")
