"""A human's resolution becomes one verdict, for the claim that it was about, and the human is told what came of it."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_operator.authority.verdicts import answer
from hmmm.envelope import SigningKey
from hmmm.identity import IssueIdentity
from hmmm.verdict import SignedVerdict, read_verdict

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
KEY = SigningKey.hive(sha256(b"hive").digest())
PROCEED = {"verdict": "proceed", "text": "the plan is fine", "by": "ana"}
REVISE = {"verdict": "revise", "text": "keep the old name", "by": "ana"}


def discussion(
    resolution: Any = None, phase: str | None = "Escalated", epoch: int | None = 2
) -> dict[str, Any]:
    spec: dict[str, Any] = {"issue": {"repository": "acme/widgets", "number": 42}}
    if resolution is not None:
        spec["resolution"] = resolution
    status = {} if phase is None else {"phase": phase, "epoch": epoch}
    metadata = {"name": "acme-widgets-42-abc", "uid": "u-1", "generation": 3, "resourceVersion": "17"}
    return {"metadata": metadata, "spec": spec, "status": status}


def reconcile(found: dict[str, Any], now: datetime = NOW) -> bool:
    """Apply what the authority answers, as the API server would; return whether anything was written."""
    body = answer(found, KEY, now)
    if body is None:
        return False
    assert body["metadata"] == {"name": found["metadata"]["name"], "resourceVersion": "17"}
    theirs = [
        c
        for c in found["status"].get("conditions", [])
        if c["type"] not in {"Accepted", "ResolutionAccepted"}
    ]
    found["status"] |= deepcopy(body["status"])
    found["status"]["conditions"] = theirs + found["status"]["conditions"]
    return True


def condition(found: dict[str, Any], kind: str = "ResolutionAccepted") -> tuple[str, str]:
    held = next(c for c in found["status"]["conditions"] if c["type"] == kind)
    return held["status"], held["reason"]


def message(found: dict[str, Any], kind: str = "ResolutionAccepted") -> str:
    return next(c["message"] for c in found["status"]["conditions"] if c["type"] == kind)


def verdict(found: dict[str, Any], epoch: int = 2) -> SignedVerdict:
    issue = IssueIdentity(repository="acme/widgets", number=42, epoch=epoch)
    return read_verdict(found["status"]["verdict"]["signed"].encode(), KEY.public, issue)


@pytest.mark.parametrize(
    "phase", ["Escalated", "Planning", "Listening", "Revising", "Executing", "Reporting"]
)
def test_a_resolution_is_signed_once_while_the_discussion_is_open(phase: str) -> None:
    found = discussion(REVISE, phase)
    assert reconcile(found)
    signed = verdict(found)
    assert (signed.verdict, signed.text, signed.decided_by, signed.decided_at) == (
        "revise",
        "keep the old name",
        "ana",
        NOW,
    )
    shown = found["status"]["verdict"]
    assert (shown["epoch"], shown["verdict"], shown["by"], shown["id"]) == (
        2,
        "revise",
        "ana",
        signed.verdict_id,
    )
    assert condition(found) == ("True", "Signed")
    assert found["status"]["observedGeneration"] == 3
    assert not reconcile(found, LATER), "nothing more is written"


def test_a_crash_between_signing_and_the_status_makes_no_second_verdict() -> None:
    found = discussion(PROCEED)
    lost = answer(found, KEY, NOW)
    assert lost is not None
    reconcile(found, LATER)
    assert found["status"]["verdict"]["id"] == lost["status"]["verdict"]["id"]


def test_an_old_resolution_does_not_decide_the_next_claim() -> None:
    found = discussion(PROCEED, epoch=1)
    reconcile(found)
    found["status"] |= {"phase": "Escalated", "epoch": 2}
    assert reconcile(found, LATER)
    assert condition(found) == ("False", "Stale")
    assert "epoch 2" in message(found)
    assert found["status"]["verdict"]["epoch"] == 1, "and the scribe relays none for this claim"
    assert not reconcile(found, LATER)
    found["spec"]["resolution"] = REVISE
    reconcile(found, LATER)
    assert condition(found) == ("True", "Signed")
    assert verdict(found, epoch=2).verdict == "revise"


def test_a_resolution_that_came_too_late_does_not_decide_the_next_claim_either() -> None:
    found = discussion(PROCEED, phase="Closed", epoch=1)
    reconcile(found)
    assert condition(found) == ("False", "DiscussionClosed")
    assert "verdict" not in found["status"]
    assert not reconcile(found, LATER)
    for epoch in (2, 3):
        found["status"] |= {"phase": "Escalated", "epoch": epoch}
        assert reconcile(found, LATER)
        assert condition(found) == ("False", "Stale")
        assert "verdict" not in found["status"]
        assert not reconcile(found, LATER)


def test_another_decision_on_the_same_claim_is_another_verdict() -> None:
    found = discussion(REVISE)
    reconcile(found)
    first = found["status"]["verdict"]["id"]
    found["spec"]["resolution"] = PROCEED
    reconcile(found, LATER)
    assert found["status"]["verdict"]["id"] != first
    assert verdict(found).verdict == "proceed"


def test_a_signed_verdict_stays_though_the_discussion_closes_or_the_resolution_is_removed() -> None:
    found = discussion(PROCEED)
    reconcile(found)
    found["status"]["phase"] = "Closed"
    assert not reconcile(found, LATER)
    del found["spec"]["resolution"]
    assert reconcile(found, LATER)
    assert verdict(found).verdict == "proceed"
    assert found["status"]["conditions"] == []


@pytest.mark.parametrize(
    ("resolution", "names"),
    [
        ({"verdict": "maybe"}, "spec.resolution: field verdict"),
        ({}, "field verdict"),
        ("proceed", "spec.resolution"),
        (PROCEED | {"text": "x" * 4001}, "field text"),
        (PROCEED | {"text": "é" * 4000}, "shorten it"),
        (PROCEED | {"by": "x" * 301}, "field by"),
    ],
)
def test_a_resolution_that_does_not_fit_is_said_with_its_field(resolution: Any, names: str) -> None:
    found = discussion(resolution)
    reconcile(found)
    assert condition(found) == ("False", "Invalid")
    assert names in message(found)
    assert "verdict" not in found["status"]


def test_a_resolution_before_any_discussion_waits_for_it() -> None:
    found = discussion(PROCEED, phase=None)
    reconcile(found)
    assert condition(found) == ("False", "WaitingForDiscussion")
    assert condition(found, "Accepted") == ("True", "WaitingForClaim")
    found["status"] |= {"phase": "Escalated", "epoch": 1}
    reconcile(found, LATER)
    assert condition(found) == ("True", "Signed")
    assert condition(found, "Accepted") == ("True", "Claimed")
    assert found["status"]["conditions"][0]["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    assert found["status"]["conditions"][1]["lastTransitionTime"] == "2026-03-01T13:00:00Z"


def test_the_scribe_s_own_discussions_get_no_words_that_nobody_needs() -> None:
    found = discussion()
    assert not reconcile(found)
    fresh = discussion(phase=None)
    fresh["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "bzzz-scribe"}
    assert not reconcile(fresh)


@pytest.mark.parametrize(
    "issue", [None, {}, {"repository": "nonsense", "number": 1}, {"repository": "a/b", "number": 0}]
)
def test_a_user_s_discussion_of_no_issue_is_refused(issue: Any) -> None:
    found = discussion(PROCEED)
    found["spec"]["issue"] = issue
    reconcile(found)
    assert condition(found, "Accepted") == ("False", "Invalid")
    assert "verdict" not in found["status"]


def test_a_question_without_an_issue_is_told_that_nobody_takes_it_up_yet() -> None:
    found = discussion(phase=None)
    found["spec"] = {"issue": {"repository": "acme/widgets"}, "question": "tabs or spaces?"}
    reconcile(found)
    assert condition(found, "Accepted") == ("False", "WaitingForClaim")
    assert not reconcile(found, LATER)


def test_others_conditions_are_left_alone() -> None:
    found = discussion(PROCEED)
    found["status"]["conditions"] = [{"type": "Delivered", "status": "True"}]
    reconcile(found)
    assert found["status"]["conditions"][0] == {"type": "Delivered", "status": "True"}
    assert not reconcile(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    resolution=JSON,
    status=st.fixed_dictionaries(
        {},
        optional={
            "phase": JSON | st.just("Escalated"),
            "epoch": JSON | st.integers(1, 3),
            "verdict": JSON,
            "conditions": JSON | st.lists(st.fixed_dictionaries({"type": JSON, "message": JSON}), max_size=2),
        },
    ),
)
def test_no_nonsense_in_an_object_stops_the_operator_or_gets_signed(resolution: Any, status: Any) -> None:
    found = discussion(resolution)
    found["status"] = status
    body = answer(found, KEY, NOW)
    assert body is None or "signed" not in (body["status"].get("verdict") or {})
