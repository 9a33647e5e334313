"""At most one claim wins, whatever agents do, however late they read: the rules against a ref with compare-and-set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hmmm.claims import BackOff, ClaimRecord, LeaseWatch, check_move, opening_of

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
AGENTS = 4
LEASE_S = 100.0
DIGEST = "0" * 64

agents = st.integers(0, AGENTS - 1)


class ClaimedIssue(RuleBasedStateMachine):
    """The ref is a list of records, its index the tip's name. Agents have crooked wall clocks and lagging reads."""

    @initialize(skews=st.lists(st.integers(-10_000, 10_000), min_size=AGENTS, max_size=AGENTS))
    def start(self, skews: list[int]) -> None:
        self.chain: list[ClaimRecord] = []
        self.clock = 0.0
        self.skews = skews
        self.watches = [LeaseWatch() for _ in range(AGENTS)]
        self.plans: dict[int, tuple[int, ClaimRecord]] = {}  # agent → tip it builds on, what it will write
        self.holding: dict[int, tuple[int, ClaimRecord]] = {}  # agent → its last move, as it knows it
        self.nonces = 0
        self.moved_at: list[float] = []

    def _now(self, agent: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.clock + self.skews[agent])

    @rule(seconds=st.sampled_from([1, 30, 99, 101, 5000]))
    def time_passes(self, seconds: int) -> None:
        self.clock += seconds

    @rule(agent=agents, lag=st.integers(0, 2))
    def an_agent_reads_and_decides(self, agent: int, lag: int) -> None:
        tip = max(len(self.chain) - 1 - lag, -1)
        stood_still_s = 0.0 if tip < 0 else self.watches[agent].observe(1, str(tip), self.clock)
        opening = opening_of(
            None if tip < 0 else self.chain[tip],
            stood_still_s=stood_still_s,
            now=self._now(agent),
            digest=DIGEST,
        )
        if not opening.claimable:
            return
        self.nonces += 1
        record = ClaimRecord(
            repository="acme/widgets",
            issue=1,
            epoch=opening.epoch,
            nonce=f"n{self.nonces}",
            agent=f"bzzz-{agent}",
            peer_id=PEER,
            state="held",
            at=self._now(agent),
            lease_s=LEASE_S,
            failures=opening.failures,
            body_digest=DIGEST,
        )
        check_move(None if tip < 0 else self.chain[tip], record)
        self.plans[agent] = (tip, record)

    @precondition(lambda self: self.plans)
    @rule(data=st.data())
    def a_decision_reaches_the_ref(self, data: Any) -> None:
        agent = data.draw(st.sampled_from(sorted(self.plans)))
        tip, record = self.plans.pop(agent)
        if self._move(tip, record):
            self.holding[agent] = (len(self.chain) - 1, record)

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), step=st.sampled_from(["renew", "park", "report", "release", "fail", "done"]))
    def a_holder_moves_on_or_learns_that_it_lost(self, data: Any, step: str) -> None:
        agent = data.draw(st.sampled_from(sorted(self.holding)))
        tip, record = self.holding[agent]
        now = self._now(agent)
        if step == "renew":
            target = record.renewed(now)
        elif step == "park":
            target = record.parked(now, now + timedelta(seconds=300), "asked a human")
        elif step == "report":
            target = record.reporting(now, "a" * 40)
        elif step == "done":
            target = record.done(now, "pull request opened")
        else:
            target = record.released(
                now, step, failed=step == "fail", back_off=BackOff(first_s=10, most_s=50)
            )
        if (record.state, step) in (("parked", "report"), ("reporting", "park")):
            return
        check_move(record, target)
        if self._move(tip, target) and target.live:
            self.holding[agent] = (len(self.chain) - 1, target)
        else:
            del self.holding[agent]

    def _move(self, tip: int, record: ClaimRecord) -> bool:
        if tip != len(self.chain) - 1:
            return False
        self.chain.append(record)
        self.moved_at.append(self.clock)
        return True

    @invariant()
    def only_one_agent_holds_the_newest_epoch(self) -> None:
        live = [agent for agent, (tip, _) in self.holding.items() if tip == len(self.chain) - 1]
        assert len(live) <= 1

    @invariant()
    def epochs_rise_and_belong_to_one_claim_each(self) -> None:
        owners: dict[int, str] = {}
        for before, after in zip(self.chain, self.chain[1:], strict=False):
            assert after.epoch >= before.epoch
        for record in self.chain:
            assert owners.setdefault(record.epoch, record.nonce) == record.nonce

    @invariant()
    def nobody_is_overtaken_within_its_lease(self) -> None:
        for index in range(1, len(self.chain)):
            before, after = self.chain[index - 1], self.chain[index]
            if before.live and before.nonce != after.nonce:
                assert self.moved_at[index] - self.moved_at[index - 1] >= LEASE_S

    @invariant()
    def what_is_done_is_never_claimed_again(self) -> None:
        assert all(record.state != "done" for record in self.chain[:-1])


TestClaimedIssue = ClaimedIssue.TestCase
TestClaimedIssue.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
