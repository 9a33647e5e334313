"""A hive in pods for tests: the chart, a local GitHub server, HiveAgents; what comes of issues is read with kubectl."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx

from tests.e2e.hive import EDIT, FILES, REPOSITORY
from tests.support import processes
from tools.cluster import Cluster
from tools.images.catalogue import REGISTRY
from tools.up.deploy import TAG, Deployment, Release, free_port
from tools.up.forward import Forward, forwarded
from tools.up.github_pod import ADMIN, NAME, PORT
from tools.up.kube import Kube
from tools.up.project import project_checkout

Json = dict[str, Any]
SCRIBE_PORT = 8080
eventually = partial(processes.eventually, every=0.5)
"""As everywhere, but a look is a kubectl, which costs a tenth of a second of a core."""
BZZZ = str(Path(sys.executable).parent / "bzzz")
SLOW = {"claims.leaseSeconds": "20", "claims.pollIntervalSeconds": "1", "claims.backOffSeconds": "2"}
"""A test does not wait fifteen minutes for a dead claimant's lease."""


def hive_agent(name: str, replicas: int = 2, *, window: str = "1s", **spec: Any) -> Json:
    """Return a HiveAgent that edits files as the issues say, by the repository's own commands."""
    execution = {
        "type": "command",
        "plan": "dryRun",
        "image": f"{REGISTRY}/workspace:{TAG}",
        "command": ["python3", "edit.py"],
        "test": ["python3", "check.py"],
        "timeout": "120s",
        **spec.pop("execution", {}),
    }
    return {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "HiveAgent",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "github": {
                "repositories": [REPOSITORY],
                "apiUrl": f"http://{NAME}:{PORT}",
                "credentialsSecretRef": {"name": "github"},
            },
            "execution": execution,
            "discussion": {"window": window, "reviewers": 1, **spec.pop("discussion", {})},
            "storage": {"size": "64Mi", **spec.pop("storage", {})},
            **spec,
        },
    }


@dataclass
class PodHive:
    """One release in one namespace."""

    cluster: Cluster
    kube: Kube
    deployment: Deployment
    token: str
    hive_key: str = ""
    github: Forward | None = None
    scribe: Forward | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def install(cls, cluster: Cluster, namespace: str, name: str = "bzzz", **values: str) -> Self:
        """Install the chart with its own local GitHub; no HiveAgent yet."""
        kube = Kube(cluster.kubeconfig, cluster.bin, namespace)
        release = Release(namespace, name, free_port(), {**SLOW, **values})
        hive = cls(cluster, kube, Deployment(kube, release), secrets.token_hex(16))
        hive.deployment.install()
        hive.hive_key = hive.deployment.hive_key()
        with tempfile.TemporaryDirectory(prefix="bzzz-attic-") as folder:
            for path, text in {**FILES, "edit.py": EDIT}.items():
                target = Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            with project_checkout(Path(folder)) as checkout:
                hive.deployment.serve_github(checkout, REPOSITORY, (), hive.hive_key, hive.token)
        hive.connect()
        return hive

    def connect(self) -> None:
        """Make scribe and GitHub reachable from here; the forwards come back after a pod's restart."""
        release = self.deployment.release
        self.scribe = self._stack.enter_context(
            forwarded(self.kube, f"{release.name}-scribe", SCRIBE_PORT, release.port)
        )
        self.github = self._stack.enter_context(forwarded(self.kube, NAME, PORT, free_port()))

    def close(self) -> None:
        """Remove it: release and namespace."""
        self._stack.close()
        self.kube.helm("uninstall", self.deployment.release.name, "--wait", "--timeout=2m")
        self.kube.kubectl("delete", "namespace", self.kube.namespace, "--wait=false")

    def apply(self, *agents: Json, ready_within: float | None = 120) -> None:
        """Apply HiveAgents as a user does, and wait until they are ready."""
        self.kube.kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(a) for a in agents))
        for agent in agents:
            if ready_within is not None:
                self.wait_ready(agent["metadata"]["name"], ready_within)

    def wait_ready(self, name: str, within: float = 120) -> None:
        """Wait until a HiveAgent says Ready for what is asked of it now."""

        def ready() -> bool:
            agent = self.kube.get("hiveagent", name)
            status = agent.get("status", {})
            current = status.get("observedGeneration") == agent["metadata"]["generation"]
            conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
            return current and conditions.get("Ready") == "True"

        eventually(ready, within=within, what=f"hiveagent/{name} is Ready: {self.describe(name)}")

    def describe(self, name: str) -> str:
        """Return a HiveAgent's status and its pods' states, for a failure's text."""
        status = self.kube.get("hiveagent", name).get("status")
        return json.dumps(status)[:1500] + self.kube.kubectl("get", "pods", "-o", "wide")

    # GitHub

    def api(self, method: str, path: str, **more: Any) -> Any:
        """Ask the GitHub server as its administrator."""
        assert self.github is not None
        headers = {"Authorization": f"Bearer {ADMIN}-{self.token}"}
        answer = httpx.request(method, f"{self.github.url}{path}", headers=headers, timeout=30, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def open_issue(self, title: str, *lines: str, labels: tuple[str, ...] = ("bzzz",)) -> int:
        """Open an issue and return its number."""
        body = {"title": title, "body": "\n".join(lines), "labels": list(labels)}
        return int(self.api("POST", f"/repos/{REPOSITORY}/issues", json=body)["number"])

    def pulls(self, number: int) -> list[Json]:
        """Return every pull request, open or not, for an issue."""
        every = self.api("GET", f"/repos/{REPOSITORY}/pulls", params={"state": "all", "per_page": 100})
        return [pull for pull in every if pull["head"]["ref"] == f"bzzz/issue-{number}"]

    # Discussions

    def discussion(self, number: int) -> Json | None:
        """Return an issue's MetaDiscussion, if there is one."""
        for found in self.kube.items("metadiscussions"):
            issue: Json = found["spec"].get("issue") or {}
            if issue.get("number") == number:
                return found
        return None

    def status(self, number: int) -> Json:
        """Return its status; empty when there is none."""
        return (self.discussion(number) or {}).get("status") or {}

    def wait_status(self, number: int, what: str, is_so: Callable[[Json], bool], within: float = 120) -> Json:
        """Wait until an issue's status is as described and return it."""
        last: Json = {}

        def there() -> Json | None:
            nonlocal last
            last = self.status(number)
            return last if is_so(last) else None

        found = eventually(there, within=within, what=f"issue {number} {what}; pods {self.pods()}")
        assert found is not None
        return found

    def wait_phase(self, number: int, *phases: str, within: float = 120) -> Json:
        """Wait until an issue's discussion is in one of the phases and return its status."""
        return self.wait_status(number, f"is in {phases}", lambda s: s.get("phase") in phases, within)

    def wait_pull_request(self, number: int, within: float = 180) -> Json:
        """Wait until an issue is done, and check what holds of every one: one pull request, evidence that verifies."""
        status = self.wait_status(
            number,
            "has a pull request",
            lambda s: s.get("phase") == "Closed" and bool(s.get("pullRequest")),
            within,
        )
        pulls = self.pulls(number)
        assert len(pulls) == 1, f"issue {number}: expected one pull request, came {len(pulls)}"
        self.verify(pulls[0])
        return status

    def pages_answer(self) -> bool:
        """Whether the scribe is reached: a port-forward to a pod that is gone ends with the first connection only."""
        assert self.scribe is not None
        try:
            return httpx.get(f"{self.scribe.url}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def verify(self, pull: Json) -> None:
        """Verify a pull request's evidence as anybody would: online, by the key pinned in the repository."""
        assert self.github is not None
        eventually(self.pages_answer, within=60, what="the scribe's pages are reached from here")
        url = f"{self.github.url}/{REPOSITORY}/pull/{pull['number']}"
        done = subprocess.run([BZZZ, "verify", url], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ".bzzz/hive.pub" in done.stdout

    # Pods

    def pods(self, selector: str = "") -> list[str]:
        """Return the names and phases of pods."""
        found = self.kube.items("pods", *(["-l", selector] if selector else []))
        return [f"{p['metadata']['name']}:{p['status'].get('phase')}" for p in found]

    def exec(self, pod: str, container: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in a container; its failure is the caller's to judge."""
        command = self.kube.argv("kubectl", "exec", pod, "-c", container, "--", *argv)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
