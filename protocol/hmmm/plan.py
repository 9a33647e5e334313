"""A plan: what a claimant means to do, before it does it."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from hmmm.base import Line, Model, Text

MAX_FOOTPRINT = 100
MAX_STEPS = 20
MAX_TESTS = 20
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, formats (text that runs backwards, joiners), surrogates and line ends: a path that
reviewers read as another, or as two, is none."""


def _inside_repository(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or "\x00" in path or any(p in {"", ".", ".."} for p in parts):
        raise ValueError("expected a path inside the repository, with forward slashes and no . or ..")
    if any(unicodedata.category(character) in UNSEEN for character in path):
        raise ValueError("expected a path without line breaks and other characters that nobody sees")
    if any(part.lower() == ".git" for part in parts):
        raise ValueError("expected a path of the repository's files, not of .git")
    return path


RepositoryPath = Annotated[str, Field(min_length=1, max_length=240), AfterValidator(_inside_repository)]
"""A file of the repository, or a glob (`*` within a folder, `**` across) over its files."""


class Plan(Model):
    """What is to be done, in which files, and how it will be known to work."""

    summary: Annotated[str, Field(min_length=1, max_length=600)]
    steps: tuple[Line, ...] = Field(default=(), max_length=MAX_STEPS)
    footprint: tuple[RepositoryPath, ...] = Field(default=(), max_length=MAX_FOOTPRINT)
    """Files that the work may touch; a patch that touches others is refused (architecture §9)."""
    tests: tuple[Line, ...] = Field(default=(), max_length=MAX_TESTS)
    """Tests that show that the work is done: names or commands."""
    failing_test: Line | None = None
    """The failing test that the issue names, if it names one."""
    requires: tuple[Line, ...] = Field(default=(), max_length=10)
    """Capabilities that the plan needs, as `lang:python` or `tool:ruff`."""
    notes: Text = ""
