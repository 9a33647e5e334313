"""The transition table is the whole truth: every (phase, trigger) either moves as it says or changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hmmm.base import Model
from hmmm.discussion import (
    TRANSITIONS,
    Escalated,
    Event,
    HelpAnswered,
    HelpAsked,
    IllegalEventError,
    Noted,
    Phase,
    Spoken,
    diagram,
    step,
)
from hmmm.limits import DiscussionLimits
from hmmm.messages import Escalation, MetaMessage, TaskHelpRequest, TaskHelpResponse
from hmmm.meta import (
    Answer,
    ClarificationNeeded,
    Countersigned,
    DiscussionClosed,
    ExecutionFinished,
    ExecutionStarted,
    HelpChosen,
    HelpClosed,
    HelpSuggestion,
    HelpTried,
    HumanVerdict,
    NoObjection,
    PlanProposed,
    PlanRevised,
    RoundClosed,
    RoundStatus,
)
from hmmm.records import EvidenceSealed, HelpReopened, PullRequestOpened, RoundReopened, SafeguardBit
from tests.support.discussions import BASE, HEAD, START, TREE, Claimant, Hive, a_plan, debate

UNKNOWN = "0" * 64


def planning() -> Claimant:
    hive = Hive()
    claimant = Claimant(hive, hive.node("bzzz-0"))
    claimant.claim()
    return claimant


def listening() -> Claimant:
    return debate()[0]


def revising() -> Claimant:
    claimant, first, _ = debate()
    claimant.objection(first)
    claimant.pass_time(30)
    claimant.close()
    return claimant


def executing() -> Claimant:
    claimant = listening()
    claimant.pass_time(30)
    claimant.close()
    claimant.pass_time(5)
    claimant.execute()
    return claimant


def reporting() -> Claimant:
    claimant = executing()
    claimant.finish()
    return claimant


def escalated() -> Claimant:
    claimant = listening()
    claimant.escalate()
    return claimant


def escalated_for_want_of_an_answer() -> Claimant:
    claimant, first, _ = debate(limits=DiscussionLimits(await_answers=True))
    claimant.hear(first, ClarificationNeeded(plan_digest=claimant.plan_digest), "Which format?")
    claimant.escalate()
    return claimant


def closed() -> Claimant:
    claimant = reporting()
    claimant.say(
        DiscussionClosed(outcome="pull_request", pull_request="http://127.0.0.1/acme/widgets/pull/1")
    )
    return claimant


def abandoned() -> Claimant:
    claimant = listening()
    claimant.say(DiscussionClosed(outcome="released", reason="no use"))
    return claimant


IN_PHASE: dict[Phase, Callable[[], Claimant]] = {
    Phase.PLANNING: planning,
    Phase.LISTENING: listening,
    Phase.REVISING: revising,
    Phase.EXECUTING: executing,
    Phase.REPORTING: reporting,
    Phase.ESCALATED: escalated,
    Phase.CLOSED: closed,
    Phase.ABANDONED: abandoned,
}

STEPS_OF_HELP: dict[str, int] = {
    "task_help_request": 1,
    "task_help_response": 2,
    "help_reopened": 2,
    "help_chosen": 3,
    "help_suggestion": 4,
    "help_tried": 5,
    "help_closed": 5,
}
"""How far help must have come for each of its triggers to have a place: stuck, asked, offered, chosen, suggested."""


def come_so_far(claimant: Claimant, steps: int) -> Claimant:
    helper = claimant.hive.node("bzzz-2")
    taken: list[Callable[[], object]] = [
        claimant.fail,
        claimant.ask_for_help,
        lambda: claimant.offer(helper),
        lambda: claimant.choose(helper),
        lambda: claimant.suggest(helper),
    ]
    for step_ in taken[:steps]:
        step_()
    return claimant


TRIGGERS = sorted({trigger for _, trigger in TRANSITIONS} | {"countersigned", "safeguard", "round_status"})


def parameters_of(trigger: str, claimant: Claimant) -> Model:
    plan = claimant.state.plan
    digest = UNKNOWN if plan is None else plan.digest
    proposal = {
        "plan": a_plan(),
        "plan_id": "p",
        "round": claimant.state.round + 1,
        "window_s": 30,
        "limits": claimant.limits,
    }
    help_, talk = claimant.state.help, claimant.state.help and claimant.state.help.talk
    about = {"plan_digest": digest, "request_id": "none" if help_ is None else help_.msg_id}
    suggestion = talk.untried.msg_id if talk and talk.untried else "none"
    made: dict[str, Callable[[], Model]] = {
        "help_chosen": lambda: HelpChosen(**about, helper="bzzz-2"),
        "help_suggestion": lambda: HelpSuggestion(**about),
        "help_tried": lambda: HelpTried(**about, suggestion=suggestion),
        "help_closed": lambda: HelpClosed(**about, helper="bzzz-2", outcome="not_helped"),
        "late_answer": lambda: Answer(plan_digest=digest, source="author", author="ada"),
        "plan_proposed": lambda: PlanProposed(**proposal),
        "plan_revised": lambda: PlanRevised(**proposal, supersedes="x" if plan is None else plan.msg_id),
        "contribution": lambda: NoObjection(plan_digest=digest),
        "countersigned": lambda: Countersigned(plan_digest=digest, round=1, closed_digest=UNKNOWN),
        "round_closed:execute": lambda: RoundClosed(plan_digest=digest, round=1, next="execute"),
        "round_closed:revise": lambda: RoundClosed(plan_digest=digest, round=1, next="revise"),
        "round_closed:escalate": lambda: RoundClosed(plan_digest=digest, round=1, next="escalate"),
        "execution_started": lambda: ExecutionStarted(plan_digest=digest),
        "execution_finished:ok": lambda: ExecutionFinished(plan_digest=digest, ok=True),
        "execution_finished:failed": lambda: ExecutionFinished(plan_digest=digest, ok=False),
        "discussion_closed:closed": lambda: DiscussionClosed(
            outcome="pull_request", pull_request="http://x/1"
        ),
        "discussion_closed:abandoned": lambda: DiscussionClosed(outcome="released"),
        "human_verdict:proceed": lambda: HumanVerdict(verdict="proceed", signed="{}"),
        "human_verdict:revise": lambda: HumanVerdict(verdict="revise", signed="{}"),
        "human_verdict:abandon": lambda: HumanVerdict(verdict="abandon", signed="{}"),
        "round_status": lambda: RoundStatus(plan_digest=digest, round=1, remaining_s=1),
    }
    return made[trigger]()


FACTS = {
    "round_reopened": RoundReopened(round=1),
    "pull_request_opened": PullRequestOpened(number=1, url="http://x/1", head_sha=HEAD),
    "safeguard": SafeguardBit(safeguard="over_hopped", node_id="bzzz-1"),
    "evidence_sealed": EvidenceSealed(
        head_sha=HEAD,
        base_sha=BASE,
        tree_sha=TREE,
        patch_digest=UNKNOWN,
        plan_digest=UNKNOWN,
        first_seq=0,
        transcript_token="0" * 32,
    ),
}


def event_for(trigger: str, claimant: Claimant) -> Event:
    header = {
        "msg_id": "new",
        "sent_at": START,
        "repository": claimant.issue.repository,
        "issue_id": claimant.issue.number,
        "epoch": claimant.issue.epoch,
    }
    if trigger in FACTS:
        return Noted(FACTS[trigger])
    help_ = claimant.state.help
    request_id = "none" if help_ is None else help_.msg_id
    if trigger == "help_reopened":
        return Noted(HelpReopened(request_id=request_id))
    if trigger == "task_help_request":
        return HelpAsked("e" * 64, TaskHelpRequest(node_id="bzzz-0", problem="1 failed", **header))
    if trigger == "task_help_response":
        response = TaskHelpResponse(node_id="bzzz-3", request_id=request_id, can_help=True, **header)
        return HelpAnswered("e" * 64, response)
    if trigger == "escalation":
        return Escalated("e" * 64, Escalation(node_id="bzzz-0", reason="stuck", **header))
    by = "claimant"
    if trigger in {"contribution", "countersigned", "help_suggestion"}:
        by = "participant"
    elif trigger.startswith("human_verdict"):
        by = "authority"
    node_id = "bzzz-0" if by == "claimant" else "bzzz-2"
    asked = claimant.heard[-1].message if trigger == "late_answer" and claimant.heard else None
    parent = asked if isinstance(asked, MetaMessage) else None
    message = MetaMessage.compose(
        parent=parent, text="", parameters=parameters_of(trigger, claimant), node_id=node_id, **header
    )
    return Spoken("e" * 64, message, by)


PAIRS = [
    (phase, trigger)
    for phase in Phase
    for trigger in TRIGGERS
    if trigger != "late_answer"
    or phase is Phase.ESCALATED  # elsewhere an answer is a contribution like others
]


@pytest.mark.parametrize(("phase", "trigger"), PAIRS)
def test_every_event_in_every_phase_moves_by_the_table_or_changes_nothing(phase: Phase, trigger: str) -> None:
    claimant = IN_PHASE[phase]()
    if (phase, trigger) == (Phase.ESCALATED, "late_answer"):
        claimant = escalated_for_want_of_an_answer()
    if phase is Phase.EXECUTING:
        claimant = come_so_far(claimant, STEPS_OF_HELP.get(trigger, 0))
    state = claimant.state
    assert state.phase is phase
    event = event_for(trigger, claimant)
    target = TRANSITIONS.get((phase, trigger))
    if trigger == "safeguard" and phase not in {Phase.CLOSED, Phase.ABANDONED}:
        target = phase
    before = repr(state)
    if (phase, trigger) in LATE:
        target = None
    if target is None:
        with pytest.raises(IllegalEventError) as refusal:
            step(state, event, claimant.now)
        assert refusal.value.reason in {"illegal", "closed", "late", "other_plan", "not_participant"}
        assert trigger in str(refusal.value) or trigger in {"contribution", "countersigned"}
    else:
        after, _ = step(state, event, claimant.now)
        assert after.phase is target
    assert repr(state) == before


LATE = {(Phase.REVISING, "contribution"), (Phase.EXECUTING, "contribution")}
"""Allowed by the table for those who dispute the account; an ordinary answer comes too late there."""


@pytest.mark.parametrize("phase", [Phase.CLOSED, Phase.ABANDONED])
def test_an_ended_discussion_takes_nothing_in_ever_again(phase: Phase) -> None:
    claimant = IN_PHASE[phase]()
    ended = claimant.state
    other = claimant.hive.node("bzzz-9")
    claimant.claim()
    claimant.hear(other, NoObjection(plan_digest=claimant.plan_digest))
    claimant.propose()
    claimant.human("proceed", other)
    assert claimant.state.phase is phase
    assert claimant.state.contributions == ended.contributions
    assert claimant.state.plan == ended.plan


def test_the_diagram_shows_every_transition() -> None:
    drawn = diagram()
    for (source, trigger), target in TRANSITIONS.items():
        assert f"{source.value} --> {target.value}: " in drawn
        assert trigger.replace(":", " ") in drawn
