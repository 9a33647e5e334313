"""`python -m bzzz_cli.local.escalation --config FILE`; started by `bzzz local`, ends with it."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from bzzz_cli.local.answers import LocalHive
from bzzz_cli.local.escalation.books import Books
from bzzz_cli.local.escalation.relay import LocalRelay
from bzzz_cli.local.escalation.settings import RelaySettings, load_settings, read_secret
from bzzz_operator.escalation.credentials import Credentials
from bzzz_operator.escalation.endpoint import AnswerEndpoint
from bzzz_operator.logs import configure_logging
from hmmm.errors import BzzzError

LOOPBACK = "127.0.0.1"


def main(argv: list[str] | None = None) -> int:
    """Relay until told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="bzzz_cli.local.escalation", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    path: Path = parser.parse_args(argv).config
    configure_logging("info")
    try:
        asyncio.run(serve(load_settings(path)))
    except (BzzzError, OSError) as error:
        print(f"escalation: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(settings: RelaySettings) -> None:
    """Relay and take answers until SIGTERM or SIGINT. Raises CommandError, OperatorError, OSError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    read_secret(settings.secret)  # what is wrong with it is said at once
    relay = LocalRelay(
        LocalHive(settings.state), settings, Books(settings.state / "escalations" / "books.json")
    )

    async def credentials() -> Credentials:
        return read_secret(settings.secret)

    endpoint = AnswerEndpoint(credentials, relay.take, lambda result: None)  # noqa: ARG005  the log has each
    await endpoint.start(LOOPBACK, settings.answer_port)
    try:
        print(json.dumps({"ready": True, "answerPort": endpoint.port}), flush=True)
        work = asyncio.create_task(relay.run())
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if work in done:
            work.result()
        work.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)
    finally:
        await endpoint.stop()


if __name__ == "__main__":
    sys.exit(main())
