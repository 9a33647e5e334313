"""A hive for the mesh's tests: keys, cards and rosters made by a real authority, nodes on real sockets."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import trio
from prometheus_client import CollectorRegistry

import bzzz_mesh
from bzzz_mesh import LimitSettings, Mesh, MeshSettings, TimeoutSettings
from hmmm.envelope import SigningKey
from hmmm.membership import MembershipCard, Revocation, Revocations, Roster, sign_card, sign_revocations

FAST = TimeoutSettings(
    exchange_s=1.5,
    redial_first_s=0.1,
    redial_max_s=0.5,
    beat_s=0.3,
    silent_s=3.0,
    linger_s=0.2,
    drain_s=0.5,
    goodbye_s=0.3,
)


def seed_of(number: int) -> bytes:
    return sha256(f"node {number}".encode()).digest()


@dataclass
class Node:
    """A running node and what the test wants to know of it."""

    mesh: Mesh
    registry: CollectorRegistry
    roster: Roster

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"bzzz_mesh_{name}", labels) or 0.0

    def dropped(self, reason: str) -> float:
        return self.count("messages_dropped_total", reason=reason)

    def refused(self, reason: str) -> float:
        return self.count("peers_refused_total", reason=reason)

    def status(self, other: Node | str) -> bzzz_mesh.PeerStatus:
        peer_id = other if isinstance(other, str) else other.mesh.peer_id
        return next(status for status in self.mesh.peers() if status.peer_id == peer_id)

    def sees(self, *others: Node) -> bool:
        return all(self.sees_id(other.mesh.peer_id) for other in others)

    def sees_id(self, peer_id: str) -> bool:
        return peer_id in {status.peer_id for status in self.mesh.peers() if status.connected}


@dataclass
class Hive:
    """An authority and the nodes it vouches for."""

    name: str = "local"
    key: SigningKey = field(default_factory=lambda: SigningKey.hive(sha256(b"hive").digest()))
    serial: int = 0

    def card(self, number: int, **changes: Any) -> bytes:
        self.serial += 1
        now = datetime.now(UTC)
        fields: dict[str, Any] = {
            "hive": self.name,
            "serial": self.serial,
            "node_id": f"bzzz-{number}",
            "peer_id": SigningKey.mesh(seed_of(number)).key_id,
            "log_key": f"{number:064x}",
            "role": "agent",
            "not_before": now - timedelta(hours=1),
            "not_after": now + timedelta(hours=1),
        }
        return sign_card(MembershipCard(**fields | changes), self.key)

    def roster(self, number: int, **changes: Any) -> Roster:
        return Roster(self.name, self.key.public, self.card(number, **changes))

    def revocations(self, version: int, *serials: int) -> bytes:
        at = datetime.now(UTC) - timedelta(seconds=1)
        revoked = tuple(Revocation(serial=serial, revoked_at=at) for serial in serials)
        return sign_revocations(Revocations(hive=self.name, version=version, revoked=revoked), self.key)

    @asynccontextmanager
    async def node(
        self,
        number: int,
        *others: Node | str,
        roster: Roster | None = None,
        limits: LimitSettings | None = None,
        timeouts: TimeoutSettings = FAST,
        **settings: Any,
    ) -> AsyncIterator[Node]:
        bootstrap = tuple(other if isinstance(other, str) else other.mesh.addresses[0] for other in others)
        registry = CollectorRegistry()
        roster = roster or self.roster(number)
        chosen = MeshSettings(
            seed=seed_of(number),
            bootstrap=bootstrap,
            limits=limits or LimitSettings(),
            timeouts=timeouts,
            **settings,
        )
        async with bzzz_mesh.join(chosen, roster, registry) as mesh:
            yield Node(mesh, registry, roster)

    @asynccontextmanager
    async def nodes(self, count: int, **options: Any) -> AsyncIterator[list[Node]]:
        """Several nodes, fully connected."""
        async with trio.open_nursery() as nursery:
            started: list[Node] = []
            leave = trio.Event()
            left = [trio.Event() for _ in range(count)]

            async def run(number: int, task_status: trio.TaskStatus[Node]) -> None:
                async with self.node(number, *started, **options) as node:
                    task_status.started(node)
                    await leave.wait()
                left[number].set()

            for number in range(count):
                started.append(await nursery.start(run, number))
            try:
                for node in started:
                    others = [other for other in started if other is not node]
                    await until(lambda node=node, others=others: node.sees(*others))
                yield started
            finally:
                leave.set()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Poll a condition under a deadline."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.02)


async def take(subscription: bzzz_mesh.Subscription, count: int, seconds: float = 30.0) -> list[bytes]:
    """Read so many messages under a deadline."""
    got: list[bytes] = []
    with trio.fail_after(seconds):
        while len(got) < count:
            got.append((await subscription.receive()).data)
    return got


class NodeProcess:
    """A node in a process of its own (node.py)."""

    def __init__(
        self,
        hive: Hive,
        number: int,
        *others: str,
        listen: str = "/ip4/127.0.0.1/tcp/0",
        topic: str = "bzzz",
    ) -> None:
        self.number = number
        self.events: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(Path(__file__).with_name("node.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.errors = bytearray()
        self._threads = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._write(
            {
                "seed": seed_of(number).hex(),
                "listen": listen,
                "bootstrap": list(others),
                "topic": topic,
                "timeouts": asdict(FAST),
                "hive": hive.name,
                "hiveKey": hive.key.public.hex(),
                "card": hive.card(number).decode(),
            }
        )
        self._questions = 0

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def ready(self) -> dict[str, Any] | None:
        return next((event for event in self.events if event["event"] == "ready"), None)

    def received(self) -> list[str]:
        return [event["data"] for event in self.events if event["event"] == "received"]

    def do(self, command: str, **fields: Any) -> None:
        self._write({"do": command, **fields})

    async def metrics(self) -> dict[str, float]:
        self._questions += 1
        self.do("metrics", id=self._questions)

        def answer() -> dict[str, Any] | None:
            return next((event for event in self.events if event.get("id") == self._questions), None)

        await until(lambda: answer() is not None)
        found = answer()
        assert found is not None
        return found["values"]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """End the process however it is; idempotent."""
        if self.alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)
        for thread in self._threads:
            thread.join(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def _write(self, value: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
