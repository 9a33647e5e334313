"""What every kind of cluster can do, and the record by which a state folder says which kind it holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.cluster.errors import ClusterError
from tools.cluster.kubectl import Kubectl
from tools.cluster.layout import MAX_NODES, Layout

Kind = Literal["builtin", "kind", "context"]


class Record(BaseModel):
    """cluster.json: what the state folder holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    nodes: int = Field(ge=1, le=MAX_NODES)
    identity: str
    port: int | None = None
    context: str | None = None


class Backend(Protocol):
    """One kind of cluster. Methods raise ClusterError; UnsupportedError where the kind cannot do it."""

    kubectl: Kubectl

    def healthy(self) -> bool:
        """Whether it runs and every node is Ready."""
        ...

    def up(self) -> None:
        """Start it anew and write record and kubeconfig."""
        ...

    def down(self) -> None:
        """End it and remove all that it left, the state folder included."""
        ...

    def load(self, files: Sequence[Path]) -> None:
        """Bring image archives into every node."""
        ...

    def cut(self, name: str) -> None:
        """Cut a node off from the other nodes' network."""
        ...

    def heal(self, name: str) -> None:
        """Connect a node again."""
        ...

    def restart_apiserver(self) -> None:
        """Kill the API server and wait until its next life is ready."""
        ...

    def execute(self, name: str, command: Sequence[str]) -> int:
        """Run a command on a node with our own standard streams; return its exit code."""
        ...

    def status(self) -> dict[str, str]:
        """Return what runs, by name."""
        ...


def read_record(layout: Layout) -> Record | None:
    """Return the state folder's record, None where it holds no cluster; ClusterError where it is not one."""
    try:
        text = layout.record.read_text()
    except FileNotFoundError:
        return None
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        raise ClusterError(f"{layout.record}: expected a cluster's record, got {text[:200]!r}") from error


def write_record(layout: Layout, record: Record) -> None:
    """Mark the state folder as this cluster's."""
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.record.write_text(json.dumps(record.model_dump(exclude_none=True)) + "\n")


def check_folder(layout: Layout) -> None:
    """Raise ClusterError if the state folder holds something that is no cluster's: it is removed whole one day."""
    if layout.state.exists() and not layout.record.exists() and any(layout.state.iterdir()):
        raise ClusterError(
            f"{layout.state}: expected an empty folder or a cluster's, it holds other files; choose another"
        )
