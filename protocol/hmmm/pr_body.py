"""The text of a pull request: what was done, how it was discussed, and the evidence (architecture §8).

A pure function of the discussion and the statement. Everything that an agent, a model, a human or an issue wrote is
escaped and cut, so that it is shown as the text it is and cannot stand in for the evidence block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hmmm.discussion import ClosedRound, Contribution, Discussion, Help, ObjectionState, Talk
from hmmm.discussion.state import FINAL_ANSWERS
from hmmm.errors import LocalProtocolError
from hmmm.evidence.block import EvidenceBlock, block_of, parse_evidence_block, render_block
from hmmm.evidence.statement import Statement, TestOutcome, read_statement
from hmmm.markdown import escape_markdown

__all__ = ["MAX_BODY", "EvidenceBlock", "Report", "parse_evidence_block", "render_pr_body"]

MAX_BODY: Final = 60_000
"""Characters; GitHub refuses a text of more than 65,536."""
MAX_SUMMARY: Final = 1000
MAX_SAID: Final = 240
MAX_FILES: Final = 20
TABLE_BUDGET: Final = 24_000
"""Characters of discussion table; what does not fit is in the transcript."""
HELP_BUDGET: Final = 8_000
"""Characters on help, likewise."""

_KINDS: Final = {
    "no_objection": "no objection",
    "clarification_needed": "question",
    "reviewing": "still reviewing",
}
_OUTCOMES: Final = {
    "open": "open",
    "met": "met",
    "lapsed": "lapsed",
    "restated": "restated",
    "noted": "noted",
    "not_followed": "not followed",
}
_TALKS: Final = {
    "open": "is still talked with",
    "helped": "**it worked**",
    "not_helped": "it did not work",
    "silent": "was chosen and fell silent",
    "withdrew": "was chosen and withdrew",
    "unfinished": "the talk was not finished",
}
_TESTS: Final = {
    "passed": "passed",
    "failed": "**failed**",
    "timeout": "**did not end in time**",
    "not_configured": "none configured",
}


@dataclass(frozen=True)
class Report:
    """What a pull request's text is made from."""

    summary: str
    """What was done, in the claimant's words."""
    discussion: Discussion
    statement: Statement
    signed_statement: bytes
    files: tuple[str, ...] = ()
    """Paths that the patch changes."""
    notes: tuple[str, ...] = ()
    """What a reader should know beside, as that a small model wrote a text."""


def render_pr_body(report: Report) -> str:
    """Return the pull request's text as GitHub markdown, at most MAX_BODY characters.

    Raises LocalProtocolError when the signed statement is not the statement, or the text would be longer.
    """
    if read_statement(report.signed_statement)[0] != report.statement:
        raise LocalProtocolError(
            "pull request's text: the signed statement says something else than the statement"
        )
    parts = [
        escape_markdown(report.summary, MAX_SUMMARY),
        *(f"> {escape_markdown(note)}" for note in report.notes[:5]),
        _files(report.files),
        f"Tests: {_tests(report.statement.predicate.tests)}",
        f"Closes #{report.discussion.issue.number}",
        "### Discussion",
        *_discussion(report.discussion),
        "### Evidence",
        render_block(block_of(report.statement, report.signed_statement)),
    ]
    body = "\n\n".join(part for part in parts if part) + "\n"
    if len(body) > MAX_BODY:
        raise LocalProtocolError(
            f"pull request's text: expected at most {MAX_BODY} characters, got {len(body)}"
        )
    return body


def _files(files: tuple[str, ...]) -> str:
    if not files:
        return ""
    shown = ", ".join(escape_markdown(path, 120) for path in files[:MAX_FILES])
    more = f" and {len(files) - MAX_FILES} more" if len(files) > MAX_FILES else ""
    return f"Files: {shown}{more}"


def _tests(tests: TestOutcome | None) -> str:
    if tests is None:
        return "not run"
    ran = tests.outcome != "not_configured"
    exit_code = f", exit code {tests.exit_code}" if ran and tests.exit_code is not None else ""
    seconds = f", {tests.seconds:.1f} s" if ran else ""
    return f"{_TESTS[tests.outcome]}{exit_code}{seconds}"


def _discussion(state: Discussion) -> Iterable[str]:
    reviewed = any(c.query_type in FINAL_ANSWERS for c in state.contributions)
    yield "" if reviewed else "*unreviewed*: nobody answered the plan within the objection window."
    yield _table(state)
    yield "\n".join(f"- {_round(closed)}" for closed in state.rounds)
    if state.verdict is not None:
        words = f": {escape_markdown(state.verdict_text)}" if state.verdict_text else ""
        yield f"A human decided: **{state.verdict}**{words}"
    yield _helps(state)
    if state.safeguards:
        bitten = sorted(
            {f"{safeguard} ({node})" if node else safeguard for safeguard, node in state.safeguards}
        )
        yield f"Safeguards that bit: {escape_markdown(', '.join(bitten), 400)}"


def _table(state: Discussion) -> str:
    if not state.contributions:
        return ""
    rows = ["| round | who | kind | what was said | outcome |", "|---|---|---|---|---|"]
    objections = {o.digest: o for o in state.objections}
    spent = 0
    for index, said in enumerate(state.contributions):
        row = _row(said, objections.get(said.digest), state)
        spent += len(row)
        if spent > TABLE_BUDGET:
            return "\n".join(rows) + f"\n\n… and {len(state.contributions) - index} more, in the transcript."
        rows.append(row)
    return "\n".join(rows)


def _row(said: Contribution, objection: ObjectionState | None, state: Discussion) -> str:
    if objection is not None:
        kind, words = f"{objection.severity} objection", objection.reason
        outcome = _OUTCOMES[objection.status]
        if objection.blocks and state.verdict == "proceed":
            outcome = "overruled by a human"
        elif objection.resolution:
            outcome += f": {escape_markdown(objection.resolution, MAX_SAID)}"
    else:
        kind, words = _KINDS.get(said.query_type, said.query_type), said.text
        asked = said.query_type == "clarification_needed"
        outcome = ("answered" if said.msg_id in state.answered else "not answered") if asked else ""
    who = escape_markdown(said.node_id, 63)
    return f"| {said.round} | {who} | {kind} | {escape_markdown(words, MAX_SAID)} | {outcome} |"


def _round(closed: ClosedRound) -> str:
    signed = len(closed.countersigned & closed.expected)
    silent = ", ".join(escape_markdown(node, 63) for node in closed.silent)
    reason = f" ({escape_markdown(closed.reason, 160)})" if closed.reason else ""
    parts = [
        f"Round {closed.round}: {closed.next}{reason}",
        f"countersigned {signed} of {len(closed.expected)}",
        f"silent: {silent}" if silent else "",
        f"disputed by {len(closed.disputed)}" if closed.disputed else "",
    ]
    return "; ".join(part for part in parts if part)


def _helps(state: Discussion) -> str:
    lines = [f"- {line}" for help_ in state.helps for line in _help(help_)]
    spent = 0
    for index, line in enumerate(lines):
        spent += len(line)
        if spent > HELP_BUDGET:
            return "\n".join(lines[:index]) + f"\n- … and {len(lines) - index} more, in the transcript."
    return "\n".join(lines)


def _help(help_: Help) -> Iterable[str]:
    wants = f" ({escape_markdown(', '.join(help_.wants), 160)})" if help_.wants else ""
    offers = sum(offer.can_help for offer in help_.offers)
    yield (
        f"Help was asked for{wants}: {escape_markdown(help_.problem, MAX_SAID)}; "
        f"{offers} of {len(help_.offers)} who answered offered it"
    )
    for talk in help_.talks:
        yield _talk(talk)


def _talk(talk: Talk) -> str:
    who, outcome = f"**{escape_markdown(talk.helper, 63)}**", _TALKS[talk.outcome]
    if not talk.suggestions:
        why = f": {escape_markdown(talk.reason, 160)}" if talk.reason else ""
        return f"{who} {outcome}{why}"
    last = talk.suggestions[-1]
    tries = f" on try {len(talk.suggestions)}" if len(talk.suggestions) > 1 else ""
    patch = " and a patch" if last.patch is not None else ""
    words = escape_markdown(last.text, MAX_SAID) or "no words"
    return f"{who} suggested{tries}: {words}{patch}; {outcome}"
