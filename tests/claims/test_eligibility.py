"""Which issues a hive may touch at first sight, and what a human's hand on one means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmmm.eligibility import (
    EligibilityRules,
    IssueFacts,
    at_first_sight,
    issue_digest,
    may_vouch,
    strangers,
    vouches,
)

RULES = EligibilityRules(frozenset({"bzzz"}), accounts=frozenset({"bzzz-bot"}))
ISSUE = IssueFacts(
    number=7,
    open=True,
    title="Crash on empty input",
    body="It crashes.",
    author="ada",
    author_association="MEMBER",
    labels=frozenset({"bzzz", "bug"}),
    assignees=frozenset(),
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"is_pull_request": True}, "pull_request"),
        ({"open": False}, "not_open"),
        ({"labels": frozenset({"bug"})}, "unlabelled"),
        ({"labels": frozenset({"BZZZ"})}, None),
        ({"labels": frozenset({"bzzz", "bzzz:needs-human"})}, "needs_human"),
        ({"labels": frozenset({"bzzz", "bzzz:claimed"})}, None),
        ({"assignees": frozenset({"ada"})}, "assigned_to_stranger"),
        ({"assignees": frozenset({"Bzzz-Bot"})}, None),
        ({"assignees": frozenset({"bzzz-bot", "ada"})}, "assigned_to_stranger"),
    ],
)
def test_an_issue_is_judged_by_what_it_shows(changes: dict[str, object], reason: str | None) -> None:
    assert at_first_sight(replace(ISSUE, **changes), RULES) == reason  # type: ignore[arg-type]


def test_all_labels_of_the_manifest_are_asked_for() -> None:
    both = replace(RULES, labels=frozenset({"bzzz", "ready"}))
    assert at_first_sight(ISSUE, both) == "unlabelled"
    assert at_first_sight(replace(ISSUE, labels=frozenset({"bzzz", "ready"})), both) is None


def test_only_an_association_of_the_manifest_makes_the_author_worth_asking_about() -> None:
    assert may_vouch(ISSUE, RULES)
    assert not may_vouch(replace(ISSUE, author_association="CONTRIBUTOR"), RULES)


def test_only_write_permission_vouches() -> None:
    assert [p for p in ("admin", "maintain", "write", "triage", "read", "none", "") if vouches(p)] == [
        "admin",
        "maintain",
        "write",
    ]


def test_logins_do_not_differ_by_case() -> None:
    assert strangers({"Ada", "BZZZ-bot"}, {"bzzz-bot"}) == {"Ada"}


@given(st.text(), st.text(), st.text(), st.text())
def test_two_issues_share_a_digest_only_if_title_and_body_are_equal(a: str, b: str, c: str, d: str) -> None:
    assert (issue_digest(a, b) == issue_digest(c, d)) == ((a, b) == (c, d))


def test_moving_text_between_title_and_body_is_an_edit() -> None:
    assert issue_digest("ab", "c") != issue_digest("a", "bc")
