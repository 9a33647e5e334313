"""Somebody's own cluster, by a context of their kubeconfig. It is used, never changed from below and never ended."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.cluster import binaries
from tools.cluster.backend import Record, write_record
from tools.cluster.errors import ComponentError, UnsupportedError
from tools.cluster.kubectl import Kubectl
from tools.cluster.layout import Layout
from tools.cluster.pki import write_secret
from tools.cluster.steps import Steps


def view_command(kubectl: Path, context: str | None) -> list[str]:
    """Return the command that writes one context of the user's kubeconfig, whole, to standard output."""
    chosen = [] if context is None else ["--context", context]
    return [str(kubectl), "config", "view", "--raw", "--minify", "--flatten", *chosen]


class ContextCluster:
    """The cluster of a kube-context."""

    def __init__(self, layout: Layout, steps: Steps, context: str | None = None) -> None:
        self.layout = layout
        self.steps = steps
        self.context = context
        self.kubectl = Kubectl(layout.bin / "kubectl", layout.kubeconfig)

    def healthy(self) -> bool:
        """Whether the API server answers and a node is Ready."""
        return self.kubectl.ready_nodes() > 0

    def up(self) -> None:
        """Copy the context into the state folder and see that its API answers."""
        binaries.ensure(self.layout.bin, self.steps, binaries.TOOLS)
        self.down()
        view = view_command(self.layout.bin / "kubectl", self.context)
        done = subprocess.run(view, capture_output=True, text=True, timeout=30, check=False)
        wanted = self.context or "the current context"
        if done.returncode != 0:
            raise ComponentError(
                "kubectl", f"expected {wanted} in the kubeconfig, got: {done.stderr.strip()[-500:]}"
            )
        record = Record(kind="context", nodes=1, identity=self.layout.identity, context=self.context)
        write_record(self.layout, record)
        write_secret(self.layout.kubeconfig, done.stdout.encode())
        if not self.healthy():
            raise ComponentError(wanted, "expected its API server to answer with a Ready node, it does not")

    def down(self) -> None:
        """Forget the cluster; it stays as it is."""
        if self.layout.record.exists():
            shutil.rmtree(self.layout.state)

    def load(self, files: Sequence[Path]) -> None:
        """Not possible."""
        names = ", ".join(f.name for f in files)
        raise self._unsupported(f"load {names}: push the images to a registry that it pulls from")

    def cut(self, name: str) -> None:
        """Not possible."""
        raise self._unsupported(f"cut {name}")

    def heal(self, name: str) -> None:
        """Not possible."""
        raise self._unsupported(f"heal {name}")

    def restart_apiserver(self) -> None:
        """Not possible."""
        raise self._unsupported("restart its API server")

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Not possible."""
        raise self._unsupported(f"run {command[0]} on {name}: use kubectl debug node/{name}")

    def status(self) -> dict[str, str]:
        """Return the context."""
        return {self.context or "current context": "not ours"}

    def _unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"this cluster is yours ({self.context or 'current context'}), we do not {what}"
        )
