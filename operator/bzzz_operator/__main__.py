"""`python -m bzzz_operator run --config FILE` and `crds-apply`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Final

from bzzz_operator.crds import apply_definitions
from bzzz_operator.logs import configure_logging
from bzzz_operator.run import run, run_coroutine
from bzzz_operator.settings import load_settings
from hmmm.errors import BzzzError

TERMINATION_LOG: Final = Path("/dev/termination-log")


def main(argv: list[str] | None = None) -> int:
    """Be the operator, or apply the definitions; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="bzzz_operator", description="Runs a hive of coding agents on Kubernetes."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="reconcile the HiveAgents of one namespace until SIGTERM")
    runs.add_argument("--config", type=Path, required=True, help="operator.json (docs/operator.md)")
    commands.add_parser("crds-apply", help="apply the definitions of HiveAgent and MetaDiscussion, and wait")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "crds-apply":
            configure_logging("info")
            return run_coroutine(apply_definitions())
        settings = load_settings(arguments.config)
        configure_logging(settings.log_level)
        return run(settings)
    except (BzzzError, TimeoutError, OSError) as error:
        text = f"bzzz_operator: {error or type(error).__name__}"
        print(text, file=sys.stderr)
        if TERMINATION_LOG.is_file():  # kubelet made it, and `kubectl describe` shows it
            with contextlib.suppress(OSError):
                TERMINATION_LOG.write_text(text)
        return 1


if __name__ == "__main__":
    sys.exit(main())
