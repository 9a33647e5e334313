"""A scribe on Kubernetes under test: the real program at a real API server, with the rights and rules of the chart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hmmm.meta import DiscussionClosed
from tests.scribe.rig import Rig, Voice, report
from tests.support.discussions import Claimant, Node
from tests.support.kube_api import ApiServer
from tests.support.kube_audit import Write
from tests.support.kube_programs import binary
from tests.support.processes import eventually

ROOT = Path(__file__).parents[2]
ACCOUNT = "test-scribe"
Json = dict[str, Any]

HIVE_AGENT = """
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  github: {{repositories: [acme/widgets]}}
  execution: {{type: command, command: ["true"], plan: dryRun}}
"""

DISCUSSION = """
apiVersion: bzzz.dev/v1alpha1
kind: MetaDiscussion
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  issue: {{repository: {repository}, number: {number}}}
"""


def from_chart(template: str, namespace: str, release: str = "test") -> str:
    """Render one template of the chart as it is installed."""
    argv = [binary("helm"), "template", release, ROOT / "charts/bzzz", "-n", namespace]
    done = subprocess.run(
        [*map(str, argv), "--kube-version", "1.34.0", "--show-only", f"templates/{template}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Cluster:
    """A namespace of the API server with a scribe's account in it, and the rig whose scribe it is."""

    api: ApiServer
    rig: Rig
    namespace: str = ""
    peers: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.namespace = self.api.namespace()
        self.token = self.api.token_for(self.namespace, ACCOUNT)
        self.api.apply(from_chart("scribe/rbac.yaml", self.namespace))
        token_file = self.rig.folder / "kube-token"
        token_file.write_text(self.token)
        self.rig.config["store"] = {
            "type": "kubernetes",
            "namespace": self.namespace,
            "apiUrl": self.api.url,
            "tokenFile": str(token_file),
            "caFile": str(self.api.ca_file),
        }
        far = datetime.now(UTC) + timedelta(days=3650)
        self.peers = [self.rig.hive.node(f"bzzz-{n}", not_after=far) for n in (1, 2)]

    @property
    def user(self) -> str:
        """The scribe's name at the API server."""
        return f"system:serviceaccount:{self.namespace}:{ACCOUNT}"

    def agent(self, node_id: str = "bzzz-0", **claimant: Any) -> Voice:
        """Admit an agent whose clock is about now."""
        voice = self.rig.agent(node_id, **claimant)
        voice.claimant.now = datetime.now(UTC) - timedelta(minutes=5)
        return voice

    def hive_agent(self, name: str = "bzzz", replicas: int = 3) -> None:
        """Make a HiveAgent."""
        self.api.apply(HIVE_AGENT.format(name=name, namespace=self.namespace, replicas=replicas))

    def writes(self, since: int, **choice: Any) -> list[Write]:
        """Return what the scribe wrote since a mark."""
        return self.api.writes(since=since, user=self.user, **choice)

    def kubectl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self.api.kubectl("-n", self.namespace, *args, **options)

    def discussions(self) -> dict[str, Json]:
        """Return the MetaDiscussions, by name."""
        items: Any = self.api.get("metadiscussions", "-n", self.namespace)["items"]
        return {one["metadata"]["name"]: one for one in items}

    def discussion(self, number: int = 42) -> Json:
        """Return an issue's MetaDiscussion, {} where there is none."""
        found = [d for d in self.discussions().values() if d["spec"]["issue"]["number"] == number]
        assert len(found) <= 1
        return found[0] if found else {}

    def status(self, number: int = 42) -> Json:
        """Return the status of an issue's MetaDiscussion, {} where there is none."""
        return self.discussion(number).get("status", {})

    def hive_agent_status(self, name: str = "bzzz") -> Json:
        """Return a HiveAgent's status."""
        found: Any = self.api.get("hiveagents", name, "-n", self.namespace)
        return found.get("status", {})

    def wait_phase(self, phase: str, number: int = 42, within: float = 30.0) -> Json:
        """Wait until a MetaDiscussion shows a phase; return its status."""

        def there() -> Json | None:
            status = self.status(number)
            return status if status.get("phase") == phase else None

        return eventually(there, within=within, what=f"#{number} is {phase}") or {}

    def wait_quiet(self, seconds: float = 3.0) -> int:
        """Wait until the scribe has written nothing for some seconds; return a mark from then on."""
        quiet: list[Any] = [self.api.mark(), datetime.now(UTC)]

        def still() -> bool:
            if self.writes(quiet[0]):
                quiet[:] = [self.api.mark(), datetime.now(UTC)]
            return datetime.now(UTC) - quiet[1] > timedelta(seconds=seconds)

        eventually(still, within=60, what="the scribe has nothing to write")
        return quiet[0]

    def debate(self, voice: Voice, seen: Callable[[str], Any]) -> None:
        """Have a whole debate in which one peer objects, and tell `seen` each phase as it is in the log."""
        chair, (first, second) = voice.claimant, self.peers
        chair.claim()
        self._tell(voice, seen)
        chair.propose()
        self._tell(voice, seen)
        chair.objection(first, "blocking", "breaks y")
        chair.no_objection(second)
        chair.pass_time(31)
        chair.act()
        chair.countersign(first)
        chair.countersign(second)
        self._tell(voice, seen)
        chair.revise()
        chair.no_objection(first)
        chair.no_objection(second)
        self._tell(voice, seen)
        agree(chair, first, second)
        chair.execute()
        self._tell(voice, seen)
        chair.finish()
        self._tell(voice, seen)
        chair.seal()
        report(voice)
        chair.say(
            DiscussionClosed(outcome="pull_request", pull_request="http://github.test/acme/widgets/pull/7")
        )
        self._tell(voice, seen)

    def escalated(self, voice: Voice) -> None:
        """Have a debate up to the question to a human."""
        voice.claimant.claim()
        voice.claimant.propose()
        voice.claimant.escalate("cannot agree")
        voice.write()

    def _tell(self, voice: Voice, seen: Callable[[str], Any]) -> None:
        voice.write()
        seen(voice.claimant.state.phase.value)


def agree(chair: Claimant, *peers: Node) -> None:
    """Close the round with everybody's countersignature."""
    chair.pass_time(31)
    chair.act()
    for peer in peers:
        chair.countersign(peer)


def forget(rig: Rig) -> None:
    """Take the scribe's cache away, as the emptyDir of a new pod is empty."""
    for file in rig.folder.glob("state.db*"):
        file.unlink()


def essence(discussion: Json) -> Json:
    """Return what of a MetaDiscussion is not the server's: name, labels, spec and status."""
    metadata = discussion["metadata"]
    return {
        "name": metadata["name"],
        "labels": metadata.get("labels"),
        "spec": discussion["spec"],
        "status": discussion["status"],
    }
