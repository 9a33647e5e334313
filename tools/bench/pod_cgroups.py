"""What a pod's containers use, from the control groups of its node: on a cluster whose nodes live on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tools.cluster import Cluster
from tools.cluster.cgroups import MOUNTINFO, parse_mountinfo

Json = dict[str, Any]


@dataclass(frozen=True)
class PodCost:
    """By container: megabytes in use, and seconds of processor time since it started."""

    memory_mb: dict[str, float]
    cpu_s: dict[str, float]


@dataclass(frozen=True)
class PodGroups:
    """Where a pod's containers are accounted for, by their names."""

    memory: dict[str, Path]
    cpu: dict[str, Path]

    @classmethod
    def of(cls, cluster: Cluster, pod: Json) -> Self | None:
        """Find them; None where this machine has no groups of such nodes."""
        hierarchies = parse_mountinfo(MOUNTINFO.read_text())
        found: dict[str, Path] = {}
        for what in ("memory", "cpuacct"):
            fitting = [h for h in hierarchies if what in h.options.split(",")]
            root = next((h.mount for h in fitting or [h for h in hierarchies if h.v2]), None)
            top = None if root is None else root / cluster.layout.identity / str(pod["spec"]["nodeName"])
            group = None if top is None else next(top.glob(f"kubepods/**/pod{pod['metadata']['uid']}"), None)
            if group is None:
                return None
            found[what] = group
        statuses = [
            *pod["status"].get("containerStatuses", []),
            *pod["status"].get("initContainerStatuses", []),
        ]
        ids = {str(s["name"]): str(s["containerID"]).rpartition("/")[2] for s in statuses}
        memory = {name: found["memory"] / one for name, one in ids.items()}
        return cls(memory, {name: found["cpuacct"] / one for name, one in ids.items()})

    def cost(self) -> PodCost:
        """Measure."""
        return PodCost(
            {name: working_set(group) / 1e6 for name, group in self.memory.items()},
            {name: processor_time(group) for name, group in self.cpu.items()},
        )


def working_set(group: Path) -> int:
    """Return the bytes that a group uses, without page cache that could be dropped at once (cgroup v1 and v2)."""
    is_v2 = (group / "memory.current").exists()
    used = int((group / ("memory.current" if is_v2 else "memory.usage_in_bytes")).read_text())
    numbers = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return used - int(numbers["inactive_file" if is_v2 else "total_inactive_file"])


def processor_time(group: Path) -> float:
    """Return the seconds of processor time that a group has used."""
    if (group / "cpuacct.usage").exists():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    numbers = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(numbers["usage_usec"]) / 1e6
