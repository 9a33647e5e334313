"""Which issues a hive may touch (architecture §7, last lines).

An issue is untrusted input: on a public repository anybody may open one. It counts only with the hive's label,
and with somebody behind it who may write to the repository: its author, or whoever put the label on.
`author_association` is a hint that GitHub itself computes loosely; the permission endpoint decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from hmmm.envelope import sha256_hex

NEEDS_HUMAN_LABEL: Final = "bzzz:needs-human"
"""Put on after the last failed try; while it is there, agents leave the issue alone."""

CLAIMED_LABEL: Final = "bzzz:claimed"
"""Shows people that an agent holds the claim; decides nothing."""

WRITE_PERMISSIONS: Final = frozenset({"admin", "maintain", "write"})

Ineligible = Literal[
    "not_open",
    "pull_request",
    "unlabelled",
    "needs_human",
    "assigned_to_stranger",
    "untrusted_author",
    "solved_by_pull_request",
]
"""Why an issue is left alone."""


@dataclass(frozen=True)
class IssueFacts:
    """What the rules look at, as GitHub answered it."""

    number: int
    open: bool
    title: str
    body: str
    author: str
    author_association: str
    labels: frozenset[str]
    assignees: frozenset[str]
    is_pull_request: bool = False

    @property
    def digest(self) -> str:
        """What the issue asked for, pinned at the claim (64 hex digits)."""
        return issue_digest(self.title, self.body)


@dataclass(frozen=True)
class EligibilityRules:
    """The manifest's `spec.github.issues`, and the accounts that the hive itself writes under."""

    labels: frozenset[str]
    """All of these must be on the issue."""
    author_associations: frozenset[str] = field(
        default_factory=lambda: frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
    )
    """An author of another association is not asked about; a labeller may still vouch for the issue."""
    accounts: frozenset[str] = frozenset()
    """Logins of the hive's own accounts: an assignee outside this set is a stranger."""


def issue_digest(title: str, body: str) -> str:
    """Return the SHA-256 over an issue's title and body, unambiguous where one ends and the other begins."""
    return sha256_hex(f"{len(title)}\n{title}{body}".encode("utf-8", "surrogatepass"))


def at_first_sight(issue: IssueFacts, rules: EligibilityRules) -> Ineligible | None:
    """Judge what costs no further request; None means that trust in the people behind it is still to be asked."""
    if issue.is_pull_request:
        return "pull_request"
    if not issue.open:
        return "not_open"
    if not _lower(rules.labels) <= _lower(issue.labels):
        return "unlabelled"
    if NEEDS_HUMAN_LABEL in issue.labels:
        return "needs_human"
    if strangers(issue.assignees, rules.accounts):
        return "assigned_to_stranger"
    return None


def may_vouch(issue: IssueFacts, rules: EligibilityRules) -> bool:
    """Say whether the author's permission is worth asking; otherwise only a labeller can vouch."""
    return issue.author_association in rules.author_associations


def vouches(permission: str) -> bool:
    """Say whether an account with this permission may give the hive work."""
    return permission in WRITE_PERMISSIONS


def strangers(assignees: Iterable[str], accounts: Iterable[str]) -> frozenset[str]:
    """Return the assignees that are not the hive's accounts; logins do not differ by case."""
    own = _lower(accounts)
    return frozenset(login for login in assignees if login.lower() not in own)


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
