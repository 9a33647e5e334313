"""The nodes' control groups: made, joined, emptied and removed, on cgroup v1 and v2.

All of a cluster lies below one group that carries its name, `bzzz-<hash>/n1` and so on; a node sees its own group as
the root. They are also how a cluster is ended: what is in these groups is ours, and only that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError, MissingToolError

MOUNTINFO = Path("/proc/self/mountinfo")
MOUNT_ROOT = "/sys/fs/cgroup"
LEAF = "node"
"""On v2 a group with children may hold no processes: a node's own processes live in this child of its group."""
V2_CONTROLLERS = "+cpu +cpuset +io +memory +pids"
END_WITHIN_S = 15.0
POLL_S = 0.05


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy; `options` are those that mount it again, empty for v2."""

    mount: Path
    options: str

    @property
    def v2(self) -> bool:
        """Whether it is a cgroup v2 hierarchy."""
        return not self.options

    @property
    def has_cpuset(self) -> bool:
        """Whether new groups need their CPUs and memory nodes set before they can be joined (v1 cpuset)."""
        return "cpuset" in self.options.split(",")


def parse_mountinfo(text: str) -> list[Hierarchy]:
    """Return the cgroup hierarchies in /proc/self/mountinfo, each once. Pure."""
    found: dict[str, Hierarchy] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or not fields[4].startswith(MOUNT_ROOT):
            continue
        if kind[0] == "cgroup2":
            found.setdefault("", Hierarchy(Path(fields[4]), ""))
        elif kind[0] == "cgroup":
            options = [o for o in kind[2].split(",") if o not in {"rw", "ro", "xattr", "clone_children"}]
            options = [o for o in options if not o.startswith("release_agent=")]
            named = any(o.startswith("name=") for o in options)
            wanted = ",".join(["none", *options] if named and len(options) == 1 else options)
            found.setdefault(wanted, Hierarchy(Path(fields[4]), wanted))
    return list(found.values())


def is_pure_v2(hierarchies: list[Hierarchy]) -> bool:
    """Whether the machine has cgroup v2 alone, mounted at its usual place."""
    return any(h.v2 and str(h.mount) == MOUNT_ROOT for h in hierarchies)


class Cgroups:
    """The groups of one cluster."""

    def __init__(self, identity: str, hierarchies: list[Hierarchy] | None = None) -> None:
        self.identity = identity
        self.hierarchies = (
            parse_mountinfo(MOUNTINFO.read_text(encoding="utf-8")) if hierarchies is None else hierarchies
        )
        if not self.hierarchies:
            raise MissingToolError(
                f"expected cgroups below {MOUNT_ROOT}, found none mounted; mount them and try again"
            )
        self.pure_v2 = is_pure_v2(self.hierarchies)

    def create(self, node: str) -> None:
        """Make a node's groups, ready to be joined."""
        for hierarchy in self.hierarchies:
            top = hierarchy.mount / self.identity
            for group in (top, top / node):
                group.mkdir(exist_ok=True)
                if hierarchy.has_cpuset:
                    for name in ("cpuset.cpus", "cpuset.mems"):
                        (group / name).write_text((group.parent / name).read_text())
            if self.pure_v2:
                for parent in (hierarchy.mount, top):
                    (parent / "cgroup.subtree_control").write_text(V2_CONTROLLERS)
                (top / node / LEAF).mkdir(exist_ok=True)

    def roots(self, node: str) -> list[Path]:
        """Return the files that a node's first process writes itself into, before it takes its namespaces."""
        return [h.mount / self.identity / node / "cgroup.procs" for h in self.hierarchies]

    def leaves(self, node: str) -> list[Path]:
        """Return the files that every further process of the node writes itself into."""
        if not self.pure_v2:
            return self.roots(node)
        return [root.parent / LEAF / root.name for root in self.roots(node)]

    def processes(self) -> set[int]:
        """Return the process ids, as the machine sees them, of everything in the cluster's groups."""
        found: set[int] = set()
        for hierarchy in self.hierarchies:
            for file in _walk(hierarchy.mount / self.identity):
                with contextlib.suppress(OSError):
                    found.update(int(p) for p in (file / "cgroup.procs").read_text().split())
        return found - {0, os.getpid()}

    def end(self) -> None:
        """Kill everything in the groups, then remove them; raises ClusterError if something will not go."""
        deadline = time.monotonic() + END_WITHIN_S
        while remaining := self.processes():
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"expected every process of {self.identity} to end, left: {sorted(remaining)}"
                )
            time.sleep(POLL_S)
        while not self._remove():
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"expected to remove the control groups {self.identity}, they are still busy"
                )
            time.sleep(POLL_S)

    def _remove(self) -> bool:
        gone = True
        for hierarchy in self.hierarchies:
            for group in _walk(hierarchy.mount / self.identity):
                try:
                    group.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    gone = False
        return gone


def _walk(top: Path) -> Iterator[Path]:
    """Yield a group's folders, children before parents; nothing if it does not exist."""
    for folder, _, _ in os.walk(top, topdown=False):
        yield Path(folder)
