"""Telling the archive which logs to follow: `PUT /v1/logs`, whenever its list is not the one that it should have.

By HTTP and not by a mounted ConfigMap, which lags up to a minute: a new log may not be appended to before the archive
has spoken (contract: archive).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import aiohttp
import orjson

from bzzz_operator.authority import LogAddress
from bzzz_operator.errors import OperatorError
from hmmm.errors import excerpt

TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024


class ArchiveError(OperatorError):
    """The archive could not be told its list."""


class Archive:
    """The archive's list of logs, level-triggered: compared, then replaced whole."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url = url.rstrip("/") + "/v1/logs"
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._accepted: bytes | None = None
        """The list that it last took."""
        self._taken: Sequence[LogAddress] | None = None
        """The same, as it was handed in."""

    async def close(self) -> None:
        """End the connection and forget what was told: until this process acts again, another may tell the archive."""
        session, self._session = self._session, None
        self._accepted = self._taken = None
        if session is not None:
            await session.close()

    def is_current(self, logs: Sequence[LogAddress]) -> bool:
        """Whether the archive has taken this very list from this process."""
        return self._taken is logs or self._accepted == _body(logs)

    async def tell(self, logs: Sequence[LogAddress]) -> bool:
        """See to it that the archive follows these logs; return whether it had to be told.

        Raises ArchiveError.
        """
        body = _body(logs)
        if self._accepted == body and await self._follows() == {(log.node_id, log.key) for log in logs}:
            self._taken = logs
            return False
        await self._call("PUT", body)
        self._accepted, self._taken = body, logs
        return True

    async def _follows(self) -> set[tuple[str, str]]:
        answer = await self._call("GET", None)
        entries = cast("list[dict[str, Any]]", answer.get("logs") or [])
        return {(str(entry.get("nodeId")), str(entry.get("key"))) for entry in entries}

    async def _call(self, method: str, body: bytes | None) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        try:
            async with self._session.request(method, self._url, data=body, headers=headers) as answer:
                text = await answer.content.read(MAX_ANSWER_BYTES)
                if answer.status != 200:
                    shown = excerpt(text.decode(errors="replace"))
                    raise ArchiveError(f"{method} {self._url}: expected 200, came {answer.status}: {shown}")
                found = orjson.loads(text)
        except (TimeoutError, aiohttp.ClientError, OSError, orjson.JSONDecodeError) as error:
            raise ArchiveError(f"{method} {self._url}: {str(error) or type(error).__name__}") from error
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _body(logs: Sequence[LogAddress]) -> bytes:
    return orjson.dumps([log.to_object() for log in sorted(logs, key=lambda log: log.node_id)])
