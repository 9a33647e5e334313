"""What a person is told: the question, the plan, the objections, links. Text by agents, never markup."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from hmmm.base import Digest, Id, Line, Model, Moment, NodeId, Text
from hmmm.envelope import sha256_hex
from hmmm.identity import IssueIdentity

NOTICE_SCHEMA: Final = "bzzz.dev/escalation/v1"
MAX_NOTICE_BYTES: Final = 64 * 1024

Link = Annotated[str, Field(max_length=500, pattern=r"^https?://[!-~]+$")]


class PlanInBrief(Model):
    """The plan that is disputed."""

    summary: Annotated[str, Field(max_length=600)] = ""
    digest: Digest | None = None
    footprint: Annotated[tuple[Line, ...], Field(max_length=200)] = ()
    tests: Annotated[tuple[Line, ...], Field(max_length=50)] = ()


class Objection(Model):
    """An objection that stands in the way."""

    node_id: NodeId
    severity: Literal["blocking", "advisory"]
    reason: Annotated[str, Field(max_length=500)] = ""
    status: Annotated[str, Field(max_length=40)] = "open"


class Notice(Model):
    """A webhook's body."""

    schema_: Literal["bzzz.dev/escalation/v1"] = Field(default=NOTICE_SCHEMA, alias="schema")
    hive: Line
    escalation_id: Id
    idempotency_key: Digest
    """The same however often it is sent: who gets it twice alerts nobody a second time."""
    issue: IssueIdentity
    title: Line = ""
    claimant: NodeId | None = None
    reason: Text = ""
    round: int | None = Field(default=None, ge=0)
    plan: PlanInBrief | None = None
    objections: Annotated[tuple[Objection, ...], Field(max_length=100)] = ()
    issue_url: Link | None = None
    discussion_url: Link | None = None
    asked_at: Moment | None = None

    def to_body(self) -> bytes:
        """Return the bytes that are signed and sent."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def idempotency_key(hive: str, issue: IssueIdentity, escalation_id: str) -> str:
    """Name a question to a human: 64 hex digits."""
    return sha256_hex(f"{hive}\n{issue}\n{escalation_id}".encode())
