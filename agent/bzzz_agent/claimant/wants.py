"""Which capability a stuck claimant wants of its helpers: a hint by rule, from what failed and what peers announce."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from hmmm.messages import Capabilities
from hmmm.plan import Plan

MAX_WANTS: Final = 8
SHORTEST: Final = 3
"""Letters of a name that is looked for in prose: `go` and `c` stand there by chance."""

_LANGUAGES: Final = {
    ".py": "python",
    ".js": "javascript",
    ".ts": "typescript",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    ".rb": "ruby",
    ".c": "c",
    ".cpp": "c++",
    ".md": "markdown",
    ".rst": "restructuredtext",
    ".sh": "shell",
}


def capabilities_of(languages: Iterable[str], tools: Iterable[str]) -> frozenset[str]:
    """Return capabilities as they are asked for: `lang:python`, `tool:ruff`, in lower case."""
    return frozenset(
        [*(f"lang:{name.lower()}" for name in languages), *(f"tool:{name.lower()}" for name in tools)]
    )


def wanted(problem: str, plan: Plan, own: frozenset[str], peers: Iterable[Capabilities]) -> tuple[str, ...]:
    """Return what a helper should be able to do, sorted; empty where anybody may help.

    First what the plan needs or the problem names and the claimant has not; else the languages of the plan's files.
    Only what some peer announces is wanted: a name that nobody answers to would keep everybody away.
    """
    announced = frozenset[str]().union(*(capabilities_of(p.languages, p.tools) for p in peers))
    words = set(re.findall(r"[\w+#-]+", problem.lower()))
    named = {c for c in announced if len(_name(c)) >= SHORTEST and _name(c) in words}
    missing = ((named | {need.lower() for need in plan.requires}) & announced) - own
    spoken = {
        f"lang:{_LANGUAGES[suffix]}"
        for suffix in (PurePosixPath(path).suffix.lower() for path in plan.footprint)
        if suffix in _LANGUAGES
    }
    return tuple(sorted(missing or spoken & announced)[:MAX_WANTS])


def _name(capability: str) -> str:
    return capability.partition(":")[2]
