"""What the scribe says of agents and discussions (`GET /api/state`), as far as the table and the report need it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_cli.errors import CommandError
from hmmm.base import first_problem
from hmmm.errors import excerpt

MAX_ANSWER_BYTES = 32 * 1024 * 1024


class StatusError(CommandError):
    """The scribe cannot be asked right now; asking again later may work."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class AgentView(_View):
    """An agent as the scribe sees it."""

    node_id: str
    phase: str = "unknown"
    issue: str | None = None
    models: tuple[dict[str, Any], ...] = ()
    last_seen: str | None = None


class DiscussionView(_View):
    """A discussion as folded from its claimant's log."""

    repository: str
    number: int
    epoch: int
    phase: str
    claimant: str
    round: int = 0
    live: bool = True
    deadline: datetime | None = None
    objections: tuple[dict[str, Any], ...] = ()
    rounds: tuple[dict[str, Any], ...] = ()
    outcome: str | None = None
    reason: str = ""
    pull_request: str | None = None
    log_key: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    phase_timestamps: dict[str, str] = Field(default_factory=dict)

    @property
    def issue(self) -> tuple[str, int]:
        """Repository and number."""
        return (self.repository, self.number)


class State(_View):
    """Everything at one moment."""

    agents: Annotated[tuple[AgentView, ...], Field(max_length=4096)] = ()
    discussions: tuple[DiscussionView, ...] = ()

    def latest(self) -> dict[tuple[str, int], DiscussionView]:
        """Return the discussion of each issue's latest epoch."""
        latest: dict[tuple[str, int], DiscussionView] = {}
        for discussion in self.discussions:
            known = latest.get(discussion.issue)
            if known is None or known.epoch < discussion.epoch:
                latest[discussion.issue] = discussion
        return latest


class ScribeClient:
    """Asks a scribe."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=10, trust_env=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def state(self) -> State:
        """Return the state now. Raises StatusError."""
        try:
            return State.model_validate_json(await self.read("/api/state"))
        except ValidationError as error:
            raise StatusError(f"scribe: {first_problem(error)}") from error

    async def read(self, url: str) -> bytes:
        """Return what is served at a path or URL of the scribe. Raises StatusError."""
        try:
            async with self._http.stream("GET", url) as response:
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise StatusError(
                            f"scribe: expected at most {MAX_ANSWER_BYTES} bytes from {url}, came more"
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StatusError(f"scribe: expected an answer from {url}, came {error!r}") from error
        if response.status_code != 200:
            said = excerpt(body.decode(errors="replace"))
            raise StatusError(f"scribe: expected 200 from {url}, came {response.status_code}: {said}")
        return body
