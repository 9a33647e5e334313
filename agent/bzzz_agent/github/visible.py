"""What people see of a claim: assignee, labels, comments. It follows the claim ref and decides nothing.

Every call looks before it writes, so that repeating it after a crash changes nothing.
"""

from __future__ import annotations

from urllib.parse import quote

import structlog
import trio

from bzzz_agent.github.answers import Comment, Issue, read, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.errors import (
    ForbiddenError,
    MalformedAnswerError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from bzzz_agent.github.text import marker, with_marker
from hmmm.claims import ClaimRecord
from hmmm.eligibility import CLAIMED_LABEL, NEEDS_HUMAN_LABEL, IssueFacts

_COMMENT_PAGES = 10
"""Pages of 100 looked through for an own comment; an issue with more is noted in docs/claims.md."""

_COMMENT_TRIES = 4
_LAG_PAUSES_S = (0.2, 0.5, 1.0)

log = structlog.get_logger(__name__)


class Visible:
    """Assignees, labels and comments of one repository's issues."""

    def __init__(self, client: GitHubClient, repository: str) -> None:
        self._client = client
        self._issues = f"/repos/{repository}/issues"
        self._unassignable: set[str] = set()

    async def show(self, issue: IssueFacts, claim: ClaimRecord) -> None:
        """Assign the claim's account, if it can be assigned, put on `bzzz:claimed`, drop a former claimant.

        Raises GitHubError.
        """
        former = claim.former_account
        if former is not None and former != claim.account and _shows(issue, former):
            await self._unassign(issue.number, former)
        account = claim.account
        if account is not None and not _shows(issue, account) and account not in self._unassignable:
            await self._assign(issue.number, account)
        if CLAIMED_LABEL not in issue.labels:
            await self._add_label(issue.number, CLAIMED_LABEL)

    async def unshow(self, issue: IssueFacts, claim: ClaimRecord | None) -> bool:
        """Take the claim's accounts and `bzzz:claimed` off; return whether anything was on. Raises GitHubError."""
        shown = [] if claim is None else sorted(login for login in claim.accounts if _shows(issue, login))
        for account in shown:
            await self._unassign(issue.number, account)
        if CLAIMED_LABEL in issue.labels:
            await self._remove_label(issue.number, CLAIMED_LABEL)
        return bool(shown) or CLAIMED_LABEL in issue.labels

    async def reconcile(self, issue: IssueFacts, tip: ClaimRecord | None) -> bool:
        """Make an issue show what its claim ref says; return whether anything had to be changed.

        For issues that look claimed and are not (the claimant died between two steps), and the reverse.
        Raises GitHubError.
        """
        if tip is None or tip.state == "released":
            return await self.unshow(issue, tip)
        if CLAIMED_LABEL in issue.labels:
            return False  # the label alone: an account that cannot be assigned must not be tried for ever
        await self.show(issue, tip)
        return True

    async def needs_human(self, issue: IssueFacts) -> None:
        """Put on `bzzz:needs-human`. Raises GitHubError."""
        if NEEDS_HUMAN_LABEL not in issue.labels:
            await self._add_label(issue.number, NEEDS_HUMAN_LABEL)

    async def comment(self, number: int, identifier: str, text: str) -> Comment:
        """Post a comment once: one with the same id by our account is found and returned instead.

        Works on issues and pull requests. Raises GitHubError.
        """
        known = await self._find_comment(number, identifier)
        if known is not None:
            return known
        for _ in range(_COMMENT_TRIES):
            try:
                return await self._post_comment(number, with_marker(text, identifier))
            except RateLimitedError as limited:  # refused before it was applied
                if limited.delay_s > self._client.settings.patience_s:
                    raise
                await trio.sleep(limited.delay_s)
            except UnavailableError as unclear:
                # Comments have no compare-and-set: give a reading that lags the time to show ours.
                for pause_s in _LAG_PAUSES_S:
                    await trio.sleep(max(pause_s, min(unclear.delay_s, self._client.settings.patience_s)))
                    known = await self._find_comment(number, identifier)
                    if known is not None:
                        return known
        raise UnavailableError(
            f"comment {identifier} on issue {number}: GitHub does not take it; try again later"
        )

    async def _post_comment(self, number: int, body: str) -> Comment:
        answer = await self._client.request(
            "POST",
            f"{self._issues}/{number}/comments",
            kind="comment.create",
            body={"body": body},
            repeatable=False,
        )
        return read(Comment, answer.data, what="comment")

    async def _find_comment(self, number: int, identifier: str) -> Comment | None:
        login = await self._client.login()
        wanted = marker(identifier)
        for page in range(1, _COMMENT_PAGES + 1):
            answer = await self._client.request(
                "GET",
                f"{self._issues}/{number}/comments",
                kind="comments.list",
                query={"per_page": 100, "page": page},
            )
            for comment in read_list(Comment, answer.data, what="comments"):
                author = "" if comment.user is None else comment.user.login
                # An App does not know its own login; its ids are unguessable to others all the same.
                if wanted in (comment.body or "") and (login is None or author.lower() == login.lower()):
                    return comment
            if not answer.has_next:
                break
        return None

    async def _assign(self, number: int, account: str) -> None:
        try:
            answer = await self._client.request(
                "POST",
                f"{self._issues}/{number}/assignees",
                kind="issue.assign",
                body={"assignees": [account]},
                repeatable=True,
            )
        except (RefusedError, ForbiddenError, NotFoundError) as error:
            self._cannot_assign(account, str(error))
            return
        shown = {login.lower() for login in read(Issue, answer.data, what="issue").facts.assignees}
        if account.lower() not in shown:  # GitHub drops who it cannot assign without a word
            self._cannot_assign(account, "it was left out of the answer")

    def _cannot_assign(self, account: str, why: str) -> None:
        self._unassignable.add(account)
        log.warning(
            "account_not_assignable",
            account=account,
            why=why,
            consequence="claims are shown by the label alone",
        )

    async def _unassign(self, number: int, account: str) -> None:
        await self._client.request(
            "DELETE",
            f"{self._issues}/{number}/assignees",
            kind="issue.unassign",
            body={"assignees": [account]},
            repeatable=True,
        )

    async def _add_label(self, number: int, label: str) -> None:
        answer = await self._client.request(
            "POST",
            f"{self._issues}/{number}/labels",
            kind="label.add",
            body={"labels": [label]},
            repeatable=True,
        )
        if not isinstance(answer.data, list):
            raise MalformedAnswerError(f"labels of issue {number}: expected a list of labels")

    async def _remove_label(self, number: int, label: str) -> None:
        try:
            await self._client.request(
                "DELETE",
                f"{self._issues}/{number}/labels/{quote(label, safe='')}",
                kind="label.remove",
                repeatable=True,
            )
        except NotFoundError:
            return  # it is off already


def _shows(issue: IssueFacts, account: str) -> bool:
    return account.lower() in {login.lower() for login in issue.assignees}
