"""Safeguards: which messages a receiver takes in (architecture §6). Every honest receiver decides with this code.

What is refused here is local: a discussion's state is what its claimant's log says. The claimant applies the same
rules before it logs, and the fold applies them again to what was logged.
"""

from __future__ import annotations

from datetime import datetime

from hmmm.discussion.help import MAX_ANSWERS
from hmmm.discussion.rounds import carried
from hmmm.discussion.state import Discussion
from hmmm.errors import NotAdmittedError
from hmmm.limits import CLOCK_SKEW_S, MAX_ACCOUNTED
from hmmm.messages import IssueMessage, MetaMessage, TaskHelpResponse, check_age
from hmmm.meta import CLAIMANT_ONLY, ROOTS


def admit(state: Discussion, message: MetaMessage, node_id: str, now: datetime) -> None:
    """Check a message by a verified author against the bounds that govern this discussion.

    Raises NotAdmittedError with the reason: foreign_repository, stale_epoch, closed, over_hopped, bad_hop_count,
    expired, from_future, not_claimant, ejected, participants, messages_per_round, round_full, discussion_ttl, or of a
    helper's not_helper, not_asked or help_ttl.
    """
    limits = state.limits
    _check_about(state, message)
    if message.hop_count > limits.hops:
        raise _refuse("over_hopped", message, f"hop_count {message.hop_count}, limit {limits.hops}")
    _check_hops(state, message)
    check_age(message, now, limits.effective_message_ttl_s, CLOCK_SKEW_S)
    if node_id == state.claimant:
        return
    if message.query_type in CLAIMANT_ONLY:
        raise _refuse(
            "not_claimant", message, f"only the claimant {state.claimant} may send {message.query_type}"
        )
    if message.query_type in {"countersigned", "human_verdict"}:
        return
    if message.query_type == "help_suggestion":
        _admit_helper(state, message, node_id, now)
        return
    _admit_participant(state, message, node_id)
    if state.deliberated(now) > limits.ttl_s:
        raise _refuse("discussion_ttl", message, f"the discussion's {limits.ttl_s:.0f} s are over")


def admit_answer(state: Discussion, message: TaskHelpResponse, now: datetime) -> None:
    """Check a verified author's answer to a request for help.

    Raises NotAdmittedError: reason foreign_repository, stale_epoch, closed, expired, from_future, not_asked (no such
    request is open), help_ttl or help_full.
    """
    _check_about(state, message)
    check_age(message, now, state.limits.effective_message_ttl_s, CLOCK_SKEW_S)
    help_ = state.help
    if help_ is None or help_.msg_id != message.request_id:
        raise _refuse("not_asked", message, f"request {message.request_id} is not open")
    if help_.is_over(now, state.limits.help):
        raise _refuse("help_ttl", message, f"the request's {state.limits.help.ttl_s:.0f} s are over")
    known = any(offer.node_id == message.node_id for offer in help_.offers)
    if not known and len(help_.offers) >= MAX_ANSWERS:
        raise _refuse("help_full", message, f"{MAX_ANSWERS} have answered")


def _admit_helper(state: Discussion, message: MetaMessage, node_id: str, now: datetime) -> None:
    """Admit the helper that is talked with, one word at a time; it is no participant and takes nobody's slot."""
    help_ = state.help
    talk = None if help_ is None else help_.talk
    if help_ is None or talk is None or talk.helper != node_id:
        raise _refuse("not_helper", message, f"{node_id} is not the helper that is talked with")
    if talk.untried is not None or message.parent_id != talk.word:
        raise _refuse("not_asked", message, f"{node_id} has spoken and was not asked again")
    if help_.is_over(now, state.limits.help):
        raise _refuse("help_ttl", message, f"the request's {state.limits.help.ttl_s:.0f} s are over")


def _check_about(state: Discussion, message: IssueMessage) -> None:
    if message.repository != state.issue.repository:
        raise _refuse(
            "foreign_repository", message, f"is about {message.repository}, expected {state.issue.repository}"
        )
    if message.issue_id != state.issue.number or message.epoch != state.issue.epoch:
        raise _refuse("stale_epoch", message, f"is about epoch {message.epoch}, expected {state.issue}")
    if state.ended:
        raise _refuse("closed", message, f"the discussion is {state.phase}")


def _admit_participant(state: Discussion, message: MetaMessage, node_id: str) -> None:
    limits = state.limits
    if node_id in state.ejected:
        raise _refuse("ejected", message, f"{node_id} flooded this discussion and lost its slot")
    said = sum(1 for c in state.said() if c.node_id == node_id)
    if said >= limits.messages_per_round:
        raise _refuse(
            "messages_per_round", message, f"{node_id} has said {said}, limit {limits.messages_per_round}"
        )
    reviewers = () if state.plan is None else state.plan.reviewers
    _check_room(state, message, node_id, reviewers)
    seated = [p for p in state.participants if p not in state.ejected]
    if node_id in seated:
        return
    kept = (
        0 if node_id in reviewers else sum(1 for r in reviewers if r not in seated and r not in state.ejected)
    )
    if len(seated) + kept >= limits.participants:
        raise _refuse(
            "participants",
            message,
            f"{len(seated)} speak and {kept} slots are kept, limit {limits.participants}",
        )


def _check_room(state: Discussion, message: MetaMessage, node_id: str, reviewers: tuple[str, ...]) -> None:
    """Keep the round's account small enough to be sent; a named reviewer's first word always has its place."""
    if state.closing is not None:
        return
    said = {c.node_id for c in state.said()}
    waited_for = sum(1 for r in reviewers if r not in said and r != node_id)
    if len(state.said()) + len(carried(state)) + waited_for >= MAX_ACCOUNTED:
        raise _refuse("round_full", message, f"round {state.round} has {MAX_ACCOUNTED} messages to weigh")


def _check_hops(state: Discussion, message: MetaMessage) -> None:
    if message.query_type in ROOTS:
        return
    above = 0 if message.parent_id is None else state.hops.get(message.parent_id, message.hop_count - 1)
    if message.hop_count != above + 1:
        raise _refuse("bad_hop_count", message, f"hop_count {message.hop_count}, expected {above + 1}")


def _refuse(reason: str, message: IssueMessage, detail: str) -> NotAdmittedError:
    word = message.query_type if isinstance(message, MetaMessage) else message.type
    return NotAdmittedError(reason, f"{word} {message.msg_id} by {message.node_id}: {detail}; dropped")
