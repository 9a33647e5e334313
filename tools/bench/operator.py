"""The hive on Kubernetes in numbers: HiveAgents by the hundred, pods on a real cluster, the scribe's status writes.

`make bench-operator`. The first and the last need an API server only and run everywhere; pods need a cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.operator.rig import prepare
from tests.support.kube_api import ApiServer
from tools.bench.operator_pods import measure_pods
from tools.bench.operator_profile import share_of_authority
from tools.bench.operator_scale import WRITES, Run, one_run, operators
from tools.bench.operator_scribe import measure_scribe
from tools.bench.rows import Context, Row, at_most, percentile

PEER = "controller-runtime"
TURNS = {100: 3, 500: 3}
"""How often each number of HiveAgents is measured; ours and the peer by turns."""
PROMISED_RATIO = 1.25


def measure(context: Context) -> Iterator[Row]:
    """Measure all of it."""
    for count, turns in TURNS.items():
        ours: list[Run] = []
        peers: list[Run] = []
        for turn in range(context.times(turns)):
            order = ((ours, "ours"), (peers, "peer"))
            for runs, who in order if turn % 2 else order[::-1]:
                with operators(context.folder, context.say, [who]) as here:
                    runs.append(one_run(here, who, count))
                context.say(told(who, runs[-1]))
        yield from scale_rows(count, ours, peers)
    yield _authority_row(context)
    yield from measure_pods(context)
    with ApiServer.start() as api:
        prepare(api)
        yield measure_scribe(context, api)


def told(who: str, run: Run) -> str:
    """Return a run in a line."""
    return (
        f"{run.count} HiveAgents, {who}: {run.load.all_s:.2f} s (created after {run.load.created_s:.2f} s), processor "
        f"time {run.cpu_s:.2f} s, API server's {run.api_cpu_s:.2f} s, load of the machine {run.load_before:.1f}"
    )


def scale_rows(count: int, ours: list[Run], peers: list[Run]) -> Iterator[Row]:
    """Return what is said of runs with so many HiveAgents. Pure."""
    prefix = f"{count} HiveAgents"

    def beside(name: str, unit: str, values: tuple[list[float], list[float]], note: str = "") -> Row:
        mine, theirs = (percentile(some, 50) for some in values)
        detail = {"ours": values[0], "peer": values[1]}
        return Row(f"{prefix}, {name}", mine, unit, peers={PEER: theirs}, note=note, detail=detail)

    seconds = [r.load.all_s for r in ours], [r.load.all_s for r in peers]
    latencies = [at for r in ours for at in r.load.latencies_s]
    slowest = f"one by itself: p50 {percentile(latencies, 50):.2f} s, p99 {percentile(latencies, 99):.2f} s"
    yield beside("until all children and statuses are there", "s", seconds, slowest)
    ratios = [mine / theirs for mine, theirs in zip(*seconds, strict=True)]
    yield Row(
        f"{prefix}, time ours / {PEER}",
        percentile(ratios, 50),
        "×",
        at_most(PROMISED_RATIO),
        note=f"turns: {', '.join(f'{ratio:.2f}' for ratio in ratios)}",
    )
    yield Row(
        f"{prefix}, API writes for each, the ledger's apart",
        max(r.children_and_status for r in ours),
        "",
        at_most(WRITES),
        peers={PEER: max(r.children_and_status for r in peers)},
        note=kinds(ours[-1].writes, count),
    )
    ledger = max(r.writes["ledger"] for r in ours)
    yield Row(
        f"{prefix}, writes of the ledger for all of them", ledger, "", note=f"{ledger / count:.2f} each"
    )
    yield beside("operator's processor time", "s", ([r.cpu_s for r in ours], [r.cpu_s for r in peers]))
    yield beside(
        "API server's processor time", "s", ([r.api_cpu_s for r in ours], [r.api_cpu_s for r in peers])
    )
    yield beside("operator's peak memory", "MB", ([r.peak_mb for r in ours], [r.peak_mb for r in peers]))
    after = Counter[str]()
    for run in ours:
        after.update(run.restart_writes)
    yield Row(
        f"{prefix}, API writes after a restart",
        sum(after.values()),
        "",
        at_most(0),
        peers={PEER: sum(sum(r.restart_writes.values()) for r in peers)},
        note=kinds(after, 1) if after else "",
    )
    restarts = [r.restart_cpu_s for r in ours], [r.restart_cpu_s for r in peers]
    yield beside("processor time of a restart", "s", restarts, "start of the program included")


def kinds(writes: Counter[str], count: int) -> str:
    """Return writes by kind, for each of so many."""
    return ", ".join(f"{what} {number / count:g}" for what, number in sorted(writes.items()))


def _authority_row(context: Context) -> Row:
    count = max(TURNS)
    with operators(context.folder, context.say, []) as here:
        share, cpu_s = share_of_authority(here, count)
    return Row(
        f"{count} HiveAgents, authority's share of our processor time",
        100 * share,
        "%",
        note=f"keys, cards, Secrets, ledger, which the peer has not; a run of its own, sampled, {cpu_s:.1f} s in all",
    )
