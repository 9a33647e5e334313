"""The archive, read only: a pull request waits until it holds the evidence (architecture §8)."""

from __future__ import annotations

import httpx
import structlog
import trio

from bzzz_agent.settings import ServiceSettings, read_secret
from hmmm.errors import excerpt

log = structlog.get_logger("bzzz.agent.archive")

LONG_POLL_S = 20


class ArchiveClient:
    """Asks the archive how much of a log it durably holds."""

    def __init__(self, settings: ServiceSettings) -> None:
        headers = {"authorization": f"Bearer {read_secret(settings.token_file)}"}
        self._http = httpx.AsyncClient(
            base_url=settings.url, headers=headers, timeout=httpx.Timeout(LONG_POLL_S + 10.0)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def wait_acknowledged(self, key: str, length: int) -> str:
        """Wait until the archive durably holds a log up to a length; return when it said so (ISO 8601).

        Waits for as long as the archive is away: the pull request waits, the rest goes on (issue's bad input).
        """
        said = False
        while True:
            try:
                path = f"/v1/logs/{key}/acknowledged"
                response = await self._http.get(path, params={"length": length, "wait": LONG_POLL_S})
                if response.status_code == 200:
                    return str(response.json().get("signedAt", ""))
                problem = f"{response.status_code} {excerpt(response.text)}"
            except httpx.HTTPError as error:
                problem = repr(error)
                await trio.sleep(1)
            if not said:
                log.warning(
                    "archive does not hold the evidence yet: the pull request waits",
                    length=length,
                    problem=problem,
                )
                said = True
            await trio.sleep(0.2)
