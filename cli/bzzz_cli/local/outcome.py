"""When is every eligible issue accounted for? Pure rules over what GitHub and the scribe say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bzzz_cli.local.status import DiscussionView
from hmmm.eligibility import NEEDS_HUMAN_LABEL, Ineligible

NOBODY_ABLE = "nobody_able"


@dataclass(frozen=True)
class IssueSight:
    """An issue as GitHub has it now, and whether the hive may and can take it."""

    repository: str
    number: int
    title: str
    open: bool
    labels: frozenset[str]
    ineligible: Ineligible | None
    able: bool
    """Some agent of the hive offers every `lang:` and `tool:` that the issue asks for."""
    url: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """Repository and number."""
        return (self.repository, self.number)


@dataclass(frozen=True)
class Account:
    """What became of an issue so far."""

    sight: IssueSight
    eligible: bool
    outcome: str | None
    """None while there is nothing to say."""
    final: bool
    """Nothing more will happen to it by itself."""
    discussion: DiscussionView | None = None

    @property
    def pull_request(self) -> str | None:
        """The URL of its pull request."""
        return None if self.discussion is None else self.discussion.pull_request


def account_of(sight: IssueSight, was_eligible: bool, discussion: DiscussionView | None) -> Account:
    """Say what became of one issue. `was_eligible`: it was so at some look, whatever the work made of it since."""
    eligible = was_eligible or sight.ineligible is None or discussion is not None
    outcome, final = _outcome(sight, eligible, discussion)
    return Account(sight, eligible, outcome, final, discussion)


def _outcome(sight: IssueSight, eligible: bool, discussion: DiscussionView | None) -> tuple[str | None, bool]:
    if not eligible:
        return sight.ineligible or "ineligible", True
    if discussion is not None and discussion.pull_request is not None:
        return "pull_request", not discussion.live
    if NEEDS_HUMAN_LABEL in sight.labels:
        # the label comes a moment before the claimant's last word, which says why
        return "needs_human", discussion is None or not discussion.live
    if not sight.open:
        return "closed", True
    if discussion is not None and discussion.phase == "Escalated":
        return "escalated", True
    if discussion is not None and not discussion.live:
        return discussion.outcome or "released", False  # it will be tried again
    if discussion is None and not sight.able:
        return NOBODY_ABLE, True
    return None, False


def accounts(
    sights: Iterable[IssueSight],
    ever_eligible: frozenset[tuple[str, int]],
    latest: Mapping[tuple[str, int], DiscussionView],
) -> tuple[Account, ...]:
    """Say what became of every issue, by repository and number."""
    found = (account_of(s, s.key in ever_eligible, latest.get(s.key)) for s in sights)
    return tuple(sorted(found, key=lambda a: a.sight.key))


def all_final(all_accounts: Iterable[Account]) -> bool:
    """Nothing more will happen by itself."""
    return all(account.final for account in all_accounts)


def exit_code(all_accounts: Iterable[Account]) -> int:
    """Return 0 when every eligible issue has a pull request or a stated outcome, else 1."""
    return 0 if all(account.outcome is not None for account in all_accounts) else 1
