"""The one transition table of a discussion (architecture §6); the diagram in the docs is generated from it."""

from __future__ import annotations

from typing import Final

from hmmm.discussion.state import Phase

P = Phase
LATE_ANSWER: Final = "late_answer"
"""The answer to a question of the open round, passed on after a human was asked for want of it."""

TRANSITIONS: Final[dict[tuple[Phase, str], Phase]] = {
    (P.PLANNING, "plan_proposed"): P.LISTENING,
    (P.PLANNING, "escalation"): P.ESCALATED,
    (P.PLANNING, "discussion_closed:abandoned"): P.ABANDONED,
    (P.LISTENING, "contribution"): P.LISTENING,
    (P.LISTENING, "round_reopened"): P.LISTENING,
    (P.LISTENING, "round_closed:execute"): P.LISTENING,
    (P.LISTENING, "round_closed:escalate"): P.LISTENING,
    (P.LISTENING, "execution_started"): P.EXECUTING,
    (P.LISTENING, "escalation"): P.ESCALATED,
    (P.LISTENING, "discussion_closed:abandoned"): P.ABANDONED,
    (P.LISTENING, "round_closed:revise"): P.REVISING,
    (P.REVISING, "contribution"): P.REVISING,
    (P.REVISING, "plan_revised"): P.LISTENING,
    (P.REVISING, "escalation"): P.ESCALATED,
    (P.REVISING, "discussion_closed:abandoned"): P.ABANDONED,
    (P.EXECUTING, "execution_started"): P.EXECUTING,
    (P.EXECUTING, "contribution"): P.EXECUTING,
    (P.EXECUTING, "execution_finished:ok"): P.REPORTING,
    (P.EXECUTING, "execution_finished:failed"): P.EXECUTING,
    (P.EXECUTING, "task_help_request"): P.EXECUTING,
    (P.EXECUTING, "task_help_response"): P.EXECUTING,
    (P.EXECUTING, "help_chosen"): P.EXECUTING,
    (P.EXECUTING, "help_suggestion"): P.EXECUTING,
    (P.EXECUTING, "help_tried"): P.EXECUTING,
    (P.EXECUTING, "help_closed"): P.EXECUTING,
    (P.EXECUTING, "help_reopened"): P.EXECUTING,
    (P.EXECUTING, "escalation"): P.ESCALATED,
    (P.EXECUTING, "discussion_closed:abandoned"): P.ABANDONED,
    (P.REPORTING, "evidence_sealed"): P.REPORTING,
    (P.REPORTING, "pull_request_opened"): P.REPORTING,
    (P.REPORTING, "execution_finished:ok"): P.REPORTING,
    (P.REPORTING, "discussion_closed:closed"): P.CLOSED,
    (P.REPORTING, "discussion_closed:abandoned"): P.ABANDONED,
    (P.ESCALATED, "human_verdict:proceed"): P.ESCALATED,
    (P.ESCALATED, "human_verdict:abandon"): P.ESCALATED,
    (P.ESCALATED, "human_verdict:revise"): P.REVISING,
    (P.ESCALATED, LATE_ANSWER): P.LISTENING,
    (P.ESCALATED, "execution_started"): P.EXECUTING,
    (P.ESCALATED, "discussion_closed:abandoned"): P.ABANDONED,
}
"""(phase, trigger) → phase. What is not here is illegal and changes nothing."""


def diagram() -> str:
    """Draw the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.PLANNING.value}"]
    merged: dict[tuple[Phase, Phase], list[str]] = {}
    for (source, trigger), target in TRANSITIONS.items():
        merged.setdefault((source, target), []).append(trigger.replace(":", " "))
    for (source, target), triggers in merged.items():
        lines.append(f"    {source.value} --> {target.value}: {', '.join(triggers)}")
    lines += [f"    {phase.value} --> [*]" for phase in (Phase.CLOSED, Phase.ABANDONED)]
    return "\n".join(lines) + "\n"
