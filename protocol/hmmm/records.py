"""What an agent's log holds: one record a fact, in the order in which it became true (architecture §8).

A record is appended and acknowledged before the agent speaks or acts on it. The claimant's log holds the whole
discussion: its own envelopes (`message_sent`) and the others' as received, with each speaker's card
(`message_received`). Envelopes are kept as text, byte for byte, so that their digests still hold.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hmmm.base import Digest, GitSha, Id, Line, Model, Moment
from hmmm.errors import MalformedError
from hmmm.identity import IssueIdentity
from hmmm.messages import Signed, parse_message
from hmmm.meta import MAX_ROUND, Outcome

MAX_RECORD_BYTES: Final = 64 * 1024

RecordKind = Literal[
    "agent_started",
    "claim_intended",
    "claim_refused",
    "claimed",
    "message_sent",
    "message_received",
    "round_reopened",
    "help_reopened",
    "safeguard",
    "effect_intended",
    "evidence_sealed",
    "pull_request_opened",
    "released",
]


class Record(Model):
    """One block of the log. `id` makes appending idempotent; `at` is the log owner's clock."""

    id: Id
    at: Moment
    kind: str = Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")
    """A RecordKind; a reader ignores kinds that it does not know."""
    issue: IssueIdentity | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class AgentStarted(Model):
    """The agent came up; everything before it was by an earlier process."""

    node_id: str
    peer_id: str
    version: str
    card: Annotated[str, Field(max_length=4096)] | None = None
    """The agent's membership card as signed: so that evidence can be rebuilt from the log alone."""


class ClaimIntended(Model):
    """The nonce is fixed before the ref is written, so that a restarted agent knows its own win."""

    nonce: Id
    previous: GitSha | None = None


class ClaimRefused(Model):
    """The claim with this nonce was not won."""

    nonce: Id
    reason: Line = ""


class Claimed(Model):
    """The claim ref is ours; the issue as it was then."""

    claim_sha: GitSha
    nonce: Id
    title: Line = ""
    body_digest: Digest
    base_sha: GitSha | None = None


class MessageSent(Model):
    """An own message, logged before it is published."""

    topic: Line
    envelope: Annotated[str, Field(max_length=16 * 1024)]


class MessageReceived(MessageSent):
    """Another's message as it came, with the card that vouches for its author."""

    card: Annotated[str, Field(max_length=4096)]


class RoundReopened(Model):
    """The claimant restarted in an open round, which gets a full window again."""

    round: int = Field(ge=1, le=MAX_ROUND)


class HelpReopened(Model):
    """The claimant restarted while it waited for help: whoever it waits for has the full time again."""

    request_id: Id


class SafeguardBit(Model):
    """A bound of §6 that bit: which, on whom, and the message it stopped."""

    safeguard: Line
    node_id: Line = ""
    detail: Line = ""


class EffectIntended(Model):
    """A write outside that is about to be tried; repeating it must converge."""

    effect: Line
    parameters: dict[str, Any] = Field(default_factory=dict)


class EvidenceSealed(Model):
    """The last record that a pull request's evidence covers."""

    head_sha: GitSha
    base_sha: GitSha
    tree_sha: GitSha
    patch_digest: Digest
    plan_digest: Digest
    first_seq: int = Field(ge=0, le=2**53)
    transcript_token: Annotated[str, Field(min_length=32, max_length=64, pattern=r"^[0-9a-f]+$")]
    """Random; the unguessable part of the transcript's link (architecture §8)."""


class PullRequestOpened(Model):
    """The pull request, as GitHub answered."""

    number: int = Field(ge=1, le=2**53)
    url: Annotated[str, Field(max_length=500)]
    head_sha: GitSha


class Released(Model):
    """The claim was given back, parked or lost."""

    outcome: Outcome
    reason: Line = ""


RECORD_DATA: Final[dict[str, type[Model]]] = {
    "agent_started": AgentStarted,
    "claim_intended": ClaimIntended,
    "claim_refused": ClaimRefused,
    "claimed": Claimed,
    "message_sent": MessageSent,
    "message_received": MessageReceived,
    "round_reopened": RoundReopened,
    "help_reopened": HelpReopened,
    "safeguard": SafeguardBit,
    "effect_intended": EffectIntended,
    "evidence_sealed": EvidenceSealed,
    "pull_request_opened": PullRequestOpened,
    "released": Released,
}
"""kind → model of its data."""


def record_kind_of(data: Model) -> str:
    """Return the kind whose data this is. Raises MalformedError for any other model."""
    for kind, model in RECORD_DATA.items():
        if type(data) is model:
            return kind
    raise MalformedError("unknown_record", f"{type(data).__name__} is not the data of any record kind")


def read_record(block: bytes) -> Record:
    """Parse a log block. Raises MalformedError."""
    return Record.from_json(block, limit=MAX_RECORD_BYTES, what="log record")


def data_of(record: Record) -> Model | None:
    """Return a record's typed data; None for a kind that this version does not know.

    Raises MalformedError.
    """
    kind = RECORD_DATA.get(record.kind)
    return None if kind is None else kind.from_object(record.data, what=record.kind)


def signed_of(data: MessageSent, *, verify: bool = True) -> Signed:
    """Parse and (unless the caller has done so before) verify the envelope inside a message record.

    Raises MalformedError, SignatureError, NotAdmittedError.
    """
    return parse_message(data.envelope.encode(), verify=verify)
