"""What can go wrong with a cluster for tests; every text names the component, what came, and what to do."""

from __future__ import annotations

from pathlib import Path

from hmmm.errors import BzzzError

LOG_LINES_SHOWN = 12
LOG_BYTES_READ = 64 * 1024


class ClusterError(BzzzError):
    """Root of this package's errors."""


class MissingToolError(ClusterError):
    """The machine lacks a program or a right that the chosen cluster needs; the text says how to get it."""


class ComponentError(ClusterError):
    """A component of the cluster failed or did not become ready; the text ends with its last log lines."""

    def __init__(self, component: str, problem: str, log: Path | None = None) -> None:
        shown = "" if log is None else f"\n{last_lines(log)}\nlog: {log}"
        super().__init__(f"{component}: {problem}{shown}")
        self.component = component
        self.log = log


class UnsupportedError(ClusterError):
    """The chosen kind of cluster cannot do this (for example, cut a node of somebody else's cluster)."""


def last_lines(log: Path, count: int = LOG_LINES_SHOWN) -> str:
    """Return the last lines of a log, indented; says so where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_BYTES_READ))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "  (it has no log yet)"
    lines = text.splitlines()[-count:]
    return "\n".join(f"  | {line[:400]}" for line in lines) or "  (its log is empty)"
