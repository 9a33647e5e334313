"""The archive, read only: a pull request waits until it holds the evidence (architecture §8)."""

from __future__ import annotations

import re
from typing import Annotated, Any

import httpx
import structlog
import trio
from pydantic import BaseModel, Field, ValidationError

from bzzz_agent.log_client import Head, LogError
from bzzz_agent.settings import ServiceSettings, read_secret
from hmmm.base import first_problem
from hmmm.errors import MalformedError, excerpt

log = structlog.get_logger("bzzz.agent.archive")

LONG_POLL_S = 20
SHORT_S = 10.0
MAX_RECORDS_BYTES = 32 * 1024 * 1024

_LINE = re.compile(r'\{"seq":(\d{1,12}),"record":(\{.*\})\}', re.DOTALL)


class _Log(BaseModel):
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    length: Annotated[int, Field(ge=0)]


class _Logs(BaseModel):
    logs: Annotated[tuple[_Log, ...], Field(max_length=4096)]


class ArchiveClient:
    """Asks the archive how much of a log it durably holds."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._token_file = settings.token_file
        self._token = read_secret(settings.token_file)
        self._http = httpx.AsyncClient(base_url=settings.url, timeout=httpx.Timeout(LONG_POLL_S + 10.0))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def lengths(self) -> tuple[tuple[str, int], ...]:
        """Return every log's key and how many records of it the archive holds.

        Raises httpx.HTTPError, MalformedError.
        """
        answer = await self._http.get("/v1/logs", headers=self._headers, timeout=SHORT_S)
        if answer.status_code == 401:  # the token was replaced since: right the next time
            self._token = read_secret(self._token_file)
        answer.raise_for_status()
        try:
            logs = _Logs.model_validate_json(answer.content).logs
        except ValidationError as error:
            raise MalformedError("malformed", f"archive: {first_problem(error)}") from error
        return tuple((one.key, one.length) for one in logs)

    async def records(self, key: str, start: int, end: int) -> tuple[tuple[int, bytes], ...]:
        """Return a log's records from `start` up to, and without, `end`; what is none is left out.

        Raises httpx.HTTPError, MalformedError for an answer that is too large.
        """
        query = {"from": start, "to": end}
        path = f"/v1/logs/{key}/records"
        blocks: list[tuple[int, bytes]] = []
        size = 0
        async with self._http.stream(
            "GET", path, params=query, headers=self._headers, timeout=SHORT_S
        ) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                size += len(line)
                if size > MAX_RECORDS_BYTES:
                    raise MalformedError("too_large", f"archive: expected at most {MAX_RECORDS_BYTES} bytes")
                if match := _LINE.match(line):
                    blocks.append((int(match[1]), match[2].encode()))
        return tuple(blocks)

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"}

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
                response = await self._http.get(path, params=query, headers=self._headers)
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
