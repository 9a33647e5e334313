"""A human who assigns, closes, unlabels or edits an issue meanwhile stops the work (architecture §7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hmmm.claims import ClaimRecord
from hmmm.eligibility import NEEDS_HUMAN_LABEL, EligibilityRules, IssueFacts, strangers

Interference = Literal["gone", "closed", "unlabelled", "needs_human", "assigned_to_stranger", "edited"]
"""What a human did; `gone`: deleted, transferred, or out of the credential's sight."""


def interference(
    issue: IssueFacts | None, claim: ClaimRecord, rules: EligibilityRules, accounts: Iterable[str] = ()
) -> Interference | None:
    """Return what a human did to an issue since it was claimed, None if nothing that matters.

    `issue` is a fresh reading, None where it is not found; `accounts` are logins of the hive besides the
    rules': the claimant's own, and a previous one's that may still be shown.
    """
    if issue is None:
        return "gone"
    if not issue.open:
        return "closed"
    if NEEDS_HUMAN_LABEL in issue.labels:
        return "needs_human"
    on = {label.lower() for label in issue.labels}
    if any(label.lower() not in on for label in rules.labels):
        return "unlabelled"
    own = {*rules.accounts, *accounts}
    if claim.account is not None:
        own.add(claim.account)
    if strangers(issue.assignees, own):
        return "assigned_to_stranger"
    return None if issue.digest == claim.body_digest else "edited"
