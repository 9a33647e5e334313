"""Latency and delivery on the mesh, beside a js-libp2p mesh of the same size and degree: real processes on loopback.

Each size is started once and goes through three phases: one node at 20 messages a second, one node flat out, all nodes
flat out. All messages have 1 KiB. Every process stamps with the same monotonic clock of the machine.

The harness says to each node: its configuration, `join` (answered `joined` once all others are on the topic), and for
each phase `arm`, `go`, `report`; a node says `done` when it has published and heard everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import trio

from hmmm.envelope import SigningKey
from hmmm.membership import MembershipCard, sign_card
from tools.bench import js_libp2p
from tools.bench.rows import Context, Row, at_most, percentile

Json = dict[str, Any]

SIZES = (2, 8, 16)
DEGREE = (3, 2, 4)
"""D, D_lo, D_hi: what our mesh runs with (bzzz_mesh.settings.GossipSettings), and js-libp2p beside it."""
TOPIC = "bzzz/meta/issue/42"
BYTES = 1024
RATE = 20.0
RATE_S = 6.0
FLAT_OUT = {2: 1600, 8: 400, 16: 160}
"""Messages of a flat-out phase, over all publishers: two to four seconds' worth."""
WARM_UP = 100
"""Messages that nobody counts: a compiler that learns while it runs (V8's) gets something to learn from."""
SETTLE_S = 2.5
"""Two heartbeats after everybody sees everybody: the meshes have grafted."""
START_S = 90.0
PHASE_S = 40.0
"""A phase that is not over by then has lost messages; what arrived is counted."""
OURS, PEER = "bzzz", "js-libp2p"


@dataclass(frozen=True)
class Phase:
    """One stretch of traffic: how many messages each node publishes, at which rate (0 = flat out)."""

    name: str
    publish: tuple[int, ...]
    rate: float

    @property
    def messages(self) -> int:
        """Messages in all."""
        return sum(self.publish)


@dataclass(frozen=True)
class Measured:
    """What became of a phase."""

    p50_ms: float
    p99_ms: float
    named_p99_ms: float
    """Until both of two named nodes had it, as a claimant's plan must reach both reviewers."""
    delivered: float
    """Percent."""
    per_s: float
    """Messages a second, from the first publication to the last arrival."""
    cpu_ms: float
    """A delivery, over all nodes."""


def measure(context: Context) -> Iterator[Row]:
    """Measure ours and the peer at each size."""
    peer = js_libp2p.installed(context.say)
    for size in SIZES:
        ours = trio.run(_mesh, context, size, OURS, [sys.executable, "-m", "tools.bench.mesh_node"])
        theirs = trio.run(_mesh, context, size, PEER, peer) if peer else {}
        yield from _rows(size, ours, theirs)


def _phases(context: Context, size: int) -> list[Phase]:
    def one(messages: int) -> tuple[int, ...]:
        return (messages, *([0] * (size - 1)))

    flat = context.times(FLAT_OUT[size], least=size)
    return [
        Phase("warm", one(WARM_UP), 0),
        Phase("rate", one(context.times(round(RATE * RATE_S), least=20)), RATE),
        Phase("flat1", one(flat), 0),
        Phase("flatall", (flat // size,) * size, 0),
    ]


async def _mesh(context: Context, size: int, kind: str, command: list[str]) -> dict[str, Measured]:
    context.say(f"{kind}, {size} nodes")
    async with _nodes(context, size, kind, command) as nodes:
        return {phase.name: await _phase(nodes, phase) for phase in _phases(context, size)}


class Node:
    """A node's process and what it says."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._rest = b""
        self._heard: list[Json] = []

    async def say(self, **command: Any) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps(command).encode() + b"\n")

    async def wait(self, event: str) -> Json:
        """Return the next event of a kind. Raises RuntimeError when the process ends before."""
        assert self._process.stdout is not None
        while True:
            for index, heard in enumerate(self._heard):
                if heard["event"] == event:
                    return self._heard.pop(index)
            chunk = await self._process.stdout.receive_some(65536)
            if not chunk:
                raise RuntimeError(f"a mesh node ended before {event}; its log is in the bench's folder")
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._heard += [json.loads(line) for line in lines]

    def forget(self) -> None:
        """Forget what was said before a new phase."""
        self._heard.clear()


@asynccontextmanager
async def _nodes(context: Context, size: int, kind: str, command: list[str]) -> AsyncIterator[list[Node]]:
    """Start nodes, each connected to all before it; end them for sure."""
    hive = SigningKey.hive(sha256(b"bench").digest())
    processes: list[trio.Process] = []
    try:
        nodes: list[Node] = []
        addresses: list[str] = []
        with trio.fail_after(START_S):
            for number in range(size):
                with (context.folder / f"{kind}-{size}-{number}.log").open("wb") as log:
                    process = await trio.lowlevel.open_process(
                        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
                    )
                processes.append(process)
                nodes.append(Node(process))
                await nodes[-1].say(**_config(hive, number, size, addresses))
                addresses.append((await nodes[-1].wait("ready"))["address"])
            for node in nodes:
                await node.say(do="join")
            for node in nodes:
                await node.wait("joined")
        await trio.sleep(SETTLE_S)
        yield nodes
    finally:
        with trio.CancelScope(shield=True):
            for process in processes:
                process.kill()
            for process in processes:
                await process.wait()


def _config(hive: SigningKey, number: int, size: int, addresses: list[str]) -> Json:
    seed = sha256(f"bench {number}".encode()).digest()
    now = datetime.now(UTC)
    card = MembershipCard(
        hive="bench",
        serial=number + 1,
        node_id=f"bench-{number}",
        peer_id=SigningKey.mesh(seed).key_id,
        log_key=f"{number:064x}",
        role="agent",
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(hours=1),
    )
    membership = {
        "hive": "bench",
        "hiveKey": hive.public.hex(),
        "card": sign_card(card, hive).decode(),
    }
    mesh = {"number": number, "others": size - 1, "seed": seed.hex(), "topic": TOPIC, "peers": addresses}
    return membership | mesh | {"degree": DEGREE}


async def _phase(nodes: list[Node], phase: Phase) -> Measured:
    for node, publish in zip(nodes, phase.publish, strict=True):
        node.forget()
        expect = phase.messages - publish
        await node.say(do="arm", name=phase.name, publish=publish, rate=phase.rate, size=BYTES, expect=expect)
    for node in nodes:
        await node.wait("armed")
    for node in nodes:
        await node.say(do="go")
    with trio.move_on_after(PHASE_S):
        for node in nodes:
            await node.wait("done")
    for node in nodes:
        await node.say(do="report")
    return _measured(phase, [await node.wait("report") for node in nodes])


def _measured(phase: Phase, reports: list[Json]) -> Measured:
    latencies = [ms for report in reports for ms in report["latencies"].values()]
    wanted = sum(phase.messages - publish for publish in phase.publish)
    firsts = [report["firstNs"] for report in reports if report["firstNs"] is not None]
    lasts = [report["lastNs"] for report in reports if report["lastNs"] is not None]
    span_s = (max(lasts) - min(firsts)) / 1e9 if firsts and lasts else float("nan")
    named = [report["latencies"] for report in reports[1:3]]
    both = [max(heard[key] for heard in named) for key in named[0] if all(key in heard for heard in named)]
    return Measured(
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        named_p99_ms=percentile(both, 99),
        delivered=100 * len(latencies) / wanted,
        per_s=phase.messages / span_s,
        cpu_ms=sum(report["cpuMs"] for report in reports) / max(1, len(latencies)),
    )


def _rows(size: int, ours: dict[str, Measured], theirs: dict[str, Measured]) -> Iterator[Row]:
    def row(name: str, phase: str, figure: str, unit: str, **more: Any) -> Row:
        peers = {PEER: getattr(theirs[phase], figure)} if phase in theirs else {}
        return Row(f"{size} nodes, {name}", getattr(ours[phase], figure), unit, peers=peers, **more)

    yield row("20 msg/s, p50", "rate", "p50_ms", "ms")
    yield row("20 msg/s, p99", "rate", "p99_ms", "ms")
    if size == 8:
        note = "publication until both of two named nodes have it"
        yield row("20 msg/s, all named, p99", "rate", "named_p99_ms", "ms", promise=at_most(250), note=note)
    yield row("1 publisher flat out", "flat1", "per_s", "msg/s")
    yield row("all publish flat out", "flatall", "per_s", "msg/s")
    yield row("CPU a delivery, all flat out", "flatall", "cpu_ms", "ms")
    lowest = min(("rate", "flat1", "flatall"), key=lambda phase: ours[phase].delivered)
    yield row("delivered, worst phase", lowest, "delivered", "%", note=f"phase {lowest}")
