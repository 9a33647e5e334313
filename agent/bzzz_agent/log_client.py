"""The agent's own log, over the sidecar's unix socket (API: docs/log.md).

Log before you speak: an append comes back only once the record is durable. While the sidecar is away, the append
waits and so does everything that would have followed it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import structlog
import trio

from bzzz_agent.metrics import AgentMetrics
from hmmm.envelope import canonical_json
from hmmm.errors import BzzzError, excerpt

log = structlog.get_logger("bzzz.agent.log")

RETRY_FIRST_S = 0.05
RETRY_MOST_S = 2.0
SAY_S = 10.0
"""How often it is said that the log is still away."""


class LogError(BzzzError):
    """The log refused for good; going on would break the evidence."""


@dataclass(frozen=True)
class Head:
    """A log's signed head: what a pull request anchors. Hashes and signature in hex."""

    key: str
    length: int
    tree_hash: str
    signature: str
    fork: int


class LogClient:
    """Appends to and reads from one sidecar."""

    def __init__(self, socket: Path, metrics: AgentMetrics) -> None:
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._http = httpx.AsyncClient(
            transport=transport, base_url="http://log", timeout=httpx.Timeout(30.0)
        )
        self._socket = socket
        self._metrics = metrics
        self.healthy = True
        self._said_s = float("-inf")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def append(self, record: dict[str, Any]) -> int:
        """Append a record and return its sequence once it is durable.

        Waits for as long as the sidecar is away or recovering; appending again under the same id is safe.
        Raises LogError when the log refuses for good.
        """
        body = canonical_json({"records": [record]})
        answer = await self._persist("POST", "/v1/records", body)
        return int(answer["results"][0]["seq"])

    async def head(self) -> Head:
        """Return the signed head."""
        data = await self._persist("GET", "/v1/head")
        return head_of(data)

    async def records(self) -> AsyncIterator[tuple[int, object]]:
        """Read the whole log as (sequence, record as parsed from JSON)."""
        start = 0
        while True:
            data = await self._persist("GET", f"/v1/records?from={start}&limit=1000", lines=True)
            rows = cast("list[dict[str, Any]]", data["lines"])
            for row in rows:
                yield int(row["seq"]), row["record"]
            if not rows:
                return
            start = int(rows[-1]["seq"]) + 1

    async def _persist(
        self, method: str, path: str, body: bytes | None = None, *, lines: bool = False
    ) -> dict[str, Any]:
        delay = RETRY_FIRST_S
        while True:
            try:
                response = await self._http.request(
                    method, path, content=body, headers={"content-type": "application/json"} if body else None
                )
                if response.status_code < 300:
                    self._recovered()
                    return _lines(response.text) if lines else cast("dict[str, Any]", response.json())
                problem = excerpt(response.text)
                if response.status_code not in {429, 500, 502, 503, 504}:
                    raise LogError(
                        f"log {self._socket}: {method} {path} answered {response.status_code}: {problem}"
                    )
            except httpx.HTTPError as error:
                problem = repr(error)
            self._failed(problem)
            await trio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST_S)

    def _failed(self, problem: str) -> None:
        if self.healthy or trio.current_time() - self._said_s >= SAY_S:
            self._said_s = trio.current_time()
            log.warning(
                "log is away: the agent is silent until it is back", socket=str(self._socket), problem=problem
            )
        self.healthy = False
        self._metrics.log_up.set(0)

    def _recovered(self) -> None:
        if not self.healthy:
            log.info("log is back", socket=str(self._socket))
        self.healthy = True
        self._metrics.log_up.set(1)


def head_of(data: dict[str, Any]) -> Head:
    """Read a head as sidecar and archive give it."""
    return Head(
        key=str(data["key"]),
        length=int(data["length"]),
        tree_hash=str(data["treeHash"]),
        signature=str(data["signature"]),
        fork=int(data["fork"]),
    )


def _lines(text: str) -> dict[str, Any]:
    return {"lines": [json.loads(line) for line in text.splitlines() if line.strip()]}
