"""Finding issues: one elected poller asks GitHub for all; each agent claims what is its turn (architecture §7)."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
import trio

from bzzz_agent.claimant.desk import Desk
from bzzz_agent.github.errors import PermanentError, RetryableError, UnauthorizedError
from bzzz_agent.github.poll import Poll
from bzzz_agent.github.refs import Tip
from bzzz_agent.github.repository import GitHubRepository
from bzzz_agent.health import Health
from bzzz_agent.hive import HiveView
from bzzz_agent.voice import Voice
from hmmm.claims import Opening
from hmmm.eligibility import IssueFacts, at_first_sight
from hmmm.identity import IssueIdentity
from hmmm.messages import HIVE_TOPIC, IssueSeen, SeenIssue
from hmmm.ranking import Candidate, claim_delay_s, missing_capabilities, rank, rendezvous_weight

log = structlog.get_logger("bzzz.agent.discovery")

MISSED_POLLS = 3
"""So many intervals without `issue_seen` and everybody polls: the elected poller is gone or cannot read."""
MAX_SEEN = 50


@dataclass
class Discovery:
    """Looks for work in one repository."""

    repo: GitHubRepository
    desk: Desk
    hive: HiveView
    voice: Voice
    own: Candidate
    interval_s: float
    settle_s: float
    """How long a newcomer listens before it claims, so that ranking knows the others."""
    health: Health
    wake: trio.Event = field(default_factory=trio.Event)

    async def run(self) -> None:
        """Poll, share, claim, for ever."""
        await trio.sleep(self.settle_s)
        while True:
            try:
                if not self.desk.drain.asked and (
                    self._my_turn_to_poll() or (self.desk.takes_new and self._others_see_work())
                ):
                    await self._look()
                    self.health.report(self.repo.name, None)
            except RetryableError as later:
                log.warning("GitHub says later", repository=self.repo.name, problem=str(later))
                await trio.sleep(later.delay_s)
            except UnauthorizedError as error:  # until its file has another credential
                self.health.report(self.repo.name, str(error))
            except PermanentError as error:
                log.error("GitHub refused", repository=self.repo.name, problem=str(error))
            self.wake = trio.Event()
            with trio.move_on_after(self.interval_s):
                await self.wake.wait()

    def _my_turn_to_poll(self) -> bool:
        """The poller is drawn by rendezvous hash over the live agents; issue 1 stands for the repository."""
        seen = self.hive.last_seen(self.repo.name)
        # an elected poller that has never said anything is no better than one that has fallen silent
        silent_s = self.hive.age_s if seen is None else seen[1]
        if silent_s > MISSED_POLLS * self.interval_s:
            return True
        turn = IssueIdentity(repository=self.repo.name, number=1, epoch=1)
        names = {c.node_id for c in self.hive.candidates(self.repo.name)} | {self.own.node_id}
        return max(names, key=lambda name: rendezvous_weight(turn, name)) == self.own.node_id

    def _others_see_work(self) -> bool:
        seen = self.hive.last_seen(self.repo.name)
        if seen is None:
            return False
        live = {c.node_id for c in self.hive.live(self.repo.name)} | {self.own.node_id}
        return any(
            issue.claimed_by is None or issue.claimed_by not in live  # a dead claimant's issue is work too
            for issue in seen[0]
            if not missing_capabilities(issue.labels, self.own)
        )

    async def _look(self) -> None:
        poll = await self.repo.poll()
        if self._my_turn_to_poll():
            await self.voice.hint(HIVE_TOPIC, self._seen(poll))
        for facts in poll.issues:
            opening = self._opening(facts, poll)
            if not self.desk.takes_new:
                return
            if opening is not None and await self._try(facts, opening, poll.claims.get(facts.number)):
                return

    def _opening(self, facts: IssueFacts, poll: Poll) -> Opening | None:
        rules = self.repo.rules_for(poll.claims.get(facts.number))
        if at_first_sight(facts, rules) is not None or missing_capabilities(facts.labels, self.own):
            return None
        opening = self.repo.judge(facts, poll)
        return (
            opening
            if opening is not None and opening.kind in {"first", "again", "take_over", "exhausted"}
            else None
        )

    async def _try(self, facts: IssueFacts, opening: Opening, tip: Tip | None) -> bool:
        """Claim an issue in this agent's turn; return whether it was worked on."""
        issue = IssueIdentity(repository=self.repo.name, number=facts.number, epoch=opening.epoch)
        ranking = rank((*self.hive.candidates(self.repo.name), self.own), issue, facts.labels)
        await trio.sleep(claim_delay_s(self.own.node_id, ranking))
        claim = self.hive.claim_of(self.repo.name, facts.number)
        if claim is not None and claim.epoch >= opening.epoch:
            return False
        if await self.repo.ineligible(facts, tip) is not None:
            return False
        before = self.desk.finished
        await self.desk.take(self.repo.name, facts, opening.epoch)
        return self.desk.finished > before

    def _seen(self, poll: Poll) -> IssueSeen:
        open_issues = [
            f
            for f in poll.issues
            if at_first_sight(f, self.repo.rules_for(poll.claims.get(f.number))) is None
        ]
        return IssueSeen(
            **self.voice.header(),
            repository=self.repo.name,
            issues=tuple(self._seen_issue(facts, poll) for facts in open_issues[:MAX_SEEN]),
        )

    def _seen_issue(self, facts: IssueFacts, poll: Poll) -> SeenIssue:
        tip = poll.claims.get(facts.number)
        record = None if tip is None else tip.record
        return SeenIssue(
            issue_id=facts.number,
            title=facts.title[:100],
            labels=tuple(sorted(facts.labels))[:16],
            epoch=0 if record is None else record.epoch,
            claimed_by=record.agent if record is not None and record.live else None,
            tip=None if tip is None else tip.sha,
        )
