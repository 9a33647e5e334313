"""Names, labels, paths and ports of what the operator makes: the contract between the parts of a pod."""

from __future__ import annotations

from typing import Any, Final

from bzzz_operator.kinds import HIVE_AGENT, Kind
from bzzz_operator.network.flows import LABELS

Json = dict[str, Any]

MANAGED_BY: Final = "bzzz-operator"
HIVE_LABEL: Final = "bzzz.dev/hive"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
APPLIED_HASH: Final = "bzzz.dev/applied-hash"
"""Annotation on each object: hash of what was applied, so that a field that is no longer wanted is noticed."""
CONFIG_HASH: Final = "bzzz.dev/config-hash"
"""Annotation on the pods: they are replaced when their configuration changes."""
DRAIN: Final = "bzzz.dev/drain"
"""Annotation on a pod that is scaled away: "true" asks the agent to finish and take nothing new."""
DRAIN_SINCE: Final = "bzzz.dev/drain-since"

AGENT_UID: Final = 10001
WORKSPACE_UID: Final = 10002
HYPERCORE_UID: Final = 10003
SHARED_GID: Final = 10000

PROXY_PORT: Final = 9402

LOG_SOCKET: Final = "/run/bzzz/log/log.sock"
RUN_SOCKET: Final = "/run/bzzz/run/run.sock"
# in an emptyDir of the container's own
READY_FILE: Final = "/tmp/ready"  # noqa: S108
ALIVE_FILE: Final = "/tmp/alive"  # noqa: S108
PODINFO_FILE: Final = "/etc/podinfo/annotations"
RUNNER_FILE: Final = "bzzz_runner.py"


def selector(agent: str) -> dict[str, str]:
    """Return the labels that select a HiveAgent's pods."""
    return {"app.kubernetes.io/name": LABELS["agent"], INSTANCE_LABEL: agent}


def labels(agent: str, hive: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a HiveAgent."""
    return {
        **selector(agent),
        "app.kubernetes.io/managed-by": MANAGED_BY,
        "app.kubernetes.io/part-of": hive,
        HIVE_LABEL: hive,
    }


def owner_reference(agent: str, uid: str) -> Json:
    """Return the reference by which Kubernetes' garbage collector takes an object when its HiveAgent goes."""
    return {
        "apiVersion": HIVE_AGENT.api_version,
        "kind": HIVE_AGENT.kind,
        "name": agent,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(kind: Kind, name: str, agent: str, uid: str, hive: str, namespace: str) -> Json:
    """Return the head of an object that belongs to a HiveAgent: apiVersion, kind, metadata."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(agent, hive),
            "ownerReferences": [owner_reference(agent, uid)],
        },
    }


def config_map(agent: str) -> str:
    """ConfigMap with `agent.json` and `hypercore.json`."""
    return f"{agent}-config"


def runner_map(agent: str) -> str:
    """ConfigMap with the workspace runner's program."""
    return f"{agent}-runner"


def mesh_keys(agent: str) -> str:
    """Secret: pod name → mesh seed."""
    return f"{agent}-mesh-keys"


def log_seeds(agent: str) -> str:
    """Secret: pod name → log seed."""
    return f"{agent}-log-seeds"


def runner_token(agent: str) -> str:
    """Secret with the token between agent and workspace."""
    return f"{agent}-runner-token"
