"""Appending to the log, beside SQLite and a plain file that promise the same: synced to the disk before the answer.

All write records of about 1 KiB to the same disk. The agent's figure is taken with the agent's own client; the others
with a lean one, so that it is the log that is measured and not who asks.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.log_client import LogClient
from bzzz_agent.metrics import AgentMetrics
from tests.support.processes import Processes
from tests.support.sidecar import Log, Logs
from tools.bench.rows import BrokenError, Context, Promise, Row, at_least, at_most, percentile

BYTES = 1024
ALONE = 1000
"""Appends one after the other."""
MANY, MANY_EACH = 64, 50
"""Clients that each append one record at a time, and how often."""
BATCHERS, BATCH, BATCHES = 4, 64, 50
"""Clients that append so many records at once, and how often."""
WARM_UP = 20

Record = dict[str, Any]
Work = Callable[[list[Record]], None]


class Timing:
    """Latencies of single answers, and records a second over all."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self.per_s = 0.0

    def rows(
        self, name: str, peers: dict[str, Timing], p50: Promise | None = None, rate: Promise | None = None
    ) -> list[Row]:
        """Return the rows of one way of appending."""

        def late(percent: float) -> dict[str, float]:
            return {peer: percentile(theirs.ms, percent) for peer, theirs in peers.items()}

        rates = {peer: theirs.per_s for peer, theirs in peers.items()}
        return [
            Row(f"{name}, p50", percentile(self.ms, 50), "ms", promise=p50, peers=late(50)),
            Row(f"{name}, p99", percentile(self.ms, 99), "ms", peers=late(99)),
            Row(f"{name}, rate", self.per_s, "records/s", promise=rate, peers=rates),
        ]


def measure(context: Context) -> Iterator[Row]:
    """Measure the log, then the others, on the same disk."""
    alone, each, batches = context.times(ALONE), context.times(MANY_EACH), context.times(BATCHES)
    with Processes(context.folder) as processes:
        log = Logs(processes, context.folder).log().start()
        log.wait_open()
        agent, lean, many, batched = trio.run(_log, log, alone, each, batches)
        written = int(log.get("/v1/head")["length"])
        log.live.stop()
    expected = 2 * (alone + WARM_UP) + MANY * each + BATCHERS * BATCH * batches
    if written != expected:
        raise BrokenError(f"log: acknowledged {expected} records, it has {written}")
    folder = context.folder
    one = {"SQLite": _sqlite(folder / "1", 1, 1, alone), "file": _file(folder / "2", 1, 1, alone)}
    crowd = {"SQLite": _sqlite(folder / "3", MANY, 1, each), "file": _file(folder / "4", MANY, 1, each)}
    bulk = {
        "SQLite": _sqlite(folder / "5", BATCHERS, BATCH, batches),
        "file": _file(folder / "6", BATCHERS, BATCH, batches),
    }
    yield from agent.rows("agent's client, one at a time", one, p50=at_most(3))
    yield from lean.rows("lean client, one at a time", one)
    yield from many.rows(f"{MANY} clients, one at a time each", crowd)
    yield from batched.rows(f"{BATCHERS} clients, {BATCH} a batch", bulk, rate=at_least(2000))


async def _log(log: Log, alone: int, each: int, batches: int) -> tuple[Timing, Timing, Timing, Timing]:
    client = LogClient(log.socket, AgentMetrics(CollectorRegistry()))
    agent = Timing()
    started = 0.0
    for number in range(-WARM_UP, alone):
        before = time.perf_counter()
        started = started if number > 0 else before
        await client.append(_record(f"agent-{number}"))
        agent.ms += [(time.perf_counter() - before) * 1000] if number >= 0 else []
    agent.per_s = len(agent.ms) / (time.perf_counter() - started)
    await client.aclose()
    await _clients(log.socket, 1, 1, WARM_UP, "warm")
    lean = await _clients(log.socket, 1, 1, alone, "alone")
    many = await _clients(log.socket, MANY, 1, each, "many")
    batched = await _clients(log.socket, BATCHERS, BATCH, batches, "batch")
    return agent, lean, many, batched


async def _clients(socket: Path, clients: int, batch: int, times: int, name: str) -> Timing:
    """Let clients append at the same time, each over a connection of its own."""
    timing = Timing()
    bodies = {
        client: [
            _request([_record(f"{name}-{client}-{turn}-{place}") for place in range(batch)])
            for turn in range(times)
        ]
        for client in range(clients)
    }

    async def one(client: int) -> None:
        stream = await trio.open_unix_socket(socket)
        async with stream:
            for body in bodies[client]:
                before = time.perf_counter()
                await stream.send_all(body)
                await _acknowledged(stream)
                timing.ms.append((time.perf_counter() - before) * 1000)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for client in range(clients):
            nursery.start_soon(one, client)
    timing.per_s = clients * batch * times / (time.perf_counter() - started)
    return timing


def _request(records: list[Record]) -> bytes:
    body = json.dumps({"records": records}, separators=(",", ":")).encode()
    head = "POST /v1/records HTTP/1.1\r\nhost: log\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def _acknowledged(stream: trio.SocketStream) -> None:
    """Read one answer to its end. Raises BrokenError unless it is 201."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += await _some(stream)
    head, _, body = got.partition(b"\r\n\r\n")
    if b" 201 " not in head.split(b"\r\n", 1)[0]:
        raise BrokenError(f"log: expected 201, came {got[:300]!r}")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields[b"content-length"])
    while len(body) < length:
        body += await _some(stream)


async def _some(stream: trio.SocketStream) -> bytes:
    chunk = await stream.receive_some(65536)
    if not chunk:
        raise BrokenError("log: ended a connection before it answered")
    return bytes(chunk)


def _record(record_id: str) -> Record:
    return {"id": record_id, "kind": "bench", "data": {"text": "x" * (BYTES - 60)}}


def _timed(clients: int, batch: int, times: int, append: Work) -> Timing:
    """Let threads append in turn, as users of one file in one process must."""
    timing, turn = Timing(), threading.Lock()

    def one(client: int) -> None:
        for number in range(times):
            records = [_record(f"{client}-{number}-{place}") for place in range(batch)]
            before = time.perf_counter()
            with turn:
                append(records)
            timing.ms.append((time.perf_counter() - before) * 1000)

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for finished in [pool.submit(one, client) for client in range(clients)]:
            finished.result()
    timing.per_s = clients * batch * times / (time.perf_counter() - started)
    return timing


def _sqlite(path: Path, clients: int, batch: int, times: int) -> Timing:
    """A table by id with a write-ahead log, synced in full at every commit."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, record TEXT)")

        def append(records: list[Record]) -> None:
            rows = [(record["id"], json.dumps(record)) for record in records]
            db.execute("BEGIN")
            db.executemany("INSERT INTO records (id, record) VALUES (?, ?)", rows)
            db.execute("COMMIT")

        return _timed(clients, batch, times, append)


def _file(path: Path, clients: int, batch: int, times: int) -> Timing:
    """A file of lines, synced after every write."""
    with path.open("ab", buffering=0) as file:

        def append(records: list[Record]) -> None:
            file.write("".join(f"{json.dumps(record)}\n" for record in records).encode())
            os.fdatasync(file.fileno())

        return _timed(clients, batch, times, append)
