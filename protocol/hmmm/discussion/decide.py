"""What a claimant does next: a pure function of its discussion and its clock (architecture §6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hmmm.discussion.help import Help, Offer, Suggested, Talk, best_offer, may_choose
from hmmm.discussion.rounds import account_for, awaited, may_close
from hmmm.discussion.state import DELIBERATING, ClosedRound, Discussion, ObjectionState, Phase
from hmmm.limits import COUNTERSIGN_S
from hmmm.meta import RoundClosed

TICK = timedelta(milliseconds=1)
"""The TTL is over when more than it has passed."""


@dataclass(frozen=True)
class Propose:
    """Make the first plan."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do before this moment; None when only an event can change that."""

    until: datetime | None


@dataclass(frozen=True)
class CloseRound:
    """Publish this account of the round."""

    account: RoundClosed


@dataclass(frozen=True)
class Revise:
    """Make a plan that meets these objections, or the human's words."""

    objections: tuple[ObjectionState, ...]
    verdict_text: str = ""


@dataclass(frozen=True)
class Execute:
    """Change code now."""


@dataclass(frozen=True)
class AskForHelp:
    """Say on the hive's topic what failed, and who could help."""


@dataclass(frozen=True)
class ChooseHelper:
    """Take up this offer."""

    offer: Offer


@dataclass(frozen=True)
class TrySuggestion:
    """Try what the helper suggests."""

    suggested: Suggested


@dataclass(frozen=True)
class CloseTalk:
    """End the talk with this helper."""

    helper: str
    outcome: Literal["silent", "withdrew"]
    reason: str


@dataclass(frozen=True)
class Report:
    """Seal the evidence and open the pull request."""


@dataclass(frozen=True)
class Escalate:
    """Ask a human, for this reason."""

    reason: str


@dataclass(frozen=True)
class GiveUp:
    """Release the issue, for this reason."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The discussion has ended."""


GetHelp = AskForHelp | ChooseHelper | TrySuggestion | CloseTalk
Decision = Propose | Wait | CloseRound | Revise | Execute | GetHelp | Report | Escalate | GiveUp | Done


def decide(state: Discussion, now: datetime) -> Decision:
    """Return what the claimant is to do at this moment."""
    if state.ended:
        return Done()
    if state.phase in DELIBERATING and state.deliberated(now) > state.limits.ttl_s:
        return Escalate(_out_of_time(state))
    match state.phase:
        case Phase.PLANNING:
            return Propose()
        case Phase.LISTENING:
            return _listen(state, now)
        case Phase.REVISING:
            return _revise(state)
        case Phase.EXECUTING:
            return _execute(state, now)
        case Phase.REPORTING:
            return Report()
        case _:
            return _escalated(state)


def _out_of_time(state: Discussion) -> str:
    asked = awaited(state)
    if asked:
        return f"no answer within {state.limits.ttl_s:.0f} s to: {asked[0].text}"[:300]
    return f"no agreement within {state.limits.ttl_s:.0f} s"


def _listen(state: Discussion, now: datetime) -> Decision:
    closing = state.closing
    if closing is None:
        if may_close(state, now):
            return CloseRound(account_for(state))
        return Wait(_next_moment(state, now))
    if closing.disputed:
        return _escalate_dispute(state, closing)
    if closing.next == "escalate":
        return Escalate(closing.reason)
    signed_until = closing.closed_at + timedelta(seconds=COUNTERSIGN_S)
    if now < signed_until and not closing.expected <= closing.countersigned:
        return Wait(signed_until)
    return Execute()


def _revise(state: Discussion) -> Decision:
    if state.verdict == "revise":
        no_plan = GiveUp("a human asks for a revision, but there is no plan to revise")
        return no_plan if state.plan is None else Revise(state.open_blocking, state.verdict_text)
    if state.closing is not None and state.closing.disputed:
        return _escalate_dispute(state, state.closing)
    return Revise(state.open_blocking)


def _execute(state: Discussion, now: datetime) -> Decision:
    if state.closing is not None and state.closing.disputed and state.verdict != "proceed":
        return _escalate_dispute(state, state.closing)
    return _get_help(state, now) if state.stuck else Execute()


def _get_help(state: Discussion, now: datetime) -> Decision:
    """Ask for help; when there is none in time, a human decides; one who said proceed is not asked again."""
    help_, limits = state.help, state.limits.help
    if not state.limits.asks_for_help or state.verdict == "proceed":
        return GiveUp(state.reason)
    if help_ is None:
        if len(state.helps) < limits.requests:
            return AskForHelp()
        return _escalate_stuck(state, f"help was asked for {len(state.helps)} times")
    talk = help_.talk
    return _find_helper(state, help_, now) if talk is None else _talk(state, help_, talk, now)


def _find_helper(state: Discussion, help_: Help, now: datetime) -> Decision:
    limits, best = state.limits.help, best_offer(help_, state.issue)
    if help_.is_over(now, limits):
        return _escalate_stuck(state, f"no help within {limits.ttl_s:.0f} s")
    if len(help_.talks) >= limits.helpers:
        return _escalate_stuck(state, f"{len(help_.talks)} could not help")
    if best is None:
        if help_.all_answered:
            return _escalate_stuck(state, "nobody else can help" if help_.talks else "nobody can help")
        return Wait(_time_is_over(help_, limits.ttl_s))
    if may_choose(help_, now, limits):
        return ChooseHelper(best)
    return Wait(min(help_.at + timedelta(seconds=limits.window_s), _time_is_over(help_, limits.ttl_s) or now))


def _talk(state: Discussion, help_: Help, talk: Talk, now: datetime) -> Decision:
    if talk.untried is not None:
        return TrySuggestion(talk.untried)
    if talk.withdrawn:
        return CloseTalk(talk.helper, "withdrew", talk.reason)
    silence = help_.silence_ends
    if silence is None or now >= silence:
        return CloseTalk(talk.helper, "silent", f"no suggestion within {talk.patience_s:.0f} s")
    if help_.is_over(now, state.limits.help):
        return _escalate_stuck(state, f"no help within {state.limits.help.ttl_s:.0f} s")
    return Wait(min(silence, _time_is_over(help_, state.limits.help.ttl_s) or silence))


def _time_is_over(help_: Help, ttl_s: float) -> datetime | None:
    over = help_.waited_for(ttl_s)
    return None if over is None else over + TICK


def _escalate_stuck(state: Discussion, why: str) -> Escalate:
    return Escalate(f"{why[:100]}; what failed: {state.reason}"[:300])


def _escalate_dispute(state: Discussion, closing: ClosedRound) -> Escalate:
    return Escalate(f"the account of round {state.round} is disputed: {', '.join(closing.disputed)[:200]}")


def _next_moment(state: Discussion, now: datetime) -> datetime | None:
    if state.plan is None:
        return None
    if awaited(state):
        left_s = max(state.limits.ttl_s - state.deliberated(now), 0.0)
        return now + timedelta(seconds=left_s) + TICK
    return state.plan.window_end if now < state.plan.window_end else state.plan.deadline


def _escalated(state: Discussion) -> Decision:
    match state.verdict:
        case "proceed":
            no_plan = GiveUp("a human says proceed, but there is no plan to execute")
            return no_plan if state.plan is None else Execute()
        case "abandon":
            return GiveUp("a human decided to abandon it")
        case _:
            return Wait(None)
