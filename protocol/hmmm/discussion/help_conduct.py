"""What a claimant that is stuck may not do: each function names the rules of help that a word of its own breaks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hmmm.discussion.help import Help, Talk, best_offer, may_choose, may_go_on
from hmmm.discussion.state import Discussion
from hmmm.limits import CLOCK_SKEW_S
from hmmm.messages import MetaMessage, TaskHelpRequest
from hmmm.meta import HelpChosen, HelpClosed, HelpTried


def faults_of_request(state: Discussion, request: TaskHelpRequest) -> Iterator[str]:
    """Name what speaks against asking for help."""
    what, limits = f"task_help_request {request.msg_id}", state.limits.help
    if not state.stuck:
        yield f"{what}: nothing failed"
    if len(state.helps) >= limits.requests:
        yield f"{what}: help was asked for {len(state.helps)} times, limit {limits.requests}"
    if state.plan is None or request.plan_digest != state.plan.digest:
        yield f"{what}: is about another plan than the one under discussion"
    if state.claimant in request.asked:
        yield f"{what}: asks its own claimant"


def faults_of_talk(state: Discussion, message: MetaMessage, now: datetime) -> Iterator[str]:
    """Name what is wrong with a claimant's word of the talk with a helper; a helper's own is not judged here."""
    help_, what = state.help, f"{message.query_type} {message.msg_id}"
    if help_ is None:
        return
    match message.parameters:
        case HelpChosen() as parameters:
            yield from _faults_of_choice(state, help_, parameters, what, now)
        case HelpTried():
            if help_.talk is not None and not may_go_on(help_.talk, state.limits):
                yield f"{what}: goes on with {help_.talk.helper} beyond the limits of a talk"
        case HelpClosed() as parameters:
            if help_.talk is not None:
                yield from _faults_of_closing(help_, help_.talk, parameters, what, now)
        case _:
            return


def _faults_of_choice(
    state: Discussion, help_: Help, chosen: HelpChosen, what: str, now: datetime
) -> Iterator[str]:
    limits, best = state.limits.help, best_offer(help_, state.issue)
    if best is None or best.node_id != chosen.helper:
        yield f"{what}: chooses {chosen.helper}, expected {None if best is None else best.node_id}"
    if not may_choose(help_, now, limits):
        yield f"{what}: chooses before {limits.window_s:.0f} s of offers are over"
    if len(help_.talks) >= limits.helpers:
        yield f"{what}: {len(help_.talks)} helped already, limit {limits.helpers}"
    if help_.spent(now) > limits.ttl_s + CLOCK_SKEW_S:
        yield f"{what}: after {limits.ttl_s:.0f} s of waiting for help, which are the limit"


def _faults_of_closing(
    help_: Help, talk: Talk, closed: HelpClosed, what: str, now: datetime
) -> Iterator[str]:
    if closed.outcome == "withdrew" and not talk.withdrawn:
        yield f"{what}: says that {talk.helper} withdrew, which it did not"
    if closed.outcome == "silent" and (help_.silence_ends is None or now < help_.silence_ends):
        yield f"{what}: says that {talk.helper} is silent before {talk.patience_s:.0f} s are over"
