"""Where everything of a cluster lies, and the names that follow from it. Pure.

Two checkouts' clusters never meet: all names come from a hash of the state folder's path, and the network
addresses, equal in every cluster, exist only inside its own network namespaces.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "1.34.4"

SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
POD_CIDR = "10.244.0.0/16"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443
MAX_NODES = 9

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_STATE = CHECKOUT / "build" / "cluster"


def cache_folder() -> Path:
    """Return the folder for what outlives checkouts: built binaries and images (`BZZZ_CACHE` moves it)."""
    root = os.environ.get("BZZZ_CACHE") or "~/.cache/bzzz"
    return Path(root).expanduser().absolute() / "cluster"


@dataclass(frozen=True)
class NodePlace:
    """One node's name, addresses and folders."""

    number: int
    folder: Path

    @property
    def name(self) -> str:
        """Name in Kubernetes, and host name."""
        return f"n{self.number}"

    @property
    def address(self) -> str:
        """Address on the wire between the nodes."""
        return f"10.99.0.{self.number}"

    @property
    def pod_cidr(self) -> str:
        """Addresses of the pods on this node."""
        return f"10.244.{self.number}.0/24"


@dataclass(frozen=True)
class Layout:
    """All paths of one cluster."""

    state: Path
    cache: Path

    @classmethod
    def at(cls, state: Path | str = DEFAULT_STATE) -> Layout:
        """Return the layout of the cluster whose state lies at `state`."""
        return cls(Path(state).expanduser().absolute(), cache_folder())

    @property
    def identity(self) -> str:
        """Short name that no other state folder's cluster has."""
        return "bzzz-" + hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def record(self) -> Path:
        """File that says what cluster this is; its presence marks the folder as ours to remove."""
        return self.state / "cluster.json"

    @property
    def lock(self) -> Path:
        """Lock file outside the state folder, which `down` removes: one `up` or `down` at a time."""
        return self.cache / "locks" / f"{self.identity}.lock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for the machine outside the nodes."""
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys, certificates and the components' kubeconfigs."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log a component."""
        return self.state / "log"

    @property
    def pids(self) -> Path:
        """One file a process that was started."""
        return self.state / "pids"

    @property
    def bin(self) -> Path:
        """Built programs, kubectl, helm and kubeconform among them."""
        return self.cache / "bin"

    @property
    def images(self) -> Path:
        """The cluster's own images as OCI archives."""
        return self.cache / "images"

    def node(self, number: int) -> NodePlace:
        """Return the place of node `number`, counted from 1."""
        return NodePlace(number, self.state / "nodes" / f"n{number}")
