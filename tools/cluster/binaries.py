"""Kubernetes, CoreDNS, Helm and the rest as Go programs, built once from pinned modules.

Each folder under `go/` is a module whose go.mod and go.sum pin everything. A stamp beside the programs holds the
digest of what they were built from; where it matches, nothing is built. Where only the stamp is missing,
Go's own build cache makes the rebuild a relink.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ComponentError, MissingToolError
from tools.cluster.layout import KUBERNETES_VERSION
from tools.cluster.locks import locked
from tools.cluster.steps import Steps

GO_FOLDER = Path(__file__).resolve().parent / "go"
KUBERNETES = "k8s.io/kubernetes/cmd/"
VERSION_PACKAGE = "k8s.io/component-base/version"
BUILD_LIMIT_S = 60 * 60


@dataclass(frozen=True)
class Module:
    """A Go module under `go/` and the commands built from it."""

    name: str
    packages: tuple[str, ...]
    ldflags: str = "-s -w"

    @property
    def folder(self) -> Path:
        """Where its go.mod lies."""
        return GO_FOLDER / self.name

    @property
    def programs(self) -> tuple[str, ...]:
        """File names of what it builds."""
        return tuple(self.name if p == "." else p.rsplit("/", 1)[-1] for p in self.packages)

    def digest(self) -> str:
        """Digest of everything that decides what is built, the compiler aside."""
        hashed = hashlib.sha256(repr((self.packages, self.ldflags)).encode())
        for file in sorted(p for p in self.folder.iterdir() if p.suffix in {".mod", ".sum", ".go"}):
            hashed.update(file.name.encode() + b"\0" + file.read_bytes())
        return hashed.hexdigest()


def helm_ldflags(version: str = KUBERNETES_VERSION) -> str:
    """Return the linker flags by which `helm template`, which asks no cluster, takes itself for this Kubernetes."""
    major, minor, _ = version.split(".")
    where = "helm.sh/helm/v3/pkg/chartutil.k8sVersion"
    return f"-s -w -X {where}Major={major} -X {where}Minor={minor}"


def kubernetes_ldflags(version: str = KUBERNETES_VERSION) -> str:
    """Return linker flags that make the programs say their version, as the official builds do."""
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {VERSION_PACKAGE}.{k}={v}" for k, v in values.items())])


MODULES = (
    Module("pause", (".",)),
    Module("kubeconform", ("github.com/yannh/kubeconform/cmd/kubeconform",)),
    Module("local-path", ("github.com/rancher/local-path-provisioner",)),
    Module("kube-router", ("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",)),
    Module("helm", ("helm.sh/helm/v3/cmd/helm",), ldflags=helm_ldflags()),
    Module("coredns", ("github.com/coredns/coredns",)),
    Module(
        "kubernetes",
        tuple(
            KUBERNETES + c
            for c in (
                "kubectl",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
            )
        ),
        kubernetes_ldflags(),
    ),
)
TOOLS = ("kubectl", "helm", "kubeconform")
"""What users of any cluster need on their own side."""


def modules_of(programs: tuple[str, ...]) -> list[Module]:
    """Return the modules that build these programs; raises KeyError for one that none builds."""
    known = {program: module for module in MODULES for program in module.programs}
    return list(dict.fromkeys(known[p] for p in programs))


def is_current(module: Module, folder: Path) -> bool:
    """Whether the folder holds the module's programs, built from what is pinned now."""
    stamp = folder / f".{module.name}.stamp"
    return (
        stamp.exists()
        and stamp.read_text() == module.digest()
        and all((folder / p).exists() for p in module.programs)
    )


def ensure(folder: Path, steps: Steps, programs: tuple[str, ...] | None = None) -> None:
    """Build into `folder` what is missing or outdated of the programs (all, if none are named).

    Raises MissingToolError where Go is needed and not there, ComponentError where a build fails.
    """
    wanted = list(MODULES) if programs is None else modules_of(programs)
    if all(is_current(m, folder) for m in wanted):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", steps, "another build of the cluster's programs"):
        for module in wanted:
            if not is_current(module, folder):
                with steps.step(f"building {', '.join(module.programs)} with Go (kept for the next time)"):
                    build(module, folder)


def build(module: Module, folder: Path) -> None:
    """Build one module's programs and replace what was there in one move a program."""
    go = find_go()
    log = folder / f".{module.name}.log"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        command = [
            go,
            "build",
            "-trimpath",
            "-ldflags",
            module.ldflags,
            "-o",
            scratch + "/",
            *module.packages,
        ]
        with log.open("wb") as output:
            code = subprocess.run(
                command,
                cwd=module.folder,
                env=go_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=BUILD_LIMIT_S,
                check=False,
            ).returncode
        if code != 0:
            raise ComponentError(f"go build of {module.name}", f"expected exit code 0, got {code}", log)
        for program in module.programs:
            (Path(scratch) / program).replace(folder / program)
    (folder / f".{module.name}.stamp").write_text(module.digest())


def go_environment() -> dict[str, str]:
    """Return the environment of a build: static programs; a Go too old for a go.mod fetches the one it asks for."""
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "auto",
        "GOFLAGS": "-buildvcs=false -mod=readonly",
    }


def find_go() -> str:
    """Return the go command; raises MissingToolError with the command that installs it."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        raise MissingToolError(
            "expected Go (1.21 or later; it fetches the version that a module asks for) to build Kubernetes; "
            "run: apt-get install -y golang-go   or unpack https://go.dev/dl into /usr/local"
        )
    return found
