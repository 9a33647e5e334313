"""Breaking a hive in pods, and what must hold afterwards: nothing twice, nothing lost, every status right again."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from hmmm.identity import IssueIdentity
from hmmm.ranking import rendezvous_weight
from tests.e2e.hive import REPOSITORY
from tests.kubernetes.direct import DirectKube
from tests.kubernetes.hive import Json, PodHive
from tests.support.processes import eventually

LEASE_S = 20.0
"""Of the hive that tests share; see `SLOW`."""
RENEWED_S = LEASE_S / 3
"""A claimant renews its lease this often: so old may it be when the claimant is killed."""
KILL = (
    'for file in /proc/[0-9]*/cgroup; do if grep -q "$1" "$file" 2>/dev/null; then '
    'pid=${file#/proc/}; kill -9 "${pid%/cgroup}" && found=1; fi; done; test -n "$found"'
)
"""Kills what is in the control groups of a container; fails if nothing was."""
OURS = (
    "hiveagents",
    "metadiscussions",
    "statefulsets",
    "services",
    "configmaps",
    "secrets",
    "networkpolicies",
)
"""What operator and scribe write."""
MANAGERS = ("bzzz-operator", "bzzz-scribe")


@dataclass
class Chaos:
    """A HiveAgent called `chaos`, for its own issues, in a hive; and the means to disturb them."""

    hive: PodHive
    kube: DirectKube
    name: str = "chaos"
    measured: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds, by what was waited for."""

    @classmethod
    def on(cls, hive: PodHive) -> Chaos:
        """Look at a hive over a connection of our own."""
        kube = DirectKube(hive.kube.kubeconfig, hive.kube.tools, hive.kube.namespace)
        return cls(replace(hive, kube=kube), kube)

    def pod_name(self, part: str) -> str:
        """Return the name that the chart gives a part of the hive."""
        return f"{self.hive.deployment.release.name}-{part}"

    # Issues

    def open_issue(self, title: str, *lines: str) -> int:
        """Open an issue that only our agents take."""
        return self.hive.open_issue(title, *lines, labels=("bzzz", f"tool:{self.name}"))

    def open_issue_for(self, node_id: str, others: Iterable[str], title: str, *lines: str) -> int:
        """Open an issue whose number makes an agent the first to claim it; numbers that do not are used up."""
        while True:
            spent = self.hive.open_issue("Only a number", labels=())
            self.hive.api("PATCH", f"/repos/{REPOSITORY}/issues/{spent}", json={"state": "closed"})
            turn = IssueIdentity(repository=REPOSITORY, number=spent + 1, epoch=1)
            if max((node_id, *others), key=lambda name: rendezvous_weight(turn, name)) == node_id:
                return self.open_issue(title, *lines)

    def ends_well(self, *numbers: int, within: float = 240) -> list[Json]:
        """Wait until issues are done: one pull request each, with evidence, and every agent is free again.

        Returns the statuses of their MetaDiscussions.
        """
        eventually(self._github_answers, within=60, what="GitHub's forward is open")
        statuses = [self.hive.wait_pull_request(number, within) for number in numbers]
        for number in numbers:
            issue = self.hive.api("GET", f"/repos/{REPOSITORY}/issues/{number}")
            labels = {label["name"] for label in issue["labels"]}
            assert "bzzz:needs-human" not in labels, f"issue {number} is left with {labels}"
        with self.timed("until the HiveAgents' statuses are right"):
            for name in (self.name, "edit"):
                self.wait_right(name)
        return statuses

    def wait_right(self, name: str, within: float = 180) -> None:
        """Wait until a HiveAgent's status says: all there, all idle, nothing wrong."""

        def right() -> bool:
            agent = self.kube.get("hiveagent", name)
            status, wanted = agent.get("status", {}), agent["spec"]["replicas"]
            conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
            agents = status.get("agents", [])
            return (
                status.get("observedGeneration") == agent["metadata"]["generation"]
                and conditions.get("Ready") == "True"
                and conditions.get("Degraded") == "False"
                and status.get("ready") == f"{wanted}/{wanted}"
                and len([a for a in agents if a["present"] and a["phase"] == "idle"]) == wanted
                and not status.get("issues")
            )

        try:
            eventually(right, within=within, what=f"hiveagent/{name}: every agent is present and idle")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.hive.describe(name)}") from None

    def _github_answers(self) -> bool:
        with suppress(httpx.HTTPError):
            self.hive.api("GET", f"/repos/{REPOSITORY}")
            return True
        return False

    # Measures

    @contextmanager
    def timed(self, what: str) -> Generator[None]:
        """Note how long a block takes."""
        began = time.monotonic()
        yield
        self.measured[what] = round(time.monotonic() - began, 1)
        print(f"{what}: {self.measured[what]} s")

    # Pods

    def pods(self, selector: str = "") -> list[Json]:
        """Return pods; without a selector those of our HiveAgent."""
        return self.kube.items("pods", "-l", selector or f"app.kubernetes.io/instance={self.name}")

    def pod(self, name: str) -> Json | None:
        """Return a pod, None when there is none of that name now."""
        return self.kube.find("pod", name)

    def part(self, part: str) -> Json:
        """Return the pod of a part of the hive that is not being deleted: `operator`, `scribe` or `archive`."""
        found = eventually(lambda: self.parts(part), within=60, what=f"a pod of {part}")
        return found[0]

    def parts(self, part: str) -> list[Json]:
        """Return a part's pods, without those that are being deleted."""
        prefix = self.pod_name(part) + "-"
        every = self.kube.items("pods")
        return [
            pod
            for pod in every
            if pod["metadata"]["name"].startswith(prefix) and not pod["metadata"].get("deletionTimestamp")
        ]

    def delete_pod(self, name: str, *, force: bool = False) -> Json:
        """Delete a pod, in order or as one does with a machine that is gone; return what it was."""
        was = self.pod(name)
        assert was is not None, f"pod/{name}: expected it to be there"
        how = ["--grace-period=0", "--force"] if force else []
        self.kube.kubectl("delete", "pod", name, "--wait=false", *how)
        return was

    def wait_successor(self, was: Json, within: float = 90) -> float:
        """Wait until another pod of the name is ready; return the seconds that it took."""
        name, began = was["metadata"]["name"], time.monotonic()

        def back() -> bool:
            now = self.pod(name)
            return now is not None and now["metadata"]["uid"] != was["metadata"]["uid"] and is_ready(now)

        eventually(back, within=within, what=f"another pod {name} is ready; pods {self.hive.pods()}")
        return time.monotonic() - began

    def kill_container(self, pod: Json, container: str) -> None:
        """Kill every process of a container as the kernel would (SIGKILL), from its node.

        The status may name one that has just ended by itself: whichever runs then is killed.
        """
        name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]

        def struck() -> bool:
            status = (self.pod(name) or pod)["status"]
            statuses = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
            (found,) = [each for each in statuses if each["name"] == container]
            identity = found.get("containerID", "/none").rsplit("/", 1)[1]
            return self.hive.cluster.backend.execute(node, ["sh", "-c", KILL, "sh", identity]) == 0

        eventually(struck, within=60, every=0.5, what=f"a process of {name}/{container} on {node} is killed")

    def wait_restarted(self, pod: Json, container: str, within: float = 90) -> float:
        """Wait until a killed container runs again and its pod is ready; return the seconds that it took."""
        name, before, began = pod["metadata"]["name"], restarts(pod)[container], time.monotonic()

        def back() -> bool:
            now = self.pod(name)
            return now is not None and restarts(now)[container] > before and is_ready(now)

        eventually(back, within=within, what=f"{name}/{container} runs again")
        return time.monotonic() - began

    # All that is written

    def written(self) -> dict[str, str]:
        """Return when operator and scribe last changed each object that they write, by object and part of it."""
        return {
            f"{o['kind']}/{o['metadata']['name']} {entry['manager']} {entry.get('subresource', '')}": entry[
                "time"
            ]
            for o in self.kube.items(",".join(OURS))
            for entry in o["metadata"].get("managedFields", [])
            if entry["manager"] in MANAGERS
        }

    def lease_holder(self) -> str:
        """Return the name of the operator's pod that acts."""
        return str(self.kube.get("lease", self.pod_name("operator"))["spec"].get("holderIdentity"))


def is_ready(pod: Json) -> bool:
    """Whether a pod says that it is ready."""
    conditions: list[dict[str, Any]] = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def restarts(pod: Json) -> dict[str, int]:
    """Return how often each container of a pod was started again."""
    statuses = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
    return {status["name"]: status["restartCount"] for status in statuses}


def stays(look: Callable[[], Any], seconds: float) -> list[Any]:
    """Look again and again for a time; return the different values, in the order in which they were first seen."""
    seen: list[Any] = []
    ends = time.monotonic() + seconds

    def over() -> bool:
        value = look()
        if value not in seen:
            seen.append(value)
        return time.monotonic() >= ends

    eventually(over, within=seconds + 60, what="time passes")
    return seen
