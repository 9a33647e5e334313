"""From the commit to the pull request with its evidence (architecture §8, order of a report).

Seal the log, wait for the archive, sign the statement, fence the claim, push, open the pull request, say so. Each
step looks first whether it was done: after a kill the next life walks the same steps and changes nothing twice.
"""

from __future__ import annotations

import secrets
from typing import TypeVar

import structlog

from bzzz_agent.claimant.case import Case, Tools
from bzzz_agent.journal import Journal
from hmmm.base import Model
from hmmm.claims import branch_of
from hmmm.discussion import Discussion
from hmmm.errors import LocalProtocolError
from hmmm.evidence.statement import make_statement, read_statement, sign_statement
from hmmm.identity import IssueIdentity
from hmmm.messages import TaskResult, issue_topic
from hmmm.meta import DiscussionClosed, ExecutionFinished
from hmmm.pr_body import Report, render_pr_body
from hmmm.records import EffectIntended, EvidenceSealed, PullRequestOpened, Released, data_of

log = structlog.get_logger("bzzz.agent.report")

D = TypeVar("D", bound=Model)

PULL_REQUEST = "pull_request"
"""The effect whose parameters hold the signed statement: from there the scribe makes the bundle."""


async def report(case: Case) -> None:
    """Bring a committed change to its pull request."""
    finished, sealed = await _seal(case)
    statement = await _statement(case, finished, sealed)
    opened = await _open(case, sealed, statement)
    closed = DiscussionClosed(outcome="pull_request", pull_request=opened.url)
    await case.tools.voice.chair(case.issue, f"Pull request {opened.url}", closed)


async def settle(case: Case) -> None:
    """Settle the claim of a closed discussion and announce the result. Safe to repeat after a kill."""
    tools, url = case.tools, case.state.pull_request
    for signed in tools.journal.sent(case.issue)[
        -1:
    ]:  # an earlier life may have logged its last word and not said it
        if signed.digest == case.state.last_claimant_digest:
            await tools.voice.repeat(signed, issue_topic(case.issue.number))
    tools.failpoints.reach("before_write:done")
    case.claim = await case.repo.done(case.claim, f"pull request {url}")
    tools.failpoints.reach("after_write:done")
    await tell(tools, case.issue)


async def tell(tools: Tools, issue: IssueIdentity) -> None:
    """Announce the result and settle the issue in the log; also for a life that was killed just before."""
    state = tools.journal.discussions[issue]
    if not state.ended:
        closed = DiscussionClosed(outcome="pull_request", pull_request=state.pull_request)
        await tools.voice.chair(issue, f"Pull request {state.pull_request}", closed)
    sealed = find(tools.journal, issue, EvidenceSealed)
    result = TaskResult(
        **tools.voice.issue_header(issue),
        outcome="pull_request",
        pull_request=state.pull_request,
        head_sha=None if sealed is None else sealed.head_sha,
        log_key=tools.inbox.roster.own.log_key,
        log_length=tools.journal.length,
    )
    await tools.voice.announce(result, issue)
    await tools.journal.note(Released(outcome="pull_request", reason=state.pull_request or ""), issue)
    tools.metrics.outcomes.labels("pull_request").inc()
    _time_phases(tools, state)


def find(journal: Journal, issue: IssueIdentity, kind: type[D]) -> D | None:
    """Return an issue's last fact of a kind."""
    for record in reversed(journal.facts(issue)):
        data = data_of(record)
        if type(data) is kind:
            return data
    return None


async def _seal(case: Case) -> tuple[ExecutionFinished, EvidenceSealed]:
    journal, issue, state = case.tools.journal, case.issue, case.state
    finished = state.execution
    if finished is None or not (finished.head_sha and finished.tree_sha and finished.patch_digest):
        raise LocalProtocolError(f"{issue}: nothing is committed that could be reported")
    sealed = find(journal, issue, EvidenceSealed)
    if sealed is None or sealed.head_sha != finished.head_sha:
        sealed = EvidenceSealed(
            head_sha=finished.head_sha,
            base_sha=case.task.base_sha,
            tree_sha=finished.tree_sha,
            patch_digest=finished.patch_digest,
            plan_digest=finished.plan_digest,
            first_seq=journal.first_seq(issue),
            transcript_token=secrets.token_hex(16),
        )
        await journal.note(sealed, issue)
    return finished, sealed


async def _statement(case: Case, finished: ExecutionFinished, sealed: EvidenceSealed) -> bytes:
    """Sign what the archive holds; a statement that was logged before is used again."""
    tools, journal, issue = case.tools, case.tools.journal, case.issue
    before = _signed_before(case, sealed)
    if before is not None:
        return before
    record = next(r for r in reversed(journal.facts(issue, "evidence_sealed")))
    last = journal.seq_of(issue, record)
    head = await journal.client.head()
    await tools.archive.wait_acknowledged(head)
    own = tools.inbox.roster.own
    statement = make_statement(
        issue=issue,
        hive=own.hive,
        node_id=own.node_id,
        peer_id=own.peer_id,
        log_key=head.key,
        length=head.length,
        tree_hash=head.tree_hash,
        signature=head.signature,
        seqs=journal.seqs(issue, last),
        sealed=sealed,
        tests=finished.tests,
        transcript_url=f"{tools.settings.public_url.rstrip('/')}/logs/{head.key}/{sealed.transcript_token}",
    )
    raw = sign_statement(statement, tools.voice.key)
    intended = EffectIntended(
        effect=PULL_REQUEST, parameters={"statement": raw.decode(), "head_sha": sealed.head_sha}
    )
    await journal.note(intended, issue)
    return raw


def _signed_before(case: Case, sealed: EvidenceSealed) -> bytes | None:
    intended = find(case.tools.journal, case.issue, EffectIntended)
    if intended is None or intended.parameters.get("head_sha") != sealed.head_sha:
        return None
    return str(intended.parameters["statement"]).encode()


async def _open(case: Case, sealed: EvidenceSealed, statement: bytes) -> PullRequestOpened:
    tools, repo, issue = case.tools, case.repo, case.issue
    known = find(tools.journal, issue, PullRequestOpened)
    if known is not None and known.head_sha == sealed.head_sha:
        return known
    await _push(case, sealed)
    body = _body(case, statement)
    tools.failpoints.reach("before_write:pull_request")
    opened = await repo.open_pull_request(
        head=branch_of(issue.number), base=repo.facts.default_branch, title=title_of(case), body=body
    )
    if opened.adopted:
        await repo.update_pull_request(opened.pull_request.number, body=body)
    tools.failpoints.reach("after_write:pull_request")
    fact = PullRequestOpened(
        number=opened.pull_request.number, url=opened.pull_request.html_url, head_sha=sealed.head_sha
    )
    await tools.journal.note(fact, issue)
    return fact


def _body(case: Case, statement: bytes) -> str:
    state = case.state
    execution = state.execution
    summary = case.facts.title if state.plan is None else state.plan.plan.summary
    notes = () if execution is None or not execution.notes else (execution.notes,)
    files = () if execution is None else execution.files
    parsed, _ = read_statement(statement)
    return render_pr_body(Report(summary, state, parsed, statement, files, notes))


async def _push(case: Case, sealed: EvidenceSealed) -> None:
    """Fence, then push the head branch over what it was before the fence (architecture §7).

    The branch is read first: a claimant paused after the fence then expects what a successor has since replaced,
    and its push is refused.
    """
    await case.check_untouched()
    tools, branch = case.tools, await case.repo.branch(branch_of(case.issue.number))
    tools.failpoints.reach("before_write:reporting")
    case.claim = await case.repo.to_reporting(case.claim, sealed.head_sha)
    tools.failpoints.reach("after_write:reporting")
    if branch is not None and branch.sha == sealed.head_sha:
        return
    tools.failpoints.reach("before_write:push")
    await tools.execution.push(case.task, sealed.head_sha, None if branch is None else branch.sha)
    tools.failpoints.reach("after_write:push")


def title_of(case: Case) -> str:
    """Return the pull request's title."""
    return " ".join(case.facts.title.split())[:200] or f"Issue {case.issue.number}"


def _time_phases(tools: Tools, state: Discussion) -> None:
    for (name, began), (_, ended) in zip(state.phases, state.phases[1:], strict=False):
        tools.metrics.phase_seconds.labels(name).observe((ended - began).total_seconds())
