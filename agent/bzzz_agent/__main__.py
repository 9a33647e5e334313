"""`bzzz-agent --config FILE`: one agent until SIGTERM."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import Any, cast

import trio

from bzzz_agent.fatal import DEFAULT_FILE, say_why
from bzzz_agent.process import run
from bzzz_agent.settings import AgentSettings, load_settings
from hmmm.errors import BzzzError


def main() -> int:
    """Run the agent; returns the exit code."""
    arguments = _parser().parse_args()
    settings: AgentSettings | None = None
    problems: list[BaseException] = []
    try:
        settings = load_settings(arguments.config, _overrides(arguments))
        trio.run(run, settings)
    except* Exception as group:  # the process ends here, whatever it was, and must say why
        problems = leaves(group)
    for problem in problems:
        if not isinstance(problem, BzzzError):
            traceback.print_exception(problem)
    if problems:
        known = [str(p) if isinstance(p, BzzzError) else f"{type(p).__name__}: {p}" for p in problems]
        say_why("; ".join(known), DEFAULT_FILE if settings is None else settings.termination_log)
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bzzz-agent", description="One agent of the hive, until SIGTERM.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the agent's settings")
    parser.add_argument("--node-id", help="this agent's name in the hive; before the file's nodeId")
    parser.add_argument("--card-file", help="its membership card; before the file's cardFile")
    parser.add_argument(
        "--announce",
        action="append",
        metavar="MULTIADDR",
        help="where others reach it, e.g. /ip4/10.0.0.7/tcp/4001; repeatable; before the file's announce",
    )
    return parser


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        "nodeId": arguments.node_id,
        "cardFile": arguments.card_file,
        "announce": arguments.announce,
    }
    return {name: value for name, value in given.items() if value is not None}


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the errors inside a group."""
    found: list[BaseException] = []
    for error in group.exceptions:
        nested = isinstance(error, BaseExceptionGroup)
        found += leaves(cast("BaseExceptionGroup[BaseException]", error)) if nested else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
