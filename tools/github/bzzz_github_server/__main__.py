"""`python -m bzzz_github_server --config FILE`: one ready line on stdout, logs on stderr, SIGTERM ends it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import structlog

from bzzz_github_server import seeding
from bzzz_github_server.errors import ServerError
from bzzz_github_server.faults import Faults
from bzzz_github_server.gateway import Gateway
from bzzz_github_server.limits import Limits
from bzzz_github_server.recorder import Recorder
from bzzz_github_server.server import Server
from bzzz_github_server.settings import Settings, load
from bzzz_github_server.world import World

_log = structlog.get_logger("bzzz_github_server")


def main() -> int:
    """Run the server until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="bzzz_github_server", description="A GitHub to run a hive against")
    parser.add_argument("--config", type=Path, required=True, help="JSON; see docs/local-github.md")
    arguments = parser.parse_args()
    _log_to_stderr()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        return _run(load(arguments.config), stop)
    except ServerError as problem:
        _log.error("cannot_run", problem=str(problem))
        return 1


def _run(settings: Settings, stop: threading.Event) -> int:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        server = Server(settings.host, settings.port)
    except OSError as problem:
        raise ServerError(
            f"expected port {settings.port} of {settings.host} free, got {problem}"
        ) from problem
    with server, Recorder(settings.record) as recorder:
        world = seeding.build(settings, authority_of(settings, server))
        try:
            gateway = Gateway(world, Limits(settings.limits), Faults(settings.faults), recorder)
            threading.Thread(target=server.serve, args=(gateway,), name="server", daemon=True).start()
            threading.Thread(target=_watch, args=(world, stop), name="emulator-watch", daemon=True).start()
            print(json.dumps({"ready": True, "url": world.origin, "port": server.server_port}), flush=True)
            stop.wait()
            server.shutdown()
            died = world.emulator.died
        finally:
            world.emulator.close()
    if died:
        raise ServerError(
            "expected the emulator to run as long as the server, but it ended; see its output above"
        )
    _log.info("stopped")
    return 0


def authority_of(settings: Settings, server: Server) -> str:
    """Return host:port as clients have it."""
    return server.authority if settings.origin is None else settings.origin.removeprefix("http://")


def _watch(world: World, stop: threading.Event) -> None:
    """Stop the server when the emulator is gone."""
    world.emulator.wait()
    stop.set()


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Threads may be inside a request that waits; they must not hold up the end.
    os._exit(code)
