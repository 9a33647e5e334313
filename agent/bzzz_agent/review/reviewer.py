"""Following another's discussion: answers to its plans, repair of lost messages, countersigning (architecture §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
import trio

from bzzz_agent.clock import now
from bzzz_agent.hive import HiveView
from bzzz_agent.inbox import Heard, Inbox
from bzzz_agent.knowledge.memory import Memory
from bzzz_agent.metrics import AgentMetrics
from bzzz_agent.review.judge import Judge
from bzzz_agent.review.outside import NOTHING, IssueReader, Outside, OutsideFacts
from bzzz_agent.review.rules import TWO_PLANS, Finding, Review, review_by_rules
from bzzz_agent.voice import Voice
from bzzz_mesh import Mesh
from hmmm.base import Model
from hmmm.discussion import LEFT_OUT
from hmmm.errors import BzzzError
from hmmm.identity import IssueIdentity
from hmmm.messages import MetaMessage, Signed, TaskClaimed, issue_topic
from hmmm.meta import (
    ClarificationNeeded,
    Countersigned,
    DiscussionClosed,
    NoObjection,
    Objection,
    PlanProposed,
    Reviewing,
    RoundClosed,
    RoundStatus,
    Suggestion,
    plan_answered,
)

log = structlog.get_logger("bzzz.agent.review")

LINGER_S = 900.0
"""A discussion that says nothing for so long is no longer followed; it is joined again when it speaks on `bzzz`."""
MODEL_SHARE = 0.8
"""Part of the doubled window that a model may think; the rest is for the answer to arrive."""
GITHUB_SHARE = 0.3
"""Part of the window that rules wait for what GitHub says."""
ARRIVAL_S = 1.0
"""An objection sent this long before the window's end should have arrived."""
MAX_FINDINGS = 2
"""Rule objections said at once: two messages of the four that a participant has a round."""


@dataclass(frozen=True)
class ReviewerSettings:
    """The reviewer's own manifest, as far as it reviews by it."""

    protected_paths: tuple[str, ...]
    tests_configured: bool


@dataclass
class Reviewer:
    """One agent's part in the others' discussions."""

    voice: Voice
    mesh: Mesh
    inbox: Inbox
    hive: HiveView
    settings: ReviewerSettings
    judge: Judge | None
    issues: IssueReader
    memory: Memory
    metrics: AgentMetrics
    _following: set[IssueIdentity] = field(default_factory=set[IssueIdentity])
    _promised: set[IssueIdentity] = field(default_factory=set[IssueIdentity])

    @property
    def owes(self) -> bool:
        """Whether this agent was named somewhere and has not countersigned the last round there."""
        return bool(self._promised)

    async def follow(self, claim: TaskClaimed) -> None:
        """Take part in a discussion until it closes or falls silent; a second call for the same returns at once."""
        issue = IssueIdentity(repository=claim.repository, number=claim.issue_id, epoch=claim.epoch)
        if issue in self._following or claim.node_id == self.voice.node_id:
            return
        self._following.add(issue)
        named = self.voice.node_id in claim.reviewers
        self.promise(issue, named)
        topic = issue_topic(issue.number)
        try:
            async with self.mesh.subscribe(topic) as subscription, trio.open_nursery() as nursery:
                seat = Seat(self, issue, claim, nursery)
                with trio.move_on_after(LINGER_S) as patience:
                    async for received in subscription:
                        heard = self.inbox.read(topic, received.data, received.author)
                        if heard is None:
                            continue
                        patience.deadline = trio.current_time() + LINGER_S
                        await seat.hear(heard)
                        if seat.over:
                            break
                nursery.cancel_scope.cancel()
        finally:
            self._following.discard(issue)
            self.promise(issue, False)

    def promise(self, issue: IssueIdentity, owed: bool) -> None:
        """Remember whether an answer is owed in a discussion."""
        (self._promised.add if owed else self._promised.discard)(issue)


@dataclass
class Seat:
    """A seat in one discussion: what this agent has seen and said there."""

    reviewer: Reviewer
    issue: IssueIdentity
    claim: TaskClaimed
    nursery: trio.Nursery
    over: bool = False
    _outside: Outside = field(init=False)
    _plans: dict[str, MetaMessage] = field(default_factory=dict[str, MetaMessage])
    _window_over: dict[str, float] = field(default_factory=dict[str, float])
    _listed: set[str] = field(default_factory=set[str])
    """Digests of own messages that the claimant said it has taken in."""

    def __post_init__(self) -> None:
        self._outside = Outside(self.reviewer.issues, self.issue)

    async def hear(self, heard: Heard) -> None:
        """Take in a message of the discussion; all but the claimant's are left to the claimant."""
        message = heard.signed.message
        if not isinstance(message, MetaMessage) or heard.card.node_id != self.claim.node_id:
            return
        if (message.repository, message.epoch) != (self.issue.repository, self.issue.epoch):
            return
        match message.parameters:
            case PlanProposed() as parameters:
                await self._plan(heard.signed, message, parameters)
            case RoundStatus() as parameters:
                await self._repair(parameters)
            case RoundClosed() as parameters:
                await self._countersign(heard.signed, message, parameters)
                self.reviewer.promise(self.issue, False)
            case DiscussionClosed():
                self.over = True
            case _:
                pass

    def _said(self, plan_digest: str) -> list[tuple[Signed, Model]]:
        """Return what this agent answered to a plan, from its log: a restarted reviewer knows it too."""
        said: list[tuple[Signed, Model]] = []
        for signed in self.reviewer.voice.journal.sent(self.issue):
            if isinstance(signed.message, MetaMessage):
                parameters = signed.message.parameters
                if plan_answered(parameters) == plan_digest:
                    said.append((signed, parameters))
        return said

    async def _plan(self, signed: Signed, message: MetaMessage, parameters: PlanProposed) -> None:
        if signed.digest in self._plans:
            return
        twin = self._of_round(parameters.round)
        self._plans[signed.digest] = message
        self._window_over[signed.digest] = trio.current_time() + parameters.window_s
        self.reviewer.promise(self.issue, self.reviewer.voice.node_id in parameters.reviewers)
        if twin is not None:
            await self._expose(twin, (signed.digest, message))
            return
        if any(not isinstance(p, Reviewing) for _, p in self._said(signed.digest)):
            return
        self.nursery.start_soon(self._review, signed.digest, message, parameters)

    def _of_round(self, round_number: int) -> tuple[str, MetaMessage] | None:
        """Return a plan that the claimant signed for this round before, with its digest."""
        for digest, message in self._plans.items():
            if isinstance(message.parameters, PlanProposed) and message.parameters.round == round_number:
                return digest, message
        return None

    async def _expose(self, *plans: tuple[str, MetaMessage]) -> None:
        """Object to both of two plans for one round: a claimant signs one, whatever happens to it in between.

        Whichever of them stands in the claimant's log, an objection to it was made in its round.
        """
        (first, _), (second, _) = plans
        log.warning("two plans for one round", issue=str(self.issue), first=first, second=second)
        reason = f"the claimant signed two plans for one round: {first} and {second}"
        for digest, message in plans:
            said = (parameters for _, parameters in self._said(digest))
            if not any(isinstance(p, Objection) and p.rule == TWO_PLANS for p in said):
                await self._object(digest, message, Finding(TWO_PLANS, "blocking", reason))

    async def _review(self, digest: str, message: MetaMessage, proposed: PlanProposed) -> None:
        named = self.reviewer.voice.node_id in proposed.reviewers
        # who is not named leaves GitHub in peace: of a large hive everybody hears every plan
        outside = await self._outside.facts(proposed.window_s * GITHUB_SHARE) if named else NOTHING
        findings = review_by_rules(proposed.plan, self._basis(message, outside))
        for finding in findings[:MAX_FINDINGS]:
            await self._object(digest, message, finding)
        if findings:
            return
        if not named and not self._objected():
            return  # slots are for the named; others speak only where a rule finds something
        if self.reviewer.judge is None:
            await self._answer(
                message, "Rules found nothing against the plan.", NoObjection(plan_digest=digest)
            )
            return
        await self._ask_model(digest, message, proposed, self.reviewer.judge)

    def _objected(self) -> bool:
        """Whether this agent objected to an earlier plan: then it owes the new one an answer (§6.3)."""
        words = (signed.message for signed in self.reviewer.voice.journal.sent(self.issue))
        return any(isinstance(word, MetaMessage) and word.query_type == "objection" for word in words)

    async def _ask_model(
        self, digest: str, message: MetaMessage, proposed: PlanProposed, judge: Judge
    ) -> None:
        patience = 2 * proposed.window_s * MODEL_SHARE
        thinking = Reviewing(plan_digest=digest, eta_s=patience)
        await self._answer(message, f"{judge.name} is reading the plan.", thinking)
        text, parameters = await self._judge(digest, proposed, judge, patience)
        await self._answer(message, text, parameters)

    async def _judge(
        self, digest: str, proposed: PlanProposed, judge: Judge, patience: float
    ) -> tuple[str, Model]:
        try:
            title, body = await self._outside.text()
            about = f"{title}\n{proposed.plan.summary}"
            earlier = self.reviewer.memory.find(self.issue, about, proposed.plan.footprint)
            judgement = await judge.judge(
                title, body, proposed.plan, patience, tuple(passage.line for passage in earlier)
            )
        except BzzzError as error:
            log.warning("model did not review", issue=str(self.issue), model=judge.name, problem=str(error))
            text = f"Rules found nothing against the plan; {judge.name} did not give a usable answer."
            return text, NoObjection(plan_digest=digest)
        reason = judgement.reason[:3000]
        quoted = None if judgement.quoted is None else judgement.quoted[:1000]
        if judgement.verdict == "no_objection":
            text = f"Rules found nothing against the plan. {reason or f'{judge.name} has no objection.'}"
            return text[:4000], NoObjection(plan_digest=digest)
        if judgement.verdict == "objection":
            severity = judgement.severity if judge.decides else "advisory"
            objection = Objection(plan_digest=digest, severity=severity, reason=reason, quoted=quoted)
            return f"{judge.name} objects: {reason}"[:4000], objection
        if judgement.verdict == "question":
            return reason[:4000], ClarificationNeeded(plan_digest=digest, quoted=quoted)
        return f"{judge.name} remarks: {reason}"[:4000], Suggestion(plan_digest=digest, quoted=quoted)

    def _basis(self, message: MetaMessage, outside: OutsideFacts) -> Review:
        hive, settings = self.reviewer.hive, self.reviewer.settings
        claimant = next((c for c in hive.live() if c.node_id == self.claim.node_id), None)
        offered = set[str]()
        if claimant is not None:
            offered |= {f"lang:{name.lower()}" for name in claimant.languages}
            offered |= {f"tool:{name.lower()}" for name in claimant.tools}
        return Review(
            issue=self.issue,
            claimed_at=hive.claimed_at(self.issue) or message.sent_at,
            protected_paths=settings.protected_paths,
            other_plans=hive.other_plans(self.issue.repository, self.issue.number),
            offered=frozenset(offered),
            tests_configured=settings.tests_configured,
            failing_tests=outside.failing_tests,
            solved_by=outside.solved_by,
        )

    async def _object(self, digest: str, message: MetaMessage, finding: Finding) -> None:
        objection = Objection(
            plan_digest=digest,
            severity=finding.severity,
            reason=finding.reason,
            rule=finding.rule,
            paths=finding.paths[:100],
        )
        await self._answer(message, finding.reason, objection)

    async def _answer(self, parent: MetaMessage, text: str, parameters: Model) -> None:
        signed = await self.reviewer.voice.answer(self.issue, parent, text, parameters)
        if isinstance(signed.message, MetaMessage):
            self.reviewer.metrics.reviews.labels(signed.message.query_type).inc()

    async def _repair(self, status: RoundStatus) -> None:
        """Send again what the claimant does not list: gossip may have lost it (architecture §5)."""
        for signed, _ in self._said(status.plan_digest):
            if signed.digest in status.taken_in:
                self._listed.add(signed.digest)
            else:
                await self.reviewer.voice.repeat(signed, issue_topic(self.issue.number))

    async def _countersign(self, signed: Signed, message: MetaMessage, closed: RoundClosed) -> None:
        words = self._said(closed.plan_digest)
        said = [(s, p) for s, p in words if not isinstance(p, Countersigned)]
        already = [s for s, p in words if isinstance(p, Countersigned)]
        if already:
            await self.reviewer.voice.repeat(already[-1], issue_topic(self.issue.number))
            return
        if not said:
            return
        weighed = {w.digest for w in closed.weighed}
        missing = [(s, p) for s, p in said if s.digest not in weighed]
        cheated = [
            s for s, p in missing if s.digest in self._listed or self._was_in_time(s, p, closed.plan_digest)
        ]
        if cheated:
            ids = ", ".join(s.message.msg_id for s in cheated)
            reason = f"the account of round {closed.round} leaves out what I said: {ids}"
            dispute = Objection(
                plan_digest=closed.plan_digest, severity="blocking", reason=reason, rule=LEFT_OUT
            )
            await self._answer(message, reason, dispute)
        elif not missing:
            mark = Countersigned(
                plan_digest=closed.plan_digest, round=closed.round, closed_digest=signed.digest
            )
            await self._answer(message, "", mark)

    def _was_in_time(self, signed: Signed, parameters: Model, plan_digest: str) -> bool:
        """A blocking objection sent well within the window must be in the account, listed before or not."""
        if not (isinstance(parameters, Objection) and parameters.severity == "blocking"):
            return False
        over = self._window_over.get(plan_digest)
        if over is None:
            return False
        age = (now() - signed.message.sent_at).total_seconds()
        return trio.current_time() - age < over - ARRIVAL_S
