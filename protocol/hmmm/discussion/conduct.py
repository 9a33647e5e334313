"""What a claimant may not do: each function names the rules of §6 that an event of its own log breaks.

A violation does not stop the fold, since every observer must reach the same state, but evidence with any is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from hmmm.discussion.rounds import account_for, may_close
from hmmm.discussion.state import Discussion, Phase
from hmmm.limits import CLOCK_SKEW_S, COUNTERSIGN_S
from hmmm.meta import ExecutionFinished, ExecutionStarted, PlanProposed, PlanRevised, RoundClosed
from hmmm.records import EvidenceSealed, SafeguardBit


def faults_of_plan(state: Discussion, msg_id: str, plan: PlanProposed) -> Iterator[str]:
    """Name what is wrong with a plan that opens the next round."""
    expected = state.round + 1
    if plan.round != expected:
        yield f"plan {msg_id}: expected round {expected}, says {plan.round}"
    if state.claimant in plan.reviewers:
        yield f"plan {msg_id}: names its own claimant as a reviewer"
    if state.plan is None:
        return
    if isinstance(plan, PlanRevised) and plan.supersedes != state.plan.msg_id:
        yield f"plan {msg_id}: does not supersede {state.plan.msg_id}"
    if expected > state.limits.rounds and state.verdict != "revise":
        yield f"plan {msg_id}: opens round {expected} of at most {state.limits.rounds}, which no human asked for"


def faults_of_account(state: Discussion, msg_id: str, account: RoundClosed, now: datetime) -> Iterator[str]:
    """Name what is wrong with a claimant's account of the present round, by computing it again."""
    if state.plan is None:
        return
    expected = account_for(state)
    if account.plan_digest != state.plan.digest or account.round != state.round:
        yield f"round_closed {msg_id}: is not about round {state.round} and its plan"
    if not may_close(state, now):
        yield f"round_closed {msg_id}: closes round {state.round} before its window is over"
    listed = {w.digest: w for w in account.weighed}
    for word in expected.weighed:
        said = listed.pop(word.digest, None)
        if said is None:
            yield f"round_closed {msg_id}: leaves out {word.query_type} {word.msg_id} by {word.node_id}"
        elif word.query_type == "objection" and said.decision != word.decision:
            yield f"round_closed {msg_id}: says {said.decision} of objection {word.msg_id}, which is {word.decision}"
    for word in listed.values():
        yield f"round_closed {msg_id}: lists {word.msg_id}, which was not said in this round"
    if set(account.silent) != set(expected.silent):
        yield f"round_closed {msg_id}: expected {sorted(expected.silent)} as silent, says {sorted(account.silent)}"
    if account.next == "execute" and expected.next != "execute":
        yield f"round_closed {msg_id}: goes on to execute, expected {expected.next}: {expected.reason}"


def faults_of_start(state: Discussion, started: ExecutionStarted, now: datetime) -> Iterator[str]:
    """Name what speaks against starting, or starting again, to change code."""
    if state.plan is None or started.plan_digest != state.plan.digest:
        yield "execution_started names another plan than the one under discussion"
    if state.phase is Phase.EXECUTING:
        if state.help is not None:
            yield f"execution_started while help {state.help.msg_id} is talked about"
        return
    if state.phase is Phase.ESCALATED:
        if state.verdict != "proceed":
            yield f"execution_started while escalated, a human said {state.verdict or 'nothing'}"
        return
    yield from _faults_of_agreement(state, now)


def _faults_of_agreement(state: Discussion, now: datetime) -> Iterator[str]:
    closing = state.closing
    if closing is None or closing.next != "execute" or closing.disputed or state.open_blocking:
        yield f"execution_started in {state.phase} of round {state.round} without an agreed plan"
        return
    signed_until = closing.closed_at + timedelta(seconds=COUNTERSIGN_S)
    if now < signed_until and not closing.expected <= closing.countersigned:
        yield f"execution_started without the {COUNTERSIGN_S:.0f} s in which participants countersign"
    if state.deliberated(now) > state.limits.ttl_s + CLOCK_SKEW_S:
        yield f"execution_started after {state.limits.ttl_s:.0f} s of deliberation, which are the limit"


def faults_of_finish(state: Discussion, finished: ExecutionFinished) -> Iterator[str]:
    """Name what is wrong with an execution's end."""
    if state.plan is None or finished.plan_digest != state.plan.digest:
        yield "execution_finished names another plan than the one under discussion"
    if state.phase is not Phase.EXECUTING:
        return
    talk = None if state.help is None else state.help.talk
    tried = None if talk is None or talk.untried is None or not finished.ok else talk.untried.msg_id
    if finished.suggestion != tried:
        yield f"execution_finished with suggestion {finished.suggestion}, expected {tried}"
    elif state.help is not None and tried is None:
        yield f"execution_finished while help {state.help.msg_id} is talked about"


def faults_of_seal(state: Discussion, sealed: EvidenceSealed) -> Iterator[str]:
    """Name where a seal differs from the discussion that it seals."""
    if state.plan is None or sealed.plan_digest != state.plan.digest:
        yield "evidence_sealed names another plan than the one under discussion"
    done = state.execution
    if done is None or (sealed.head_sha, sealed.patch_digest) != (done.head_sha, done.patch_digest):
        yield "evidence_sealed names another commit or patch than execution_finished"
    elif done.tree_sha not in {None, sealed.tree_sha}:
        yield "evidence_sealed names another tree than execution_finished"


def faults_of_bite(state: Discussion, bite: SafeguardBit) -> Iterator[str]:
    """Name an ejection that nothing in the log explains: it would silence a reviewer."""
    if bite.safeguard != "messages_per_round" or not bite.node_id:
        return
    said = sum(1 for c in state.said() if c.node_id == bite.node_id)
    if said < state.limits.messages_per_round:
        yield f"ejects {bite.node_id}, who said {said} of {state.limits.messages_per_round} messages in this round"
