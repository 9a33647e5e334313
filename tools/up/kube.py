"""kubectl and helm as programs: what the user would type, said when it fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

COMMAND_S: Final = 120.0
MAX_SAID: Final = 3000


class KubeError(Exception):
    """A command that failed; the text has it and what it said."""


@dataclass(frozen=True)
class Kube:
    """One cluster, one namespace."""

    kubeconfig: Path
    tools: Path
    """Folder with kubectl and helm."""
    namespace: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def run(
        self, program: str, *arguments: str, stdin: str | None = None, timeout_s: float = COMMAND_S
    ) -> str:
        """Run a program on the cluster and return what it printed. Raises KubeError."""
        try:
            done = subprocess.run(
                self.argv(program, *arguments),
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired as error:
            raise KubeError(f"{program} {' '.join(arguments)}: not done after {timeout_s:.0f} s") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-MAX_SAID:]
            raise KubeError(f"{program} {' '.join(arguments)}: {said}")
        return done.stdout

    def argv(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program on this cluster and namespace."""
        return [
            str(self.tools / program),
            "--kubeconfig",
            str(self.kubeconfig),
            "--namespace",
            self.namespace,
            *arguments,
        ]

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = COMMAND_S) -> str:
        """Run kubectl. Raises KubeError."""
        return self.run("kubectl", *arguments, stdin=stdin, timeout_s=timeout_s)

    def helm(self, *arguments: str, timeout_s: float = 600) -> str:
        """Run helm. Raises KubeError."""
        return self.run("helm", *arguments, timeout_s=timeout_s)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects by server-side apply. Raises KubeError."""
        self.kubectl(
            "apply",
            "--server-side",
            "--field-manager=bzzz-up",
            "--force-conflicts",
            "-f",
            "-",
            stdin="\n---\n".join(json.dumps(o) for o in objects),
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return an object, or a list of them, as JSON. Raises KubeError."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a kind. Raises KubeError."""
        return self.get(kind, *arguments)["items"]

    def exists(self, kind: str, name: str) -> bool:
        """Whether an object is there. Raises KubeError."""
        return self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip() != ""

    def wait(self, target: str, condition: str, *more: str, timeout_s: float = 180) -> None:
        """Wait for a condition as `kubectl wait` does. Raises KubeError."""
        self.kubectl(
            "wait",
            target,
            f"--for={condition}",
            f"--timeout={timeout_s:.0f}s",
            *more,
            timeout_s=timeout_s + 10,
        )


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a label selector."""
    return ",".join(f"{name}={value}" for name, value in pairs)
