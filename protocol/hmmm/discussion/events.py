"""What moves a discussion: words spoken and facts noted, in the order of the claimant's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hmmm.errors import RemoteProtocolError
from hmmm.messages import Escalation, MetaMessage, TaskHelpRequest, TaskHelpResponse
from hmmm.meta import CLAIMANT_ONLY, DiscussionClosed, ExecutionFinished, HumanVerdict, RoundClosed
from hmmm.records import EvidenceSealed, HelpReopened, PullRequestOpened, RoundReopened, SafeguardBit

Fact = RoundReopened | HelpReopened | EvidenceSealed | PullRequestOpened | SafeguardBit


@dataclass(frozen=True)
class Spoken:
    """A message in the log, signature and author already checked."""

    digest: str
    message: MetaMessage
    by: Literal["claimant", "participant", "authority"]


@dataclass(frozen=True)
class Escalated:
    """The claimant's call for a human, on the escalation topic."""

    digest: str
    message: Escalation


@dataclass(frozen=True)
class HelpAsked:
    """The claimant's call for help, on the hive's topic."""

    digest: str
    message: TaskHelpRequest


@dataclass(frozen=True)
class HelpAnswered:
    """A member's answer to that call, signature, author and bounds already checked."""

    digest: str
    message: TaskHelpResponse


@dataclass(frozen=True)
class Noted:
    """A fact that the claimant recorded."""

    fact: Fact


Event = Spoken | Escalated | HelpAsked | HelpAnswered | Noted


class IllegalEventError(RemoteProtocolError):
    """An event that the discussion's state does not allow; it changes nothing."""


def trigger_of(event: Event) -> str:
    """Return the word by which the transition table knows an event."""
    if isinstance(event, Escalated):
        return "escalation"
    if isinstance(event, HelpAsked | HelpAnswered):
        return event.message.type
    if isinstance(event, Spoken):
        return _trigger_of_message(event.message)
    match event.fact:
        case RoundReopened():
            return "round_reopened"
        case HelpReopened():
            return "help_reopened"
        case EvidenceSealed():
            return "evidence_sealed"
        case PullRequestOpened():
            return "pull_request_opened"
        case SafeguardBit():
            return "safeguard"


def _trigger_of_message(message: MetaMessage) -> str:
    query_type = message.query_type
    match message.parameters:
        case RoundClosed(next=following):
            return f"round_closed:{following}"
        case ExecutionFinished(ok=ok):
            return f"execution_finished:{'ok' if ok else 'failed'}"
        case HumanVerdict(verdict=verdict):
            return f"human_verdict:{verdict}"
        case DiscussionClosed(outcome=outcome):
            return f"discussion_closed:{'closed' if outcome == 'pull_request' else 'abandoned'}"
        case _:
            named = query_type in CLAIMANT_ONLY or query_type in {"countersigned", "help_suggestion"}
            return query_type if named else "contribution"
