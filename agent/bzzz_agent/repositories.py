"""The manifest's repositories: opened together, tried again for as long as GitHub or the credential says no.

A wrong credential must not end the process: the agent would come back at once, find it still wrong, and be gone from
the mesh, silent and unexplained. So it stays, says that it is not healthy and why, and works once a new one is there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.errors import GitHubError, UnavailableError
from bzzz_agent.github.repository import GitHubRepository, RepositorySettings, open_repository
from bzzz_agent.health import Health
from bzzz_agent.settings import AgentSettings
from hmmm.claims import BackOff
from hmmm.eligibility import EligibilityRules

FIRST_S: Final = 1.0
MOST_S: Final = 30.0
WHERE: Final = "github"


@dataclass
class Repositories:
    """Repositories by their name in the manifest; `open` is empty until all can be used."""

    settings: AgentSettings
    client: GitHubClient
    peer_id: str
    health: Health
    open: dict[str, GitHubRepository] = field(default_factory=dict[str, GitHubRepository])
    jitter: Callable[[], float] = random.random

    async def connect(self) -> None:
        """Open all, however long it takes."""
        pause = FIRST_S
        while True:
            try:
                self.open.update(await self._open_all())
            except GitHubError as error:
                self.health.report(WHERE, str(error))
                await trio.sleep(pause * (0.75 + self.jitter() / 2))
                pause = min(pause * 2, MOST_S)
            else:
                self.health.report(WHERE, None)
                return

    async def _open_all(self) -> dict[str, GitHubRepository]:
        settings = self.settings
        issues = settings.spec.github.issues
        rules = EligibilityRules(frozenset(issues.labels), frozenset(issues.authors))
        back_off = BackOff(first_s=settings.claims.back_off_s)
        governed = RepositorySettings(rules, lease_s=settings.claims.lease_s, back_off=back_off)
        return {
            name: await open_repository(self.client, name, governed, settings.node_id, self.peer_id)
            for name in settings.spec.github.repositories
        }

    async def read(self, repository: str, number: int) -> tuple[str, str]:
        """Return an issue's title and body, for reviewers. Raises GitHubError."""
        facts = await self._known(repository).issue(number)
        return facts.title, facts.body

    async def solved_by(self, repository: str, number: int) -> int | None:
        """Return the number of somebody else's open pull request that closes an issue. Raises GitHubError."""
        found = await self._known(repository).solved_by(number)
        return None if found is None else found.number

    def _known(self, repository: str) -> GitHubRepository:
        known = self.open.get(repository)
        if known is None:
            raise UnavailableError(f"{repository}: not open yet: {self.health.problem}")
        return known
