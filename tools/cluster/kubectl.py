"""kubectl with one kubeconfig."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pydantic import BaseModel

from tools.cluster.errors import ComponentError


class Condition(BaseModel):
    """A condition of a node."""

    type: str
    status: str


class NodeStatus(BaseModel):
    """A node's status, as far as we read it."""

    conditions: list[Condition] = []


class NodeItem(BaseModel):
    """A node, as far as we read it."""

    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> bool:
        """Whether the node says that it takes pods."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)


class NodeList(BaseModel):
    """What `kubectl get nodes -o json` prints."""

    items: list[NodeItem]


class Kubectl:
    """Runs kubectl; knows nothing of what kind the cluster is."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self.program = program
        self.kubeconfig = kubeconfig

    def run(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60.0, check: bool = True
    ) -> str:
        """Return kubectl's standard output; raises ComponentError with its words where it fails."""
        try:
            done = subprocess.run(
                [str(self.program), "--kubeconfig", str(self.kubeconfig), *arguments],
                # a cache of its own: the user's ~/.kube is not touched
                env={**os.environ, "KUBECACHEDIR": str(self.kubeconfig.parent / "kubectl-cache")},
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            problem = f"expected an answer within {timeout:.0f} s, none came"
            raise ComponentError(f"kubectl {' '.join(arguments)}", problem) from error
        if check and done.returncode != 0:
            words = (done.stderr or done.stdout).strip()[-2000:]
            raise ComponentError(
                f"kubectl {' '.join(arguments)}", f"got exit code {done.returncode}: {words}"
            )
        return done.stdout

    def api_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.run("get", "--raw", "/readyz", "--request-timeout=5s", check=False).strip() == "ok"
        except ComponentError:
            return False

    def ready_nodes(self) -> int:
        """Return how many nodes are Ready; 0 where the API does not answer."""
        try:
            text = self.run("get", "nodes", "-o", "json", "--request-timeout=5s", check=False)
            items = NodeList.model_validate_json(text).items if text.strip() else []
        except (ComponentError, ValueError):
            return 0
        return sum(item.ready for item in items)
