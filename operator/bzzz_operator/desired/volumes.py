"""The volumes of an agent's pod, and which container sees which (contract: the pod table)."""

from __future__ import annotations

from typing import Any, Final

from bzzz_operator.desired import names
from bzzz_operator.desired.facts import HiveFacts, WantedAgent

Json = dict[str, Any]

DATA: Final = "data"
SECRET_MODE: Final = 0o440
"""Readable by owner root and group 10000, which only the containers that mount it make use of."""


def volumes(agent: WantedAgent, hive: HiveFacts) -> list[Json]:
    """Return all volumes but the claim."""
    settings, name, spec = hive.settings, agent.name, agent.spec
    h = settings.hive
    found: list[Json] = [
        _config("hypercore-config", names.config_map(name), "hypercore.json"),
        _config("agent-config", names.config_map(name), "agent.json"),
        _config("runner", names.runner_map(name), names.RUNNER_FILE),
        {"name": "hive", "configMap": {"name": f"{h}-members"}},
        _secret("mesh-keys", names.mesh_keys(name)),
        _secret("log-seeds", names.log_seeds(name)),
        _secret("runner-token", names.runner_token(name)),
        _secret("archive-token", f"{h}-archive-token"),
        _secret("metrics-token", f"{h}-metrics-token"),
        _memory("log-socket"),
        _memory("run-socket"),
        {"name": "workspace", "emptyDir": {"sizeLimit": settings.workspace.size_limit}},
        {"name": "tmp-hypercore", "emptyDir": {"sizeLimit": "64Mi"}},
        {"name": "tmp-workspace", "emptyDir": {"sizeLimit": settings.workspace.size_limit}},
        {"name": "tmp-agent", "emptyDir": {"sizeLimit": "1Gi"}},
        {
            "name": "podinfo",
            "downwardAPI": {
                "items": [{"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]
            },
        },
    ]
    if spec.github.credentials_secret_ref is not None:
        found.append(_secret("github", spec.github.credentials_secret_ref.name))
    if spec.model is not None and spec.model.credentials_secret_ref is not None:
        found.append(_secret("model", spec.model.credentials_secret_ref.name))
    return found


def hypercore_mounts() -> list[Json]:
    """The log, its seed, the socket: nothing that speaks to anyone but the archive."""
    return [
        {"name": DATA, "mountPath": "/data", "subPath": "log"},
        {"name": "log-socket", "mountPath": "/run/bzzz/log"},
        _read("hypercore-config", "/etc/bzzz/hypercore"),
        _own("log-seeds", "/etc/bzzz/keys/log.seed"),
        _read("metrics-token", "/etc/bzzz/metrics"),
        {"name": "tmp-hypercore", "mountPath": "/tmp"},  # noqa: S108
    ]


def workspace_mounts() -> list[Json]:
    """The checkout and the way in; no key, no log."""
    return [
        {"name": "run-socket", "mountPath": "/run/bzzz/run"},
        {"name": "workspace", "mountPath": "/workspace"},
        _read("runner", "/opt/bzzz"),
        _read("runner-token", "/etc/bzzz/runner"),
        {"name": "tmp-workspace", "mountPath": "/tmp"},  # noqa: S108
    ]


def agent_mounts(agent: WantedAgent) -> list[Json]:
    """Keys, credentials, both sockets; not the checkout and not the log's files."""
    found = [
        {"name": "log-socket", "mountPath": "/run/bzzz/log"},
        {"name": "run-socket", "mountPath": "/run/bzzz/run"},
        _read("agent-config", "/etc/bzzz/agent"),
        _read("hive", "/etc/bzzz/hive"),
        _own("mesh-keys", "/etc/bzzz/keys/mesh.seed"),
        _read("runner-token", "/etc/bzzz/runner"),
        _read("archive-token", "/etc/bzzz/archive"),
        _read("metrics-token", "/etc/bzzz/metrics"),
        _read("podinfo", "/etc/podinfo"),
        {"name": DATA, "mountPath": "/var/lib/bzzz", "subPath": "state"},
        {"name": "tmp-agent", "mountPath": "/tmp"},  # noqa: S108
    ]
    if agent.spec.github.credentials_secret_ref is not None:
        found.append(_read("github", "/etc/bzzz/github"))
    if agent.spec.model is not None and agent.spec.model.credentials_secret_ref is not None:
        found.append(_read("model", "/etc/bzzz/model"))
    return found


def claim_template(agent: WantedAgent, hive: HiveFacts) -> Json:
    """Return the claim of each pod's volume; a StatefulSet that is there keeps the one it has (it is immutable)."""
    there = agent.volume
    size = there.size if there else agent.spec.storage.size
    storage_class = there.storage_class if there else hive.settings.storage.storage_class
    spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"metadata": {"name": DATA}, "spec": spec}


def _config(name: str, config_map: str, key: str) -> Json:
    return {"name": name, "configMap": {"name": config_map, "items": [{"key": key, "path": key}]}}


def _secret(name: str, secret: str) -> Json:
    return {"name": name, "secret": {"secretName": secret, "defaultMode": SECRET_MODE}}


def _memory(name: str) -> Json:
    """Sockets only; memory-backed, so that nothing of it reaches a disk."""
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}


def _read(name: str, path: str) -> Json:
    return {"name": name, "mountPath": path, "readOnly": True}


def _own(name: str, path: str) -> Json:
    """Mount the one entry that is named as the pod: each pod sees its own key only."""
    return {"name": name, "mountPath": path, "subPathExpr": "$(POD_NAME)", "readOnly": True}
