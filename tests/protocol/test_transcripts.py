"""The transcript view: everything that was said and decided, in the log's order, and nothing that is secret."""

from __future__ import annotations

import json

from hmmm.meta import NoObjection
from hmmm.transcript import transcript_view
from tests.support.discussions import TOKEN, debate, sealed_discussion


def test_a_transcript_tells_the_whole_discussion_in_order() -> None:
    claimant = sealed_discussion().claimant
    view = transcript_view(reversed(claimant.entries), claimant.state)
    assert [entry["seq"] for entry in view["entries"]] == [
        e.seq for e in claimant.entries if e.record.issue == claimant.issue
    ]
    assert [plan["round"] for plan in view["plans"]] == [1, 2]
    assert [phase["phase"] for phase in view["phases"]] == [
        "Planning",
        "Listening",
        "Revising",
        "Listening",
        "Executing",
        "Reporting",
    ]
    said = [e["message"]["queryType"] for e in view["entries"] if "message" in e]
    assert said == [
        "plan_proposed",
        "objection",
        "no_objection",
        "round_closed",
        "countersigned",
        "countersigned",
        "plan_revised",
        "no_objection",
        "round_closed",
        "countersigned",
        "execution_started",
        "execution_finished",
    ]
    assert view["objections"][0]["status"] == "met"
    assert view["rounds"][0]["countersigned"] == ["bzzz-1", "bzzz-2"]
    assert view["phases"][0]["at"] == "2026-01-01T00:00:00Z"


def test_a_transcript_is_plain_json_and_the_same_every_time() -> None:
    claimant = sealed_discussion().claimant
    once = json.dumps(transcript_view(claimant.entries, claimant.state))
    assert once == json.dumps(transcript_view(claimant.entries, claimant.state))


def test_a_transcript_does_not_hand_on_the_secret_of_its_link() -> None:
    claimant = sealed_discussion().claimant
    assert TOKEN not in json.dumps(transcript_view(claimant.entries, claimant.state))


def test_what_was_refused_is_shown_with_its_reason_and_makes_no_plan() -> None:
    claimant, first, _ = debate()
    claimant.hear(first, NoObjection(plan_digest="7" * 64))
    claimant.propose()
    claimant.append(b"noise")
    view = transcript_view(claimant.entries, claimant.state)
    assert [bool(entry["refused"]) for entry in view["entries"]] == [False, False, True, True]
    assert len(view["plans"]) == 1
    assert len(view["violations"]) == 2


def test_news_on_other_topics_and_records_of_kinds_unknown_are_shown_as_they_are() -> None:
    claimant, _, _ = debate()
    claimant.escalate("cannot agree")
    claimant.append(
        json.dumps(
            {
                "id": "z",
                "at": "2026-01-01T00:00:00Z",
                "kind": "dreamt",
                "issue": claimant.issue.to_object(),
                "data": {"of": "sheep"},
            }
        ).encode()
    )
    view = transcript_view(claimant.entries, claimant.state)
    assert view["entries"][2]["message"]["type"] == "escalation"
    assert view["entries"][2]["message"]["body"]["reason"] == "cannot agree"
    assert view["entries"][3] == {
        "seq": 3,
        "at": "2026-01-01T00:00:00Z",
        "kind": "dreamt",
        "refused": None,
        "data": {},
    }
