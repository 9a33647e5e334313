"""What a reviewer can tell without a model: pure checks of a plan, each an objection with its rule's name.

Architecture §6.2: overlap with another live plan's footprint, protected paths, missing tests, unknown capability, a
failing test that the issue names and the plan does not, an open pull request that solves the issue already.
Rules read the plan's fields, the reviewer's own manifest and what GitHub says. No words of an issue take an objection
away; all that its text can do is ask for a test to be named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bzzz_agent.hive import LivePlan
from bzzz_agent.review.failing_tests import unnamed
from bzzz_agent.review.paths import matches, touches
from hmmm.identity import IssueIdentity
from hmmm.meta import Severity
from hmmm.plan import Plan

PROSE: Final = ("*.md", "*.rst", "*.txt", "docs/**", "LICENSE*", "CHANGELOG*")
"""Files for which a plan needs no test."""
TWO_PLANS: Final = "two_plans"
"""The claimant signed two plans for one round: what one reviewer agreed to is not what another was shown."""
SOLVED: Final = "solved_by_pull_request"
"""The rule whose objection no other plan can meet."""


@dataclass(frozen=True)
class Finding:
    """An objection that a rule raises."""

    rule: str
    severity: Severity
    reason: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """What a reviewer goes by: its manifest, and the hive as it knows it."""

    issue: IssueIdentity
    claimed_at: datetime
    protected_paths: tuple[str, ...]
    other_plans: tuple[LivePlan, ...]
    offered: frozenset[str]
    """Capabilities that the claimant announced, as `lang:python`, `tool:ruff`."""
    tests_configured: bool
    failing_tests: tuple[str, ...] = ()
    """What the issue names (`failing_tests`)."""
    solved_by: int | None = None
    """An open pull request of somebody else that closes the issue."""


def review_by_rules(plan: Plan, review: Review) -> tuple[Finding, ...]:
    """Return everything that rules find in a plan, blocking findings first."""
    findings = [
        *_solved(review.solved_by),
        *_protected(plan, review.protected_paths),
        *_overlaps(plan, review),
        *_unknown_capabilities(plan, review.offered),
        *_missing_tests(plan, review.tests_configured),
        *_failing_test_not_named(plan, review.failing_tests),
        *_empty_footprint(plan),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "blocking"))


def _solved(solved_by: int | None) -> Iterable[Finding]:
    if solved_by is not None:
        yield Finding(SOLVED, "blocking", f"pull request #{solved_by} closes this issue already")


def _protected(plan: Plan, globs: Iterable[str]) -> Iterable[Finding]:
    hit = tuple(path for path in plan.footprint if any(touches(path, g) for g in globs))
    if hit:
        reason = f"the plan touches protected paths: {', '.join(hit)[:1500]}. Leave them out, or ask a human."
        yield Finding("protected_path", "blocking", reason, hit)


def _overlaps(plan: Plan, review: Review) -> Iterable[Finding]:
    mine = (review.claimed_at, review.issue.number)
    for other in review.other_plans:
        if (other.claimed_at, other.issue.number) >= mine:
            continue  # of two overlapping plans the later claim gives way
        hit = tuple(p for p in plan.footprint if any(touches(p, theirs) for theirs in other.footprint))
        if hit:
            files = ", ".join(hit)[:1500]
            reason = f"{other.node_id} is changing the same files for {other.issue}, claimed earlier: {files}"
            yield Finding("footprint_overlap", "blocking", reason, hit)


def _unknown_capabilities(plan: Plan, offered: frozenset[str]) -> Iterable[Finding]:
    missing = sorted({need.lower() for need in plan.requires} - offered)
    if missing:
        reason = f"the plan needs {', '.join(missing)[:500]}, which the claimant has not announced"
        yield Finding("unknown_capability", "blocking", reason)


def _missing_tests(plan: Plan, tests_configured: bool) -> Iterable[Finding]:
    code = _code(plan)
    if code and not plan.tests and not plan.failing_test:
        severity: Severity = "blocking" if tests_configured else "advisory"
        yield Finding(
            "missing_tests",
            severity,
            "the plan changes code and names no test that shows that it works",
            code,
        )


def _failing_test_not_named(plan: Plan, tests: tuple[str, ...]) -> Iterable[Finding]:
    missing = unnamed(plan, tests) if _code(plan) else ()
    if missing:
        reason = f"the issue names {', '.join(missing)} as failing, and the plan does not"
        yield Finding("failing_test_not_named", "blocking", reason)


def _code(plan: Plan) -> tuple[str, ...]:
    """Return the files of a footprint that are not prose."""
    return tuple(
        path
        for path in plan.footprint
        if not any(matches(path, glob) or matches(path.rsplit("/", 1)[-1], glob) for glob in PROSE)
    )


def _empty_footprint(plan: Plan) -> Iterable[Finding]:
    if not plan.footprint:
        yield Finding("empty_footprint", "blocking", "the plan names no file that it will touch")
