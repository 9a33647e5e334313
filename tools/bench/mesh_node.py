"""One node of our mesh, driven by lines of JSON on stdin, answers on stdout; js-libp2p/node.mjs speaks the same.

python -m tools.bench.mesh_node
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio
from prometheus_client import CollectorRegistry

import bzzz_mesh
from bzzz_mesh import LimitSettings, Mesh, MeshSettings
from hmmm.membership import Roster

Json = dict[str, Any]

UNLIMITED = LimitSettings(author_messages_per_s=1e6, author_burst=1_000_000)
"""The product cuts an author at 50 messages a second; flat out means without that. Nothing else differs."""


def say(event: str, **fields: Any) -> None:
    """Print one answer."""
    print(json.dumps({"event": event, **fields}), flush=True)


async def commands() -> AsyncIterator[Json]:
    """Yield stdin's lines as JSON."""
    stdin = trio.lowlevel.FdStream(os.dup(0))
    rest = b""
    async for chunk in stdin:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield json.loads(line)


@dataclass
class Phase:
    """One stretch of traffic: what this node says in it and what it heard."""

    name: str
    publish: int
    rate: float
    size: int
    expect: int
    cpu_s: float = field(default_factory=time.process_time)
    published: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    latencies: dict[str, float] = field(default_factory=dict[str, float])

    def hear(self, data: bytes) -> None:
        """Take in a message, in milliseconds from just before its publication."""
        now = time.monotonic_ns()
        name, sender, number, sent, _ = data.split(b" ", 4)
        key = f"{sender.decode()}-{number.decode()}"
        if name.decode() == self.name and key not in self.latencies:
            self.latencies[key] = (now - int(sent)) / 1e6
            self.last_ns = now
            self.check_done()

    def check_done(self) -> None:
        """Say so once everything was said and heard."""
        if self.published == self.publish and len(self.latencies) == self.expect:
            say("done")

    async def speak(self, mesh: Mesh, topic: str, sender: int) -> None:
        """Publish at the rate asked for; 0 means flat out."""
        started = trio.current_time()
        for number in range(self.publish):
            if self.rate:
                await trio.sleep_until(started + number / self.rate)
            now = time.monotonic_ns()
            self.first_ns = self.first_ns or now
            await mesh.publish(topic, f"{self.name} {sender} {number} {now} ".ljust(self.size, "x").encode())
            self.published += 1
        self.check_done()

    def report(self) -> None:
        """Say what was measured."""
        cpu_ms = (time.process_time() - self.cpu_s) * 1000
        say(
            "report",
            latencies=self.latencies,
            firstNs=self.first_ns,
            lastNs=self.last_ns,
            cpuMs=cpu_ms,
        )


async def main() -> None:
    """Join, then obey."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    lines = commands()
    config = await anext(lines)
    topic: str = config["topic"]
    settings = MeshSettings(
        seed=bytes.fromhex(config["seed"]), bootstrap=tuple(config["peers"]), limits=UNLIMITED
    )
    roster = Roster(config["hive"], bytes.fromhex(config["hiveKey"]), config["card"].encode())
    phases: list[Phase] = []

    async def listen(subscription: bzzz_mesh.Subscription) -> None:
        async for received in subscription:
            if phases:
                phases[-1].hear(received.data)

    async def join() -> None:
        while len(mesh.on_topic(topic)) < config["others"]:
            await trio.sleep(0.05)
        say("joined")

    async with (
        bzzz_mesh.join(settings, roster, CollectorRegistry()) as mesh,
        mesh.subscribe(topic) as subscription,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(listen, subscription)
        say("ready", address=mesh.addresses[0])
        async for command in lines:
            match command.pop("do"):
                case "join":
                    nursery.start_soon(join)
                case "arm":
                    phases.append(Phase(**command))
                    say("armed")
                case "go":
                    nursery.start_soon(phases[-1].speak, mesh, topic, config["number"])
                case "report":
                    phases[-1].report()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
