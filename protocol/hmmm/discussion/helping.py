"""What events do to a request for help; who may say what is `admission`'s business, what is dishonest `conduct`'s."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from hmmm.discussion.contribute import check_plan_digest
from hmmm.discussion.events import Event, HelpAnswered, HelpAsked, IllegalEventError, Noted, Spoken
from hmmm.discussion.help import (
    MAX_ANSWERS,
    MAX_WORDS,
    UNKNOWN_ETA_S,
    Help,
    Offer,
    Suggested,
    Talk,
    patience_s,
)
from hmmm.discussion.help_conduct import faults_of_request, faults_of_talk
from hmmm.discussion.state import Discussion
from hmmm.messages import TaskHelpResponse
from hmmm.meta import HelpChosen, HelpClosed, HelpSuggestion, HelpTried
from hmmm.records import HelpReopened

TALK: Final = frozenset({"help_chosen", "help_suggestion", "help_tried", "help_closed"})
"""Words of the talk with a helper."""


def follow(state: Discussion, moved: Discussion, event: Event, now: datetime) -> Discussion | None:
    """Take in an event that is about help; None for any other.

    Raises IllegalEventError: reason `illegal`, `late`, `repeated`, `help_full` or `other_plan`.
    """
    match event:
        case HelpAsked():
            faults = tuple(faults_of_request(state, event.message))
            after = _ask(state, moved, event, now)
        case HelpAnswered():
            return _answer(state, moved, event, now)
        case Noted(fact=HelpReopened() as fact):
            return _reopen(state, moved, fact, now)
        case Spoken(message=message) if message.query_type in TALK:
            faults = tuple(faults_of_talk(state, message, now))
            after = _talk(state, moved, event, now)
        case _:
            return None
    return replace(after, violations=(*after.violations, *faults))


def _ask(state: Discussion, moved: Discussion, event: HelpAsked, now: datetime) -> Discussion:
    message = event.message
    if state.help is not None:
        raise IllegalEventError(
            "illegal", f"{state.issue}: asks for help while {state.help.msg_id} is open; ignored"
        )
    opened = Help(
        msg_id=message.msg_id,
        digest=event.digest,
        at=now,
        problem=message.problem,
        wants=message.wants,
        asked=message.asked,
        waiting_since=now,
    )
    return replace(moved, helps=(*state.helps, opened))


def _answer(state: Discussion, moved: Discussion, event: HelpAnswered, now: datetime) -> Discussion:
    message = event.message
    help_ = _open(state, message.request_id, f"task_help_response {message.msg_id}")
    before = next((o for o in help_.offers if o.node_id == message.node_id), None)
    if before is None and len(help_.offers) >= MAX_ANSWERS:
        raise IllegalEventError(
            "help_full", f"task_help_response {message.msg_id}: {MAX_ANSWERS} have answered; ignored"
        )
    if before is not None and (before.can_help == message.can_help or before.words >= MAX_WORDS):
        raise IllegalEventError(
            "repeated", f"task_help_response {message.msg_id}: {message.node_id} has answered; ignored"
        )
    offer = _offer(message, now, 1 if before is None else before.words + 1)
    others = tuple(o for o in help_.offers if o.node_id != message.node_id)
    after = replace(help_, offers=(*others, offer))
    talk = help_.talk
    if talk is not None and talk.helper == message.node_id and not message.can_help:
        after = _with_talk(after, replace(talk, withdrawn=True, reason=message.reason))
    return _with(moved, after)


def _offer(message: TaskHelpResponse, now: datetime, words: int) -> Offer:
    eta = UNKNOWN_ETA_S if message.eta_seconds is None else message.eta_seconds
    return Offer(
        node_id=message.node_id,
        msg_id=message.msg_id,
        can_help=message.can_help,
        capabilities=message.capabilities,
        eta_s=eta,
        reason=message.reason,
        at=now,
        words=words,
    )


def _talk(state: Discussion, moved: Discussion, event: Spoken, now: datetime) -> Discussion:
    match event.message.parameters:
        case HelpChosen() as parameters:
            return _choose(state, moved, event, parameters, now)
        case HelpSuggestion() as parameters:
            return _suggest(state, moved, event, parameters, now)
        case HelpTried() as parameters:
            return _tried(state, moved, event, parameters, now)
        case HelpClosed() as parameters:
            return _close(state, moved, event, parameters, now)
        case _:
            raise IllegalEventError("illegal", f"{event.message.query_type}: no word of help; ignored")


def _choose(
    state: Discussion, moved: Discussion, event: Spoken, parameters: HelpChosen, now: datetime
) -> Discussion:
    help_ = _open(state, parameters.request_id, f"help_chosen {event.message.msg_id}")
    offer = next((o for o in help_.offers if o.node_id == parameters.helper and o.can_help), None)
    if help_.talk is not None or offer is None:
        raise IllegalEventError(
            "illegal", f"help_chosen {event.message.msg_id}: {parameters.helper} has no open offer; ignored"
        )
    talk = Talk(offer.node_id, event.message.msg_id, now, patience_s(offer, state.limits.help))
    return _with(moved, replace(_paused(help_, now), talks=(*help_.talks, talk), waiting_since=now))


def _suggest(
    state: Discussion, moved: Discussion, event: Spoken, parameters: HelpSuggestion, now: datetime
) -> Discussion:
    message = event.message
    help_ = _open(state, parameters.request_id, f"help_suggestion {message.msg_id}")
    talk = help_.talk
    check_plan_digest(state, message)
    if talk is None or talk.helper != message.node_id or talk.untried is not None:
        raise IllegalEventError(
            "late", f"help_suggestion {message.msg_id} by {message.node_id}: nobody waits for it; ignored"
        )
    suggested = Suggested(
        msg_id=message.msg_id,
        digest=event.digest,
        text=message.content.text,
        patch=parameters.patch,
        hop_count=message.hop_count,
        at=now,
    )
    said = replace(talk, suggestions=(*talk.suggestions, suggested))
    return _with(moved, _with_talk(_paused(help_, now), said))


def _tried(
    state: Discussion, moved: Discussion, event: Spoken, parameters: HelpTried, now: datetime
) -> Discussion:
    message = event.message
    help_ = _open(state, parameters.request_id, f"help_tried {message.msg_id}")
    talk, tried = _untried(help_, f"help_tried {message.msg_id}")
    if tried.msg_id != parameters.suggestion:
        raise IllegalEventError("illegal", f"help_tried {message.msg_id}: is about another word; ignored")
    failed = replace(_settled(talk, "failed", message.content.text), word=message.msg_id)
    return _with(moved, replace(_with_talk(help_, failed), waiting_since=now))


def _close(
    state: Discussion, moved: Discussion, event: Spoken, parameters: HelpClosed, now: datetime
) -> Discussion:
    what = f"help_closed {event.message.msg_id}"
    help_ = _open(state, parameters.request_id, what)
    talk = help_.talk
    if talk is None or talk.helper != parameters.helper:
        raise IllegalEventError("illegal", f"{what}: no talk with {parameters.helper} is open; ignored")
    if parameters.outcome == "not_helped":
        talk = _settled(_untried(help_, what)[0], "failed", event.message.content.text)
    ended = replace(talk, outcome=parameters.outcome, reason=parameters.reason)
    return _with(moved, _with_talk(replace(_paused(help_, now), waiting_since=now), ended))


def _reopen(state: Discussion, moved: Discussion, fact: HelpReopened, now: datetime) -> Discussion:
    help_ = _open(state, fact.request_id, "help_reopened")
    if help_.waiting_since is None:
        raise IllegalEventError("illegal", f"{state.issue}: nobody is waited for; ignored")
    return _with(moved, replace(help_, waiting_since=now))


def helped(moved: Discussion, suggestion: str | None, now: datetime) -> Discussion:
    """End the open request, if there is one, because the work is done: by this suggestion, or without help."""
    help_ = moved.help
    if help_ is None:
        return moved
    talk = help_.talk
    if talk is not None and talk.untried is not None and talk.untried.msg_id == suggestion:
        ended = replace(_settled(talk, "helped", ""), outcome="helped")
        return _with(moved, replace(_with_talk(_paused(help_, now), ended), outcome="helped"))
    return unhelped(moved, now)


def unhelped(moved: Discussion, now: datetime) -> Discussion:
    """End the open request, if there is one, without help."""
    help_ = moved.help
    if help_ is None:
        return moved
    ended, talk = _paused(help_, now), help_.talk
    if talk is not None:
        ended = _with_talk(ended, replace(talk, outcome="unfinished"))
    return _with(moved, replace(ended, outcome="unhelped"))


def _open(state: Discussion, request_id: str, what: str) -> Help:
    help_ = state.help
    if help_ is None or help_.msg_id != request_id:
        raise IllegalEventError(
            "late", f"{what}: is about request {request_id}, which is not the open one; ignored"
        )
    return help_


def _untried(help_: Help, what: str) -> tuple[Talk, Suggested]:
    talk = help_.talk
    if talk is None or talk.untried is None:
        raise IllegalEventError("illegal", f"{what}: no suggestion is being tried; ignored")
    return talk, talk.untried


def _settled(talk: Talk, outcome: str, result: str) -> Talk:
    last = replace(talk.suggestions[-1], outcome="helped" if outcome == "helped" else "failed", result=result)
    return replace(talk, suggestions=(*talk.suggestions[:-1], last))


def _paused(help_: Help, now: datetime) -> Help:
    return replace(help_, spent_s=help_.spent(now), waiting_since=None)


def _with_talk(help_: Help, talk: Talk) -> Help:
    return replace(help_, talks=(*help_.talks[:-1], talk))


def _with(moved: Discussion, help_: Help) -> Discussion:
    return replace(moved, helps=(*moved.helps[:-1], help_))
