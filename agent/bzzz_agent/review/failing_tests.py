"""The failing tests that an issue names: what a plan for it has to name as well.

The issue's text is anybody's. All that it can bring about here is that a plan must name a test, never that it need not.
"""

from __future__ import annotations

import re
from typing import Final

from hmmm.plan import Plan

MAX_NAMED: Final = 3
"""An issue that names more is a list; the first ones stand for it."""
MAX_CHARACTERS: Final = 20_000
MAX_LENGTH: Final = 200

_FAILS: Final = re.compile(r"\b(?:fail\w*|broken|breaks|crash\w*|red)\b", re.IGNORECASE)
_NODE_ID: Final = re.compile(r"[\w./-]{1,150}\.py(?:::\w{1,100}){1,3}", re.ASCII)
"""pytest's own way to name a test."""
_NAME: Final = re.compile(r"\b(?:test_\w{1,100}|Test[A-Z]\w{1,100})\b(?!\.)", re.ASCII)
"""A function of pytest or unittest, a class of theirs, or a function of Go; not the file `test_widget.py`."""


def failing_tests(text: str) -> tuple[str, ...]:
    """Return the failing tests that an issue's title and body name, in its own words, each once, at most three."""
    found: dict[str, str] = {}
    for line in text[:MAX_CHARACTERS].splitlines():
        whole = [match.group() for match in _NODE_ID.finditer(line)]
        if not whole and not _FAILS.search(line):
            continue
        for name in whole or [match.group() for match in _NAME.finditer(line)]:
            if len(name) <= MAX_LENGTH:
                found.setdefault(_last(name), name)
    return tuple(found.values())[:MAX_NAMED] if _FAILS.search(text[:MAX_CHARACTERS]) else ()


def unnamed(plan: Plan, tests: tuple[str, ...]) -> tuple[str, ...]:
    """Return those tests that a plan does not name, neither as its failing test nor among its tests."""
    words = {word for said in (plan.failing_test or "", *plan.tests) for word in re.findall(r"\w+", said)}
    return tuple(test for test in tests if _last(test) not in words)


def _last(test: str) -> str:
    return test.rpartition(":")[2]
