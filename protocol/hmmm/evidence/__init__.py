"""Evidence: what a claimant attests, what a reader needs to check it, and the checking (architecture §8).

`statement` is what is signed, `bundle` what is carried, `block` what a pull request shows, `chain` and `verify` walk
from the pinned hive key to the pull request's commit.
"""

from hmmm.evidence.block import EvidenceBlock, block_of, parse_evidence_block, render_block
from hmmm.evidence.bundle import BUNDLE_FORMAT, MAX_BUNDLE_BYTES, ArchiveWord, Bundle
from hmmm.evidence.statement import (
    PREDICATE_TYPE,
    LogPosition,
    Predicate,
    Statement,
    TestOutcome,
    make_statement,
    ranges_of,
    read_statement,
    sign_statement,
)
from hmmm.evidence.verify import LINKS, Link, Status, verify_evidence

__all__ = [
    "BUNDLE_FORMAT",
    "LINKS",
    "MAX_BUNDLE_BYTES",
    "PREDICATE_TYPE",
    "ArchiveWord",
    "Bundle",
    "EvidenceBlock",
    "Link",
    "LogPosition",
    "Predicate",
    "Statement",
    "Status",
    "TestOutcome",
    "block_of",
    "make_statement",
    "parse_evidence_block",
    "ranges_of",
    "read_statement",
    "render_block",
    "sign_statement",
    "verify_evidence",
]
