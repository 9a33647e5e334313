"""Claims on issues: what an agent does with them, each step repeatable after kill -9 with the same arguments.

The nonce is the caller's, fixed (and logged) before the first write: a restarted agent that finds its nonce on
the ref's tip has won, whatever it remembers. Likewise a holder whose process died between a move and its answer
finds the moved tip to be its own and goes on from there. Rules: `hmmm.claims`; wire: `refs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import trio

from bzzz_agent.github.refs import ClaimRefStore, OvertakenError, Tip
from hmmm.claims import (
    LEASE_S,
    MAX_FAILURES,
    BackOff,
    ClaimRecord,
    HeldLease,
    LeaseWatch,
    Opening,
    check_move,
    opening_of,
)
from hmmm.eligibility import IssueFacts
from hmmm.errors import BzzzError
from hmmm.identity import IssueIdentity

_MOST_CATCH_UPS = 3
"""How often a holder catches up with its own earlier moves before it gives up on the ref."""


class ClaimLostError(BzzzError):
    """The claim is not ours any more: stop the work, touch nothing. `tip` is what the ref shows, if it tells."""

    def __init__(self, claim: ClaimRecord, tip: Tip | None) -> None:
        now = (
            "nothing readable"
            if tip is None or tip.record is None
            else f"{tip.record.state} by {tip.record.agent}"
        )
        super().__init__(
            f"claim on {claim.identity}: expected to hold it, the ref shows {now}; the work is stopped"
        )
        self.tip = tip


@dataclass(frozen=True)
class Agent:
    """Who claims."""

    node_id: str
    peer_id: str
    account: str | None = None
    """The login that its claims are shown under; several agents may share it."""


@dataclass(frozen=True)
class Claim:
    """A claim of ours, as of our last move of its ref."""

    tip: Tip
    record: ClaimRecord
    lease: HeldLease

    @property
    def sha(self) -> str:
        """The claim commit."""
        return self.tip.sha

    @property
    def number(self) -> int:
        """The issue's number."""
        return self.record.issue

    @property
    def epoch(self) -> int:
        """Which claim of the issue this is."""
        return self.record.epoch

    @property
    def identity(self) -> IssueIdentity:
        """The issue's identity at this epoch."""
        return self.record.identity


RefusalReason = Literal["wait", "settled", "exhausted", "unreadable", "lost", "ended", "interfered"]


@dataclass(frozen=True)
class Refusal:
    """Why an issue was not claimed.

    `wait` (see `opening.wait_s`), `settled` and `exhausted` as in `hmmm.claims.Opening`; `unreadable`: the tip is
    no claim, a human must look; `lost`: another was first; `ended`: this very nonce was claimed and given back
    before; `interfered`: won, but a human has the issue (`detail`), so it was given back.
    """

    reason: RefusalReason
    tip: Tip | None = None
    opening: Opening | None = None
    detail: str = ""


class ClaimRefs:
    """The claims of one repository, as one agent sees and moves them."""

    def __init__(
        self,
        store: ClaimRefStore,
        repository: str,
        agent: Agent,
        *,
        lease_s: float = LEASE_S,
        back_off: BackOff | None = None,
        max_failures: int = MAX_FAILURES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._repository = repository
        self.agent = agent
        self._lease_s = lease_s
        self.back_off = back_off or BackOff()
        self.max_failures = max_failures
        self._now = now
        self.watch = LeaseWatch()

    async def read(self, issue: int) -> Tip | None:
        """Return the tip of an issue's claim ref now, None where it was never claimed. Raises GitHubError."""
        return await self._store.tip(issue)

    async def opening(self, issue: IssueFacts, *, above_epoch: int = 0) -> tuple[Opening | None, Tip | None]:
        """Read an issue's tip and judge whether it can be claimed now; no opening where the tip is unreadable.

        Raises GitHubError.
        """
        tip = await self.read(issue.number)
        return self.judge(issue, tip, above_epoch=above_epoch), tip

    def judge(self, issue: IssueFacts, tip: Tip | None, *, above_epoch: int = 0) -> Opening | None:
        """Judge a tip that was just read (a sighting for the lease's watch); None where it is unreadable."""
        stood_still_s = 0.0
        if tip is not None:
            stood_still_s = self.watch.observe(issue.number, tip.sha, trio.current_time())
            if tip.record is None:
                return None
        return opening_of(
            None if tip is None else tip.record,
            stood_still_s=stood_still_s,
            now=self._now(),
            digest=issue.digest,
            back_off=self.back_off,
            max_failures=self.max_failures,
            above_epoch=above_epoch,
        )

    async def acquire(self, issue: IssueFacts, *, nonce: str, above_epoch: int = 0) -> Claim | Refusal:
        """Claim an issue if it is free, rested, or its claimant's lease stood still for this agent.

        `nonce` is unique to this try; repeating the call with it finds an earlier win. Raises GitHubError.
        """
        written_at_s = trio.current_time()
        opening, tip = await self.opening(issue, above_epoch=above_epoch)
        own = self._own(tip, nonce)
        if own is not None:
            return own
        if opening is None:
            return Refusal("unreadable", tip)
        if not opening.claimable:
            kind = opening.kind
            assert kind == "wait" or kind == "settled" or kind == "exhausted", "the kinds not claimable"
            return Refusal(kind, tip, opening)
        return await self._begin(tip, self._new_record(issue, nonce, opening, tip), written_at_s)

    async def find(self, issue: int, nonce: str) -> Claim | Refusal:
        """Find a claim again after a restart; its lease counts as over until it is renewed.

        Returns a Refusal, `ended` or `lost`, where the ref shows anything else. Raises GitHubError.
        """
        tip = await self.read(issue)
        return self._own(tip, nonce) or Refusal("lost", tip)

    async def give_up(self, issue: IssueFacts, opening: Opening, tip: Tip, *, nonce: str) -> bool:
        """Close the epoch of a claimant that was lost too often; the caller has handed the issue to a human.

        Returns whether the ref now says so by our doing. Raises GitHubError.
        """
        record = self._new_record(issue, nonce, opening, tip).model_copy(
            update={"state": "released", "outcome": f"claimant lost {opening.failures} times; needs a human"}
        )
        result = await self._begin(tip, record, trio.current_time())
        return isinstance(result, Claim) or result.reason == "ended"

    async def renew(self, claim: Claim) -> Claim:
        """Show that the claim is alive. Raises ClaimLostError, GitHubError."""
        return await self._advance(claim, lambda r: r.renewed(self._now()), lambda _: False)

    async def park(self, claim: Claim, until: datetime, outcome: str) -> Claim:
        """Keep the claim, without renewals, while a human is asked. Raises ClaimLostError, GitHubError."""
        return await self._advance(
            claim,
            lambda r: r.parked(self._now(), until, outcome),
            lambda r: r.state == "parked" and r.parked_until == until,
        )

    async def resume(self, claim: Claim) -> Claim:
        """Go on with a parked claim; one that is at work already stays as it is, unasked.

        Raises ClaimLostError, GitHubError.
        """
        return await self._advance(
            claim, lambda r: r.held(self._now()), lambda r: r.state in ("held", "reporting")
        )

    async def to_reporting(self, claim: Claim, head_sha: str) -> Claim:
        """Bind the claim to the commit that its pull request will show: the fence before the PR is opened.

        Never satisfied by a reading: it returns only after a move of the ref succeeded, or once the claim is done.
        Raises ClaimLostError, GitHubError.
        """
        return await self._advance(
            claim,
            lambda r: r.reporting(self._now(), head_sha),
            lambda r: r.state == "done" and r.head_sha == head_sha,
        )

    async def release(self, claim: Claim, outcome: str, *, failed: bool) -> Claim:
        """Give the claim back; a failure counts and makes the issue rest. Raises ClaimLostError, GitHubError."""
        return await self._advance(
            claim,
            lambda r: r.released(self._now(), outcome, failed=failed, back_off=self.back_off),
            lambda r: r.state == "released",
        )

    async def done(self, claim: Claim, outcome: str) -> Claim:
        """Settle the issue: its pull request is open, or its outcome is stated and final.

        Raises ClaimLostError, GitHubError.
        """
        return await self._advance(claim, lambda r: r.done(self._now(), outcome), lambda r: r.state == "done")

    def _new_record(self, issue: IssueFacts, nonce: str, opening: Opening, tip: Tip | None) -> ClaimRecord:
        shown = frozenset[str]() if tip is None or tip.record is None else tip.record.accounts
        former = sorted(shown - {self.agent.account})
        return ClaimRecord(
            repository=self._repository,
            issue=issue.number,
            epoch=opening.epoch,
            nonce=nonce,
            agent=self.agent.node_id,
            peer_id=self.agent.peer_id,
            account=self.agent.account,
            former_account=former[0] if former else None,
            state="held",
            at=self._now(),
            lease_s=self._lease_s,
            failures=opening.failures,
            body_digest=issue.digest,
        )

    async def _begin(self, tip: Tip | None, record: ClaimRecord, written_at_s: float) -> Claim | Refusal:
        check_move(None if tip is None else tip.record, record)
        try:
            new = await self._store.move(tip, record)
        except OvertakenError as overtaken:
            return self._own(overtaken.tip, record.nonce) or Refusal("lost", overtaken.tip)
        return Claim(new, record, HeldLease(written_at_s, record.lease_s))

    def _own(self, tip: Tip | None, nonce: str) -> Claim | Refusal | None:
        if tip is None or tip.record is None:
            return None
        record = tip.record
        if record.nonce != nonce or record.agent != self.agent.node_id:
            return None
        if not record.live:
            return Refusal("ended", tip, detail=record.outcome or record.state)
        # Nobody knows when an earlier life wrote it, so its lease counts as over: renew before acting.
        return Claim(tip, record, HeldLease(trio.current_time() - record.lease_s, record.lease_s))

    async def _advance(
        self, claim: Claim, step: Callable[[ClaimRecord], ClaimRecord], reached: Callable[[ClaimRecord], bool]
    ) -> Claim:
        tip, record = claim.tip, claim.record
        for _ in range(_MOST_CATCH_UPS):
            if reached(record):
                return Claim(tip, record, claim.lease)
            target = step(record)
            check_move(record, target)
            written_at_s = trio.current_time()
            try:
                new = await self._store.move(tip, target)
            except OvertakenError as overtaken:
                seen = overtaken.tip
                if seen is None or seen.record is None or not seen.record.same_claim(claim.record):
                    raise ClaimLostError(claim.record, seen) from overtaken
                tip, record = seen, seen.record
            else:
                return Claim(new, target, HeldLease(written_at_s, target.lease_s))
        raise ClaimLostError(claim.record, tip)
