"""A discussion as a pure state machine (architecture §6).

`step` folds the claimant's log, `decide` says what a claimant does next, `admit` is what every receiver checks,
`account_for` closes a round. Nothing here reads a clock or does I/O.
"""

from hmmm.discussion.admission import admit
from hmmm.discussion.decide import (
    CloseRound,
    Decision,
    Done,
    Escalate,
    Execute,
    GiveUp,
    Propose,
    Report,
    Revise,
    Wait,
    decide,
)
from hmmm.discussion.events import Escalated, Event, Noted, Spoken, trigger_of
from hmmm.discussion.rounds import account_for, awaited, may_close, settle_objections, silent_reviewers
from hmmm.discussion.state import (
    DELIBERATING,
    ENDED,
    AnswerGiven,
    ClosedRound,
    Contribution,
    CurrentPlan,
    Discussion,
    ObjectionState,
    Phase,
)
from hmmm.discussion.step import (
    LEFT_OUT,
    Effect,
    IllegalEventError,
    Objected,
    PhaseChanged,
    Violated,
    WindowSet,
    faults_of,
    open_discussion,
    step,
)
from hmmm.discussion.transitions import TRANSITIONS, diagram

__all__ = [
    "DELIBERATING",
    "ENDED",
    "LEFT_OUT",
    "TRANSITIONS",
    "AnswerGiven",
    "CloseRound",
    "ClosedRound",
    "Contribution",
    "CurrentPlan",
    "Decision",
    "Discussion",
    "Done",
    "Effect",
    "Escalate",
    "Escalated",
    "Event",
    "Execute",
    "GiveUp",
    "IllegalEventError",
    "Noted",
    "Objected",
    "ObjectionState",
    "Phase",
    "PhaseChanged",
    "Propose",
    "Report",
    "Revise",
    "Spoken",
    "Violated",
    "Wait",
    "WindowSet",
    "account_for",
    "admit",
    "awaited",
    "decide",
    "diagram",
    "faults_of",
    "may_close",
    "open_discussion",
    "settle_objections",
    "silent_reviewers",
    "step",
    "trigger_of",
]
