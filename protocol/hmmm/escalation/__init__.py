"""What leaves the hive when a human is asked, and what may come back (architecture §11). Pure: no clock, no I/O.

Whoever holds the hive key relays: the operator, or a process of `bzzz local`. Both send the same bytes, sign and check
them alike and wait equally long, because that is decided here.
"""

from hmmm.escalation.answer import Answer, read_answer
from hmmm.escalation.delivery import Delivery, Outcome, after_attempt, is_due
from hmmm.escalation.notice import Notice, Objection, PlanInBrief, idempotency_key
from hmmm.escalation.signing import (
    MAX_AGE_S,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOKEN_HEADER,
    Replays,
    check_signature,
    signed_headers,
)

__all__ = [
    "MAX_AGE_S",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "TOKEN_HEADER",
    "Answer",
    "Delivery",
    "Notice",
    "Objection",
    "Outcome",
    "PlanInBrief",
    "Replays",
    "after_attempt",
    "check_signature",
    "idempotency_key",
    "is_due",
    "read_answer",
    "signed_headers",
]
