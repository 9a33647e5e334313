"""A hive's process in small: a keeper, a supervisor, a few children; runs until it is ended.

supervise.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from bzzz_cli.local.keeper import run_kept
from bzzz_cli.local.processes import Command, Supervisor
from bzzz_cli.local.signals import cancel_on_signals

folder = Path(sys.argv[1])
CHILD = Path(__file__).with_name("child.py")


def command(name: str, *manners: str) -> Command:
    return Command(name, (sys.executable, str(CHILD), str(folder / "journal"), name, *manners))


async def hive() -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, folder / "logs", process_file=folder / "processes.json")
        with trio.CancelScope() as working:
            cancel_on_signals(working)
            await supervisor.start(command("first"))
            await supervisor.start(command("second", "family"), command("third"))
            (folder / "up").touch()
            await trio.sleep_forever()
        await supervisor.stop()
        nursery.cancel_scope.cancel()


def work() -> int:
    trio.run(hive)
    return 7


sys.exit(run_kept(work))
