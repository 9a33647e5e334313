"""What is observed of a discussion: the fold of the claimant's log by the scribe, the signed verdict by the operator.

All optional (either may write first), bounded as widely as the protocol's own messages are.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bzzz_crds.conditions import Conditions
from bzzz_crds.hiveagent_status import Count, Key, Line, NodeId
from bzzz_crds.values import Model, Moment

Phase = Literal[
    "Planning", "Listening", "Revising", "Executing", "Reporting", "Closed", "Escalated", "Abandoned"
]
Verdict = Literal["proceed", "revise", "abandon"]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Path = Annotated[str, Field(min_length=1, max_length=240)]
WebAddress = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^https?://[!-~]+$")]


class PlanStatus(Model):
    """The plan under discussion."""

    summary: Annotated[str, Field(max_length=600)] | None = Field(
        default=None, description="What the claimant would do."
    )
    digest: Key | None = Field(
        default=None, description="Digest of the plan's envelope; every answer carries it."
    )
    footprint: tuple[Path, ...] | None = Field(
        default=None, strict=False, max_length=200, description="Files that it would touch."
    )
    tests: tuple[Line, ...] | None = Field(
        default=None, strict=False, max_length=50, description="How it would be tested."
    )


class ObjectionStatus(Model):
    """An objection and what became of it."""

    node_id: NodeId = Field(description="Who objected.")
    severity: Literal["blocking", "advisory"] = Field(
        description="Whether it keeps the plan from being executed."
    )
    reason: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="Why, cut to 500 characters."
    )
    round: Count | None = Field(default=None, description="In which round.")
    status: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")] = Field(
        description="open, met, lapsed, restated, noted or not_followed."
    )
    resolution: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="What was decided of it, cut to 500 characters."
    )


class MessageStatus(Model):
    """One of the last messages; agents wrote it, so it is text and never markup."""

    from_: NodeId = Field(alias="from", description="Who said it.")
    type: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")] = Field(
        description="Kind of message: plan_proposed, objection, no_objection and so on."
    )
    text: Annotated[str, Field(max_length=300)] | None = Field(
        default=None, description="What was said, cut to 300 characters."
    )
    at: Moment = Field(description="When, by the speaker's clock.")


class TranscriptStatus(Model):
    """Where the whole transcript is."""

    log_key: Key | None = Field(default=None, description="Public key of the claimant's log.")
    first_seq: Count | None = Field(default=None, description="First record of this discussion in that log.")
    last_seq: Count | None = Field(default=None, description="Last record so far.")
    url: WebAddress | None = Field(
        default=None, description="The transcript's page, once the issue is sealed."
    )


class PullRequestStatus(Model):
    """What came of it."""

    number: Count | None = Field(default=None, description="The pull request's number.")
    url: WebAddress = Field(description="The pull request's page.")


class SafeguardStatus(Model):
    """A bound that was hit."""

    safeguard: Line = Field(description="Which: hops, participants, rate, size, rounds, ttl and so on.")
    node_id: NodeId | None = Field(default=None, description="Whom it stopped.")


class TalkStatus(Model):
    """A talk with a helper."""

    helper: NodeId = Field(description="With whom.")
    outcome: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+$")] = Field(
        description="open, helped, not_helped, silent, withdrew or unfinished."
    )


class HelpStatus(Model):
    """The last request for help of a claimant whose work failed."""

    phase: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-zA-Z_]+$")] = Field(
        description="Asking, Talking (a helper was chosen), Trying (its suggestion), Helped or Unhelped."
    )
    since: Moment | None = Field(default=None, description="When it was asked for.")
    problem: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="What failed, cut to 500 characters."
    )
    wants: tuple[Line, ...] | None = Field(
        default=None, strict=False, max_length=16, description="Capabilities that a helper should have."
    )
    helper: NodeId | None = Field(default=None, description="Who helps, or helped.")
    offers: tuple[NodeId, ...] | None = Field(
        default=None, strict=False, max_length=32, description="Who offered help."
    )
    talks: tuple[TalkStatus, ...] | None = Field(
        default=None, strict=False, max_length=16, description="Talks with helpers, one after the other."
    )
    requests: Count | None = Field(
        default=None, description="How often help was asked for, this one included."
    )


class DeliveryStatus(Model):
    """How far a question has got to a human, by the operator."""

    id: Id = Field(
        description="Which escalation was delivered; an earlier one's stands here until the next is."
    )
    state: Literal["Pending", "Failing", "Delivered"] = Field(
        description="Delivered (the webhook has it), Failing (it is sent again) or Pending."
    )
    attempts: Count | None = Field(default=None, description="How often it was sent.")
    last_attempt_at: Moment | None = Field(default=None, description="When it was sent last.")
    next_attempt_at: Moment | None = Field(default=None, description="When it is sent again.")
    delivered_at: Moment | None = Field(default=None, description="When the webhook took it.")
    problem: Line | None = Field(default=None, description="Why the last attempt failed.")


class EscalationStatus(Model):
    """A question to a human: the scribe's account of it, and the operator's of its delivery."""

    id: Id | None = Field(default=None, description="The escalation's id; an answer is to this one.")
    reason: Line | None = Field(default=None, description="Why agents could not settle it.")
    state: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-zA-Z_]+$")] | None = Field(
        default=None,
        description="Waiting (for a human), Answered, or Released (nobody answered in time).",
    )
    since: Moment | None = Field(default=None, description="When it was asked.")
    delivery: DeliveryStatus | None = Field(
        default=None, description="How far it has got to a human; written where a webhook is configured."
    )


class VerdictStatus(Model):
    """The human's answer, as the operator signed it with the hive key."""

    id: Id = Field(description="The verdict's id.")
    epoch: Count | None = Field(default=None, description="Which claim of the issue it is for.")
    verdict: Verdict = Field(description="proceed, revise or abandon.")
    by: Annotated[str, Field(max_length=300)] | None = Field(default=None, description="Who decided.")
    signed: Annotated[str, Field(max_length=8192)] | None = Field(
        default=None, description="The signed envelope that the claimant obeys."
    )
    resolution_digest: Key | None = Field(
        default=None, description="Digest of the spec.resolution that was signed, so that it is signed once."
    )
    at: Moment | None = Field(default=None, description="When it was signed.")


class MetaDiscussionStatus(Model):
    """What the scribe read in the logs, and what the operator signed."""

    observed_generation: Count | None = Field(
        default=None, description="The metadata.generation that the operator has acted on."
    )
    epoch: Count | None = Field(default=None, description="Which claim of the issue this is about.")
    title: Line | None = Field(default=None, description="The issue's title.")
    phase: Phase | None = Field(default=None, description="Where the discussion stands.")
    round: Count | None = Field(
        default=None, description="The round; each has a plan and an objection window."
    )
    claimant: NodeId | None = Field(default=None, description="Who holds the issue and wrote the plan.")
    reviewers: tuple[NodeId, ...] | None = Field(
        default=None, strict=False, max_length=32, description="Peers named to review the plan."
    )
    participants: tuple[NodeId, ...] | None = Field(
        default=None, strict=False, max_length=64, description="Peers that spoke."
    )
    plan: PlanStatus | None = Field(default=None, description="The plan under discussion.")
    deadline: Moment | None = Field(default=None, description="When the objection window closes.")
    objection_summary: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="Open objections of all, as kubectl get shows them: 1/2 open."
    )
    objections: tuple[ObjectionStatus, ...] | None = Field(
        default=None, strict=False, max_length=100, description="Every objection and what became of it."
    )
    last_messages: tuple[MessageStatus, ...] | None = Field(
        default=None, strict=False, max_length=10, description="What was said last, oldest first."
    )
    transcript: TranscriptStatus | None = Field(default=None, description="Where the whole transcript is.")
    pull_request: PullRequestStatus | None = Field(default=None, description="What came of it.")
    outcome: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="pull_request, released, needs_human, taken_over or abandoned."
    )
    reason: Annotated[str, Field(max_length=4000)] | None = Field(
        default=None, description="Why it ended as it did."
    )
    opened_at: Moment | None = Field(default=None, description="When the discussion began.")
    phase_timestamps: (
        Annotated[dict[Annotated[str, Field(max_length=40)], Moment], Field(max_length=16)] | None
    ) = Field(default=None, description="When each phase was last entered.")
    safeguards: tuple[SafeguardStatus, ...] | None = Field(
        default=None, strict=False, max_length=50, description="Bounds that were hit, and by whom."
    )
    help: HelpStatus | None = Field(default=None, description="Help among agents, if it was needed.")
    escalation: EscalationStatus | None = Field(
        default=None, description="The question to a human, if there is one."
    )
    verdict: VerdictStatus | None = Field(
        default=None, description="The human's answer, signed by the operator."
    )
    conditions: Conditions | None = Field(
        default=None, description="What is true of it: ResolutionAccepted and others."
    )
