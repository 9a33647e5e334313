"""A real API server, a real archive and the operator as a process, as its ServiceAccount with the rights it asks for.

There is no controller manager and no kubelet here: what they would do (a StatefulSet's status, pods and theirs) a test
writes itself, through the API server, by the methods of `Rig` that say so.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import httpx

from bzzz_operator import kinds
from bzzz_operator.rights import ANSWERS_ROLE, CLUSTER_ROLE, ROLE
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

KINDS = {value.kind.lower(): value for value in vars(kinds).values() if isinstance(value, kinds.Kind)} | {
    name.lower(): kinds.Kind("rbac.authorization.k8s.io", "v1", name, f"{name.lower()}s", is_namespaced)
    for name, is_namespaced in (
        ("Role", True),
        ("RoleBinding", True),
        ("ClusterRole", False),
        ("ClusterRoleBinding", False),
    )
}


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
        self._http = httpx.Client(
            base_url=api.url,
            verify=ssl.create_default_context(cafile=str(api.ca_file)),
            headers={"Authorization": f"Bearer {api.admin_token}"},
            timeout=30.0,
        )
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

    def close(self) -> None:
        """End the connections."""
        self._http.close()

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

    def check_untouched(self, name: str, since: int) -> None:
        """Check that no object of a name was written since a mark; else tell its status and the operator's log."""
        found = [write for write in self.writes(since) if write.name == name]
        tails = "\n".join(p.tail() for p in self.processes.all if p.name.startswith("operator"))
        assert found == [], f"{self.get('hiveagent', name).get('status')}\n{tails}"

    # -- the user -----------------------------------------------------------------------------------------------------

    def apply(self, *bodies: Json, manager: str = "user") -> None:
        """Apply manifests as a user, by server-side apply."""
        for body in bodies:
            path = f"{self._path(body['kind'])}/{body['metadata']['name']}"
            query = {"fieldManager": manager, "force": "true"}
            headers = {"Content-Type": "application/apply-patch+yaml"}
            answer = self._http.patch(path, params=query, content=json.dumps(body), headers=headers)
            assert answer.status_code < 300, answer.text

    def patch(
        self, kind: str, name: str, body: Json, *, subresource: str = "", manager: str = "user"
    ) -> None:
        """Merge a patch into an object as a user."""
        path = f"{self._path(kind)}/{name}" + (f"/{subresource}" if subresource else "")
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = self._http.patch(
            path, params={"fieldManager": manager}, content=json.dumps(body), headers=headers
        )
        assert answer.status_code < 300, answer.text

    def delete(self, kind: str, name: str) -> None:
        """Delete an object at once."""
        options = {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"}
        answer = self._http.request("DELETE", f"{self._path(kind)}/{name}", json=options)
        assert answer.status_code < 300, answer.text

    def _path(self, kind: str) -> str:
        return KINDS[kind.lower()].path(self.namespace)

    def secret(self, name: str, **values: str) -> None:
        """Make a Secret, or replace it."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    def events(self, reason: str) -> list[Json]:
        """Return the Events of a reason."""
        answer = self._http.get(self._path("event"))
        return [e for e in answer.json()["items"] if e["reason"] == reason]

    def get(self, kind: str, name: str) -> Json:
        """Return an object, {} when there is none; managed fields included."""
        answer = self._http.get(f"{self._path(kind)}/{name}")
        if answer.status_code == 404:
            return {}
        assert answer.status_code == 200, answer.text
        return answer.json()

    def names(self, kind: str) -> set[str]:
        """Return the names of all objects of a kind."""
        answer = self._http.get(self._path(kind))
        assert answer.status_code == 200, answer.text
        return {item["metadata"]["name"] for item in answer.json()["items"]}

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
        self.patch(kind, name, {"status": status}, subresource="status", manager="controller")

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
        for kind, rules in (("Role", (*ROLE, *ANSWERS_ROLE)), ("ClusterRole", CLUSTER_ROLE)):
            head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": name}}
            ref = {"apiGroup": rbac, "kind": kind, "name": name}
            found += [
                {**head, "kind": kind, "rules": list(rules)},
                {**head, "kind": f"{kind}Binding", "roleRef": ref, "subjects": [subject]},
            ]
        return found
