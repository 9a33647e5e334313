"""The desk: one issue at a time, from the claim to its end, and whatever an earlier life left on it.

Beside the chair run the table (hearing others), the lease's renewal and a look at what humans do to the issue
meanwhile; whichever of them ends the work says why, and the issue is given back with that reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import structlog
import trio

from bzzz_agent.claimant import ending, helping, planning, reporting
from bzzz_agent.claimant.case import Case, StoppedError, Tools
from bzzz_agent.claimant.chair import chair
from bzzz_agent.claimant.leftovers import claimed_with, left_over
from bzzz_agent.claimant.offers import Offers
from bzzz_agent.claimant.questions import Questions
from bzzz_agent.claimant.table import Table
from bzzz_agent.drain import Drain
from bzzz_agent.execution import ExecutionError, Task
from bzzz_agent.github.claims import Claim, ClaimLostError, Refusal
from bzzz_agent.github.errors import GitHubError, NotFoundError, RetryableError
from bzzz_agent.github.repository import GitHubRepository
from bzzz_agent.ids import new_id
from hmmm.discussion import Phase
from hmmm.eligibility import IssueFacts
from hmmm.errors import BzzzError
from hmmm.identity import IssueIdentity
from hmmm.records import Claimed, ClaimIntended, ClaimRefused, RoundReopened, data_of

log = structlog.get_logger("bzzz.agent.desk")

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

REPORT_S = 20.0
"""How long an agent that must leave waits for a report that is already under way."""
RETRY_S = 2.0
"""Between tries of a step that GitHub answered with "later"; the client's own back-off comes before it."""


@dataclass
class Desk:
    """Works on issues; `busy` while there is one on it."""

    tools: Tools
    repos: dict[str, GitHubRepository]
    drain: Drain = field(default_factory=lambda: Drain(None))
    is_member: Callable[[], bool] = lambda: True
    """Whether the agent's card is not revoked. One that is out of the hive takes nothing: it could not discuss it."""
    current: IssueIdentity | None = None
    resumed: bool = False
    """Whether what an earlier life left is off the desk."""
    finished: int = 0
    """Issues brought to an end in this life."""
    _leaving: trio.Event = field(default_factory=trio.Event)
    _changed: trio.Event = field(default_factory=trio.Event)
    """Set, and replaced, when something left the desk."""

    @property
    def busy(self) -> bool:
        """Whether an issue is being worked on."""
        return self.current is not None

    @property
    def takes_new(self) -> bool:
        """Whether another issue may be put on it."""
        return self.current is None and not self.drain.asked and self.is_member()

    @property
    def empty(self) -> bool:
        """Whether nothing is on it, nor left from an earlier life."""
        return self.current is None and (self.resumed or not any(left_over(self.tools.journal)))

    async def clear(self) -> None:
        """Give back what is on the desk, not as a failure, and return once it is."""
        self._leaving.set()
        while not self.empty:
            await self._changed.wait()

    async def take(self, repository: str, facts: IssueFacts, epoch_hint: int) -> None:
        """Claim an issue and work on it to its end; returns at once where somebody else was first."""
        if not self.takes_new:
            return
        repo = self.repos[repository]
        nonce = new_id()
        hint = IssueIdentity(repository=repo.name, number=facts.number, epoch=epoch_hint)
        self.current = hint
        try:
            await self._claim(repo, facts, hint, nonce)
        finally:
            self._put_away()

    def _put_away(self) -> None:
        self.current = None
        self._changed.set()
        self._changed = trio.Event()

    async def _claim(
        self, repo: GitHubRepository, facts: IssueFacts, hint: IssueIdentity, nonce: str
    ) -> None:
        tools = self.tools
        await tools.journal.note(ClaimIntended(nonce=nonce), hint)
        tools.failpoints.reach("before_write:claim")
        shown = "before_write:show_claim"
        result = await self._patiently(  # the same nonce: an unknown outcome is found out, not tried anew
            lambda: repo.acquire(facts, nonce=nonce, before_show=lambda: tools.failpoints.reach(shown))
        )
        tools.failpoints.reach("after_write:show_claim")
        if isinstance(result, Refusal):
            tools.metrics.claims.labels(result.reason).inc()
            await tools.journal.note(ClaimRefused(nonce=nonce, reason=result.reason), hint)
            log.info("issue was not claimed", issue=str(hint), reason=result.reason, detail=result.detail)
            return
        tools.metrics.claims.labels("won").inc()
        await self._begin(repo, facts, result, nonce)

    async def resume(self) -> None:
        """Go on with what an earlier life of this agent left unfinished, oldest first."""
        for hint, nonce in list(left_over(self.tools.journal)):
            if hint.repository in self.repos:
                await self._resume_claim(hint, nonce)
        self.resumed = True
        self._put_away()

    async def _resume_claim(self, hint: IssueIdentity, nonce: str) -> None:
        repo, journal = self.repos[hint.repository], self.tools.journal
        claimed = claimed_with(journal, hint, nonce)
        found = await self._patiently(lambda: repo.find_claim(hint.number, nonce))
        if isinstance(found, Refusal):
            if claimed is None:
                await journal.note(ClaimRefused(nonce=nonce, reason=found.reason), hint)
            else:
                await self._forget(claimed, found)
            return
        log.info("going on after a restart", issue=str(found.identity))
        await self._patiently(lambda: repo.reconcile(hint.number))
        facts = await self._patiently(lambda: repo.issue(hint.number))
        claim = found if found.record.state == "parked" else await self._patiently(lambda: repo.renew(found))
        await self._begin(repo, facts, claim, nonce)

    async def _forget(self, issue: IssueIdentity, found: Refusal) -> None:
        """The claim ended, or went to others, while this agent was away: bring the log to its end."""
        state = self.tools.journal.discussions[issue]
        if found.reason == "ended" and state.pull_request is not None:
            await reporting.tell(self.tools, issue)
        else:
            await ending.close_lost(
                self.tools, issue, f"the claim is not ours any more: {found.reason} {found.detail}"
            )

    async def _begin(self, repo: GitHubRepository, facts: IssueFacts, claim: Claim, nonce: str) -> None:
        tools, issue = self.tools, claim.identity
        self.current = issue
        try:
            base = await self._base(repo, issue)
            if not tools.journal.facts(issue, "claimed"):
                data = Claimed(
                    claim_sha=claim.sha,
                    nonce=nonce,
                    title=facts.title[:300],
                    body_digest=facts.digest,
                    base_sha=base,
                )
                await tools.journal.note(data, issue, record_id=f"claimed-{nonce}")
            await self._run(self._case(repo, facts, claim, base))
        finally:
            self._put_away()
            self.finished += 1

    async def _base(self, repo: GitHubRepository, issue: IssueIdentity) -> str:
        for record in self.tools.journal.facts(issue, "claimed"):
            data = data_of(record)
            if isinstance(data, Claimed) and data.base_sha is not None:
                return data.base_sha
        branch = await self._patiently(repo.branch)
        if branch is None:
            raise NotFoundError(f"{repo.name}: has no default branch to start from")
        return branch.sha

    def _case(self, repo: GitHubRepository, facts: IssueFacts, claim: Claim, base: str) -> Case:
        issue = claim.identity
        task = Task(
            repository=repo.name,
            number=issue.number,
            epoch=issue.epoch,
            title=facts.title,
            body=facts.body,
            base_sha=base,
            clone_url=repo.facts.clone_url,
            labels=tuple(sorted(facts.labels)),
        )
        claimed_at = self.tools.journal.facts(issue, "claimed")[0].at
        return Case(self.tools, repo, issue, facts, claim, task, claimed_at)

    async def _run(self, case: Case) -> None:
        stop: StoppedError | None = None
        try:
            await self._work(case)
        except* StoppedError as group:
            stop = _first(group, StoppedError)
        except* ClaimLostError as group:
            stop = StoppedError("taken_over", str(_first(group, ClaimLostError)), failed=False)
        except* (ExecutionError, GitHubError) as group:
            stop = StoppedError("released", str(_first(group, BzzzError)), failed=True)
        state = case.state
        if (
            stop is None and state.phase is Phase.ABANDONED
        ):  # closed by an earlier life that could not release
            stop = StoppedError(state.outcome or "released", state.reason, failed=state.closed_as_failure)
        if stop is not None:
            final = stop
            await self._patiently(lambda: ending.give_back(case, final))

    async def _work(self, case: Case) -> None:
        async with trio.open_nursery() as nursery:
            table = Table(case)
            await nursery.start(table.listen)
            await nursery.start(Offers(case).listen)
            nursery.start_soon(table.repeat)
            nursery.start_soon(Questions(case).answer)
            nursery.start_soon(self._keep, case)
            nursery.start_soon(self._leave_when_told, case)
            await self._reopen(case)
            await self._patiently(lambda: chair(case))
            if case.state.phase is Phase.CLOSED:
                await self._patiently(lambda: reporting.settle(case))
            nursery.cancel_scope.cancel()

    async def _leave_when_told(self, case: Case) -> None:
        """End the work when the agent must leave now; a report under way is let through, it takes seconds."""
        await self._leaving.wait()
        with trio.move_on_after(REPORT_S):
            while (state := case.state).phase is Phase.REPORTING:
                await self.tools.journal.wait_change(case.issue, state, None)
        if case.state.phase is not Phase.CLOSED:
            raise StoppedError("released", "its agent leaves the hive", failed=False)

    async def _reopen(self, case: Case) -> None:
        """A claimant that restarts calls its reviewers back and opens its round again with a full window (§6)."""
        state = case.state
        await helping.reopen(case)
        if state.plan is None or state.phase not in {Phase.LISTENING, Phase.REVISING}:
            return
        await Table(case).call()
        await planning.gather(case, frozenset({*state.plan.reviewers, *state.participants}))
        if state.phase is Phase.LISTENING and state.closing is None:
            await case.tools.journal.note(RoundReopened(round=state.round), case.issue)

    async def _keep(self, case: Case) -> None:
        """Renew the lease and look whether a human has taken the issue back meanwhile."""
        while True:
            pause = min(self.tools.settings.poll_interval_s * 4, self.tools.settings.claims.lease_s / 6)
            await trio.sleep(pause)
            if case.claim.record.state in {"parked", "done", "released"}:
                continue
            try:
                await case.check_untouched()
                if case.claim.lease.renewal_in_s(trio.current_time()) <= 0:
                    case.claim = await case.repo.renew(case.claim)
            except RetryableError as later:
                log.warning("lease could not be renewed yet", issue=str(case.issue), problem=str(later))

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step, which converges, for as long as GitHub says later."""
        while True:
            try:
                return await step()
            except RetryableError as later:
                log.warning("GitHub says later", problem=str(later))
                await trio.sleep(max(RETRY_S, later.delay_s))


def _first(group: BaseExceptionGroup[E], kind: type[E]) -> E:
    """Return the first error of a kind in a group."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(cast("BaseExceptionGroup[E]", error), kind)
        if isinstance(error, kind):
            return error
    raise group
