"""The archive, read only: a pull request waits until it holds the evidence (architecture §8)."""

from __future__ import annotations

from typing import Any

import httpx
import structlog
import trio

from bzzz_agent.log_client import Head, LogError
from bzzz_agent.settings import ServiceSettings, read_secret
from hmmm.errors import excerpt

log = structlog.get_logger("bzzz.agent.archive")

LONG_POLL_S = 20


class ArchiveClient:
    """Asks the archive how much of a log it durably holds."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._token_file = settings.token_file
        self._token = read_secret(settings.token_file)
        self._http = httpx.AsyncClient(base_url=settings.url, timeout=httpx.Timeout(LONG_POLL_S + 10.0))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def wait_acknowledged(self, head: Head) -> None:
        """Wait until the archive durably holds a log up to a head.

        Waits for as long as the archive is away: the pull request waits, the rest goes on. Raises LogError when the
        archive holds another history than we do: evidence would not hold.
        """
        said = False
        while True:
            try:
                path = f"/v1/logs/{head.key}/acknowledged"
                query = {"length": head.length, "wait": LONG_POLL_S}
                headers = {"authorization": f"Bearer {self._token}"}
                response = await self._http.get(path, params=query, headers=headers)
                if response.status_code == 200:
                    return _check_history(response.json(), head)
                if response.status_code == 401:  # the token was replaced since
                    self._token = read_secret(self._token_file)
                    await trio.sleep(1)
                problem = f"{response.status_code} {excerpt(response.text)}"
            except httpx.HTTPError as error:
                problem = repr(error)
                await trio.sleep(1)
            if not said:
                log.warning(
                    "archive does not hold the evidence yet: the pull request waits",
                    length=head.length,
                    problem=problem,
                )
                said = True
            await trio.sleep(0.2)


def _check_history(answer: dict[str, Any], head: Head) -> None:
    if answer.get("conflict") or answer.get("treeHash") != head.tree_hash:
        raise LogError(
            f"archive: holds another history of log {head.key} at length {head.length}: "
            "the log was rewritten or copied; restore it from the archive before this agent goes on"
        )
