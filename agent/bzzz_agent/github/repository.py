"""`GitHubRepository`: one repository as an agent uses it, from finding work to the pull request.

    async with open_client(GitHubSettings(api_url=url, token_file=path), GitHubMetrics(registry)) as client:
        repository = await open_repository(client, "acme/widgets", RepositorySettings(...), node_id, peer_id)
        poll = await repository.poll()
        for issue in poll.issues:
            if await repository.ineligible(issue, poll.claims.get(issue.number)) is None:
                claim = await repository.acquire(issue, nonce=logged_nonce)

Every method may be repeated with the same arguments after kill -9 and converges. Methods that act on a claim raise
`ClaimLostError` when it is not ours any more, all raise `GitHubError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import trio

from bzzz_agent.github.answers import Comment, GitObject, Issue, PullRequest, Ref, Repository, read
from bzzz_agent.github.claims import Agent, Claim, ClaimRefs, Refusal
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.errors import NotFoundError
from bzzz_agent.github.guard import Interference, interference
from bzzz_agent.github.permissions import Permissions
from bzzz_agent.github.poll import Poll, Poller
from bzzz_agent.github.pulls import Opened, Pulls
from bzzz_agent.github.refs import ClaimRefStore, Tip
from bzzz_agent.github.replies import Replies, Reply
from bzzz_agent.github.solutions import Solutions
from bzzz_agent.github.visible import Visible
from hmmm.claims import LEASE_S, MAX_FAILURES, BackOff, ClaimRecord, Opening
from hmmm.eligibility import EligibilityRules, Ineligible, IssueFacts

_LAG_PAUSES_S = (0.2, 0.5, 1.0)


@dataclass(frozen=True)
class RepositorySettings:
    """What governs claims on a repository."""

    rules: EligibilityRules
    lease_s: float = LEASE_S
    back_off: BackOff = field(default_factory=BackOff)
    max_failures: int = MAX_FAILURES


@dataclass(frozen=True)
class Branch:
    """A branch and its head."""

    name: str
    sha: str


async def open_repository(
    client: GitHubClient,
    name: str,
    settings: RepositorySettings,
    node_id: str,
    peer_id: str,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> GitHubRepository:
    """Look a repository up and return it, ready for use.

    Raises NotFoundError for a name that the credential cannot see, UnauthorizedError, GitHubError.
    """
    answer = await client.request("GET", f"/repos/{name}", kind="repository.read")
    facts = read(Repository, answer.data, what=f"repository {name}")
    agent = Agent(node_id, peer_id, await client.login())
    return GitHubRepository(client, facts, settings, agent, now)


class GitHubRepository:
    """One repository, one agent. Make it with `open_repository`."""

    def __init__(
        self,
        client: GitHubClient,
        facts: Repository,
        settings: RepositorySettings,
        agent: Agent,
        now: Callable[[], datetime],
    ) -> None:
        self.facts = facts
        self.name = facts.full_name
        self.agent = agent
        own = frozenset[str]() if agent.account is None else frozenset({agent.account})
        self.rules = replace(settings.rules, accounts=settings.rules.accounts | own)
        self._client = client
        self._base = f"/repos/{self.name}"
        store = ClaimRefStore(client, self.name)
        self.claims = ClaimRefs(
            store,
            self.name,
            agent,
            lease_s=settings.lease_s,
            back_off=settings.back_off,
            max_failures=settings.max_failures,
            now=now,
        )
        self._poller = Poller(client, self.name, self.rules.labels, store, self.claims.watch)
        self._permissions = Permissions(client, self.name)
        self._visible = Visible(client, self.name)
        self._pulls = Pulls(client, self.name)
        self._solutions = Solutions(client, self.name, self._permissions)
        self._replies = Replies(client, self.name, self._permissions)

    # Finding work

    async def poll(self) -> Poll:
        """Return the open issues of the hive's label and their claims; free while nothing changed."""
        return await self._poller.poll()

    async def issue(self, number: int) -> IssueFacts:
        """Return an issue as it is now. Raises NotFoundError."""
        answer = await self._client.request("GET", f"{self._base}/issues/{number}", kind="issue.read")
        return read(Issue, answer.data, what=f"issue {number}").facts

    async def ineligible(self, issue: IssueFacts, tip: Tip | None = None) -> Ineligible | None:
        """Return why an issue is left alone; None if author or labeller may write and no open pull request closes it.

        `tip` is its claim's, as polled: that claimant's account as assignee is no stranger.
        """
        reason = await self._permissions.ineligible(issue, self.rules_for(tip))
        if reason is None and await self.solved_by(issue.number) is not None:
            return "solved_by_pull_request"
        return reason

    async def solved_by(self, number: int) -> PullRequest | None:
        """Return an open pull request by somebody else that closes an issue already, if there is one."""
        return await self._solutions.of(number)

    def rules_for(self, tip: Tip | None) -> EligibilityRules:
        """Return the rules for an issue with this claim: the accounts that the claim shows are no strangers."""
        if tip is None or tip.record is None:
            return self.rules
        return replace(self.rules, accounts=self.rules.accounts | tip.record.accounts)

    async def opening(self, issue: IssueFacts) -> Opening | None:
        """Return whether the claim ref lets an issue be claimed now, None where its tip is unreadable."""
        return (await self.claims.opening(issue))[0]

    def judge(self, issue: IssueFacts, poll: Poll) -> Opening | None:
        """Judge an issue of a poll by the tip that came with it; no request. None: the tip is unreadable."""
        return self.claims.judge(issue, poll.claims.get(issue.number))

    # The claim

    async def acquire(
        self,
        issue: IssueFacts,
        *,
        nonce: str,
        above_epoch: int = 0,
        before_show: Callable[[], None] = lambda: None,
    ) -> Claim | Refusal:
        """Claim an issue: the ref first, then a look at the issue as it is now, then assignee and label.

        `before_show` is called between the two, where half of it is true: a test may end the process there.

        An issue whose claimants were lost too often is handed to a human here and refused as `exhausted`. Where
        a human closed, took or edited the issue in between, the claim is given back and refused as `interfered`.
        """
        result = await self.claims.acquire(issue, nonce=nonce, above_epoch=above_epoch)
        if isinstance(result, Refusal):
            if result.reason == "exhausted" and result.opening is not None and result.tip is not None:
                await self._visible.needs_human(await self.issue(issue.number))
                await self.claims.give_up(issue, result.opening, result.tip, nonce=nonce)
            return result
        reason, now = await self._look(result.record)
        if reason is not None or now is None:
            await self.release(result, f"{reason} by a human", failed=False)
            return Refusal("interfered", result.tip, detail=str(reason))
        before_show()
        await self._visible.show(now, result.record)
        return result

    async def find_claim(self, number: int, nonce: str) -> Claim | Refusal:
        """Find an own claim again after a restart: renew it before acting on it."""
        return await self.claims.find(number, nonce)

    async def renew(self, claim: Claim) -> Claim:
        """Renew the lease; two writes."""
        return await self.claims.renew(claim)

    async def park(self, claim: Claim, until: datetime, outcome: str) -> Claim:
        """Keep the claim until a moment, without renewals, while a human is asked."""
        return await self.claims.park(claim, until, outcome)

    async def resume(self, claim: Claim) -> Claim:
        """Go on with a parked claim."""
        return await self.claims.resume(claim)

    async def to_reporting(self, claim: Claim, head_sha: str) -> Claim:
        """Fence the report: bind the claim to the commit before it is pushed and the pull request is opened."""
        return await self.claims.to_reporting(claim, head_sha)

    async def release(self, claim: Claim, outcome: str, *, failed: bool) -> Claim:
        """Give the issue back and stop showing it as claimed; on the last allowed failure ask for a human."""
        await self._unshow(claim, failed=failed)
        return await self.claims.release(claim, outcome, failed=failed)

    async def done(self, claim: Claim, outcome: str) -> Claim:
        """Settle the claim for good. With a pull request the issue stays shown as the agent's until that closes
        it; without one (an outcome that is final until a human edits the issue) it is given back to people.
        """
        if claim.record.head_sha is None:
            await self._unshow(claim, failed=False)
        return await self.claims.done(claim, outcome)

    async def still_ours(self, issue: IssueFacts | None, claim: Claim) -> Interference | None:
        """Return what a human did to the issue since the claim, None if nothing; `issue` None reads it now.

        The claim itself is checked by moving its ref, not here.
        """
        if issue is not None:
            return interference(issue, claim.record, self.rules)
        return (await self._look(claim.record))[0]

    # What people see

    async def reconcile(self, number: int) -> bool:
        """Make an issue show what its claim ref says; returns whether that needed a write. For the poller."""
        tip = await self.claims.read(number)
        if tip is not None and tip.record is None:
            return False
        issue = await self._issue_or_none(number)
        if issue is None or not issue.open:
            return False
        return await self._visible.reconcile(issue, None if tip is None else tip.record)

    async def needs_human(self, number: int) -> None:
        """Hand an issue to a human; agents leave it alone until the label is taken off."""
        await self._visible.needs_human(await self.issue(number))

    async def comment(self, number: int, identifier: str, text: str) -> Comment:
        """Comment once on an issue or pull request: the same id never shows twice. Bound foreign words first
        with `text.harmless`.
        """
        return await self._visible.comment(number, identifier, text)

    async def reply(self, issue: IssueFacts, question: Comment) -> Reply | None:
        """Return the first answer of the issue's author, or of somebody who may write, to a comment of ours."""
        return await self._replies.to(issue.number, question, issue.author)

    # Branches and pull requests

    async def branch(self, name: str | None = None) -> Branch | None:
        """Return a branch's head, the default branch's if unnamed; None where there is no such branch."""
        wanted = name or self.facts.default_branch
        try:
            answer = await self._client.request(
                "GET", f"{self._base}/git/ref/heads/{wanted}", kind="branch.read"
            )
        except NotFoundError:
            return None
        head: GitObject = read(Ref, answer.data, what=f"branch {wanted}").object
        return Branch(wanted, head.sha)

    async def open_pull_request(
        self, *, head: str, base: str, title: str, body: str, draft: bool = True
    ) -> Opened:
        """Open a draft pull request (plain where drafts are refused) or adopt the one that the head has."""
        return await self._pulls.open(head=head, base=base, title=title, body=body, draft=draft)

    async def find_pull_request(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of a branch, if there is one."""
        return await self._pulls.find(head, base)

    async def pull_request(self, number: int) -> PullRequest:
        """Return a pull request."""
        return await self._pulls.get(number)

    async def diff(self, number: int) -> str:
        """Return a pull request's diff."""
        return await self._pulls.diff(number)

    async def update_pull_request(self, number: int, *, body: str, title: str | None = None) -> PullRequest:
        """Replace a pull request's body, and its title if given."""
        return await self._pulls.update(number, body=body, title=title)

    # Inside

    async def _issue_or_none(self, number: int) -> IssueFacts | None:
        """Read an issue; None only if it stays out of sight: reads of a fresh issue may lag behind its making."""
        for pause_s in (*_LAG_PAUSES_S, None):
            try:
                return await self.issue(number)
            except NotFoundError:
                if pause_s is not None:
                    await trio.sleep(pause_s)
        return None

    async def _look(self, claim: ClaimRecord) -> tuple[Interference | None, IssueFacts | None]:
        issue = await self._issue_or_none(claim.issue)
        return interference(issue, claim, self.rules), issue

    async def _unshow(self, claim: Claim, *, failed: bool) -> None:
        """Stop showing a claim, before its ref says so and if it looks like ours still: not another's."""
        tip = await self.claims.read(claim.number)
        issue = await self._issue_or_none(claim.number)
        if issue is None or tip is None or tip.record is None or not tip.record.same_claim(claim.record):
            return
        if failed and claim.record.failures + 1 >= self.claims.max_failures:
            # Before the ref: a release with so many failures says that the label was there (hmmm.claims).
            await self._visible.needs_human(issue)
        await self._visible.unshow(issue, claim.record)
