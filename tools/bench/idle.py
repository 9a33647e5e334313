"""What an agent costs that has nothing to do: memory and processor time of agent, workspace runner and log together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from tools.bench.local_hive import running
from tools.bench.rows import Context, Row, at_most, percentile

AGENTS = 3
SETTLE_S = 12.0
"""The mesh has formed, newcomers have been greeted, start-up garbage is gone."""
WATCH_S = 30.0
PARTS = ("agent", "runner", "log")


@dataclass(frozen=True)
class Cost:
    """One process: bytes, and seconds of processor time since its start."""

    rss: int
    pss: int | None
    cpu_s: float


def measure(context: Context) -> Iterator[Row]:
    """Watch a hive without issues."""
    with running(context, AGENTS, window_s=1) as hive:
        time.sleep(SETTLE_S)
        processes = {
            (part, name): psutil.Process(hive.pids()[f"{part}/{name}"])
            for part in PARTS
            for name in hive.names
        }
        before = {key: _cost(process) for key, process in processes.items()}
        started = time.monotonic()
        time.sleep(WATCH_S * max(1.0, context.scale))
        seconds = time.monotonic() - started
        after = {key: _cost(process) for key, process in processes.items()}
    cpu = {key: 100 * (after[key].cpu_s - before[key].cpu_s) / seconds for key in processes}
    rss = {key: cost.rss / 1e6 for key, cost in after.items()}
    yield _row("processor time", cpu, hive.names, "% of a core", 3)
    if all(cost.pss is not None for cost in after.values()):
        pss = {key: (cost.pss or 0) / 1e6 for key, cost in after.items()}
        note = "PSS: pages that several processes share are divided among them"
        yield _row("memory", pss, hive.names, "MB", 250, note)
    yield _row("memory, shared pages counted in full", rss, hive.names, "MB", 250, "RSS")


def _cost(process: psutil.Process) -> Cost:
    """Measure a process with its children, of which an idle one has none or few."""
    rss = pss = 0
    cpu_s = 0.0
    readable = True
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        cpu_s += times.user + times.system
        rss += one.memory_info().rss
        try:
            pss += one.memory_full_info().pss
        except (psutil.AccessDenied, AttributeError):
            readable = False
    return Cost(rss, pss if readable else None, cpu_s)


def _row(
    name: str,
    values: dict[tuple[str, str], float],
    agents: tuple[str, ...],
    unit: str,
    promise: float,
    note: str = "",
) -> Row:
    """Return the agents' median of the sum over an agent's processes, and what each part has in it."""
    sums = [sum(values[part, agent] for part in PARTS) for agent in agents]
    parts = {part: percentile([values[part, agent] for agent in agents], 50) for part in PARTS}
    story = ", ".join(f"{part} {value:.1f}" for part, value in parts.items())
    return Row(
        f"idle agent, runner and log: {name}",
        percentile(sums, 50),
        unit,
        promise=at_most(promise),
        note=f"{story}{f'; {note}' if note else ''}",
        detail={"agents": sums},
    )
