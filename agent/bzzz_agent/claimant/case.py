"""One claimed issue and everything that its claimant works on it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bzzz_agent.archive_client import ArchiveClient
from bzzz_agent.execution import Execution, Task
from bzzz_agent.failpoints import Failpoints
from bzzz_agent.github.claims import Claim
from bzzz_agent.github.repository import GitHubRepository
from bzzz_agent.hive import HiveView
from bzzz_agent.inbox import Inbox
from bzzz_agent.journal import Journal
from bzzz_agent.knowledge.memory import Memory
from bzzz_agent.metrics import AgentMetrics
from bzzz_agent.settings import AgentSettings
from bzzz_agent.voice import Voice
from bzzz_mesh import Mesh
from hmmm.discussion import Discussion
from hmmm.eligibility import IssueFacts
from hmmm.errors import BzzzError
from hmmm.identity import IssueIdentity
from hmmm.meta import Outcome


class StoppedError(BzzzError):
    """The work on an issue ends here, properly: with an outcome, a reason that is said everywhere, and whether it
    counts as a failure of the issue."""

    def __init__(self, outcome: Outcome, reason: str, *, failed: bool) -> None:
        super().__init__(reason)
        self.outcome: Outcome = outcome
        self.reason = reason
        self.failed = failed


@dataclass(frozen=True)
class Tools:
    """What every case of an agent shares."""

    settings: AgentSettings
    mesh: Mesh
    voice: Voice
    journal: Journal
    inbox: Inbox
    hive: HiveView
    execution: Execution
    archive: ArchiveClient
    memory: Memory
    failpoints: Failpoints
    metrics: AgentMetrics
    now: Callable[[], datetime]


@dataclass
class Case:
    """One claimed issue. `claim` moves on with every move of the claim ref."""

    tools: Tools
    repo: GitHubRepository
    issue: IssueIdentity
    facts: IssueFacts
    claim: Claim
    task: Task
    claimed_at: datetime

    @property
    def state(self) -> Discussion:
        """The discussion as the log has it now."""
        return self.tools.journal.discussions[self.issue]

    async def check_untouched(self) -> None:
        """Check that no human took the issue back. Raises StoppedError with what happened, GitHubError."""
        reason = await self.repo.still_ours(None, self.claim)
        if reason is not None:
            raise StoppedError("released", f"a human changed the issue meanwhile: {reason}", failed=False)
