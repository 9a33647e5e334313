"""A mesh node as a process of its own, for tests that kill, stop or attack a real one.

The first line on stdin is its configuration, each further line a command; events go to stdout, all as JSON. It listens
on a topic, `bzzz` by default, and says again on that topic's `/echo` what it hears there.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import structlog
import trio
from prometheus_client import CollectorRegistry

import bzzz_mesh
from bzzz_mesh import Mesh, MeshSettings, TimeoutSettings
from hmmm.membership import Roster


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


async def lines() -> Any:
    """Yield stdin's lines as JSON."""
    stdin = trio.lowlevel.FdStream(os.dup(0))
    rest = b""
    async for chunk in stdin:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield json.loads(line)


async def echo(mesh: Mesh, topic: str, task_status: trio.TaskStatus[None]) -> None:
    async with mesh.subscribe(topic) as subscription:
        task_status.started()
        async for received in subscription:
            say("received", author=received.author, data=received.data.decode(errors="replace")[:200])
            await mesh.publish(f"{topic}/echo", received.data[:200])


def metrics(registry: CollectorRegistry) -> dict[str, float]:
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


async def obey(mesh: Mesh, registry: CollectorRegistry, commands: Any) -> None:
    async for command in commands:
        match command["do"]:
            case "metrics":
                say("metrics", id=command["id"], values=metrics(registry))
            case "publish":
                await mesh.publish(command["topic"], command["data"].encode())
            case "stop":
                return


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    commands = lines()
    config = await anext(commands)
    settings = MeshSettings(
        seed=bytes.fromhex(config["seed"]),
        listen=config["listen"],
        bootstrap=tuple(config["bootstrap"]),
        timeouts=TimeoutSettings(**config["timeouts"]),
    )
    roster = Roster(config["hive"], bytes.fromhex(config["hiveKey"]), config["card"].encode())
    registry = CollectorRegistry()
    async with bzzz_mesh.join(settings, roster, registry) as mesh, trio.open_nursery() as nursery:
        await nursery.start(echo, mesh, config["topic"])
        say("ready", peerId=mesh.peer_id, addresses=mesh.addresses)
        await obey(mesh, registry, commands)
        nursery.cancel_scope.cancel()
    say("left")


if __name__ == "__main__":
    trio.run(main)
    sys.exit(0)
