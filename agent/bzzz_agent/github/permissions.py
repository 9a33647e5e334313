"""Who may give the hive work: the permission endpoint's answer, remembered for some minutes."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import trio

from bzzz_agent.github.answers import IssueEvent, Permission, read, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.errors import NotFoundError
from hmmm.eligibility import EligibilityRules, Ineligible, IssueFacts, at_first_sight, may_vouch, vouches

_REMEMBERED_S: Final = 300.0
_REMEMBERED_ACCOUNTS: Final = 1024
_EVENT_PAGES: Final = 10


class Permissions:
    """Judges whether an issue of one repository may be worked on (architecture §7)."""

    def __init__(self, client: GitHubClient, repository: str) -> None:
        self._client = client
        self._base = f"/repos/{repository}"
        self._known: dict[str, tuple[float, str]] = {}

    async def ineligible(self, issue: IssueFacts, rules: EligibilityRules) -> Ineligible | None:
        """Return why an issue is left alone, None if it may be claimed.

        Asks for the author's permission, and only if that does not suffice for the labellers'.
        Raises GitHubError.
        """
        reason = at_first_sight(issue, rules)
        if reason is not None:
            return reason
        if may_vouch(issue, rules) and vouches(await self.of(issue.author)):
            return None
        labellers = await self._labellers(issue, rules)
        if labellers and all([vouches(await self.of(login)) for login in sorted(labellers)]):
            return None
        return "untrusted_author"

    async def of(self, login: str) -> str:
        """Return an account's permission: admin, write, read or none. Raises GitHubError."""
        if not login:  # the account was deleted
            return "none"
        now = trio.current_time()
        known = self._known.get(login)
        if known is not None and now - known[0] < _REMEMBERED_S:
            return known[1]
        try:
            answer = await self._client.request(
                "GET",
                f"{self._base}/collaborators/{quote(login, safe='')}/permission",
                kind="permission.read",
            )
            permission = read(Permission, answer.data, what="permission").permission
        except NotFoundError:
            permission = "none"
        if len(self._known) >= _REMEMBERED_ACCOUNTS:
            self._known.clear()
        self._known[login] = (now, permission)
        return permission

    async def _labellers(self, issue: IssueFacts, rules: EligibilityRules) -> frozenset[str]:
        """Return who put each of the hive's labels on last; nobody where that cannot be told for all of them."""
        last: dict[str, str] = {}
        wanted = {label.lower() for label in rules.labels}
        for page in range(1, _EVENT_PAGES + 1):
            answer = await self._client.request(
                "GET",
                f"{self._base}/issues/{issue.number}/events",
                kind="events.list",
                query={"per_page": 100, "page": page},
            )
            for event in read_list(IssueEvent, answer.data, what="issue events"):
                name = "" if event.label is None else (event.label.name or "").lower()
                if event.event == "labeled" and name in wanted:
                    last[name] = "" if event.actor is None else event.actor.login
            if not answer.has_next:
                return frozenset(last.values()) if set(last) == wanted else frozenset()
        return frozenset()
