"""The pod of an agent: hypercore and workspace as native sidecars, then the agent (contract: the pod table).

In this order, so that on shutdown the agent ends first and the log goes last (architecture §10). What the manifest
says to run (`execution.command` …) is data in `agent.json`; nothing of a manifest is ever part of a command line here.
"""

from __future__ import annotations

from typing import Any, Final

from bzzz_operator.desired import names, volumes
from bzzz_operator.desired.facts import HiveFacts, WantedAgent
from bzzz_operator.network import flows

Json = dict[str, Any]

GRACE_S: Final = 60
STARTUP_TRIES: Final = 120
"""Seconds that an agent may take until it is on the mesh."""


def pod_template(agent: WantedAgent, hive: HiveFacts, config_hash: str) -> Json:
    """Return the StatefulSet's pod template."""
    placement = hive.settings.pods
    return {
        "metadata": {
            "labels": {**placement.labels, **names.labels(agent.name, hive.settings.hive)},
            "annotations": {
                **placement.annotations,
                names.CONFIG_HASH: config_hash,
                "kubectl.kubernetes.io/default-container": "agent",
            },
        },
        "spec": _pod_spec(agent, hive),
    }


def _pod_spec(agent: WantedAgent, hive: HiveFacts) -> Json:
    settings = hive.settings
    spec: Json = {
        "serviceAccountName": agent.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": names.SHARED_GID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": names.selector(agent.name)},
            }
        ],
        "initContainers": [_hypercore(hive), _workspace(agent, hive)],
        "containers": [_agent(agent, hive)],
        "volumes": volumes.volumes(agent, hive),
    }
    if settings.runtime_class_name is not None:
        spec["runtimeClassName"] = settings.runtime_class_name
    if settings.images.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.images.pull_secrets]
    if settings.pods.node_selector:
        spec["nodeSelector"] = dict(settings.pods.node_selector)
    if settings.pods.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in settings.pods.tolerations]
    return spec


def _container(name: str, image: str, uid: int, hive: HiveFacts) -> Json:
    """Return what all three containers have in common."""
    resources = getattr(hive.settings.resources, name)
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": hive.settings.images.pull_policy,
        "resources": resources.to_object(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": uid,
            "runAsGroup": uid,
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "env": [_pod_field("POD_NAME", "metadata.name")],
    }


def _hypercore(hive: HiveFacts) -> Json:
    return {
        **_container("hypercore", hive.settings.images.sidecar, names.HYPERCORE_UID, hive),
        "restartPolicy": "Always",
        "command": ["hypercore-sidecar", "log", "--config", "/etc/bzzz/hypercore/hypercore.json"],
        "ports": [
            _port("replication", flows.REPLICATION_PORT),
            _port("log-metrics", flows.SIDECAR_METRICS_PORT),
        ],
        "volumeMounts": volumes.hypercore_mounts(),
    }


def _workspace(agent: WantedAgent, hive: HiveFacts) -> Json:
    image = agent.spec.execution.image or hive.settings.images.workspace
    return {
        **_container("workspace", image, names.WORKSPACE_UID, hive),
        "restartPolicy": "Always",
        "command": [
            *("python3", f"/opt/bzzz/{names.RUNNER_FILE}"),
            *("--socket", names.RUN_SOCKET),
            *("--root", "/workspace"),
            *("--token-file", "/etc/bzzz/runner/token"),
            *("--peer-uid", str(names.AGENT_UID)),
            *("--max-workspace-mb", str(hive.settings.workspace.max_megabytes)),
            "--contained",
        ],
        "volumeMounts": volumes.workspace_mounts(),
    }


def _agent(agent: WantedAgent, hive: HiveFacts) -> Json:
    ready = ["test", "-f", names.READY_FILE]
    container = _container("agent", hive.settings.images.agent, names.AGENT_UID, hive)
    return {
        **container,
        "command": [
            "bzzz-agent",
            *("--config", "/etc/bzzz/agent/agent.json"),
            *("--node-id", "$(POD_NAME)"),
            *("--card-file", "/etc/bzzz/hive/card-$(POD_NAME).json"),
            *("--announce", f"/ip4/$(POD_IP)/tcp/{flows.MESH_PORT}"),
        ],
        "env": [*container["env"], _pod_field("POD_IP", "status.podIP")],
        "ports": [_port("mesh", flows.MESH_PORT), _port("metrics", flows.AGENT_METRICS_PORT)],
        # its file says that it is on the mesh; gone again, that it is drained
        "startupProbe": _probe(ready, 1, STARTUP_TRIES),
        "readinessProbe": _probe(ready, 10, 1),
        # touched every 10 s by its event loop
        "livenessProbe": _probe(["sh", "-c", f"find {names.ALIVE_FILE} -mmin -2 | grep -q ."], 60, 2),
        "volumeMounts": volumes.agent_mounts(agent),
    }


def _probe(command: list[str], period_s: int, failures: int) -> Json:
    """Return a probe by a command: an HTTP probe could carry no token.

    Each costs the node about 70 ms of a core (a process in the container), so there are few. The neighbours have none:
    the agent waits for their sockets and says so, all three start at once instead of one after the other (7.8 s
    from scheduled to ready with probes that each waited for the one before), and one that dies is restarted.
    """
    return {
        "exec": {"command": command},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _port(name: str, port: int) -> Json:
    return {"name": name, "containerPort": port, "protocol": "TCP"}


def _pod_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
