"""Which kind of cluster: what was asked for, else what this machine can run. Deciding is pure; looking is apart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tools.cluster.backend import Kind
from tools.cluster.errors import ClusterError, MissingToolError

CLUSTER_VARIABLE = "CLUSTER"


@dataclass(frozen=True)
class Machine:
    """What matters of this machine."""

    docker: bool
    kind: bool
    root: bool


@dataclass(frozen=True)
class Choice:
    """A kind of cluster; for `context` also which one (None: the current)."""

    kind: Kind
    context: str | None = None


def from_variable(value: str | None) -> Choice | None:
    """Return what the variable CLUSTER asks for: `current`, `builtin`, `kind` or `context:NAME`; None if unset."""
    if not value:
        return None
    if value == "current":
        return Choice("context")
    if value == "kind":
        return Choice("kind")
    if value == "builtin":
        return Choice("builtin")
    if value.startswith("context:") and value != "context:":
        return Choice("context", value.removeprefix("context:"))
    raise ClusterError(f"{CLUSTER_VARIABLE}: expected current, kind, builtin or context:NAME, got {value!r}")


def choose(asked: Choice | None, machine: Machine) -> Choice:
    """Return what to start: what was asked for, else kind where Docker runs, else the built-in cluster.

    Raises MissingToolError with the ways out if this machine can run neither.
    """
    if asked is not None:
        if asked.kind == "kind" and not machine.docker:
            raise MissingToolError(
                "kind: expected a running Docker, `docker info` fails; start it, or use --builtin as root"
            )
        if asked.kind == "kind" and not machine.kind:
            raise MissingToolError(
                "kind: expected the program kind; run: go install sigs.k8s.io/kind@v0.30.0"
            )
        return asked
    if machine.docker and machine.kind:
        return Choice("kind")
    if machine.root:
        return Choice("builtin")
    raise MissingToolError(
        "expected one of: Docker with kind, root rights for the built-in cluster (sudo), "
        "or a cluster of yours (--context NAME, or CLUSTER=current)"
    )


def look(environment: Mapping[str, str] | None = None) -> Machine:
    """Look at this machine."""
    variables = os.environ if environment is None else environment
    path = variables.get("PATH")
    docker = shutil.which("docker", path=path)
    return Machine(
        docker=docker is not None and _answers([docker, "info"]),
        kind=shutil.which("kind", path=path) is not None,
        root=os.geteuid() == 0,
    )


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (subprocess.TimeoutExpired, OSError):
        return False
