"""A cluster by kind, where Docker runs.

Command lines are pure functions, so that they can be checked without Docker.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tools.cluster import binaries
from tools.cluster.backend import Record, write_record
from tools.cluster.errors import ClusterError, ComponentError
from tools.cluster.kubectl import Kubectl
from tools.cluster.layout import KUBERNETES_VERSION, Layout
from tools.cluster.steps import Steps

CREATE_LIMIT_S = 600.0
READY_WITHIN_S = 60.0
POLL_S = 0.5


def config(count: int) -> str:
    """Return kind's configuration for a control plane and `count` - 1 workers."""
    nodes = [{"role": "control-plane"}, *({"role": "worker"} for _ in range(count - 1))]
    return yaml.safe_dump({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes})


def create_command(layout: Layout) -> list[str]:
    """Return the command that makes the cluster; its configuration comes on standard input."""
    return [
        *("kind", "create", "cluster", "--name", layout.identity),
        *("--kubeconfig", str(layout.kubeconfig)),
        *("--image", f"kindest/node:v{KUBERNETES_VERSION}"),
        *("--config", "-", "--wait", "120s"),
    ]


def delete_command(layout: Layout) -> list[str]:
    """Return the command that removes the cluster."""
    return ["kind", "delete", "cluster", "--name", layout.identity, "--kubeconfig", str(layout.kubeconfig)]


def load_command(layout: Layout, file: Path) -> list[str]:
    """Return the command that brings an image archive into every node."""
    return ["kind", "load", "image-archive", str(file), "--name", layout.identity]


def container(layout: Layout, name: str, count: int) -> str:
    """Return the container that is node `name`: n1, n2, … as in the built-in cluster, or kind's own name."""
    numbered = ["control-plane", *("worker" if i == 2 else f"worker{i - 1}" for i in range(2, count + 1))]
    names = {f"n{i + 1}": f"{layout.identity}-{role}" for i, role in enumerate(numbered)}
    if name in names.values():
        return name
    if name not in names:
        raise ClusterError(f"expected a node out of {', '.join(names)}, got {name!r}")
    return names[name]


def cut_commands(node: str, *, connected: bool) -> list[list[str]]:
    """Return the commands that drop all traffic on a node's wire, or stop dropping it; addresses stay as they are."""
    change = "-D" if connected else "-I"
    ways = (("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o"))
    return [
        ["docker", "exec", node, "iptables", change, chain, way, "eth0", "-j", "DROP"] for chain, way in ways
    ]


class KindCluster:
    """A cluster that kind runs in Docker."""

    def __init__(self, layout: Layout, steps: Steps, count: int = 2) -> None:
        self.layout = layout
        self.steps = steps
        self.count = count
        self.kubectl = Kubectl(layout.bin / "kubectl", layout.kubeconfig)

    def healthy(self) -> bool:
        """Whether every node is Ready."""
        return self.kubectl.ready_nodes() == self.count

    def up(self) -> None:
        """Make the cluster anew."""
        binaries.ensure(self.layout.bin, self.steps, binaries.TOOLS)
        self.down()
        write_record(self.layout, Record(kind="kind", nodes=self.count, identity=self.layout.identity))
        with self.steps.step(f"kind create cluster ({self.count} nodes)"):
            run(create_command(self.layout), stdin=config(self.count), timeout=CREATE_LIMIT_S)

    def down(self) -> None:
        """Remove the cluster and the state folder."""
        run(delete_command(self.layout))
        if self.layout.record.exists():
            shutil.rmtree(self.layout.state)

    def load(self, files: Sequence[Path]) -> None:
        """Bring image archives into every node."""
        for file in files:
            run(load_command(self.layout, file), timeout=CREATE_LIMIT_S)

    def cut(self, name: str) -> None:
        """Drop all traffic on a node's wire."""
        for command in cut_commands(container(self.layout, name, self.count), connected=False):
            run(command)

    def heal(self, name: str) -> None:
        """Stop dropping a node's traffic."""
        for command in cut_commands(container(self.layout, name, self.count), connected=True):
            run(command)

    def restart_apiserver(self) -> None:
        """Kill the API server's container; the kubelet starts the next."""
        first = container(self.layout, "n1", self.count)
        crictl = ["docker", "exec", first, "crictl"]
        old = run([*crictl, "ps", "--quiet", "--name", "kube-apiserver"]).strip()
        run([*crictl, "stop", "--timeout", "0", old])
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.kubectl.api_ready():
            if time.monotonic() > deadline:
                raise ComponentError(
                    "apiserver", f"expected to be ready within {READY_WITHIN_S:.0f} s, is not"
                )
            time.sleep(POLL_S)

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Run a command on a node."""
        node = container(self.layout, name, self.count)
        return subprocess.run(["docker", "exec", "-i", node, *command], check=False).returncode

    def status(self) -> dict[str, str]:
        """Return the nodes' containers."""
        nodes = run(["kind", "get", "nodes", "--name", self.layout.identity]).split()
        return dict.fromkeys(nodes, "container")


def run(command: list[str], *, stdin: str | None = None, timeout: float = 120.0) -> str:
    """Run a command and return its standard output; ComponentError with its words where it fails."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ComponentError(command[0], f"expected `{' '.join(command)}` to end well: {error}") from error
    if done.returncode != 0:
        words = done.stderr.strip()[-2000:]
        raise ComponentError(command[0], f"`{' '.join(command)}` ended with {done.returncode}: {words}")
    return done.stdout
