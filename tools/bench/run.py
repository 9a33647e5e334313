"""`make bench`: measure what the architecture promises in numbers, beside peers where there are any.

    python -m tools.bench.run                  all benches, short: twenty minutes on two cores
    python -m tools.bench.run mesh append      some of them
    BENCH_SCALE=5 python -m tools.bench.run    more repetitions

Prints a table and writes build/bench/results.json, and the table as results.md. A figure that falls short is said and
is no failure; the exit code is 1 only if something broke: a bench that could not be run, an issue claimed twice, a
record lost.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console

from tools.bench.rows import BrokenError, Context, Row, plain
from tools.bench.table import markdown, rich_table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "bench"
BENCHES = {
    "claims": "claim_race",
    "append": "append_log",
    "recovery": "recovery",
    "idle": "idle",
    "overhead": "overhead",
    "loss": "message_loss",
    "mesh": "mesh_gossip",
    "operator": "operator",
    "debate": "debate",
    "escalation": "escalation",
    "knowledge": "knowledge",
}
"""Name on the command line → module, in the order in which they run."""
SOCKET_ROOM = 60
"""A unix socket's path has 107 bytes at most; the folders below the bench's own need so many of them."""

Measure = Callable[[Context], Iterator[Row]]


def main(names: list[str]) -> int:
    """Run benches by name, all if none is named; return the exit code."""
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        print(f"bench: expected some of {', '.join(BENCHES)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    scale = _scale()
    # Retries are what some benches provoke; their rows say how many.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    RESULTS.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    outcomes: dict[str, dict[str, Any]] = {}
    rows: dict[str, list[Row]] = {}
    for name in [known for known in BENCHES if not names or known in names]:
        rows[name], outcomes[name] = _run(name, scale, console)
    _print(rows, outcomes)
    result = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scale": scale,
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "benches": outcomes,
    }
    (RESULTS / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    return 1 if any(outcome["broken"] for outcome in outcomes.values()) else 0


def _scale() -> float:
    text = os.environ.get("BENCH_SCALE") or "1"
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1000:
        raise SystemExit(f"BENCH_SCALE: expected a number above 0 and up to 1000, got {text!r}")
    return scale


def _run(name: str, scale: float, console: Console) -> tuple[list[Row], dict[str, Any]]:
    """Run one bench; whatever goes wrong in it is kept for the end."""
    started = time.monotonic()
    load = os.getloadavg()[0]
    rows: list[Row] = []
    broken = ""
    folder = _folder()

    def say(text: str) -> None:
        console.print(f"bench {name}: {text}", highlight=False)

    say(f"begins, load of the machine {load:.1f}")
    try:
        measure: Measure = import_module(f"tools.bench.{BENCHES[name]}").measure
        for row in measure(Context(scale, folder, say)):
            rows.append(row)
            say(f"{row.name}: {plain(row.figure)} {row.unit}")
    except BrokenError as error:
        broken = str(error)
    except Exception:
        broken = f"could not be measured: {traceback.format_exc().strip().splitlines()[-1]}"
        traceback.print_exc()
        kept = RESULTS / f"failed-{name}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept, ignore_dangling_symlinks=True, ignore=_sockets)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.monotonic() - started, 1)
    say(f"ended after {seconds} s" + (f", BROKEN: {broken}" if broken else ""))
    return rows, {
        "seconds": seconds,
        "load": load,
        "broken": broken,
        "rows": [row.to_object() for row in rows],
    }


def _folder() -> Path:
    """Make an empty folder on the disk of the checkout (a folder in memory would make every sync free)."""
    parent = RESULTS if len(str(RESULTS)) + SOCKET_ROOM < 108 else None
    return Path(tempfile.mkdtemp(prefix="b-", dir=parent))


def _sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}


def _print(rows: dict[str, list[Row]], outcomes: dict[str, dict[str, Any]]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=150)
    console.print(rich_table(rows, {name: outcome["broken"] for name, outcome in outcomes.items()}))
    (RESULTS / "results.md").write_text(markdown(rows))
    console.print(f"written to {(RESULTS / 'results.json').relative_to(ROOT)} and results.md beside it")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
