"""What people answer to a question that the hive asked on an issue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bzzz_agent.github.answers import Comment, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.permissions import Permissions
from bzzz_agent.github.text import is_ours
from hmmm.eligibility import vouches

MAX_PAGES: Final = 10
MAX_CHARACTERS: Final = 3000
"""Of a reply; what stands behind is cut off."""


@dataclass(frozen=True)
class Reply:
    """A person's comment. The text is anybody's, to be judged and never obeyed."""

    text: str
    author: str
    url: str


class Replies:
    """Reads one repository's comments."""

    def __init__(self, client: GitHubClient, repository: str, permissions: Permissions) -> None:
        self._client = client
        self._issues = f"/repos/{repository}/issues"
        self._permissions = permissions

    async def to(self, number: int, question: Comment, issue_author: str) -> Reply | None:
        """Return the first reply to a comment: by the issue's author, or by somebody who may write.

        Comments that agents wrote are none, whatever their account. Raises GitHubError.
        """
        for page in range(1, MAX_PAGES + 1):
            answer = await self._client.request(
                "GET",
                f"{self._issues}/{number}/comments",
                kind="comments.list",
                query={"per_page": 100, "page": page},
            )
            for comment in read_list(Comment, answer.data, what="comments"):
                if comment.id > question.id and await self._counts(comment, issue_author):
                    author = "" if comment.user is None else comment.user.login
                    return Reply((comment.body or "").strip()[:MAX_CHARACTERS], author, comment.html_url)
            if not answer.has_next:
                break
        return None

    async def _counts(self, comment: Comment, issue_author: str) -> bool:
        body = comment.body or ""
        if comment.user is None or not body.strip() or is_ours(body):
            return False
        login = comment.user.login
        return login.lower() == issue_author.lower() or vouches(await self._permissions.of(login))
