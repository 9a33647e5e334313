"""One agent as a pod starts it: the real process, a real log, a real GitHub server, and an ear on its mesh."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trio
from prometheus_client import CollectorRegistry

from bzzz_mesh import MeshSettings, join
from hmmm.membership import Roster
from hmmm.messages import HIVE_TOPIC, Capabilities, parse_message
from tests.support.discussions import Hive, Node, seed_of
from tests.support.processes import Process, Processes
from tests.support.sidecar import Log, Logs

NODE = "bzzz-0"
GITHUB_TOKEN = "token-of-the-agents-account"
METRICS_TOKEN = "token-of-the-metrics-0123"
FAR = timedelta(days=3650)


@dataclass
class Rig:
    """A folder as the agent's mounts would be, and what runs beside the agent."""

    processes: Processes
    logs: Logs
    folder: Path
    hive: Hive = field(default_factory=Hive)
    repository: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the served repository has beside its name: `source`, `issues`."""

    def __post_init__(self) -> None:
        self.node: Node = self.hive.node(NODE, not_after=datetime.now(UTC) + FAR)
        self.log: Log = self.logs.log(NODE)
        (self.log.folder / "seed").write_text(self.node.log_seed.hex())
        self.github = self._github().ready["url"]
        for name, text in (
            ("mesh.seed", seed_of(f"mesh {self.hive.name} {NODE}").hex()),
            ("members.json", "[]"),
            ("token", secrets.token_hex(16)),
            ("metrics-token", METRICS_TOKEN),
            ("github-token", GITHUB_TOKEN),
            ("termination-log", ""),
        ):
            (self.folder / name).write_text(text)
        self.config: dict[str, Any] = {
            "hive": self.hive.name,
            "hiveKey": self.hive.key.public.hex(),
            "meshSeedFile": self.path("mesh.seed"),
            "membersFile": self.path("members.json"),
            "listen": "/ip4/127.0.0.1/tcp/0",
            "log": {"socket": str(self.log.socket)},
            "archive": {"url": "http://127.0.0.1:1", "tokenFile": self.path("token")},
            "runner": {"socket": self.path("run.sock"), "tokenFile": self.path("token")},
            "stateDir": self.path("state"),
            "publicUrl": "http://127.0.0.1:1",
            "github": {"apiUrl": self.github, "tokenFile": self.path("github-token")},
            "claims": {"pollIntervalS": 0.3},
            "metrics": {"tokenFile": self.path("metrics-token")},
            "podinfoFile": self.path("annotations"),
            "readyFile": self.path("ready"),
            "aliveFile": self.path("alive"),
            "terminationLog": self.path("termination-log"),
            "spec": {
                "github": {"repositories": ["acme/widgets"]},
                "execution": {"type": "command", "plan": "dryRun", "command": ["true"]},
            },
        }

    def path(self, name: str) -> str:
        """Return the path of one of the files."""
        return str(self.folder / name)

    def _github(self) -> Process:
        config = {
            "stateDir": self.path("github-state"),
            "users": [
                {"login": "owner", "token": "token-owner", "permission": "admin"},
                {"login": "bot", "token": GITHUB_TOKEN, "permission": "write"},
            ],
            "repositories": [{"name": "acme/widgets", **self.repository}],
        }
        file = self.folder / "github.json"
        file.write_text(json.dumps(config))
        return self.processes.start("github", [sys.executable, "-m", "bzzz_github_server", "--config", file])

    def write_card(self) -> None:
        """Let the agent's card arrive."""
        (self.folder / "card.json").write_bytes(self.node.card_bytes)

    def start(self, *flags: str, ready_within: float | None = 30.0) -> Process:
        """Start the agent as the pod's command line does."""
        file = self.folder / "agent.json"
        file.write_text(json.dumps(self.config))
        argv = [sys.executable, "-m", "bzzz_agent", "--config", file, "--node-id", NODE]
        argv += ["--card-file", self.path("card.json"), *flags]
        return self.processes.start("agent", argv, ready_within=ready_within)

    @asynccontextmanager
    async def ear(self, agent: Process) -> AsyncGenerator[trio.MemoryReceiveChannel[Capabilities]]:
        """Join the hive as a scribe; gives what the agent says of itself."""
        node = self.hive.node("scribe-0", role="scribe", log_key=None, not_after=datetime.now(UTC) + FAR)
        roster = Roster(self.hive.name, self.hive.key.public, node.card_bytes)
        seed = seed_of(f"mesh {self.hive.name} scribe-0")
        settings = MeshSettings(seed=seed, listen="/ip4/127.0.0.1/tcp/0")
        send, receive = trio.open_memory_channel[Capabilities](100)
        async with join(settings, roster, CollectorRegistry()) as mesh, mesh.subscribe(HIVE_TOPIC) as heard:

            async def listen() -> None:
                async for received in heard:
                    message = parse_message(received.data).message
                    if isinstance(message, Capabilities):
                        await send.send(message)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                await mesh.connect(agent.ready["peerId"], agent.ready["addresses"])
                yield receive
                nursery.cancel_scope.cancel()


async def hear(
    ear: trio.MemoryReceiveChannel[Capabilities], phase: str, *, within: float = 20
) -> Capabilities:
    """Wait until the agent says that it is in a phase that begins so."""
    with trio.fail_after(within):
        async for said in ear:
            if said.phase.startswith(phase):
                return said
    raise AssertionError("the ear is closed")
