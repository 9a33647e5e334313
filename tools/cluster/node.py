"""A node: mount, pid, network, uts, ipc and cgroup namespaces held open by one small process."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tools.cluster import processes
from tools.cluster.cgroups import Cgroups
from tools.cluster.errors import ComponentError
from tools.cluster.layout import Layout, NodePlace

INIT_SCRIPT = Path(__file__).resolve().parent / "node-init.sh"
FOLDERS = ("run", "containerd", "kubelet", "cni", "log-pods", "log-containers", "etc-containerd", "etc-cni")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNSHARE = "--mount --pid --fork --kill-child --mount-proc --net --uts --ipc --cgroup --propagation private"
READY_WITHIN_S = 10.0
POLL_S = 0.02


class Node:
    """One node of the built-in cluster; all state is on disk, so any process may make this object."""

    def __init__(self, layout: Layout, place: NodePlace, cgroups: Cgroups) -> None:
        self.layout = layout
        self.place = place
        self.cgroups = cgroups

    @property
    def holder(self) -> str:
        """Name under which the node's first process is remembered."""
        return f"node-{self.place.name}"

    @property
    def init_pid(self) -> int | None:
        """The process id, as the machine sees it, of the node's init; None if the node does not run."""
        return processes.running(self.layout.pids, self.holder)

    def create(self) -> None:
        """Make the namespaces; raises ComponentError with the init script's words where that fails."""
        folder = self.place.folder
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "ready").unlink(missing_ok=True)
        self.cgroups.create(self.place.name)
        log = self.layout.logs / f"{self.holder}.log"
        unshare = ["unshare", *UNSHARE.split(), "sh", str(INIT_SCRIPT)]
        outer = detached(
            unshare, log, self.cgroups.roots(self.place.name), self._init_environment(), Path("/")
        )
        deadline = time.monotonic() + READY_WITHIN_S
        while not (folder / "ready").exists():
            if processes.start_time(outer) is None or time.monotonic() > deadline:
                raise ComponentError(self.holder, "expected its namespaces to be made, they were not", log)
            time.sleep(POLL_S)
        for file in self.cgroups.leaves(self.place.name):
            file.write_text(str(outer))
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        processes.remember(self.layout.pids, self.holder, int(children[0]))

    def _init_environment(self) -> dict[str, str]:
        v1 = [] if self.cgroups.pure_v2 else [h.options for h in self.cgroups.hierarchies if not h.v2]
        return {
            "PATH": PATH,
            "NODE": self.place.name,
            "FOLDER": str(self.place.folder),
            "STATE": str(self.layout.state),
            "CACHE": str(self.layout.cache),
            "CGROUPS": " ".join(v1),
            "INIT": str(self.layout.bin / "pause"),
        }

    def entering(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command` inside the node, in its control groups."""
        pid = self.init_pid
        if pid is None:
            raise ComponentError(
                self.holder, "expected a running node, it is not; run: python -m tools.cluster up"
            )
        join = joining(self.cgroups.leaves(self.place.name))
        return ["sh", "-c", f'{join} exec nsenter -t {pid} -m -p -n -u -i -C --wd=/ -- "$@"', "sh", *command]

    def run(self, *command: str, check: bool = True, timeout: float = 120.0) -> str:
        """Run a command inside the node and return its standard output; ComponentError where it fails."""
        done = subprocess.run(
            self.entering(command),
            env={"PATH": PATH, "HOME": "/"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            words = (done.stderr or done.stdout).strip()[-2000:]
            raise ComponentError(
                f"{command[0]} on {self.place.name}", f"expected exit code 0, got {done.returncode}: {words}"
            )
        return done.stdout

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a daemon inside the node; it outlives us, its log is `log/<name>.log`."""
        log = self.layout.logs / f"{name}.log"
        detach = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
        inner = int(self.run("sh", "-c", detach, "sh", str(log), *command).strip())
        outer = self._outer_pid(inner)
        if outer is None:
            raise ComponentError(name, "expected it to keep running, it ended at once", log)
        processes.remember(self.layout.pids, name, outer)

    def _outer_pid(self, inner: int) -> int | None:
        """Return the machine's id of a process that the node knows as `inner`."""
        namespace = Path(f"/proc/{self.init_pid}/ns/pid").readlink()
        for pid in self.cgroups.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/ns/pid").readlink() != namespace:
                    continue
                status = Path(f"/proc/{pid}/status").read_text()
                ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if int(ids[-1]) == inner and len(ids) == self._depth() + 1:
                    return pid
        return None

    @staticmethod
    def _depth() -> int:
        """Return how many process id namespaces we are in (1 on a plain machine)."""
        status = Path("/proc/self/status").read_text()
        return len(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()) - 1

    def start_outside(self, name: str, command: Sequence[str]) -> None:
        """Start a daemon outside of the node's namespaces but in its control groups, so that it ends with the node."""
        groups = self.cgroups.leaves(self.place.name)
        log = self.layout.logs / f"{name}.log"
        pid = detached(command, log, groups, {"PATH": PATH}, self.layout.state)
        processes.remember(self.layout.pids, name, pid)


def detached(
    command: Sequence[str], log: Path, groups: Sequence[Path], environment: dict[str, str], folder: Path
) -> int:
    """Start a command in control groups, as nobody's child, in a session of its own; return its process id."""
    script = f'{joining(groups)} log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    return int(
        subprocess.run(
            ["sh", "-c", script, "sh", str(log), *command],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=10,
            check=True,
        ).stdout
    )


def joining(files: Sequence[Path]) -> str:
    """Return shell words by which a shell moves itself into control groups."""
    return " ".join(f"echo $$ > {shlex.quote(str(f))};" for f in files)


def as_root() -> bool:
    """Whether this process may make namespaces and mounts."""
    return os.geteuid() == 0
