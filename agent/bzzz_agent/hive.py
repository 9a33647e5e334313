"""What an agent knows of the others, by what they said on `bzzz`: who lives, what they claim, which files they plan
to touch. Hints, every one of them: GitHub's claim ref and the logs are the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bzzz_agent.drain import GONE, IDLE_FOR_GOOD
from hmmm.identity import IssueIdentity
from hmmm.messages import (
    Capabilities,
    IssueSeen,
    Message,
    PlanFootprint,
    SeenIssue,
    TaskClaimed,
    TaskReleased,
    TaskResult,
)
from hmmm.ranking import Candidate

LIVE_S = 75.0
"""An agent says what it can every 30 s (architecture §5); two silences and a half mean that it is gone."""
MAX_ISSUES = 2000
"""Issues, claims and footprints remembered; the oldest go first."""


@dataclass(frozen=True)
class LivePlan:
    """Another claim's plan, as its claimant announced it."""

    issue: IssueIdentity
    node_id: str
    footprint: tuple[str, ...]
    claimed_at: datetime


@dataclass
class HiveView:
    """The others, as heard. `monotonic` gives seconds for judging who is still there."""

    node_id: str
    monotonic: Callable[[], float]
    _agents: dict[str, tuple[Capabilities, float]] = field(
        default_factory=dict[str, tuple[Capabilities, float]]
    )
    _claims: dict[tuple[str, int], TaskClaimed] = field(default_factory=dict[tuple[str, int], TaskClaimed])
    _plans: dict[tuple[str, int], LivePlan] = field(default_factory=dict[tuple[str, int], LivePlan])
    _seen: dict[str, tuple[IssueSeen, float]] = field(default_factory=dict[str, tuple[IssueSeen, float]])
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.monotonic()

    @property
    def age_s(self) -> float:
        """For how long the others have been listened to."""
        return self.monotonic() - self._since

    def hear(self, message: Message) -> None:
        """Take in a verified message."""
        match message:
            case Capabilities(role="agent"):
                self._agents[message.node_id] = (message, self.monotonic())
            case IssueSeen():
                self._seen[message.repository] = (message, self.monotonic())
            case TaskClaimed():
                self._claim(message)
            case PlanFootprint():
                self._plan(message)
            case TaskReleased() | TaskResult():
                self._settle(message.repository, message.issue_id, message.epoch)
            case _:
                pass

    def knows(self, node_id: str) -> bool:
        """Whether an agent's capabilities were heard lately."""
        known = self._agents.get(node_id)
        return known is not None and self.monotonic() - known[1] < LIVE_S

    def live(self, repository: str | None = None) -> tuple[Capabilities, ...]:
        """Return the agents that are there and well, by node id."""
        now = self.monotonic()
        there = (c for c, at in self._agents.values() if now - at < LIVE_S and c.healthy)
        serving = (c for c in there if repository is None or repository in c.repositories)
        return tuple(sorted(serving, key=lambda c: c.node_id))

    def candidates(self, repository: str) -> tuple[Candidate, ...]:
        """Return the live agents that take issues, as ranking takes them."""
        return tuple(Candidate.of(c) for c in self.live(repository) if c.phase not in IDLE_FOR_GOOD)

    def reviewers(self, repository: str) -> tuple[Candidate, ...]:
        """Return the live agents that may be named as reviewers."""
        return tuple(Candidate.of(c) for c in self.live(repository) if c.phase not in GONE)

    def claim_of(self, repository: str, number: int) -> TaskClaimed | None:
        """Return the last announced claim on an issue that was not released since."""
        return self._claims.get((repository, number))

    def other_plans(self, repository: str, number: int) -> tuple[LivePlan, ...]:
        """Return the live plans of other issues in a repository, earliest claim first."""
        plans = (p for (name, n), p in self._plans.items() if name == repository and n != number)
        return tuple(sorted(plans, key=lambda p: (p.claimed_at, p.issue.number)))

    def claimed_at(self, issue: IssueIdentity) -> datetime | None:
        """Return when an issue was claimed, as its claimant announced it with its plan."""
        plan = self._plans.get((issue.repository, issue.number))
        return plan.claimed_at if plan is not None and plan.issue == issue else None

    def last_seen(self, repository: str) -> tuple[tuple[SeenIssue, ...], float] | None:
        """Return what the poller last reported of a repository, and how many seconds ago."""
        known = self._seen.get(repository)
        return None if known is None else (known[0].issues, self.monotonic() - known[1])

    def _claim(self, message: TaskClaimed) -> None:
        key = (message.repository, message.issue_id)
        known = self._claims.get(key)
        if known is None or message.epoch >= known.epoch:
            self._claims[key] = message
            _bound(self._claims)

    def _plan(self, message: PlanFootprint) -> None:
        key = (message.repository, message.issue_id)
        issue = IssueIdentity(repository=message.repository, number=message.issue_id, epoch=message.epoch)
        known = self._plans.get(key)
        if known is None or message.epoch >= known.issue.epoch:
            self._plans[key] = LivePlan(issue, message.node_id, message.footprint, message.claimed_at)
            _bound(self._plans)

    def _settle(self, repository: str, number: int, epoch: int) -> None:
        claim, plan = self._claims.get((repository, number)), self._plans.get((repository, number))
        if claim is not None and claim.epoch <= epoch:
            del self._claims[repository, number]
        if plan is not None and plan.issue.epoch <= epoch:
            del self._plans[repository, number]


def _bound(table: dict[tuple[str, int], TaskClaimed] | dict[tuple[str, int], LivePlan]) -> None:
    while len(table) > MAX_ISSUES:
        del table[next(iter(table))]
