"""The built-in cluster: real Kubernetes in private namespaces of this machine, no container engine needed."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.cluster import binaries, network, processes, render
from tools.cluster.backend import Record, write_record
from tools.cluster.cgroups import Cgroups
from tools.cluster.credentials import write_credentials
from tools.cluster.errors import ClusterError, ComponentError, MissingToolError
from tools.cluster.kubectl import Kubectl
from tools.cluster.layout import API_SERVICE_IP, CLUSTER_DOMAIN, DNS_SERVICE_IP, MAX_NODES, Layout
from tools.cluster.node import Node, as_root
from tools.cluster.own_images import ensure_own_images
from tools.cluster.packages import ensure_packages
from tools.cluster.steps import Steps

MANIFESTS = Path(__file__).resolve().parent / "manifests"
COMES_BACK_WITHIN_S = 60.0
READY_WITHIN_S = 60.0
POLL_S = 0.1
CTR = ("ctr", "--namespace", "k8s.io", "images")


class BuiltIn:
    """A cluster of one control plane node `n1` and further nodes `n2`…, in namespaces of this machine."""

    def __init__(self, layout: Layout, steps: Steps, count: int = 2) -> None:
        self.layout = layout
        self.steps = steps
        self.count = count
        self.kubectl = Kubectl(layout.bin / "kubectl", layout.kubeconfig)

    @property
    def nodes(self) -> list[Node]:
        """The nodes, the control plane first."""
        cgroups = Cgroups(self.layout.identity)
        return [Node(self.layout, self.layout.node(i + 1), cgroups) for i in range(self.count)]

    def node(self, name: str) -> Node:
        """Return a node by its name; raises ClusterError for one that is not there."""
        for node in self.nodes:
            if node.place.name == name:
                return node
        known = ", ".join(n.place.name for n in self.nodes)
        raise ClusterError(f"expected a node out of {known}, got {name!r}")

    def healthy(self) -> bool:
        """Whether all that was started runs and every node is Ready, or is so soon.

        A node that was cut off or starved for a moment comes back; whoever asks here ends what is not healthy.
        """
        deadline = time.monotonic() + COMES_BACK_WITHIN_S
        while self._alive():
            if self.kubectl.ready_nodes() == self.count:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return False

    def _alive(self) -> bool:
        names = processes.remembered(self.layout.pids)
        return bool(names) and all(processes.running(self.layout.pids, n) is not None for n in names)

    def up(self) -> None:
        """Start the cluster; what was left of a crashed one is removed first."""
        if not as_root():
            raise MissingToolError(
                "the built-in cluster makes namespaces and mounts: expected root; run with sudo, "
                "or use --kind (Docker) or --context NAME"
            )
        if not 1 <= self.count <= MAX_NODES:
            raise ClusterError(f"expected 1 to {MAX_NODES} nodes, got {self.count}")
        archives = self.make()
        self.down()
        try:
            self._start(archives)
        except BaseException:
            self.steps.say(f"starting failed; ending what was started (logs stay in {self.layout.logs})")
            self._end()
            raise

    def make(self) -> list[Path]:
        """Install and build what is not here yet; return the archives of the cluster's own images."""
        ensure_packages(self.steps)
        binaries.ensure(self.layout.bin, self.steps)
        return ensure_own_images(self.layout, self.steps)

    def _start(self, archives: Sequence[Path]) -> None:
        layout, nodes = self.layout, self.nodes
        places = [n.place for n in nodes]
        with self.steps.step(
            f"making {len(nodes)} nodes (namespaces, control groups, network, certificates)"
        ):
            port = free_port()
            write_record(
                layout, Record(kind="builtin", nodes=self.count, identity=layout.identity, port=port)
            )
            for folder in (layout.logs, layout.pids):
                folder.mkdir(parents=True, exist_ok=True)
            write_credentials(layout, places, port)
            for node in nodes:
                node.create()
                for file, text in render.node_files(layout, node.place).items():
                    file.write_text(text)
            network.connect(nodes)
        with self.steps.step("starting etcd, the API server and containerd"):
            self._start_control_plane(port)
        with self.steps.step(
            "starting controllers, kubelets and kube-proxy; loading the cluster's own images"
        ):
            self._start_workers()
            self.load(archives)
            self._wait_for(
                "nodes", lambda: self.kubectl.ready_nodes() == self.count, f"kubelet-{places[-1].name}"
            )
        with self.steps.step("starting DNS, volume provisioner and NetworkPolicies"):
            for manifest in sorted(MANIFESTS.glob("*.yaml")):
                self.kubectl.run("apply", "--server-side", "-f", str(manifest))
            for node in self.nodes:
                node.start(f"policies-{node.place.name}", render.policies_command(self.layout, node.place))
            self._wait_for("DNS", self._resolves, f"kubelet-{places[0].name}")

    def _start_control_plane(self, port: int) -> None:
        layout, first = self.layout, self.nodes[0]
        first.start("etcd", render.etcd_command(layout))
        first.start("apiserver", render.apiserver_command(layout, first.place))
        for node in self.nodes:
            config = node.place.folder / "etc-containerd" / "config.toml"
            node.start(f"containerd-{node.place.name}", ["containerd", "--config", str(config)])
        # the API from outside: never by the nodes' addresses, which the machine would send to its default route
        inside = ["UNIX-LISTEN:api.sock,fork,mode=600,unlink-early", f"TCP:127.0.0.1:{render.API_PORT}"]
        first.start(
            "api-inside", ["sh", "-c", 'cd "$1"; exec socat "$2" "$3"', "sh", str(layout.state), *inside]
        )
        outside = [f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", "UNIX-CONNECT:api.sock"]
        first.start_outside("api-outside", ["socat", *outside])
        self._wait_for("apiserver", self.kubectl.api_ready, "apiserver")

    def _start_workers(self) -> None:
        layout, first = self.layout, self.nodes[0]
        first.start("controller-manager", render.controller_manager_command(layout))
        first.start("scheduler", render.scheduler_command(layout))
        for node in self.nodes:
            node.start(f"kubelet-{node.place.name}", render.kubelet_command(layout, node.place))
            node.start(f"proxy-{node.place.name}", render.proxy_command(layout, node.place))

    def _resolves(self) -> bool:
        """Whether each node gets the API's Service address from DNS, by way of its own kube-proxy."""
        name = f"kubernetes.default.svc.{CLUSTER_DOMAIN}"
        look = ["timeout", "2", str(self.layout.bin / "busybox"), "nslookup", name, DNS_SERVICE_IP]
        return all(f"Address: {API_SERVICE_IP}\n" in n.run(*look, check=False) for n in self.nodes)

    def _wait_for(self, what: str, look: Callable[[], bool], log: str) -> None:
        """Wait until something holds; a daemon that died ends the wait at once."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not look():
            for name in processes.remembered(self.layout.pids):
                if processes.running(self.layout.pids, name) is None:
                    raise ComponentError(
                        name, f"ended while waiting for {what}", self.layout.logs / f"{name}.log"
                    )
            if time.monotonic() > deadline:
                file = self.layout.logs / f"{log}.log"
                raise ComponentError(
                    what, f"expected to be ready within {READY_WITHIN_S:.0f} s, is not", file
                )
            time.sleep(POLL_S)

    def down(self) -> None:
        """End every process of the cluster and remove all that it left."""
        if self.layout.record.exists() and not as_root():
            raise MissingToolError(f"{self.layout.state} holds a cluster of root's; run with sudo")
        self._end()
        if self.layout.record.exists():
            shutil.rmtree(self.layout.state)

    def _end(self) -> None:
        """End every process in the cluster's control groups; the namespaces, mounts and links go with them."""
        if as_root():
            Cgroups(self.layout.identity).end()

    def load(self, files: Sequence[Path]) -> None:
        """Import image archives (OCI or docker) into every node."""
        missing = [str(f) for f in files if not f.is_file()]
        if missing:
            raise ClusterError(f"expected image archives, these files do not exist: {', '.join(missing)}")

        def load_one(node: Node) -> None:
            for file in files:
                node.run(*CTR, "import", str(file.absolute()), timeout=600.0)

        with ThreadPoolExecutor(max_workers=len(self.nodes)) as pool:
            list(pool.map(load_one, self.nodes))

    def cut(self, name: str) -> None:
        """Cut a node off from the other nodes' network."""
        network.set_connected(self.nodes, self.node(name).place.name, connected=False)

    def heal(self, name: str) -> None:
        """Connect a node again."""
        network.set_connected(self.nodes, self.node(name).place.name, connected=True)

    def restart_apiserver(self) -> None:
        """Kill the API server, start it again and wait until it is ready."""
        first = self.nodes[0]
        processes.stop(self.layout.pids, "apiserver", number=signal.SIGKILL)
        first.start("apiserver", render.apiserver_command(self.layout, first.place))
        self._wait_for("apiserver", self.kubectl.api_ready, "apiserver")

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Run a command inside a node with our own standard streams; return its exit code."""
        return subprocess.run(self.node(name).entering(command), check=False).returncode

    def status(self) -> dict[str, str]:
        """Return each process's state, by name."""
        states: dict[str, str] = {}
        for name in processes.remembered(self.layout.pids):
            pid = processes.running(self.layout.pids, name)
            states[name] = "ended" if pid is None else f"process {pid}"
        return states


def free_port() -> int:
    """Return a port that is free on the loopback now."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
