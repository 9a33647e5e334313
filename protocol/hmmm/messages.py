"""Every message that travels on the mesh, and the way in: bytes → a verified, typed message (architecture §5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import Field

from hmmm.base import Digest, GitSha, Id, Line, Model, Moment, NodeId, Repository, Text
from hmmm.envelope import MAX_ENVELOPE_BYTES, MESSAGE_TYPE, Envelope, SigningKey, parse_json
from hmmm.errors import LocalProtocolError, MalformedError, NotAdmittedError, excerpt
from hmmm.meta import META_CONTENTS, ROOTS, Content
from hmmm.plan import RepositoryPath

HIVE_TOPIC: Final = "bzzz"
ESCALATION_TOPIC: Final = "bzzz/meta/escalation"


def issue_topic(number: int) -> str:
    """Return the topic of an issue's discussion; the payload's repository tells two #42 apart."""
    return f"bzzz/meta/issue/{number}"


class ModelInfo(Model):
    """A model that an agent thinks with."""

    name: Line
    reasoning: bool
    """Whether it plans and reviews; a rule-only agent names none."""


class Message(Model):
    """What every message carries: who speaks, and when by its own clock."""

    type: str
    node_id: NodeId
    msg_id: Id
    sent_at: Moment


class Capabilities(Message):
    """What an agent can do and how to reach it: at start, on change, to newcomers, every 30 s."""

    type: Literal["capabilities"] = "capabilities"
    role: Literal["agent", "scribe"] = "agent"
    models: tuple[ModelInfo, ...] = Field(default=(), max_length=16)
    tools: tuple[Line, ...] = Field(default=(), max_length=64)
    languages: tuple[Line, ...] = Field(default=(), max_length=64)
    load: float = Field(default=0, ge=0, le=1000)
    """Issues that the agent is working on."""
    phase: Line = "idle"
    log_key: Digest | None = None
    addresses: tuple[Line, ...] = Field(default=(), max_length=16)
    card: Annotated[str, Field(max_length=4096)] | None = None
    """The membership card as signed, as text."""
    healthy: bool = True
    """Whether its credentials and its log work; an unhealthy agent is not ranked."""
    repositories: tuple[Repository, ...] = Field(default=(), max_length=64)


class IssueMessage(Message):
    """A message about one issue at one epoch."""

    repository: Repository
    issue_id: int = Field(ge=1, le=2**53)
    epoch: int = Field(ge=0, le=2**31)


class SeenIssue(Model):
    """An open issue as the poller found it; a hint that spares others a read, never the truth."""

    issue_id: int = Field(ge=1, le=2**53)
    title: Line = ""
    labels: tuple[Line, ...] = Field(default=(), max_length=32)
    epoch: int = Field(default=0, ge=0, le=2**31)
    """Epoch of the claim ref's tip; 0 when the issue was never claimed."""
    claimed_by: NodeId | None = None
    tip: GitSha | None = None


class IssueSeen(Message):
    """What the elected poller found in a repository."""

    type: Literal["issue_seen"] = "issue_seen"
    repository: Repository
    issues: tuple[SeenIssue, ...] = Field(default=(), max_length=50)


class TaskClaimed(IssueMessage):
    """The claim ref is the sender's; its reviewers are named."""

    type: Literal["task_claimed"] = "task_claimed"
    plan_id: Id
    reviewers: tuple[NodeId, ...] = Field(default=(), max_length=32)
    claim_sha: GitSha | None = None


class PlanFootprint(IssueMessage):
    """The files of a live plan, so that others see an overlap before either codes."""

    type: Literal["plan_footprint"] = "plan_footprint"
    plan_digest: Digest
    footprint: tuple[RepositoryPath, ...] = Field(default=(), max_length=100)
    claimed_at: Moment
    """Of two overlapping plans the later claim gives way."""


class TaskReleased(IssueMessage):
    """The sender gave the issue back."""

    type: Literal["task_released"] = "task_released"
    reason: Line = ""


class TaskResult(IssueMessage):
    """How it ended."""

    type: Literal["task_result"] = "task_result"
    outcome: Line
    pull_request: Annotated[str, Field(max_length=500)] | None = None
    head_sha: GitSha | None = None
    log_key: Digest | None = None
    log_length: int | None = Field(default=None, ge=0, le=2**53)


class TaskHelpRequest(IssueMessage):
    """A claimant is stuck while executing: what failed, and which capability would help."""

    type: Literal["task_help_request"] = "task_help_request"
    problem: Text
    """The end of what the failed command or tests said."""
    wants: tuple[Line, ...] = Field(default=(), max_length=16)
    """As `lang:python`, `tool:ruff`; none: anybody may help."""
    plan_digest: Digest | None = None
    """The agreed plan, which a helper keeps to."""
    base_sha: GitSha | None = None
    """The commit that the work begins from; a suggested patch is a patch of it."""
    asked: tuple[NodeId, ...] = Field(default=(), max_length=32)
    """Whom the claimant knows to be there: once they all have answered nobody else is waited for."""


class TaskHelpResponse(IssueMessage):
    """An offer of help, its refusal, or (after an offer) its withdrawal."""

    type: Literal["task_help_response"] = "task_help_response"
    request_id: Id
    can_help: bool
    capabilities: tuple[Line, ...] = Field(default=(), max_length=64)
    eta_seconds: float | None = Field(default=None, ge=0, le=86_400)
    reason: Line = ""
    """Why not."""


class Escalation(IssueMessage):
    """The hive could not settle it; a human is asked."""

    type: Literal["escalation"] = "escalation"
    reason: Line
    text: Text = ""
    plan_digest: Digest | None = None


class EscalationDelivered(IssueMessage):
    """The authority's relay was acknowledged."""

    type: Literal["escalation_delivered"] = "escalation_delivered"
    escalation_id: Id


class VerdictMessage(IssueMessage):
    """A human's verdict as relayed; the envelope by the hive key inside is what counts."""

    type: Literal["human_verdict"] = "human_verdict"
    signed: Annotated[str, Field(max_length=8192)]


class MetaMessage(IssueMessage):
    """The seed's `meta_msg`, field for field, with `repository`, `epoch` and `sent_at`.

    A claimant's message also carries `log_seq`, its place in the claimant's log, and `previous`, the digest of
    the claimant's previous message in this discussion, so that a second history cannot be told unseen.
    """

    type: Literal["meta_msg"] = "meta_msg"
    parent_id: Id | None = None
    hop_count: int = Field(ge=1, le=255)
    content: Content
    log_seq: int | None = Field(default=None, ge=0, le=2**53)
    previous: Digest | None = None

    @property
    def query_type(self) -> str:
        """What kind of word this is."""
        return self.content.query_type

    @property
    def parameters(self) -> Model:
        """The typed parameters, one model for each `query_type` of `hmmm.meta`.

        Raises MalformedError; never after `parse_message`, which has tried.
        """
        kind = META_CONTENTS[self.content.query_type]
        return kind.from_object(self.content.parameters, what=self.content.query_type)

    @classmethod
    def compose(cls, *, parent: MetaMessage | None, text: str, parameters: Model, **fields: Any) -> Self:
        """Make a message from typed parameters; hop_count follows from the parent (architecture §5).

        `fields` are node_id, msg_id, sent_at, repository, issue_id, epoch, and for a claimant log_seq, previous.
        """
        query_type = query_type_of(parameters)
        content = Content(query_type=query_type, text=text, parameters=parameters.to_object())
        hop_count = 1 if parent is None or query_type in ROOTS else parent.hop_count + 1
        parent_id = None if parent is None else parent.msg_id
        return cls(parent_id=parent_id, hop_count=hop_count, content=content, **fields)


def query_type_of(parameters: Model) -> str:
    """Return the `query_type` whose parameters these are. Raises LocalProtocolError for any other model."""
    for query_type, kind in META_CONTENTS.items():
        if type(parameters) is kind:
            return query_type
    raise LocalProtocolError(f"{type(parameters).__name__} is not the parameters of any query_type")


MESSAGE_TYPES: Final[dict[str, type[Message]]] = {
    "capabilities": Capabilities,
    "issue_seen": IssueSeen,
    "task_claimed": TaskClaimed,
    "plan_footprint": PlanFootprint,
    "task_released": TaskReleased,
    "task_result": TaskResult,
    "task_help_request": TaskHelpRequest,
    "task_help_response": TaskHelpResponse,
    "meta_msg": MetaMessage,
    "escalation": Escalation,
    "escalation_delivered": EscalationDelivered,
    "human_verdict": VerdictMessage,
}
"""type → model."""

TOPIC_TYPES: Final[dict[str, frozenset[str]]] = {
    HIVE_TOPIC: frozenset(
        {"capabilities", "issue_seen", "task_claimed", "plan_footprint", "task_released", "task_result"}
        | {"task_help_request", "task_help_response"}
    ),
    ESCALATION_TOPIC: frozenset({"escalation", "escalation_delivered", "human_verdict"}),
}
"""topic → types that belong there; an issue's topic takes `meta_msg` only."""


@dataclass(frozen=True)
class Signed:
    """A message together with the envelope that carries it."""

    envelope: Envelope
    message: Message

    @property
    def digest(self) -> str:
        """SHA-256 of the envelope's bytes, which is the message's identity."""
        return self.envelope.digest

    @property
    def peer_id(self) -> str:
        """The author's peer id."""
        return self.envelope.key_id


def sign_message(message: Message, key: SigningKey) -> Signed:
    """Wrap and sign a message.

    Raises LocalProtocolError when the envelope would be larger than 16 KiB.
    """
    envelope = Envelope.sign(MESSAGE_TYPE, message.to_json(), key)
    if len(envelope.raw) > MAX_ENVELOPE_BYTES:
        raise LocalProtocolError(
            f"{message.type} {message.msg_id}: expected at most {MAX_ENVELOPE_BYTES} bytes, got {len(envelope.raw)}"
        )
    return Signed(envelope, message)


def parse_message(raw: bytes, *, verify: bool = True) -> Signed:
    """Parse and verify an envelope and its message; whether it is admitted is another question.

    `verify=False` is for bytes whose signature the caller has checked before and kept from others since.

    Raises MalformedError, SignatureError, NotAdmittedError (reason unknown_type): nothing else, whatever the bytes.
    """
    envelope = Envelope.parse(raw, expected_type=MESSAGE_TYPE)
    if verify:
        envelope.verify_peer()
    payload = parse_json(envelope.payload, limit=MAX_ENVELOPE_BYTES, what="message")
    kind = (
        MESSAGE_TYPES.get(cast("str", payload.get("type"))) if isinstance(payload.get("type"), str) else None
    )
    if kind is None:
        raise NotAdmittedError(
            "unknown_type", f"message type {excerpt(payload.get('type'))}: not known; ignored"
        )
    message = kind.from_object(payload, what=kind.__name__)
    if isinstance(message, MetaMessage):
        if message.query_type not in META_CONTENTS:
            raise NotAdmittedError(
                "unknown_type", f"query_type {excerpt(message.query_type)}: not known; ignored"
            )
        _ = message.parameters
        if message.query_type in ROOTS and message.hop_count != 1:
            raise MalformedError(
                "bad_hop_count", f"{message.query_type}: expected hop_count 1, got {message.hop_count}"
            )
    return Signed(envelope, message)


def check_topic(message: Message, topic: str) -> None:
    """Check that a message belongs on the topic on which it came.

    Raises NotAdmittedError (reason wrong_topic).
    """
    if isinstance(message, MetaMessage):
        fits = topic == issue_topic(message.issue_id)
    else:
        fits = message.type in TOPIC_TYPES.get(topic, frozenset())
    if not fits:
        raise NotAdmittedError(
            "wrong_topic", f"{message.type} {message.msg_id}: does not belong on {excerpt(topic)}"
        )


def check_author(signed: Signed, node_id: str, peer_id: str) -> None:
    """Check that the speaker is who it says: the card's peer signed, and the card's node id is in the message.

    Raises NotAdmittedError (reason wrong_author).
    """
    if signed.peer_id != peer_id or signed.message.node_id != node_id:
        raise NotAdmittedError(
            "wrong_author",
            f"message {signed.message.msg_id}: expected node {node_id} with its own key; dropped",
        )


def check_age(message: Message, now: datetime, ttl_s: float, skew_s: float) -> None:
    """Check a message's own time against a lifetime in seconds, with clock skew to either side.

    Raises NotAdmittedError (reason expired or from_future).
    """
    age = (now - message.sent_at).total_seconds()
    if age > ttl_s + skew_s:
        raise NotAdmittedError(
            "expired", f"message {message.msg_id}: {age:.0f} s old, lifetime {ttl_s:.0f} s; dropped"
        )
    if age < -skew_s:
        raise NotAdmittedError(
            "from_future", f"message {message.msg_id}: sent {-age:.0f} s ahead of our clock; dropped"
        )
