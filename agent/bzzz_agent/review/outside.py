"""What a reviewer asks GitHub about one issue: its text, and whether somebody else solves it already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog
import trio

from bzzz_agent.review.failing_tests import failing_tests
from hmmm.errors import BzzzError
from hmmm.identity import IssueIdentity

log = structlog.get_logger("bzzz.agent.review")


class IssueReader(Protocol):
    """Asks GitHub. Every method raises GitHubError."""

    async def read(self, repository: str, number: int) -> tuple[str, str]:
        """Return an issue's (title, body)."""
        ...

    async def solved_by(self, repository: str, number: int) -> int | None:
        """Return the number of an open pull request of somebody else that closes an issue."""
        ...


@dataclass(frozen=True)
class OutsideFacts:
    """What rules go by and the hive cannot know."""

    failing_tests: tuple[str, ...] = ()
    """Named by the issue."""
    solved_by: int | None = None
    """An open pull request of somebody else."""


NOTHING: Final = OutsideFacts()


@dataclass
class Outside:
    """One issue, as GitHub has it."""

    issues: IssueReader
    issue: IssueIdentity
    _text: tuple[str, str] | None = None

    async def text(self) -> tuple[str, str]:
        """Return title and body; an edit ends the discussion, so they are read once. Raises GitHubError."""
        if self._text is None:
            self._text = await self.issues.read(self.issue.repository, self.issue.number)
        return self._text

    async def facts(self, patience_s: float) -> OutsideFacts:
        """Return what rules want to know; what GitHub does not say within so many seconds is left out."""
        found = NOTHING
        with trio.move_on_after(patience_s) as patience:
            try:
                found = replace(found, failing_tests=failing_tests("\n".join(await self.text())))
                solved_by = await self.issues.solved_by(self.issue.repository, self.issue.number)
                found = replace(found, solved_by=solved_by)
            except BzzzError as error:
                log.warning("rules go without GitHub", issue=str(self.issue), problem=str(error))
        if patience.cancelled_caught:
            problem = f"no answer within {patience_s:.1f} s"
            log.warning("rules go without GitHub", issue=str(self.issue), problem=problem)
        return found
