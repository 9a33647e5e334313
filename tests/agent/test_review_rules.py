"""Rules see plan, manifest and GitHub; the text of an issue can ask for a test, and takes nothing away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_agent.hive import LivePlan
from bzzz_agent.review.failing_tests import failing_tests
from bzzz_agent.review.paths import matches, touches
from bzzz_agent.review.rules import Review, review_by_rules
from hmmm.identity import IssueIdentity
from hmmm.plan import Plan

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINE = IssueIdentity(repository="acme/widgets", number=7, epoch=1)


def other(footprint: tuple[str, ...], *, claimed_at: datetime, number: int = 3) -> LivePlan:
    issue = IssueIdentity(repository="acme/widgets", number=number, epoch=1)
    return LivePlan(issue, "bzzz-1", footprint, claimed_at)


def review(plan: Plan, **changes: object) -> list[tuple[str, str]]:
    basis: dict[str, object] = {
        "issue": MINE,
        "claimed_at": NOON,
        "protected_paths": (".github/workflows/**", "migrations/*.sql"),
        "other_plans": (),
        "offered": frozenset({"lang:python"}),
        "tests_configured": True,
    }
    findings = review_by_rules(plan, Review(**(basis | changes)))  # pyright: ignore[reportArgumentType]
    return [(finding.rule, finding.severity) for finding in findings]


GOOD = Plan(summary="mend the parser", footprint=("src/parser.py",), tests=("test_parser",))


def test_a_sound_plan_passes() -> None:
    assert review(GOOD) == []


@pytest.mark.parametrize(
    ("footprint", "found"),
    [
        ((".github/workflows/ci.yml",), True),
        ((".GitHub/Workflows/ci.yml",), True),  # some file systems do not tell case apart
        (("migrations/1.sql",), True),
        (("migrations/old/1.sql",), False),  # one star stays within a folder
        (("**",), True),  # a glob that may mean a protected file
        (("docs/workflows.md",), False),
    ],
)
def test_protected_paths_block(footprint: tuple[str, ...], found: bool) -> None:
    rules = review(GOOD.model_copy(update={"footprint": footprint}))
    assert (("protected_path", "blocking") in rules) is found


@pytest.mark.parametrize(
    ("claimed_at", "number", "blocks"),
    [
        (NOON - timedelta(seconds=1), 3, True),
        (NOON + timedelta(seconds=1), 3, False),
        (NOON, 3, True),  # the same moment: the lower number goes first
        (NOON, 9, False),
    ],
)
def test_of_two_overlapping_plans_the_later_claim_gives_way(
    claimed_at: datetime, number: int, blocks: bool
) -> None:
    theirs = other(("src/*.py",), claimed_at=claimed_at, number=number)
    assert (("footprint_overlap", "blocking") in review(GOOD, other_plans=(theirs,))) is blocks


def test_disjoint_plans_do_not_block_each_other() -> None:
    theirs = other(("docs/guide.md",), claimed_at=NOON - timedelta(hours=1))
    assert review(GOOD, other_plans=(theirs,)) == []


def test_a_capability_that_the_claimant_never_announced_blocks() -> None:
    plan = GOOD.model_copy(update={"requires": ("tool:ruff", "LANG:Python")})
    assert review(plan) == [("unknown_capability", "blocking")]


@pytest.mark.parametrize(
    ("footprint", "configured", "expected"),
    [
        (("src/a.py",), True, [("missing_tests", "blocking")]),
        (("src/a.py",), False, [("missing_tests", "advisory")]),
        (("docs/a.md", "README.md", "src/notes.md"), True, []),
    ],
)
def test_code_without_a_test_is_objected_to(
    footprint: tuple[str, ...], configured: bool, expected: list[tuple[str, str]]
) -> None:
    plan = Plan(summary="x", footprint=footprint)
    assert review(plan, tests_configured=configured) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test_parser fails on empty input", ("test_parser",)),
        ("CI is red: tests/test_a.py::TestA::test_b[x-1]", ("tests/test_a.py::TestA::test_b",)),
        ("It fails.\n\n    tests/test_a.py::test_b\n", ("tests/test_a.py::test_b",)),
        ("TestParse is broken since 1.2", ("TestParse",)),
        ("tests/test_a.py::test_b and test_b fail", ("tests/test_a.py::test_b",)),
        ("test_a, test_b, test_c and test_d fail", ("test_a", "test_b", "test_c")),
        ("Please add test_parser", ()),  # a wish
        ("See tests/test_a.py::test_b for how it is done", ()),
        ("The build fails; see test_widget.py", ()),  # a file
        ("fails\nlike test_old did", ()),
        ("test_" + "x" * 300 + " fails", ()),
    ],
)
def test_the_failing_tests_that_an_issue_names(text: str, expected: tuple[str, ...]) -> None:
    assert failing_tests(text) == expected


@pytest.mark.parametrize(
    ("plan", "blocks"),
    [
        ({"failing_test": "tests/test_a.py::test_b"}, False),
        ({"tests": ("python -m pytest -k test_b",)}, False),
        ({"tests": ("test_bc",)}, True),
        ({"tests": ("python -m pytest",)}, True),
        ({"footprint": ("docs/a.md",), "tests": ()}, False),  # nothing there can make a test pass
    ],
)
def test_a_plan_must_name_the_failing_test(plan: dict[str, object], blocks: bool) -> None:
    found = review(GOOD.model_copy(update=plan), failing_tests=("tests/test_a.py::test_b",))
    assert (("failing_test_not_named", "blocking") in found) is blocks


def test_an_issue_that_an_open_pull_request_closes_is_not_worked_on() -> None:
    assert review(GOOD, solved_by=9) == [("solved_by_pull_request", "blocking")]


@given(st.text(max_size=400), st.lists(st.sampled_from(["fails ", "test_a ", "a.py::test_b", "\n", "TestX"])))
def test_no_words_of_an_issue_take_an_objection_away(noise: str, words: list[str]) -> None:
    plan = Plan(summary="x", footprint=("src/a.py",))
    tests = failing_tests(noise + "".join(words))
    assert len(tests) <= 3
    assert set(review(plan)) <= set(review(plan, failing_tests=tests))


def test_a_plan_without_files_says_nothing() -> None:
    assert ("empty_footprint", "blocking") in review(Plan(summary="trust me"))


@given(st.text(max_size=200))
def test_no_words_of_an_issue_change_what_rules_find(words: str) -> None:
    plan = Plan(summary="x" + words[:500], notes=words, footprint=("src/a.py",))
    assert review(plan) == [("missing_tests", "blocking")]


@pytest.mark.parametrize(
    ("path", "glob", "expected"),
    [
        ("a/b/c.py", "**/*.py", True),
        ("c.py", "**/*.py", True),
        ("a/b.py", "*.py", False),
        ("a/b", "a/**", True),
        ("a", "a/**", False),
        ("a+b.py", "a+b.py", True),
        ("axb.py", "a?b.py", True),
    ],
)
def test_globs_mean_what_a_manifest_says(path: str, glob: str, expected: bool) -> None:
    assert matches(path, glob) is expected


@given(st.from_regex(r"[a-c*/]{1,12}", fullmatch=True), st.from_regex(r"[a-c*/]{1,12}", fullmatch=True))
def test_touching_is_mutual(one: str, two: str) -> None:
    assert touches(one, two) == touches(two, one)
