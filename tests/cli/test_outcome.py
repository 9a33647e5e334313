"""When every issue is accounted for, what the table shows, and what goes into the report."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bzzz_cli.local.outcome import Account, IssueSight, accounts, all_final, exit_code
from bzzz_cli.local.report import PullRequestReport, transcript_link, write_report
from bzzz_cli.local.status import DiscussionView, State
from bzzz_cli.local.summary import MAX_DIFF_LINES, print_summary
from bzzz_cli.local.table import display, rows_of
from tests.support.discussions import sealed_discussion

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
PULL = "http://127.0.0.1:4010/acme/widgets/pull/9"


def sight(**changes: Any) -> IssueSight:
    facts: dict[str, Any] = {
        "repository": "acme/widgets",
        "number": 42,
        "title": "It breaks",
        "open": True,
        "labels": frozenset({"bzzz"}),
        "ineligible": None,
        "able": True,
    }
    return IssueSight(**(facts | changes))


def discussion(**changes: Any) -> DiscussionView:
    facts = {
        "repository": "acme/widgets",
        "number": 42,
        "epoch": 1,
        "phase": "Listening",
        "claimant": "bzzz-0",
    }
    return DiscussionView.model_validate(facts | changes)


def account(seen: IssueSight, *discussions: DiscussionView, ever: bool = False) -> Account:
    (found,) = accounts(
        [seen], frozenset({seen.key} if ever else ()), State(discussions=discussions).latest()
    )
    return found


CASES: dict[str, tuple[Account, tuple[bool, str | None, bool]]] = {
    "nobody took it yet": (account(sight()), (True, None, False)),
    "it is discussed": (account(sight(), discussion()), (True, None, False)),
    "its pull request is there, the claim is not settled": (
        account(sight(), discussion(pullRequest=PULL, live=True)),
        (True, "pull_request", False),
    ),
    "its pull request is there and all is settled": (
        account(sight(), discussion(pullRequest=PULL, live=False, phase="Closed")),
        (True, "pull_request", True),
    ),
    "it was given back and will be tried again": (
        account(sight(), discussion(live=False, outcome="released", reason="no patch")),
        (True, "released", False),
    ),
    "a later epoch is at work": (
        account(sight(), discussion(live=False, outcome="released"), discussion(epoch=2)),
        (True, None, False),
    ),
    "it was handed to a human": (
        account(sight(labels=frozenset({"bzzz", "bzzz:needs-human"}), ineligible="needs_human"), ever=True),
        (True, "needs_human", True),
    ),
    "it is labelled for a human, and its claimant has not said why yet": (
        account(sight(labels=frozenset({"bzzz:needs-human"})), discussion(live=True), ever=True),
        (True, "needs_human", False),
    ),
    "it is labelled for a human, and its claimant has said why": (
        account(
            sight(labels=frozenset({"bzzz:needs-human"})),
            discussion(live=False, outcome="needs_human", reason="cannot be done"),
            ever=True,
        ),
        (True, "needs_human", True),
    ),
    "it waits for a human": (account(sight(), discussion(phase="Escalated")), (True, "escalated", True)),
    "a human closed it": (
        account(sight(open=False, ineligible="not_open"), ever=True),
        (True, "closed", True),
    ),
    "nobody here can do it": (account(sight(able=False)), (True, "nobody_able", True)),
    "a stranger wrote it": (
        account(sight(ineligible="untrusted_author")),
        (False, "untrusted_author", True),
    ),
    "it lacks the label": (account(sight(ineligible="unlabelled")), (False, "unlabelled", True)),
}


@pytest.mark.parametrize("case", CASES)
def test_an_issue_is_accounted_for(case: str) -> None:
    found, wanted = CASES[case]
    assert (found.eligible, found.outcome, found.final) == wanted


def test_the_exit_code_is_0_when_every_issue_has_an_outcome_stated() -> None:
    done, released, open_ = (CASES[name][0] for name in [*list(CASES)[3:5], "it is discussed"])
    assert exit_code([done, released]) == 0
    assert exit_code([done, open_]) == 1
    assert exit_code([]) == 0
    assert all_final([done])
    assert not all_final([done, released])


def test_the_table_has_a_row_for_each_agent_with_the_seconds_left() -> None:
    listening = discussion(round=2, deadline=(NOW + timedelta(seconds=12)).isoformat(), live=True)
    earlier = discussion(number=41, live=False, pullRequest=PULL)
    state = State.model_validate(
        {
            "agents": [{"nodeId": "bzzz-0", "phase": "busy"}, {"nodeId": "bzzz-1", "phase": "idle"}],
            "discussions": [earlier.model_dump(by_alias=True), listening.model_dump(by_alias=True)],
        }
    )
    busy, idle, unheard = rows_of(state, ("bzzz-0", "bzzz-1", "bzzz-2"), NOW)
    assert busy.cells == ("bzzz-0", "acme/widgets#42", "Listening", "2", "12 s", "", "#9")
    assert idle.cells == ("bzzz-1", "", "idle", "", "", "", "")
    assert unheard.phase == "starting"


def test_off_a_terminal_a_line_is_printed_only_when_something_changed() -> None:
    out = io.StringIO()
    with display(Console(file=out)) as shown:
        for seconds in (12, 11, 10):
            left = discussion(round=1, deadline=(NOW + timedelta(seconds=seconds)).isoformat())
            shown.show(rows_of(State(discussions=(left,)), ("bzzz-0",), NOW))
        shown.show(rows_of(State(discussions=(discussion(phase="Executing", round=1),)), ("bzzz-0",), NOW))
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["Listening", "Executing"]


def test_what_agents_wrote_is_text_and_never_markup() -> None:
    out = io.StringIO()
    hostile = CASES["nobody took it yet"][0]
    with display(Console(file=out, force_terminal=True, width=120)) as shown:
        named = Account(sight(title="[red]x[/red] \x1b[31mred"), hostile.eligible, "needs_human", final=True)
        print_summary(shown.say, [named], [])
    assert "[red]x[/red]" in out.getvalue()
    assert "\x1b[31mred" not in out.getvalue()


def a_pull(**changes: Any) -> PullRequestReport:
    facts: dict[str, Any] = {
        "number": 9,
        "url": PULL,
        "title": "Mend it",
        "api": {"number": 9},
        "diff": "+x\n" * (MAX_DIFF_LINES + 5),
        "transcript": "http://127.0.0.1:1/logs/ab/token",
        "bundle": b"{}",
    }
    return PullRequestReport(**(facts | changes))


def test_the_summary_shows_pull_request_transcript_and_a_bounded_diff() -> None:
    lines: list[str] = []
    done = account(sight(), discussion(pullRequest=PULL, live=False, round=1))
    print_summary(lines.append, [done], [a_pull()])
    assert any(PULL in line for line in lines)
    assert any("http://127.0.0.1:1/logs/ab/token" in line for line in lines)
    assert sum(line == "    +x" for line in lines) == MAX_DIFF_LINES
    assert "5 more lines in pr-9.diff" in lines[-1]


def test_the_report_holds_what_is_needed_to_check_the_run_later(tmp_path: Path) -> None:
    done = account(
        sight(),
        discussion(
            pullRequest=PULL,
            live=False,
            round=2,
            epoch=3,
            objections=[{"nodeId": "bzzz-1", "severity": "blocking", "reason": "no test"}],
            phaseTimestamps={"Planning": "2026-05-01T12:00:00.000Z"},
            logKey="ab" * 32,
            firstSeq=4,
            lastSeq=20,
        ),
    )
    stranger = account(sight(number=43, ineligible="untrusted_author"))
    write_report(tmp_path / "out", [done, stranger], [a_pull()], "cd" * 32, 12.5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["hiveKey"] == "cd" * 32
    assert report["totals"] == {
        "issues": 2,
        "eligible": 1,
        "pullRequests": 1,
        "otherOutcomes": 0,
        "unaccounted": 0,
    }
    first, second = report["issues"]
    assert first == {
        "repository": "acme/widgets",
        "number": 42,
        "title": "It breaks",
        "eligible": True,
        "outcome": "pull_request",
        "reason": "",
        "claimant": "bzzz-0",
        "epoch": 3,
        "rounds": 2,
        "objections": [{"nodeId": "bzzz-1", "severity": "blocking", "reason": "no test"}],
        "phaseTimestamps": {"Planning": "2026-05-01T12:00:00.000Z"},
        "pullRequest": PULL,
        "logKey": "ab" * 32,
        "range": [4, 20],
    }
    assert (second["eligible"], second["outcome"], second["claimant"]) == (False, "untrusted_author", None)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.json",
        "pr-9.json",
        "pr-9.diff",
        "bundle-9.json",
    }


def test_the_transcripts_link_is_read_from_the_evidence_block() -> None:
    sealed = sealed_discussion()
    link, problem = transcript_link(sealed.pull_request["body"])
    assert (link, problem) == (sealed.statement.predicate.transcript_url, "")
    assert transcript_link("nothing here") == (
        None,
        "pull request's text: expected an evidence block, found none",
    )
