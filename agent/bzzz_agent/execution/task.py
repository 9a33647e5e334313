"""What goes into an execution and what comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bzzz_agent.knowledge.passages import Passage
from bzzz_agent.reasoning.usage import Usage
from hmmm.plan import Plan

NARROWING: Final = frozenset({"footprint_overlap", "protected_path", "objection"})
"""Kinds of feedback whose paths must not be in the next plan's footprint. Others (missing tests) name the paths
that they are about, which stay."""

OnProgress = Callable[[str], Awaitable[None]]
"""Told what is being done, one line, at most once a second."""


@dataclass(frozen=True)
class Task:
    """One claimed issue, pinned to a commit. Title and body are untrusted text."""

    repository: str
    number: int
    epoch: int
    title: str
    body: str
    base_sha: str
    clone_url: str
    labels: tuple[str, ...] = ()
    earlier: tuple[Passage, ...] = ()
    """What was said before about the same files, for planning; untrusted text."""

    def to_object(self) -> dict[str, Any]:
        """Return what a command finds in BZZZ_ISSUE_FILE."""
        earlier = {"earlier": [passage.to_object() for passage in self.earlier]} if self.earlier else {}
        return {
            **earlier,
            "repository": self.repository,
            "number": self.number,
            "epoch": self.epoch,
            "title": self.title,
            "body": self.body,
            "labels": list(self.labels),
            "base_sha": self.base_sha,
        }


@dataclass(frozen=True)
class FeedbackItem:
    """One thing that was said about a plan."""

    node_id: str
    kind: str
    """`objection`, `suggestion`, `answer` (to a question), `verdict` (a human's), `failure` (what failed before),
    `help` (a helper's suggestion), or the rule that objected, e.g. `footprint_overlap`."""
    text: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feedback:
    """What the next plan has to meet."""

    items: tuple[FeedbackItem, ...]
    previous: Plan | None = None

    @property
    def excluded(self) -> tuple[str, ...]:
        """Paths and globs that the next plan must leave alone."""
        return tuple(dict.fromkeys(p for item in self.items if item.kind in NARROWING for p in item.paths))

    def to_object(self) -> dict[str, Any]:
        """Return the part of BZZZ_PLAN_FILE that tells a command what was said about its plan."""
        return {
            "feedback": [
                {"from": i.node_id, "kind": i.kind, "text": i.text, "paths": list(i.paths)}
                for i in self.items
            ],
            "excluded": list(self.excluded),
        }


@dataclass(frozen=True)
class Advice:
    """A helper's suggestion, which the next execution tries. Text and patch are untrusted."""

    claimant: str
    helper: str
    text: str
    patch: str | None
    """A patch of the task's base: it is held to every rule, then the execution begins from its result."""
    problem: str
    """What failed before."""

    @property
    def feedback(self) -> Feedback:
        """The advice as an executor reads it."""
        failed = FeedbackItem(self.claimant, "failure", self.problem)
        return Feedback((failed, FeedbackItem(self.helper, "help", self.text)))


@dataclass(frozen=True)
class Trouble:
    """What a helper is shown of a peer's work that failed, beside task and plan. Untrusted."""

    problem: str
    wants: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    """Earlier suggestions of this helper, each with what failed."""

    def to_object(self) -> dict[str, Any]:
        """Return what a help command finds in BZZZ_PROBLEM_FILE."""
        return {"problem": self.problem, "wants": list(self.wants), "tried": list(self.tried)}


@dataclass(frozen=True)
class Suggestion:
    """What a helper has to say: words, and perhaps a patch of the task's base."""

    text: str
    patch: str | None = None


@dataclass(frozen=True)
class Executed:
    """A change that passed every check on its git tree, not yet committed."""

    patch: bytes
    """The diff from the base, as GitHub shows it: renames found, binary files named only."""
    tree_sha: str
    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Files that were changed outside the footprint and put back."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    output_tail: str = ""
    notes: str = ""
    """What a reader of the pull request must know of how it was made, e.g. that a small model wrote it."""


@dataclass(frozen=True)
class TestOutcome:
    """What the repository's own test command said."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    outcome: Literal["passed", "failed", "timeout", "not_configured"]
    exit_code: int | None = None
    seconds: float = 0.0
    output_tail: str = ""
