"""What is known of a discussion: a frozen value that only `step` replaces (architecture §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from hmmm.base import Model
from hmmm.discussion.help import Help
from hmmm.identity import IssueIdentity
from hmmm.limits import DiscussionLimits
from hmmm.meta import Answer, ExecutionFinished, Outcome, Severity, Verdict, Weighed
from hmmm.plan import Plan
from hmmm.records import EvidenceSealed


class Phase(StrEnum):
    """Where a discussion stands."""

    PLANNING = "Planning"
    LISTENING = "Listening"
    REVISING = "Revising"
    EXECUTING = "Executing"
    REPORTING = "Reporting"
    ESCALATED = "Escalated"
    CLOSED = "Closed"
    ABANDONED = "Abandoned"


ENDED = frozenset({Phase.CLOSED, Phase.ABANDONED})
DELIBERATING = frozenset({Phase.PLANNING, Phase.LISTENING, Phase.REVISING})
"""Phases over which the discussion's TTL runs (architecture §6)."""

FINAL_ANSWERS = frozenset({"no_objection", "objection", "suggestion", "clarification_needed"})
"""What counts as an answer to a plan; `reviewing` only announces one."""

ObjectionStatus = Literal["open", "met", "lapsed", "restated", "noted", "not_followed"]


@dataclass(frozen=True)
class CurrentPlan:
    """The plan under discussion, as the claimant's log has it."""

    msg_id: str
    digest: str
    plan: Plan
    round: int
    opened_at: datetime
    window_s: float
    deadline: datetime
    reviewers: tuple[str, ...]

    @property
    def window_end(self) -> datetime:
        """When the plain objection window is over, extensions aside."""
        return self.opened_at + timedelta(seconds=self.window_s)


@dataclass(frozen=True)
class Contribution:
    """What somebody other than the claimant said in a round."""

    msg_id: str
    digest: str
    node_id: str
    query_type: str
    round: int
    at: datetime
    text: str
    parameters: Model
    parent_id: str | None


@dataclass(frozen=True)
class ObjectionState:
    """An objection and what became of it."""

    msg_id: str
    digest: str
    node_id: str
    severity: Severity
    reason: str
    rule: str | None
    round: int
    status: ObjectionStatus
    resolution: str = ""

    @property
    def blocks(self) -> bool:
        """Whether the plan may not be executed because of it."""
        return self.severity == "blocking" and self.status == "open"


@dataclass(frozen=True)
class AnswerGiven:
    """An answer to a question."""

    question: Contribution
    node_id: str
    """Who said it in the discussion; whose answer it is, is in `parameters`."""
    text: str
    parameters: Answer
    round: int
    """The round in which it came."""

    @property
    def is_news(self) -> bool:
        """Whether it says what neither issue nor repository says: the plan was made without it."""
        return self.parameters.source not in {"issue", "repository"}


@dataclass(frozen=True)
class ClosedRound:
    """A round as the claimant accounted for it, and who countersigned."""

    round: int
    digest: str
    closed_at: datetime
    next: Literal["execute", "revise", "escalate"]
    reason: str
    weighed: tuple[Weighed, ...]
    silent: tuple[str, ...]
    expected: frozenset[str]
    """Participants who said something in the round."""
    countersigned: frozenset[str] = frozenset()
    disputed: tuple[str, ...] = ()
    """msg_ids of objections that say that a message is missing from the account."""


@dataclass(frozen=True)
class Discussion:
    """The whole state. Everything in it follows from the claimant's log."""

    issue: IssueIdentity
    claimant: str
    claimant_peer: str
    opened_at: datetime
    phase: Phase = Phase.PLANNING
    round: int = 0
    limits: DiscussionLimits = field(default_factory=DiscussionLimits)
    plan: CurrentPlan | None = None
    plan_digests: tuple[str, ...] = ()
    participants: tuple[str, ...] = ()
    ejected: frozenset[str] = frozenset()
    """Flooders, who lost their slot."""
    contributions: tuple[Contribution, ...] = ()
    objections: tuple[ObjectionState, ...] = ()
    answered: frozenset[str] = frozenset()
    """msg_ids of messages that were answered."""
    answers: tuple[AnswerGiven, ...] = ()
    """Answers to questions that are in the discussion, in the order in which they came."""
    rounds: tuple[ClosedRound, ...] = ()
    verdict: Verdict | None = None
    """The human's answer to the last escalation; it holds until the next plan or escalation."""
    verdict_text: str = ""
    verdicts: frozenset[str] = frozenset()
    """Digests of the signed verdicts that were obeyed; none is obeyed twice."""
    execution: ExecutionFinished | None = None
    helps: tuple[Help, ...] = ()
    """Requests for help, oldest first; only the last can be open."""
    outcome: Outcome | None = None
    closed_as_failure: bool = False
    reason: str = ""
    pull_request: str | None = None
    sealed: EvidenceSealed | None = None
    """The seal on the evidence, once there is one."""
    hops: Mapping[str, int] = field(default_factory=dict[str, int])
    """hop_count of every message taken in, by msg_id; a reply's must be one more than its parent's."""
    seen: frozenset[str] = frozenset()
    """Digests of every message taken in."""
    last_claimant_digest: str | None = None
    deliberated_s: float = 0.0
    """Seconds spent deliberating before the present phase."""
    phase_since: datetime | None = None
    phases: tuple[tuple[str, datetime], ...] = ()
    """Every phase with the moment at which it began."""
    safeguards: tuple[tuple[str, str], ...] = ()
    """(safeguard, node) of each that bit."""
    violations: tuple[str, ...] = ()
    """What in the claimant's log breaks the rules; evidence with any is refused."""

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.phase in ENDED

    @property
    def closing(self) -> ClosedRound | None:
        """The account of the present round, once the claimant has closed it."""
        last = self.rounds[-1] if self.rounds else None
        return last if last is not None and last.round == self.round else None

    @property
    def help(self) -> Help | None:
        """The request for help that is open."""
        last = self.helps[-1] if self.helps else None
        return last if last is not None and last.outcome == "open" else None

    @property
    def stuck(self) -> bool:
        """Whether the work failed and nothing else was tried since."""
        return self.phase is Phase.EXECUTING and self.execution is not None and not self.execution.ok

    @property
    def open_blocking(self) -> tuple[ObjectionState, ...]:
        """Blocking objections that still stand."""
        return tuple(o for o in self.objections if o.blocks)

    def said(self, round_: int | None = None) -> tuple[Contribution, ...]:
        """Return what was contributed in a round, the present one by default."""
        number = self.round if round_ is None else round_
        return tuple(c for c in self.contributions if c.round == number)

    def deliberated(self, now: datetime) -> float:
        """Return the seconds of deliberation up to now, against which the TTL counts."""
        if self.phase not in DELIBERATING or self.phase_since is None:
            return self.deliberated_s
        return self.deliberated_s + max(0.0, (now - self.phase_since).total_seconds())

    def unanswered_questions(self) -> tuple[Contribution, ...]:
        """Return the questions that nobody has answered yet."""
        asked = (c for c in self.contributions if c.query_type == "clarification_needed")
        return tuple(c for c in asked if c.msg_id not in self.answered)

    def news(self) -> tuple[AnswerGiven, ...]:
        """Return the answers of the present round that its plan was made without."""
        return tuple(a for a in self.answers if a.round == self.round and a.is_news)
