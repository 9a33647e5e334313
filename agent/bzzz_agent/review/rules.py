"""What a reviewer can tell without a model: pure checks of a plan, each an objection with its rule's name.

Architecture §6.2: overlap with another live plan's footprint, protected paths, missing tests, unknown capability.
The issue's text cannot change a rule's outcome: rules read the plan's fields and the reviewer's own manifest only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bzzz_agent.hive import LivePlan
from bzzz_agent.review.paths import matches, touches
from hmmm.identity import IssueIdentity
from hmmm.meta import Severity
from hmmm.plan import Plan

PROSE: Final = ("*.md", "*.rst", "*.txt", "docs/**", "LICENSE*", "CHANGELOG*")
"""Files for which a plan needs no test."""


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


def review_by_rules(plan: Plan, review: Review) -> tuple[Finding, ...]:
    """Return everything that rules find in a plan, blocking findings first."""
    findings = [
        *_protected(plan, review.protected_paths),
        *_overlaps(plan, review),
        *_unknown_capabilities(plan, review.offered),
        *_missing_tests(plan, review.tests_configured),
        *_empty_footprint(plan),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "blocking"))


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
    code = tuple(path for path in plan.footprint if not any(matches(path, glob) for glob in PROSE))
    code = tuple(path for path in code if not any(matches(path.rsplit("/", 1)[-1], glob) for glob in PROSE))
    if code and not plan.tests and not plan.failing_test:
        severity: Severity = "blocking" if tests_configured else "advisory"
        yield Finding(
            "missing_tests",
            severity,
            "the plan changes code and names no test that shows that it works",
            code,
        )


def _empty_footprint(plan: Plan) -> Iterable[Finding]:
    if not plan.footprint:
        yield Finding("empty_footprint", "blocking", "the plan names no file that it will touch")
