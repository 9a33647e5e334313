"""A real API server, a real archive and the operator as a process, as its ServiceAccount with the rights it asks for.

There is no controller manager and no kubelet here: what they would do (a StatefulSet's status, pods and theirs) a test
writes itself, through the API server, by the methods of `Rig` that say so.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from bzzz_operator.rights import CLUSTER_ROLE, ROLE
from tests.support.kube_api import ApiServer
from tests.support.kube_audit import Write
from tests.support.kube_programs import free_ports
from tests.support.processes import Process, Processes, eventually
from tests.support.sidecar import TOKEN, Archive, Logs

HIVE = "hive"
ACCOUNT = "hive-operator"
CRDS = Path(__file__).parents[2] / "crds"
MANAGER = "bzzz-operator"
NO_CHILDREN = {"events", "leases"}
"""Written now and then, and no child of anything."""

Json = dict[str, Any]


def manifest(name: str = "bzzz", **spec: Any) -> Json:
    """Return a HiveAgent; `spec` is merged over a small one."""
    return {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "HiveAgent",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "github": {"repositories": ["acme/widgets"], "credentialsSecretRef": {"name": "github"}},
            "execution": {
                "type": "command",
                "plan": "dryRun",
                "command": ["ruff", "check", "$(BZZZ_ISSUE_FILE)"],
            },
            **spec,
        },
    }


def prepare(api: ApiServer) -> None:
    """Install the definitions and a default storage class, once a server."""
    for file in sorted(CRDS.glob("*.yaml")):
        api.apply(file.read_text())
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    api.apply(
        json.dumps(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "standard", "annotations": default},
                "provisioner": "example.com/none",
            }
        )
    )


class Rig:
    """One hive in a namespace of its own."""

    def __init__(self, api: ApiServer, processes: Processes, folder: Path) -> None:
        self.api = api
        self.namespace = api.namespace()
        self.processes = processes
        self.folder = folder
        self.token = api.token_for(self.namespace, ACCOUNT)
        self.archive: Archive = Logs(processes, folder).archive()
        self.archive_port, self.liveness_port = free_ports(2)
        self.archive.config["http"]["port"] = self.archive_port
        del self.archive.config["logsFile"]
        self.apply(*self._rights())
        self.secret(f"{HIVE}-archive-token", token=TOKEN)
        self.secret("github", token="ghp_of-the-tests")

    # -- the operator -------------------------------------------------------------------------------------------------

    def config(self, **changes: Any) -> Json:
        """Return an operator.json."""
        return {
            "hive": HIVE,
            "namespace": self.namespace,
            "publicUrl": "https://hive.example.com",
            "images": {"agent": "agent:1", "sidecar": "sidecar:1", "workspace": "workspace:1"},
            "archive": {"url": f"http://127.0.0.1:{self.archive_port}", "retryS": 0.5},
            "metricsPort": 0,
            "livenessPort": self.liveness_port,
            "listenHost": "127.0.0.1",
            "leaseS": 2,
            **changes,
        }

    def operator(self, *, ready: bool = True, name: str = "operator", **changes: Any) -> Process:
        """Start an operator; `ready=False` does not wait until it acts."""
        file = self.folder / f"{name}-{len(self.processes.all)}.json"
        file.write_text(json.dumps(self.config(**changes)))
        env = {"KUBECONFIG": str(self.api.kubeconfig_of(self.token, self.namespace)), "POD_NAME": name}
        argv = [sys.executable, "-m", "bzzz_operator", "run", "--config", file]
        return self.processes.start(name, argv, env=env, ready_within=30.0 if ready else None)

    def writes(self, since: int, *, children: bool = True) -> list[Write]:
        """Return the operator's writes to this hive since a mark, Events and the lease left out."""
        user = f"system:serviceaccount:{self.namespace}:{ACCOUNT}"
        return [
            write
            for write in self.api.writes(since=since, user=user)
            if not children or write.resource not in NO_CHILDREN
        ]

    # -- the user -----------------------------------------------------------------------------------------------------

    def apply(self, *bodies: Json) -> None:
        """Apply manifests as a user."""
        self.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(bodies))

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        """Run kubectl in the hive's namespace."""
        return self.api.kubectl("-n", self.namespace, *args, input=input, check=check).stdout

    def secret(self, name: str, **values: str) -> None:
        """Make a Secret, or replace it."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    def get(self, kind: str, name: str) -> Json:
        """Return an object, {} when there is none; managed fields included."""
        text = self.kubectl(
            "get", kind, name, "-o", "json", "--show-managed-fields", "--ignore-not-found", check=False
        )
        return json.loads(text) if text.strip() else {}

    def names(self, kind: str) -> set[str]:
        """Return the names of all objects of a kind."""
        return set(self.kubectl("get", kind, "-o", "name").replace("/", " ").split()[1::2])

    def wait(self, kind: str, name: str, within: float = 15.0) -> Json:
        """Wait for an object and return it."""
        return eventually(lambda: self.get(kind, name), within=within, what=f"{kind} {name} exists")

    def condition(self, kind: str, agent: str = "bzzz") -> Json:
        """Return a condition of a HiveAgent, {} when it has none."""
        conditions = self.get("hiveagent", agent).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def wait_condition(self, kind: str, reason: str, agent: str = "bzzz", within: float = 15.0) -> Json:
        """Wait until a condition has a reason, and return it."""

        def look() -> Json | None:
            found = self.condition(kind, agent)
            return found if found.get("reason") == reason else None

        try:
            return eventually(look, within=within, what=f"{kind} is {reason}")
        except AssertionError as error:
            tails = "\n".join(p.tail() for p in self.processes.all if p.name.startswith("operator"))
            raise AssertionError(f"{error}; it is {self.condition(kind, agent)}\n{tails}") from None

    # -- what controllers and the kubelet would do --------------------------------------------------------------------

    def set_status(self, kind: str, name: str, status: Json) -> None:
        """Write an object's status, as its controller would."""
        body = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", body)

    def run_pods(self, agent: str, count: int, *, ready: int | None = None) -> None:
        """Make the StatefulSet's pods, running and ready, and its status."""
        sts = self.wait("statefulset", agent)
        for ordinal in range(count):
            if not self.get("pod", f"{agent}-{ordinal}"):
                self.apply(self._pod(agent, ordinal, sts))
            self.set_pod(f"{agent}-{ordinal}", ready=ready is None or ordinal < ready)
        self.count_pods(agent, count, count if ready is None else ready)

    def count_pods(self, agent: str, replicas: int, ready: int) -> None:
        """Write the StatefulSet's status."""
        generation = self.get("statefulset", agent)["metadata"]["generation"]
        status = {
            "observedGeneration": generation,
            "replicas": replicas,
            "readyReplicas": ready,
            "currentReplicas": replicas,
            "updatedReplicas": replicas,
            "currentRevision": "one",
            "updateRevision": "one",
        }
        self.set_status("statefulset", agent, status)

    def set_pod(self, name: str, *, ready: bool = True, **agent: Any) -> None:
        """Write the agent container's status in a pod."""
        state = {
            "name": "agent",
            "image": "agent:1",
            "imageID": "",
            "ready": ready,
            "started": True,
            "restartCount": 0,
            "state": {"running": {}},
            **agent,
        }
        self.set_status("pod", name, {"phase": "Running", "containerStatuses": [state]})

    def _pod(self, agent: str, ordinal: int, sts: Json) -> Json:
        template = sts["spec"]["template"]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{agent}-{ordinal}",
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
            },
            "spec": {
                "nodeName": "nowhere",
                "containers": [{"name": "agent", "image": "agent:1"}],
                "automountServiceAccountToken": False,
            },
        }

    def _rights(self) -> list[Json]:
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}
        rbac = "rbac.authorization.k8s.io"
        name = f"{self.namespace}-operator"
        found: list[Json] = []
        for kind, rules in (("Role", ROLE), ("ClusterRole", CLUSTER_ROLE)):
            head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": name}}
            ref = {"apiGroup": rbac, "kind": kind, "name": name}
            found += [
                {**head, "kind": kind, "rules": list(rules)},
                {**head, "kind": f"{kind}Binding", "roleRef": ref, "subjects": [subject]},
            ]
        return found
