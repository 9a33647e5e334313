"""What an earlier life of the agent began and, as far as its log tells, did not bring to an end."""

from __future__ import annotations

from collections.abc import Iterator

from bzzz_agent.journal import Journal
from hmmm.identity import IssueIdentity
from hmmm.records import Claimed, ClaimIntended, ClaimRefused, data_of


def left_over(journal: Journal) -> Iterator[tuple[IssueIdentity, str]]:
    """Return (issue as it was intended, nonce) of each claim that was not refused and is not settled, oldest first."""
    for issue in journal.issues():
        refusals = [data_of(r) for r in journal.facts(issue, "claim_refused")]
        refused = {d.nonce for d in refusals if isinstance(d, ClaimRefused)}
        for record in journal.facts(issue, "claim_intended"):
            data = data_of(record)
            if not isinstance(data, ClaimIntended) or data.nonce in refused:
                continue
            claimed = claimed_with(journal, issue, data.nonce)
            if claimed is None or not journal.settled(claimed):
                yield issue, data.nonce


def claimed_with(journal: Journal, issue: IssueIdentity, nonce: str) -> IssueIdentity | None:
    """Return the claim on an issue that was won with a nonce."""
    for known in journal.discussions:
        if (known.repository, known.number) == (issue.repository, issue.number):
            records = [data_of(r) for r in journal.facts(known, "claimed")]
            if any(isinstance(d, Claimed) and d.nonce == nonce for d in records):
                return known
    return None
