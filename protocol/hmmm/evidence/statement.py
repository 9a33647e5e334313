"""What a claimant attests of its pull request: an in-toto Statement v1, signed as DSSE by its mesh key.

Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. Subject is the head commit; the
predicate ties it to the hive, to the plan that was agreed and to a stretch of the claimant's log (architecture §8).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from hmmm.base import Digest, GitSha, Model, NodeId, PeerId
from hmmm.envelope import MAX_ENVELOPE_BYTES, STATEMENT_TYPE, Envelope, SigningKey
from hmmm.errors import LocalProtocolError
from hmmm.identity import IssueIdentity
from hmmm.membership import HiveName
from hmmm.meta import TestRun
from hmmm.records import EvidenceSealed

STATEMENT_V1: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://bzzz.dev/evidence/v1"

MAX_RECORDS: Final = 10_000
"""Records of one issue; the log's own proofs stop there too."""
MAX_RANGES: Final = 256
"""Stretches of the log; an agent that works on other issues meanwhile breaks its records into some."""

Seq = Annotated[int, Field(ge=0, le=2**53)]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{136}$")]
"""A Hypercore head's signature as stored: one Ed25519 signature in its multi-signature frame."""


WebAddress = Annotated[str, Field(max_length=500, pattern=r"^https?://[!-;=?-_a-{}~]+$")]
"""An address without spaces, quotes of markdown or anything else that could end it early."""


class CamelModel(Model):
    """A value whose JSON has camelCase names, as in-toto and Kubernetes write them."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class LogPosition(CamelModel):
    """The claimant's signed log head at the seal, and which of its records are this issue's."""

    length: Annotated[int, Field(ge=1, le=2**53)]
    tree_hash: Digest
    signature: Signature
    first: Seq
    last: Seq
    ranges: tuple[tuple[Seq, Seq], ...] = Field(min_length=1, max_length=MAX_RANGES)
    """Inclusive (first, last) pairs, ascending: exactly the issue's records; others' lie between."""

    @model_validator(mode="after")
    def _ranges_fit(self) -> Self:
        ends = [end for pair in self.ranges for end in pair]
        gaps = zip(self.ranges, self.ranges[1:], strict=False)
        if ends != sorted(ends) or any(before[1] >= after[0] for before, after in gaps):
            raise ValueError("expected ranges that ascend and do not meet")
        if (self.first, self.last) != (ends[0], ends[-1]) or self.last >= self.length:
            raise ValueError("expected first and last to be the ranges' ends, within the log's length")
        if sum(last - first + 1 for first, last in self.ranges) > MAX_RECORDS:
            raise ValueError(f"expected at most {MAX_RECORDS} records")
        return self

    @property
    def seqs(self) -> tuple[int, ...]:
        """Every sequence number of the issue, ascending."""
        return tuple(seq for first, last in self.ranges for seq in range(first, last + 1))


class TestOutcome(CamelModel):
    """What the repository's own test command said."""

    __test__ = False  # not a test case, whatever pytest makes of the name
    outcome: Literal["passed", "failed", "timeout", "not_configured"]
    exit_code: int | None = None
    seconds: Annotated[float, Field(ge=0)] = 0

    @classmethod
    def of(cls, run: TestRun) -> Self:
        """Return what a statement says of a test run."""
        return cls(outcome=run.outcome, exit_code=run.exit_code, seconds=run.seconds)


class Predicate(CamelModel):
    """What is attested of the head commit."""

    issue: IssueIdentity
    hive: HiveName
    node_id: NodeId
    peer_id: PeerId
    log_key: Digest
    log: LogPosition
    patch_digest: Digest
    plan_digest: Digest
    base_sha: GitSha
    tree_sha: GitSha
    tests: TestOutcome | None = None
    transcript_url: WebAddress


class CommitDigest(CamelModel):
    """A git commit's name."""

    git_commit: GitSha


class Subject(CamelModel):
    """The head commit of a repository."""

    name: Annotated[str, Field(max_length=200)]
    digest: CommitDigest


class Statement(CamelModel):
    """in-toto Statement v1 with this project's predicate."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_V1, alias="_type")
    subject: tuple[Subject] = Field(min_length=1, max_length=1)
    predicate_type: Literal["https://bzzz.dev/evidence/v1"] = PREDICATE_TYPE
    predicate: Predicate

    @property
    def head_sha(self) -> str:
        """The commit that the statement is about."""
        return self.subject[0].digest.git_commit


def ranges_of(seqs: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return sequence numbers as inclusive ascending ranges."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return tuple(ranges)


def make_statement(
    *,
    issue: IssueIdentity,
    hive: str,
    node_id: str,
    peer_id: str,
    log_key: str,
    length: int,
    tree_hash: str,
    signature: str,
    seqs: Iterable[int],
    sealed: EvidenceSealed,
    tests: TestRun | None,
    transcript_url: str,
) -> Statement:
    """Return the statement for a sealed issue.

    `length`, `tree_hash`, `signature` are the log's head (hex) as the archive acknowledged it; `seqs` are the issue's
    records from `sealed.first_seq` up to and including the seal. Raises LocalProtocolError when they do not fit.
    """
    ranges = ranges_of(seqs)
    if not ranges or ranges[0][0] != sealed.first_seq or ranges[-1][1] >= length:
        raise LocalProtocolError(
            f"{issue}: expected records from {sealed.first_seq} within a log of {length}, got {ranges}"
        )
    position = LogPosition(
        length=length,
        tree_hash=tree_hash,
        signature=signature,
        first=ranges[0][0],
        last=ranges[-1][1],
        ranges=ranges,
    )
    predicate = Predicate(
        issue=issue,
        hive=hive,
        node_id=node_id,
        peer_id=peer_id,
        log_key=log_key,
        log=position,
        patch_digest=sealed.patch_digest,
        plan_digest=sealed.plan_digest,
        base_sha=sealed.base_sha,
        tree_sha=sealed.tree_sha,
        tests=None if tests is None else TestOutcome.of(tests),
        transcript_url=transcript_url,
    )
    subject = Subject(name=f"git+{issue.repository}", digest=CommitDigest(git_commit=sealed.head_sha))
    return Statement(subject=(subject,), predicate=predicate)


def sign_statement(statement: Statement, key: SigningKey) -> bytes:
    """Sign a statement with the claimant's mesh key.

    Raises LocalProtocolError when the key is not the peer's, or the envelope would be larger than 16 KiB.
    """
    if key.key_id != statement.predicate.peer_id:
        raise LocalProtocolError(
            f"statement: expected the key of {statement.predicate.peer_id}, got {key.key_id}"
        )
    raw = Envelope.sign(STATEMENT_TYPE, statement.to_json(), key).raw
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise LocalProtocolError(f"statement: expected at most {MAX_ENVELOPE_BYTES} bytes, got {len(raw)}")
    return raw


def read_statement(raw: bytes) -> tuple[Statement, Envelope]:
    """Parse a statement; its signature is checked by the caller, who knows whose it must be.

    Raises MalformedError.
    """
    envelope = Envelope.parse(raw, expected_type=STATEMENT_TYPE)
    statement = Statement.from_json(envelope.payload, limit=MAX_ENVELOPE_BYTES, what="statement")
    return statement, envelope
