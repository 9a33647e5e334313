"""The one way in for tests and for the command line: a cluster by its state folder.

cluster = Cluster.up("build/cluster")        # idempotent; about 15 s, or 10 minutes the very first time
cluster.kubectl.run("get", "nodes")
cluster.load([Path("build/images/agent.tar")])
cluster.cut("n2"); cluster.heal("n2"); cluster.restart_apiserver()
cluster.down()
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tools.cluster import binaries
from tools.cluster.backend import Backend, Record, check_folder, read_record
from tools.cluster.builtin import BuiltIn
from tools.cluster.choice import CLUSTER_VARIABLE, Choice, choose, from_variable, look
from tools.cluster.current import ContextCluster
from tools.cluster.errors import ClusterError
from tools.cluster.kind import KindCluster
from tools.cluster.kubectl import Kubectl
from tools.cluster.layout import DEFAULT_STATE, Layout
from tools.cluster.locks import locked
from tools.cluster.steps import Steps


def backend_for(choice: Choice, layout: Layout, steps: Steps, nodes: int) -> Backend:
    """Return the backend of a choice."""
    if choice.kind == "kind":
        return KindCluster(layout, steps, nodes)
    if choice.kind == "context":
        return ContextCluster(layout, steps, choice.context)
    return BuiltIn(layout, steps, nodes)


def fits(record: Record | None, choice: Choice, nodes: int) -> bool:
    """Whether a cluster that is there is the one that is wanted. Pure."""
    if record is None or record.kind != choice.kind:
        return False
    return record.context == choice.context if choice.kind == "context" else record.nodes == nodes


class Cluster:
    """A cluster that is up (or was): everything about it is in its state folder."""

    def __init__(self, layout: Layout, backend: Backend, steps: Steps) -> None:
        self.layout = layout
        self.backend = backend
        self.steps = steps

    @classmethod
    def up(
        cls,
        state: Path | str = DEFAULT_STATE,
        *,
        choice: Choice | None = None,
        nodes: int = 2,
        steps: Steps | None = None,
    ) -> Cluster:
        """Return the state folder's cluster, started if it is not up and as wanted already.

        `choice` None: what CLUSTER says, else kind where Docker runs, else the built-in cluster (root).
        Raises ClusterError.
        """
        layout, told = Layout.at(state), steps or Steps()
        with locked(layout.lock, told, "another up or down of this cluster"):
            check_folder(layout)
            record = read_record(layout)
            asked = choice or from_variable(os.environ.get(CLUSTER_VARIABLE))
            if asked is None and record is not None:
                asked = Choice(record.kind, record.context)
            wanted = choose(asked, look())
            backend = backend_for(wanted, layout, told, nodes)
            if fits(record, wanted, nodes) and backend.healthy():
                told.say(f"already up ({wanted.kind})")
                binaries.ensure(layout.bin, told, binaries.TOOLS)
                return cls(layout, backend, told)
            if record is not None:
                told.say(f"the {record.kind} cluster in {layout.state} is not up as wanted: starting anew")
                backend_for(Choice(record.kind, record.context), layout, told, record.nodes).down()
            backend.up()
        return cls(layout, backend, told)

    @classmethod
    def at(cls, state: Path | str = DEFAULT_STATE, *, steps: Steps | None = None) -> Cluster:
        """Return the cluster that a state folder holds, as it is; raises ClusterError where there is none."""
        layout, told = Layout.at(state), steps or Steps()
        record = read_record(layout)
        if record is None:
            raise ClusterError(
                f"{layout.state}: expected a cluster, there is none; run: python -m tools.cluster up"
            )
        return cls(layout, backend_for(Choice(record.kind, record.context), layout, told, record.nodes), told)

    @classmethod
    def end(cls, state: Path | str = DEFAULT_STATE, *, steps: Steps | None = None) -> bool:
        """End the state folder's cluster and remove everything of it; False if there was none.

        What a start that was killed half-way left behind is removed too.
        """
        layout, told = Layout.at(state), steps or Steps()
        with locked(layout.lock, told, "another up or down of this cluster"):
            record = read_record(layout)
            if record is None:
                BuiltIn(layout, told).down()
                return False
            backend_for(Choice(record.kind, record.context), layout, told, record.nodes).down()
        return True

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig with all rights, for programs on this machine."""
        return self.layout.kubeconfig

    @property
    def bin(self) -> Path:
        """Folder with kubectl, helm and kubeconform of the pinned versions."""
        return self.layout.bin

    @property
    def kubectl(self) -> Kubectl:
        """kubectl on this cluster."""
        return self.backend.kubectl

    def environment(self) -> dict[str, str]:
        """Return our environment with this cluster's KUBECONFIG, and its tools first on the PATH."""
        path = f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def load(self, files: Sequence[Path]) -> None:
        """Bring image archives (OCI or docker) into every node."""
        with self.steps.step(f"loading {', '.join(f.name for f in files)}"):
            self.backend.load(files)

    def cut(self, node: str) -> None:
        """Cut a node off from the other nodes' network."""
        self.backend.cut(node)

    def heal(self, node: str) -> None:
        """Connect a node again."""
        self.backend.heal(node)

    def restart_apiserver(self) -> None:
        """Kill the API server and wait until its next life is ready."""
        self.backend.restart_apiserver()

    def down(self) -> None:
        """End the cluster and remove everything of it."""
        Cluster.end(self.layout.state, steps=self.steps)
