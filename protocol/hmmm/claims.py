"""The claim on an issue, as data and rules: who may move the claim ref, from where to where, and when.

Architecture §7. The truth is one git ref an issue; its tip is a commit whose message is a `ClaimRecord` in JSON.
Every move is a compare-and-set: create-if-absent for the first, fast-forward to a child commit for all others.
The rules here say which move is legal; the host's ref says which one happened. Nothing compares two machines'
clocks where safety hangs on it: a lease is over when an observer saw the same tip for the lease's time on its
own monotonic clock (`LeaseWatch`), and whoever moves the ref wins whatever anybody's clock says.

| from     | by its holder                           | by another, next epoch                             |
|----------|-----------------------------------------|----------------------------------------------------|
| no ref   |                                         | held                                               |
| held     | held, reporting, parked, released, done | held or released, after the lease stood still      |
| reporting| reporting, released, done               | held or released, after the lease stood still      |
| parked   | parked, held, released, done            | held, after its own expiry and a lease stood still |
| released |                                         | held, after its back-off                           |
| done     |                                         | held, when a human asked anew                      |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from hmmm.base import Digest, GitSha, Id, Line, Model, Moment, NodeId, PeerId, Repository
from hmmm.errors import LocalProtocolError
from hmmm.identity import IssueIdentity
from hmmm.limits import CLOCK_SKEW_S

MAX_CLAIM_BYTES: Final = 8 * 1024
LEASE_S: Final = 900.0
"""How long a tip may stand still before others take over; renewed every third of it (architecture §7)."""
MAX_FAILURES: Final = 3
"""After so many failed tries an issue is left to a human (architecture §7)."""

ClaimState = Literal["held", "reporting", "parked", "released", "done"]

HOLDER_MOVES: Final[dict[ClaimState, frozenset[ClaimState]]] = {
    "held": frozenset({"held", "reporting", "parked", "released", "done"}),
    "reporting": frozenset({"reporting", "released", "done"}),
    "parked": frozenset({"parked", "held", "released", "done"}),
    "released": frozenset(),
    "done": frozenset(),
}
"""What the holder of a claim may make of it; a state without moves ends the epoch."""

OTHERS_MOVES: Final[dict[ClaimState, frozenset[ClaimState]]] = {
    "held": frozenset({"held", "released"}),
    "reporting": frozenset({"held", "released"}),
    "parked": frozenset({"held"}),
    "released": frozenset({"held"}),
    "done": frozenset({"held"}),
}
"""What the next epoch may begin with; `released` at once is an issue given up on (`Opening.exhausted`)."""


class ClaimRecord(Model):
    """What a claim commit says. The nonce is one acquisition's: tip and caller with one nonce are one claim."""

    format: Literal["bzzz-claim/1"] = "bzzz-claim/1"
    repository: Repository
    issue: int = Field(ge=1, le=2**53)
    epoch: int = Field(ge=1, le=2**53)
    nonce: Id
    agent: NodeId
    peer_id: PeerId
    account: Annotated[str, Field(max_length=100)] | None = None
    """The login shown as assignee; several agents may share one, so it never says who holds the claim."""
    former_account: Annotated[str, Field(max_length=100)] | None = None
    """The login of the claimant before, which the issue may still show."""
    state: ClaimState
    at: Moment
    """When the holder wrote it, by its own clock: for people, never compared for safety."""
    lease_s: float = Field(gt=0, le=86_400)
    failures: int = Field(default=0, ge=0, le=1000)
    body_digest: Digest
    """`issue_digest` of what was claimed; an edit since then stops the work."""
    head_sha: GitSha | None = None
    """The commit about to be, or being, reported in a pull request."""
    outcome: Line | None = None
    not_before: Moment | None = None
    """Of a released claim: the end of the back-off."""
    parked_until: Moment | None = None

    @property
    def identity(self) -> IssueIdentity:
        """The issue at this claim's epoch."""
        return IssueIdentity(repository=self.repository, number=self.issue, epoch=self.epoch)

    @property
    def accounts(self) -> frozenset[str]:
        """The logins that the issue may show because of this claim: no strangers."""
        return frozenset(login for login in (self.account, self.former_account) if login is not None)

    @property
    def live(self) -> bool:
        """Somebody holds the issue."""
        return bool(HOLDER_MOVES[self.state])

    def same_claim(self, other: ClaimRecord) -> bool:
        """Say whether two records are states of one acquisition."""
        return (self.nonce, self.epoch, self.agent, self.issue) == (
            other.nonce,
            other.epoch,
            other.agent,
            other.issue,
        )

    def renewed(self, at: datetime) -> Self:
        """Return the same state, written anew."""
        return self.model_copy(update={"at": at})

    def held(self, at: datetime) -> Self:
        """Return the claim at work again after it was parked."""
        return self.model_copy(update={"state": "held", "at": at, "parked_until": None})

    def parked(self, at: datetime, until: datetime, outcome: str) -> Self:
        """Return the claim waiting for a human until a moment of its own."""
        return self.model_copy(
            update={"state": "parked", "at": at, "parked_until": until, "outcome": outcome[:300]}
        )

    def reporting(self, at: datetime, head_sha: str) -> Self:
        """Return the claim with the commit that its pull request will show."""
        return self.model_copy(update={"state": "reporting", "at": at, "head_sha": head_sha, "outcome": None})

    def done(self, at: datetime, outcome: str) -> Self:
        """Return the claim settled: a pull request is open, or a stated outcome closes the matter."""
        return self.model_copy(
            update={"state": "done", "at": at, "outcome": outcome[:300], "parked_until": None, "failures": 0}
        )

    def released(self, at: datetime, outcome: str, *, failed: bool, back_off: BackOff) -> Self:
        """Return the claim given back; a failure counts and sets the back-off."""
        failures = self.failures + 1 if failed else self.failures
        until = at + timedelta(seconds=back_off.delay_s(failures)) if failed else None
        return self.model_copy(
            update={
                "state": "released",
                "at": at,
                "outcome": outcome[:300],
                "failures": failures,
                "not_before": until,
                "parked_until": None,
            }
        )


@dataclass(frozen=True)
class BackOff:
    """How long an issue rests after its nth failure: `first_s` × `factor` ** (n - 1), at most `most_s`."""

    first_s: float = 60.0
    factor: float = 5.0
    most_s: float = 3600.0

    def delay_s(self, failures: int) -> float:
        """Return the seconds of rest after so many failures; none after none."""
        if failures < 1:
            return 0.0
        return min(self.first_s * self.factor ** min(failures - 1, 64), self.most_s)


def check_move(old: ClaimRecord | None, new: ClaimRecord) -> None:
    """Check that a record may follow another on the claim ref.

    Raises LocalProtocolError: a move that the table above does not have is our own bug.
    """
    if old is None:
        _require(new.state == "held", "no ref", new)
    elif new.same_claim(old):
        _require(new.state in HOLDER_MOVES[old.state], f"{old.state} by the same claim", new)
    else:
        _require(new.issue == old.issue, f"issue {old.issue}", new)
        _require(new.epoch > old.epoch, f"epoch {old.epoch}", new)
        _require(new.state in OTHERS_MOVES[old.state], f"{old.state} by {old.agent}", new)


def _require(legal: bool, from_what: str, new: ClaimRecord) -> None:
    if not legal:
        raise LocalProtocolError(
            f"claim on {new.identity} by {new.agent}: no move from {from_what} to {new.state}; "
            "read the ref again and start from its tip"
        )


OpeningKind = Literal["first", "again", "take_over", "exhausted", "wait", "settled"]


@dataclass(frozen=True)
class Opening:
    """Whether an issue can be claimed, by its claim ref alone.

    `first`, `again`, `take_over`: claim it at `epoch`, carrying `failures`. `exhausted`: its claimant was lost
    and that was the last try; hand it to a human. `wait`: look again in `wait_s`. `settled`: leave it.
    """

    kind: OpeningKind
    epoch: int = 0
    failures: int = 0
    wait_s: float = 0.0

    @property
    def claimable(self) -> bool:
        """A claim may be tried now."""
        return self.kind in ("first", "again", "take_over")


def opening_of(
    tip: ClaimRecord | None,
    *,
    stood_still_s: float,
    now: datetime,
    digest: str | None = None,
    back_off: BackOff | None = None,
    max_failures: int = MAX_FAILURES,
    above_epoch: int = 0,
) -> Opening:
    """Judge a claim ref's tip.

    `stood_still_s` is how long the caller has seen this very tip on its own monotonic clock; `digest` is the
    issue's now (None: not compared); `above_epoch` is the highest epoch that the caller knows of this issue,
    which matters when somebody deleted the ref.
    """
    if tip is None:
        return Opening("first", epoch=above_epoch + 1)
    epoch = max(tip.epoch, above_epoch) + 1
    if tip.state == "done":
        asked_anew = tip.head_sha is None and digest is not None and digest != tip.body_digest
        return Opening("again", epoch) if asked_anew else Opening("settled")
    if tip.state == "released":
        return _after_release(tip, epoch, stood_still_s, now, back_off or BackOff(), max_failures)
    wait_s = tip.lease_s - stood_still_s
    if tip.state == "parked" and tip.parked_until is not None:
        wait_s = max(wait_s, (tip.parked_until - now).total_seconds() + CLOCK_SKEW_S)
    if wait_s > 0:
        return Opening("wait", wait_s=wait_s)
    if tip.state == "parked":  # nobody answered: no fault of the work
        return Opening("take_over", epoch, tip.failures)
    failures = tip.failures + 1  # an issue that kills its claimants must come to an end as well
    return Opening("take_over" if failures < max_failures else "exhausted", epoch, failures)


def _after_release(
    tip: ClaimRecord, epoch: int, stood_still_s: float, now: datetime, back_off: BackOff, max_failures: int
) -> Opening:
    if tip.failures >= max_failures:
        # The needs-human label is put on before such a release is written and makes the issue ineligible;
        # an issue that came as far as this again was handed back by a human, with a clean slate.
        return Opening("again", epoch)
    if tip.not_before is not None:
        # The releaser's clock may be wrong: no rest is longer than the schedule's longest, on our own clock.
        wait_s = min((tip.not_before - now).total_seconds(), back_off.most_s - stood_still_s)
        if wait_s > 0:
            return Opening("wait", wait_s=wait_s)
    return Opening("again", epoch, tip.failures)


@dataclass
class LeaseWatch:
    """Since when an observer has seen each issue's tip unchanged, on its own monotonic clock (passed in).

    A read that lags can only make a tip look younger or be refused by the compare-and-set: never unsafe.
    """

    _seen: dict[int, tuple[str, float]] = field(default_factory=dict[int, tuple[str, float]])

    def observe(self, issue: int, sha: str, now_s: float) -> float:
        """Take in a sighting of a tip and return for how many seconds it has stood still."""
        known = self._seen.get(issue)
        if known is None or known[0] != sha or now_s < known[1]:
            self._seen[issue] = (sha, now_s)
            return 0.0
        return now_s - known[1]

    def forget_all_but(self, issues: frozenset[int]) -> None:
        """Drop what is no longer of interest, so that memory stays that of the open issues."""
        self._seen = {issue: seen for issue, seen in self._seen.items() if issue in issues}


@dataclass(frozen=True)
class HeldLease:
    """The holder's own view of its lease, on its monotonic clock."""

    written_at_s: float
    """Taken before the write was sent: an observer cannot have seen the tip earlier."""
    lease_s: float = LEASE_S

    def renewal_in_s(self, now_s: float) -> float:
        """Return the seconds until the lease should be renewed (a third of it, §7: 15 min and 5)."""
        return self.written_at_s + self.lease_s / 3 - now_s

    def sure(self, now_s: float) -> bool:
        """Say whether nobody can have taken over yet; a tenth is kept back for clocks that run unevenly."""
        return now_s < self.written_at_s + 0.9 * self.lease_s


def branch_of(issue: int) -> str:
    """Return the head branch of an issue's pull request, the same for every epoch (architecture §7, fencing)."""
    return f"bzzz/issue-{issue}"


def read_claim(message: bytes) -> ClaimRecord:
    """Parse a claim commit's message. Raises MalformedError."""
    return ClaimRecord.from_json(message.strip(), limit=MAX_CLAIM_BYTES, what="claim")
