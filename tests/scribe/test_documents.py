"""Names, statuses and the order of writes: what follows from values alone, for whatever agents may have written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzz_crds.hiveagent_status import HiveAgentStatus
from bzzz_crds.metadiscussion_status import MetaDiscussionStatus
from bzzz_scribe.kubernetes.applier import path_of, without
from bzzz_scribe.kubernetes.documents import agent_status, discussion_status, hive_agent_status, is_over
from bzzz_scribe.kubernetes.names import discussion_name, hive_agent_of, issue_of
from bzzz_scribe.kubernetes.schedule import Schedule
from bzzz_scribe.logbook import Logbook
from tests.support.discussions import START, Claimant, Hive

REPOSITORIES = st.from_regex(r"[A-Za-z0-9_.-]{1,40}/[A-Za-z0-9_.-]{1,99}", fullmatch=True)
ISSUES = st.tuples(REPOSITORIES, st.integers(1, 2**53))


@settings(deadline=None)  # what else runs on the machine is no property of the code
@given(ISSUES, ISSUES)
def test_each_issue_has_a_name_of_its_own_that_kubernetes_takes(one: Any, other: Any) -> None:
    name = discussion_name(issue_of(*one))
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63
    assert str(one[1]) in name
    assert (name == discussion_name(issue_of(*other))) == (issue_of(*one) == issue_of(*other))


@pytest.mark.parametrize(
    ("node_id", "owner"),
    [
        ("bzzz-0", ("bzzz", 0)),
        ("bzzz-fast-12", ("bzzz-fast", 12)),
        ("bzzz-01", None),
        ("bzzz", None),
        ("other-0", None),
        ("-0", None),
    ],
)
def test_an_agent_is_of_the_hive_agent_before_its_ordinal_if_there_is_one(node_id: str, owner: Any) -> None:
    assert hive_agent_of(node_id, {"bzzz", "bzzz-fast"}) == owner


def a_view(**changes: Any) -> dict[str, Any]:
    hive = Hive()
    chair = Claimant(hive, hive.node("bzzz-0"))
    chair.claim()
    chair.propose()
    chair.objection(hive.node("bzzz-1"))
    book = Logbook("a" * 64, chair.owner)
    for seq, block in enumerate(chair.blocks):
        book.add(seq, block)
    view = book.view(chair.issue)
    assert view is not None
    return {**view, "live": True, "superseded": False, **changes}


TEXTS = st.text(st.characters(codec=None), max_size=700) | st.just("x" * 5000)


@settings(deadline=None, max_examples=60)
@given(
    title=TEXTS,
    reason=TEXTS,
    url=TEXTS | st.just("https://github.test/a/b/pull/7"),
    outcome=TEXTS | st.none(),
    said=st.lists(
        st.builds(
            lambda t: {"from": "bzzz-0", "type": "answer", "text": t, "at": "2026-01-01T00:00:00Z"}, TEXTS
        )
    ),
    bits=st.lists(st.builds(lambda t: {"safeguard": t, "nodeId": t}, TEXTS)),
)
def test_whatever_was_written_the_status_fits_the_schema_and_shows_the_phase(
    title: str, reason: str, url: str, outcome: str | None, said: list[Any], bits: list[Any]
) -> None:
    status = discussion_status(
        a_view(
            title=title, reason=reason, pullRequest=url, outcome=outcome, lastMessages=said, safeguards=bits
        )
    )
    MetaDiscussionStatus.model_validate(status)
    assert (status["phase"], status["claimant"], status["objectionSummary"]) == (
        "Listening",
        "bzzz-0",
        "1/1 open",
    )
    assert len(status.get("title", "")) <= 300
    assert status.get("pullRequest", {"url": url})["url"] == url


def test_a_claim_that_was_given_back_amid_its_debate_is_shown_as_over() -> None:
    assert discussion_status(a_view())["phase"] == "Listening"
    assert discussion_status(a_view(live=False, outcome="taken_over"))["phase"] == "Abandoned"
    assert discussion_status(a_view(live=False, outcome="pull_request"))["phase"] == "Closed"


def test_a_discussion_is_over_when_its_time_after_the_end_is() -> None:
    ended = a_view(live=False, endedAt="2026-01-01T00:00:00Z")
    assert not is_over(ended, timedelta(hours=1), START + timedelta(minutes=59))
    assert is_over(ended, timedelta(hours=1), START + timedelta(hours=1))
    assert not is_over(a_view(), timedelta(0), datetime(2199, 1, 1, tzinfo=UTC))


def test_the_column_of_issues_names_the_repository_only_where_there_are_several() -> None:
    def entry(node: str, issue: str | None) -> dict[str, Any]:
        return agent_status({"nodeId": node, "phase": "Listening", "issue": issue, "models": []}, None)

    one = hive_agent_status([entry("b-10", "acme/w#7"), entry("b-2", "acme/w#42"), entry("b-0", None)])
    HiveAgentStatus.model_validate(one)
    assert one["issues"] == "#7 #42"
    assert [a["nodeId"] for a in one["agents"]] == ["b-0", "b-2", "b-10"]
    several = hive_agent_status([entry("b-0", "acme/w#7"), entry("b-1", "acme/v#7")])
    assert several["issues"] == "v#7 w#7"
    assert "issues" not in hive_agent_status([entry("b-0", None)])


def test_a_field_of_another_owner_is_cut_out_and_nothing_else() -> None:
    status = {
        "agents": [{"nodeId": "b-0", "phase": "idle"}, {"nodeId": "b-1", "phase": "idle"}],
        "issues": "#1",
    }
    phase = path_of('.status.agents[nodeId="b-0"].phase')
    assert without(status, {phase})["agents"] == [{"nodeId": "b-0"}, {"nodeId": "b-1", "phase": "idle"}]
    entry = path_of('.status.agents[nodeId="b-1"]')
    assert without(status, {entry})["agents"] == [{"nodeId": "b-0", "phase": "idle"}]
    assert without(status, {path_of(".status.issues")}) == {"agents": status["agents"]}
    assert without(status, {path_of(".status.plan.summary")}) == status
    assert path_of(".status.agents[weird=1].phase") == ("agents",)
    assert path_of(".spec.issue") == ()


async def test_what_is_marked_often_is_due_once_and_not_before_its_time(autojump_clock: object) -> None:
    schedule = Schedule()
    one, other = ("hiveagents", "a"), ("hiveagents", "b")
    for _ in range(5):
        schedule.mark(one)
    assert await schedule.due() == [one]
    schedule.hold(one, 1.0)
    schedule.mark(one)
    schedule.mark(other)
    assert await schedule.due() == [other]
    begin = trio.current_time()
    assert await schedule.due() == [one]
    assert trio.current_time() - begin == pytest.approx(1.0)
    schedule.mark_in(other, 30.0)
    assert await schedule.due() == [other]
    assert trio.current_time() - begin == pytest.approx(31.0)
