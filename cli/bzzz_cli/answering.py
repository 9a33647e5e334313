"""What `bzzz answer` takes, and which discussion somebody means; where the answer goes is another matter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast, get_args

from bzzz_cli.errors import CommandError, UsageError
from hmmm.errors import excerpt
from hmmm.meta import Verdict

MAX_TEXT: Final = 4000
MAX_BY: Final = 120
ESCALATED: Final = "Escalated"
_ISSUE: Final = re.compile(r"(?:(?P<repository>[\w.-]+/[\w.-]+)?#)?(?P<number>[1-9]\d{0,15})", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """A decision, as somebody typed it."""

    issue: str
    verdict: Verdict
    text: str
    by: str

    @classmethod
    def of(cls, issue: str, verdict: str, text: str, by: str) -> Answer:
        """Check what was typed. Raises UsageError."""
        if verdict not in get_args(Verdict):
            raise UsageError(f"VERDICT: expected {', '.join(get_args(Verdict))}, came {excerpt(verdict)}")
        if verdict == "revise" and not text.strip():
            raise UsageError("--text: expected what is to be revised, because the verdict is revise")
        if len(text) > MAX_TEXT:
            raise UsageError(f"--text: expected at most {MAX_TEXT} characters, came {len(text)}")
        if not 1 <= len(by) <= MAX_BY:
            raise UsageError(f"--by: expected 1 to {MAX_BY} characters, came {len(by)}")
        return cls(issue, cast("Verdict", verdict), text, by)


class Debate(Protocol):
    """A discussion, as far as it is looked for."""

    @property
    def name(self) -> str:
        """What it may be called, beside its issue."""
        ...

    @property
    def repository(self) -> str:
        """Its issue's repository."""
        ...

    @property
    def number(self) -> int | None:
        """Its issue's number."""
        ...

    @property
    def phase(self) -> str:
        """Where it stands; empty before anybody discusses it."""
        ...


D = TypeVar("D", bound=Debate)


def find(every: Sequence[D], wanted: str, place: str) -> D:
    """Return the one discussion that somebody means: by name, or by `owner/name#7`, `#7` or `7`.

    Raises CommandError that names those that wait for a human, and where there is no such one, or more than one.
    """
    match = _ISSUE.fullmatch(wanted)
    found = [one for one in every if one.name == wanted]
    if not found and match is not None:
        repository = match["repository"]
        found = [
            one
            for one in every
            if one.number == int(match["number"])
            and (repository is None or one.repository.lower() == repository.lower())
        ]
    if len(found) == 1:
        return found[0]
    asked = [shown(one) for one in (found or every) if one.phase == ESCALATED]
    there = f"waiting for a human: {', '.join(asked[:20])}" if asked else "none waits for a human"
    count = "several are meant; name the repository" if found else "there is no such discussion"
    raise CommandError(f"{excerpt(wanted)}: {count} in {place} ({there})")


def shown(one: Debate) -> str:
    """Return how a discussion is called to people."""
    return f"{one.repository}#{one.number}" if one.number is not None else one.name
