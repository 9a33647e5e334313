"""The hive's deployment on a cluster, step by step: cluster, images, chart, key, local GitHub."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bzzz_cli.local.issues import IssueEntry
from tools.cluster.cluster import Cluster
from tools.images.build import build
from tools.images.catalogue import REGISTRY
from tools.images.store import cache_folder as images_folder
from tools.up.github_pod import ADMIN, NAME, Served, bundle_of, manifests
from tools.up.kube import Kube, KubeError

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "bzzz"
TAG: Final = "dev"
KEY_S: Final = 120.0


@dataclass(frozen=True)
class Release:
    """What is installed, and under which address its pages are reached."""

    namespace: str
    name: str
    port: int
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further `--set` values."""


@dataclass(frozen=True)
class Deployment:
    """A hive on a cluster."""

    kube: Kube
    release: Release

    def install(self, *more: str) -> None:
        """Install or upgrade the chart and wait until its parts are up. Raises KubeError."""
        values = {
            "images.registry": REGISTRY,
            "images.tag": TAG,
            "images.pullPolicy": "IfNotPresent",
            "publicUrl": f"http://127.0.0.1:{self.release.port}",
            **self.release.values,
        }
        settings = [f"--set={name}={value}" for name, value in values.items()]
        self.kube.helm(
            "upgrade",
            "--install",
            self.release.name,
            str(CHART),
            "--create-namespace",
            "--wait",
            "--timeout=5m",
            *settings,
            *more,
        )

    def hive_key(self) -> str:
        """Return the hive's public key, once the operator has made it. Raises KubeError."""
        deadline, name = time.monotonic() + KEY_S, f"{self.release.name}-members"
        while time.monotonic() < deadline:
            if self.kube.exists("configmap", name):
                data: dict[str, Any] = self.kube.get("configmap", name).get("data") or {}
                if data.get("hive.pub"):
                    return str(data["hive.pub"]).strip()
            time.sleep(0.3)
        raise KubeError(
            f"configmap/{name}: expected the hive's key within {KEY_S:.0f} s; see the operator's log: "
            f"kubectl -n {self.kube.namespace} logs deployment/{self.release.name}-operator"
        )

    def serve_github(
        self,
        checkout: Path,
        repository: str,
        issues: Sequence[IssueEntry],
        hive_key: str,
        token: str,
        faults: Mapping[str, Any] | None = None,
    ) -> str:
        """Run the local GitHub server as a pod and return the hive's token for it. Raises KubeError, ValueError."""
        served = Served(
            image=f"{REGISTRY}/github:{TAG}",
            repository=repository,
            bundle=bundle_of(checkout, repository, hive_key),
            issues=issues,
            token=token,
            admin_token=f"{ADMIN}-{token}",
            faults=faults,
        )
        self.kube.apply(*manifests(served))
        self.kube.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=120s", timeout_s=130)
        return token


def load_images(cluster: Cluster) -> None:
    """Build every image and bring those that are new into the cluster's nodes. Raises ImageError, ClusterError."""
    built = build([], tag=TAG, export=images_folder() / TAG)
    loaded = cluster.layout.state / "loaded-images.json"
    known: dict[str, str] = json.loads(loaded.read_text()) if loaded.exists() else {}
    new = [image for image in built if image.archive is not None and known.get(image.name) != image.image_id]
    if new:
        cluster.load([image.archive for image in new if image.archive is not None])
        loaded.write_text(json.dumps({image.name: image.image_id for image in built}))


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
