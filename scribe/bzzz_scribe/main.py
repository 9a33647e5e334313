"""`python -m bzzz_scribe --config FILE`: every part made, wired and run; ended cleanly by SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
import trio
from prometheus_client import CollectorRegistry

from bzzz_mesh import Directory, Mesh, MeshSettings, join, read_members
from bzzz_scribe.api import Api
from bzzz_scribe.archive import ArchiveClient
from bzzz_scribe.bundles import BundleMaker
from bzzz_scribe.carrier import Carrier, Speaker
from bzzz_scribe.errors import SettingsError, StoreError
from bzzz_scribe.follow import Follower
from bzzz_scribe.keeper import Keeper
from bzzz_scribe.kubernetes.parts import cluster_of
from bzzz_scribe.logs import set_up_logs
from bzzz_scribe.metrics import ScribeMetrics
from bzzz_scribe.offered import OfferedVerdicts
from bzzz_scribe.owners import Owners
from bzzz_scribe.readiness import Readiness
from bzzz_scribe.server import HttpServer
from bzzz_scribe.settings import (
    ScribeSettings,
    load_settings,
    read_file,
    read_hive_key,
    read_secret,
    read_seed,
)
from bzzz_scribe.sqlite_store import SqliteStore
from bzzz_scribe.watch import Watcher
from hmmm.envelope import SigningKey
from hmmm.errors import BzzzError, RemoteProtocolError
from hmmm.membership import Roster

LAST_WRITE_S = 5.0
Task = Callable[[], Awaitable[None]]

log = structlog.get_logger("bzzz.scribe")


def main(arguments: list[str] | None = None) -> int:
    """Run the scribe until it is told to end; return the exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="bzzz_scribe", description="The hive's observer on the mesh.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="JSON configuration")
    parser.add_argument(
        "--announce",
        action="append",
        default=[],
        metavar="MULTIADDR",
        help="where others reach it, e.g. /ip4/10.0.0.7/tcp/4001; repeatable; before the file's announce",
    )
    options = parser.parse_args(arguments)
    set_up_logs()
    try:
        settings = load_settings(options.config, tuple(options.announce))
        trio.run(run, settings, strict_exception_groups=True)
    except (BzzzError, OSError) as error:
        log.error("scribe cannot run", error=str(error))
        return 1
    return 0


async def run(settings: ScribeSettings) -> None:
    """Run the scribe until SIGTERM or SIGINT.

    Raises SettingsError, StoreError, ClusterSettingsError, MeshError, OSError when it cannot start.
    """
    hive_key = read_hive_key(settings)
    seed = read_seed(settings.mesh_seed_file)
    roster = _roster(settings, hive_key, seed)
    registry = CollectorRegistry()
    metrics = ScribeMetrics(registry)
    owners = Owners(settings.hive, hive_key)
    owners.set_members(read_members(settings.members_file))
    cluster = cluster_of(settings, metrics, _now)
    store = SqliteStore(settings.state_file)
    outlets = () if cluster is None else (cluster.outlet,)
    keeper = Keeper(store, owners, settings.repositories, metrics, _now, outlets)
    archive = ArchiveClient(settings.archive.url, read_secret(settings.archive.token_file))
    bundles = BundleMaker(keeper, archive, settings.hive, hive_key, lambda: roster.revocations_bytes)
    readiness = Readiness(
        keeper.caught_up.is_set, None if cluster is None else lambda: cluster.outlet.reached
    )
    offered = OfferedVerdicts(keeper, hive_key) if cluster is None else None
    api = Api(keeper, bundles, metrics, readiness, offered)
    server = HttpServer(api.application(), settings.http.host, settings.http.port)
    try:
        await keeper.restore()
        mesh_settings = MeshSettings(seed=seed, listen=settings.listen, announce=settings.announce)
        async with join(mesh_settings, roster, registry) as mesh:
            readiness.mesh = True
            directory = Directory(
                mesh,
                settings.members_file,
                settings.revocations_file,
                owners.set_members,
                settings.card_file,
            )
            key = SigningKey.mesh(seed)
            watcher = Watcher(mesh, directory, roster, key, keeper, metrics, _now)
            tasks: list[Task] = [keeper.outbox.run, Follower(archive, keeper).run, watcher.run]
            speaker = Speaker(settings.node_id, key, hive_key)
            if offered is not None:
                tasks.append(partial(offered.run, Carrier(mesh, speaker, metrics, _now)))
            if cluster is not None:
                tasks += cluster.tasks(mesh, directory, owners.set_members, speaker, keeper.caught_up)
            await _serve(settings, keeper, tasks, server, mesh)
    finally:
        with trio.move_on_after(LAST_WRITE_S, shield=True):
            await _close(keeper, archive)
            if cluster is not None:
                await cluster.aclose()
        store.close()


async def _serve(
    settings: ScribeSettings, keeper: Keeper, tasks: Sequence[Task], server: HttpServer, mesh: Mesh
) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_until_signal, stop)
        for task in tasks:
            nursery.start_soon(task)
        nursery.start_soon(_announce_ready, server, mesh, settings)
        nursery.start_soon(_end_streams, keeper, stop)
        await server.run(stop)
        nursery.cancel_scope.cancel()


async def _announce_ready(server: HttpServer, mesh: Mesh, settings: ScribeSettings) -> None:
    ready = {
        "ready": True,
        "url": server.url,
        "nodeId": settings.node_id,
        "peerId": mesh.peer_id,
        "addresses": list(mesh.addresses),
    }
    print(json.dumps(ready), flush=True)
    log.info("scribe is ready", url=server.url, public_url=settings.public_url, peer_id=mesh.peer_id)


async def _end_streams(keeper: Keeper, stop: trio.Event) -> None:
    await stop.wait()
    keeper.changes.close()


async def _until_signal(
    stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("ending", signal=signal.Signals(number).name)
            stop.set()
            return


async def _close(keeper: Keeper, archive: ArchiveClient) -> None:
    """Write what is still to be written. What a full disk keeps out comes again from the archive."""
    try:
        await keeper.outbox.flush()
    except StoreError as error:
        log.warning("last changes not stored; they are read again from the archive", error=str(error))
    await archive.aclose()


def _roster(settings: ScribeSettings, hive_key: bytes, seed: bytes) -> Roster:
    """Make the roster from the own card. Raises SettingsError when the card is not this scribe's."""
    raw = read_file(settings.card_file, "the membership card")
    try:
        roster = Roster(settings.hive, hive_key, raw)
        if settings.revocations_file is not None:
            roster.revoke(read_file(settings.revocations_file, "the revocations"))
    except RemoteProtocolError as error:
        raise SettingsError(f"{settings.card_file}: {error}") from error
    peer_id = SigningKey.mesh(seed).key_id
    if roster.own.peer_id != peer_id or roster.own.role != "scribe":
        raise SettingsError(
            f"{settings.card_file}: expected a scribe's card for peer {peer_id}, "
            f"got one of role {roster.own.role} for {roster.own.peer_id}; ask the authority for one that fits"
        )
    return roster


def _now() -> datetime:
    return datetime.now(UTC)
