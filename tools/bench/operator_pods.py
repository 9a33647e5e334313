"""A hive in pods on a real cluster: how long until an agent is one, and what it costs when it has nothing to do.

The cluster is the one whose state folder BZZZ_CLUSTER_STATE names, else build/cluster; started and ended here if there
is none. The chart is installed into a namespace of its own. What comes about is read from watches, when it arrives.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.hive import PodHive, hive_agent
from tests.support.processes import eventually
from tools.bench.operator_watch import Watch
from tools.bench.pod_cgroups import PodCost, PodGroups
from tools.bench.rows import Context, Row, at_most, histogram, percentile
from tools.cluster import Cluster, MissingToolError
from tools.cluster.layout import DEFAULT_STATE
from tools.up.deploy import load_images

TURNS = 3
SETTLE_S = 20.0
"""Newcomers have been greeted, start-up garbage is gone."""
WATCH_S = 30.0
WITHIN_S = 120.0

Json = dict[str, Any]


@dataclass
class Times:
    """Seconds, one a turn."""

    applied: list[float] = field(default_factory=list[float])
    scaled: list[float] = field(default_factory=list[float])
    ready: list[float] = field(default_factory=list[float])
    """One a pod."""


def measure_pods(context: Context) -> Iterator[Row]:
    """Install a hive, apply and scale HiveAgents, then watch two idle pods. Yields nothing where no cluster can be."""
    try:
        with _cluster() as cluster:
            load_images(cluster)
            times = Times()
            with _hive(cluster) as hive, ExitStack() as stack:
                agents = stack.enter_context(Watch(hive.kube, "hiveagents"))
                pods = stack.enter_context(Watch(hive.kube, "pods"))
                turns = context.times(TURNS)
                for turn in range(turns):
                    _turn(hive, f"bench{turn}", agents, pods, times, keep=turn == turns - 1)
                yield from _time_rows(times)
                yield from _idle_rows(context, hive, f"bench{turns - 1}")
    except MissingToolError as error:
        context.say(f"pods are left out: {error}")


@contextmanager
def _cluster() -> Generator[Cluster]:
    state = Path(os.environ.get("BZZZ_CLUSTER_STATE") or DEFAULT_STATE)
    was_there = (state / "cluster.json").exists()
    cluster = Cluster.up(state)
    try:
        yield cluster
    finally:
        if not was_there:
            cluster.down()


@contextmanager
def _hive(cluster: Cluster) -> Generator[PodHive]:
    hive = PodHive.install(cluster, f"bench-{secrets.token_hex(3)}")
    try:
        yield hive
    finally:
        hive.close()


def _turn(hive: PodHive, name: str, agents: Watch, pods: Watch, times: Times, *, keep: bool) -> None:
    """Apply a HiveAgent, scale it up, and remove it again unless it is to be kept."""
    begin = time.monotonic()
    hive.apply(hive_agent(name, 1), ready_within=None)
    times.applied.append(_seen(agents, name, 1) - begin)
    begin = time.monotonic()
    hive.kube.kubectl("scale", "hiveagent", name, "--replicas=2")
    times.scaled.append(_seen(agents, name, 2) - begin)
    for ordinal in range(2):
        times.ready.append(_ready_after(pods, f"{name}-{ordinal}"))
    if not keep:
        hive.kube.kubectl("delete", "hiveagent", name, "--wait=false")
        eventually(lambda: not pods.has(f"{name}-"), within=WITHIN_S, what=f"{name} has no pods")


def _seen(agents: Watch, name: str, count: int) -> float:
    """Return when status first showed so many agents present: their cards and first capabilities were heard."""

    def there(body: Json) -> bool:
        shown = body.get("status", {}).get("agents", [])
        return sum(agent.get("present") is True for agent in shown) >= count

    return agents.first(name, there, within=WITHIN_S)


def _ready_after(pods: Watch, name: str) -> float:
    scheduled = pods.first(name, lambda pod: condition_holds(pod, "PodScheduled"), within=WITHIN_S)
    return pods.first(name, lambda pod: condition_holds(pod, "Ready"), within=WITHIN_S) - scheduled


def condition_holds(body: Json, kind: str) -> bool:
    """Whether an object's status has a condition that is True."""
    conditions = body.get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def _time_rows(times: Times) -> Iterator[Row]:
    spread = histogram(times.ready, (2, 3, 4, 5, 7, 10))
    yield Row(
        "pod scheduled → Ready, worst",
        max(times.ready),
        "s",
        at_most(5),
        note=f"{len(times.ready)} pods: {spread}; p50 {percentile(times.ready, 50):.1f} s",
        detail={"seconds": times.ready},
    )
    for name, values in (
        ("kubectl apply → agent on the mesh and told in status, p50", times.applied),
        ("kubectl scale → new agent's capabilities told in status, p50", times.scaled),
    ):
        worst = f"worst of {len(values)}: {max(values):.1f} s"
        yield Row(name, percentile(values, 50), "s", note=worst, detail={"seconds": values})


def _idle_rows(context: Context, hive: PodHive, name: str) -> Iterator[Row]:
    """Watch a HiveAgent's two pods by their nodes' control groups."""
    groups = [PodGroups.of(hive.cluster, pod) for pod in hive.kube.items("pods", "-l", _selector(name))]
    if not groups or any(group is None for group in groups):
        context.say("idle pods are left out: the nodes' control groups are not on this machine")
        return
    time.sleep(SETTLE_S)
    there = [group for group in groups if group is not None]
    before, began = [group.cost() for group in there], time.monotonic()
    time.sleep(WATCH_S * max(1.0, context.scale))
    after, seconds = [group.cost() for group in there], time.monotonic() - began
    used = [
        PodCost(
            late.memory_mb,
            {part: 100 * (late.cpu_s[part] - early.cpu_s[part]) / seconds for part in late.cpu_s},
        )
        for early, late in zip(before, after, strict=True)
    ]
    yield _sum_row("processor time", [cost.cpu_s for cost in used], "% of a core", 3, "")
    working = "working set, as the kubelet counts it: page cache in use included"
    yield _sum_row("memory", [cost.memory_mb for cost in used], "MB", 250, working)


def _sum_row(what: str, pods: list[dict[str, float]], unit: str, promise: float, note: str) -> Row:
    sums = [sum(parts.values()) for parts in pods]
    shares = {part: percentile([parts[part] for parts in pods], 50) for part in pods[0]}
    story = ", ".join(f"{part} {value:.1f}" for part, value in shares.items())
    text = f"{story}{f'; {note}' if note else ''}"
    return Row(f"idle agent pod: {what}, worst of {len(sums)}", max(sums), unit, at_most(promise), note=text)


def _selector(name: str) -> str:
    return f"app.kubernetes.io/instance={name},app.kubernetes.io/name=bzzz-agent"
