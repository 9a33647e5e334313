"""A human's verdict, signed by the hive key (architecture §11): nobody else can make a claimant obey."""

from __future__ import annotations

from hmmm.base import Id, Line, Model, Moment, Text
from hmmm.envelope import VERDICT_TYPE, Envelope, SigningKey
from hmmm.errors import SignatureError
from hmmm.identity import IssueIdentity
from hmmm.meta import Verdict

MAX_VERDICT_BYTES = 8192


class SignedVerdict(Model):
    """What the authority signs: the decision, on which turn at which issue, and who made it."""

    verdict_id: Id
    issue: IssueIdentity
    verdict: Verdict
    text: Text = ""
    decided_by: Line = ""
    decided_at: Moment


def sign_verdict(verdict: SignedVerdict, hive_key: SigningKey) -> bytes:
    """Sign a verdict with the hive key."""
    return Envelope.sign(VERDICT_TYPE, verdict.to_json(), hive_key).raw


def read_verdict(raw: bytes, hive_key: bytes, issue: IssueIdentity) -> SignedVerdict:
    """Parse a verdict, check the authority's signature and that it is about this turn of this issue.

    Raises MalformedError, SignatureError.
    """
    envelope = Envelope.parse(raw, expected_type=VERDICT_TYPE, limit=MAX_VERDICT_BYTES)
    envelope.verify_hive(hive_key)
    verdict = SignedVerdict.from_json(envelope.payload, limit=MAX_VERDICT_BYTES, what="verdict")
    if verdict.issue != issue:
        raise SignatureError(
            "other_issue", f"verdict {verdict.verdict_id}: is about {verdict.issue}, expected {issue}"
        )
    return verdict
