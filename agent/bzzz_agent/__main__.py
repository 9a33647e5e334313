"""`python -m bzzz_agent --config FILE`: one agent until SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

import trio

from bzzz_agent.process import run
from bzzz_agent.settings import load_settings
from hmmm.errors import BzzzError


def main() -> int:
    """Run the agent; returns the exit code."""
    parser = argparse.ArgumentParser(prog="bzzz_agent", description="One agent of the hive, until SIGTERM.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the agent's settings")
    arguments = parser.parse_args()
    problems: list[BaseException] = []
    try:
        trio.run(run, load_settings(arguments.config))
    except* BzzzError as group:
        problems = leaves(cast("BaseExceptionGroup[BaseException]", group))
    for problem in problems:
        print(f"bzzz_agent: {problem}", file=sys.stderr)
    return 1 if problems else 0


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the errors inside a group."""
    found: list[BaseException] = []
    for error in group.exceptions:
        nested = isinstance(error, BaseExceptionGroup)
        found += leaves(cast("BaseExceptionGroup[BaseException]", error)) if nested else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
