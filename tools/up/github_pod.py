"""The local GitHub server as a pod: a repository with the hive's pinned key, issues, an account for the hive.

What it serves comes from a git bundle in a ConfigMap; its accounts and issues from a Secret, for it has tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bzzz_cli.local.issues import IssueEntry
from bzzz_cli.local.repository import serve_copy

PORT: Final = 8000
NAME: Final = "github"
ACCOUNT: Final = "hive-bot"
ADMIN: Final = "hive-admin"
MAX_BUNDLE: Final = 900_000
"""A ConfigMap holds a mebibyte; a larger repository needs a volume, which a demonstration does not."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """What the server is to serve."""

    image: str
    repository: str
    bundle: bytes
    issues: Sequence[IssueEntry]
    token: str
    admin_token: str
    faults: Mapping[str, Any] | None = None


def bundle_of(checkout: Path, repository: str, hive_key: str) -> bytes:
    """Return a checkout's head branch, with the hive's public key pinned on top, as a git bundle.

    Raises bzzz_cli's errors for a checkout that cannot be served, ValueError for one that is too large.
    """
    with tempfile.TemporaryDirectory(prefix="bzzz-up-") as folder:
        bare = serve_copy(checkout, Path(folder) / "served.git", repository, hive_key)
        target = Path(folder) / "repository.bundle"
        subprocess.run(
            ["git", "-C", str(bare), "bundle", "create", "--quiet", str(target), "HEAD", "--branches"],
            check=True,
            capture_output=True,
        )
        data = target.read_bytes()
    if len(data) > MAX_BUNDLE:
        raise ValueError(f"{checkout}: expected at most {MAX_BUNDLE} bytes as a git bundle, came {len(data)}")
    return data


def server_config(served: Served) -> Json:
    """Return the server's configuration."""
    return {
        "host": "0.0.0.0",  # noqa: S104 - inside its pod
        "port": PORT,
        "origin": f"http://{NAME}:{PORT}",
        "stateDir": "/tmp/github",
        "users": [
            {"login": ADMIN, "token": served.admin_token, "permission": "admin"},
            {"login": ACCOUNT, "token": served.token, "permission": "write"},
        ],
        "repositories": [
            {
                "name": served.repository,
                "source": "/tmp/source",
                "private": False,
                "issues": [
                    {
                        "title": issue.title,
                        "body": issue.body,
                        "labels": list(issue.labels),
                        "authorAssociation": issue.author_association,
                    }
                    for issue in served.issues
                ],
            }
        ],
        **({"faults": dict(served.faults)} if served.faults else {}),
    }


def manifests(served: Served) -> list[Json]:
    """Return the objects: the seed, the server, its Service, and the hive's credential for it."""
    config = json.dumps(server_config(served))
    digest = hashlib.sha256(config.encode() + served.bundle).hexdigest()[:16]
    labels = {"app.kubernetes.io/name": "github", "app.kubernetes.io/part-of": "bzzz-up"}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{NAME}-seed", "labels": labels},
            "binaryData": {"repository.bundle": base64.b64encode(served.bundle).decode()},
        },
        _secret(f"{NAME}-server", labels, {"server.json": config}),
        _secret("github", labels, {"token": served.token}),
        _deployment(served.image, labels, digest),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "labels": labels},
            "spec": {
                "selector": {"app.kubernetes.io/name": "github"},
                "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
            },
        },
    ]


def _secret(name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels)},
        "stringData": dict(data),
    }


def _deployment(image: str, labels: Mapping[str, str], digest: str) -> Json:
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "seed", "mountPath": "/seed"}]
    pod: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {
                "name": "clone",
                "image": image,
                "command": ["git", "clone", "--quiet", "--bare", "/seed/repository.bundle", "/tmp/source"],
                "env": [{"name": "HOME", "value": "/tmp"}],
                "securityContext": security,
                "volumeMounts": mounts,
            }
        ],
        "containers": [
            {
                "name": "github",
                "image": image,
                "args": ["--config", "/etc/github/server.json"],
                "env": [{"name": "HOME", "value": "/tmp"}],
                "ports": [{"name": "http", "containerPort": PORT}],
                "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
                "resources": {
                    "requests": {"cpu": "50m", "memory": "128Mi"},
                    "limits": {"memory": "512Mi"},
                },
                "securityContext": security,
                "volumeMounts": [*mounts, {"name": "config", "mountPath": "/etc/github"}],
            }
        ],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "seed", "configMap": {"name": f"{NAME}-seed"}},
            {"name": "config", "secret": {"secretName": f"{NAME}-server"}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "labels": dict(labels)},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": "github"}},
            "template": {
                "metadata": {"labels": dict(labels), "annotations": {"bzzz.dev/seed": digest}},
                "spec": pod,
            },
        },
    }
