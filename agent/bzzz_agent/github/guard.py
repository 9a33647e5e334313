"""A human who assigns, closes, unlabels or edits an issue meanwhile stops the work (architecture §7)."""

from __future__ import annotations

from typing import Literal

from hmmm.claims import ClaimRecord
from hmmm.eligibility import NEEDS_HUMAN_LABEL, EligibilityRules, IssueFacts, strangers

Interference = Literal["gone", "closed", "unlabelled", "needs_human", "assigned_to_stranger", "edited"]
"""What a human did; `gone`: deleted, transferred, or out of the credential's sight."""


def interference(
    issue: IssueFacts | None, claim: ClaimRecord, rules: EligibilityRules
) -> Interference | None:
    """Return what a human did to an issue since it was claimed, None if nothing that matters.

    `issue` is a fresh reading, None where it is not found.
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
    if strangers(issue.assignees, rules.accounts | claim.accounts):
        return "assigned_to_stranger"
    return None if issue.digest == claim.body_digest else "edited"
