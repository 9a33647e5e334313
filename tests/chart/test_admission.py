"""What the scribe may not write though RBAC, which knows objects and not fields, would let it."""

from __future__ import annotations

from collections.abc import Generator

import httpx
import pytest

from tests.chart.asking import ask, token_of
from tests.chart.rendering import CHART, Json, documents, find, is_hook, render
from tests.support.kube_api import ApiServer
from tests.support.processes import eventually


@pytest.fixture(scope="module")
def api() -> Generator[ApiServer]:
    """An API server with the chart's CRDs."""
    with ApiServer.start() as server:
        for path in sorted((CHART / "crds").iterdir()):
            server.apply(path.read_text())
        yield server


@pytest.fixture(scope="module")
def hive(api: ApiServer) -> str:
    """A namespace in which the chart is applied; the hive is called bzzz."""
    namespace = api.namespace()
    api.apply(documents(o for o in render(namespace=namespace) if not is_hook(o)))
    return namespace


VERDICT = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "epoch": 1,
    "verdict": "proceed",
    "by": "ann",
    "signed": "e30=",
    "resolutionDigest": "a" * 64,
    "at": "2026-01-01T00:00:00Z",
}
WHEN = "2026-01-01T00:00:00Z"


KINDS = "/apis/bzzz.dev/v1alpha1/namespaces"
MERGE = "application/merge-patch+json"


class Discussion:
    """One MetaDiscussion, written by this or that account."""

    def __init__(self, api: ApiServer, namespace: str, name: str) -> None:
        self.api, self.namespace, self.name = api, namespace, name
        self.tokens = {who: token_of(api, namespace, f"bzzz-{who}") for who in ("scribe", "operator")}
        self.tokens["person"] = api.admin_token
        self.path = f"{KINDS}/{namespace}/metadiscussions"

    def create(self, who: str, resolution: Json | None = None) -> httpx.Response:
        """Make it."""
        spec: Json = {"issue": {"repository": "acme/widgets", "number": 4}}
        if resolution:
            spec["resolution"] = resolution
        body = {
            "apiVersion": "bzzz.dev/v1alpha1",
            "kind": "MetaDiscussion",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        return ask(self.api, self.tokens[who], "POST", self.path, body)

    def patch(self, who: str, change: Json) -> httpx.Response:
        """Merge a change into it."""
        return ask(self.api, self.tokens[who], "PATCH", f"{self.path}/{self.name}", change, MERGE)

    def patch_status(self, who: str, status: Json) -> httpx.Response:
        """Merge a change into its status."""
        path = f"{self.path}/{self.name}/status"
        return ask(self.api, self.tokens[who], "PATCH", path, {"status": status}, MERGE)


def is_forbidden(answer: httpx.Response, words: str) -> bool:
    """Whether it was refused with these words."""
    return answer.status_code == 403 and words in answer.json()["message"]


@pytest.fixture(scope="module")
def guarded(api: ApiServer, hive: str) -> str:
    """The hive's namespace, once its admission policy is in force: the API server takes a moment to read it."""
    probe = Discussion(api, hive, "probe")
    probe.create("person")

    def in_force() -> bool:
        done = probe.patch("scribe", {"spec": {"resolution": {"verdict": "abandon"}}})
        probe.patch("person", {"spec": {"resolution": None}})
        return is_forbidden(done, "spec.resolution")

    eventually(in_force, within=20, what="the admission policy is in force")
    return hive


def test_the_scribe_opens_discussions_and_keeps_their_status(api: ApiServer, guarded: str) -> None:
    discussion = Discussion(api, guarded, "mine")
    assert discussion.create("scribe").status_code == 201
    done = discussion.patch_status("scribe", {"phase": "Listening", "round": 1})
    assert done.status_code == 200, done.text


def test_the_scribe_may_not_open_a_discussion_with_its_end(api: ApiServer, guarded: str) -> None:
    done = Discussion(api, guarded, "decided").create("scribe", {"verdict": "proceed"})
    assert is_forbidden(done, "spec.resolution: expected a person to write it")


def test_the_scribe_may_not_make_alter_or_take_away_a_verdict_of_a_person(
    api: ApiServer, guarded: str
) -> None:
    discussion = Discussion(api, guarded, "answered")
    discussion.create("person")
    made = discussion.patch("scribe", {"spec": {"resolution": {"verdict": "proceed"}}})
    assert is_forbidden(made, "spec.resolution")
    answered = discussion.patch("person", {"spec": {"resolution": {"verdict": "abandon"}}})
    assert answered.status_code == 200, answered.text
    for change in ({"verdict": "proceed"}, {"text": "and more"}, None):
        done = discussion.patch("scribe", {"spec": {"resolution": change}})
        assert is_forbidden(done, "spec.resolution")
    allowed = discussion.patch("scribe", {"metadata": {"annotations": {"seen": "yes"}}})
    assert allowed.status_code == 200, allowed.text


def test_the_scribe_may_not_write_what_the_operator_signs_and_says(api: ApiServer, guarded: str) -> None:
    discussion = Discussion(api, guarded, "signed")
    discussion.create("person")
    accepted = {
        "type": "ResolutionAccepted",
        "status": "True",
        "reason": "Signed",
        "message": "",
        "lastTransitionTime": WHEN,
    }
    for status in ({"verdict": VERDICT}, {"conditions": [accepted]}, {"observedGeneration": 1}):
        done = discussion.patch_status("scribe", status)
        assert is_forbidden(done, next(iter(status)))
        by_operator = discussion.patch_status("operator", status)
        assert by_operator.status_code == 200, by_operator.text
    for status in ({"verdict": None}, {"verdict": {"verdict": "abandon"}}, {"conditions": []}):
        assert is_forbidden(discussion.patch_status("scribe", status), "expected the operator")
    done = discussion.patch_status("scribe", {"phase": "Executing"})
    assert done.status_code == 200, done.text


def test_the_scribe_may_not_write_the_operators_part_of_a_hive_agents_status(
    api: ApiServer, guarded: str
) -> None:
    path = f"{KINDS}/{guarded}/hiveagents"
    made = ask(api, api.admin_token, "POST", path, HIVE_AGENT)
    assert made.status_code == 201, made.text
    token = token_of(api, guarded, "bzzz-scribe")

    def patch(status: Json) -> httpx.Response:
        return ask(api, token, "PATCH", f"{path}/bzzz/status", {"status": status}, MERGE)

    for status in ({"replicas": 9}, {"readyReplicas": 9}, {"selector": "a=b"}, {"ready": "9/9"}):
        assert is_forbidden(patch(status), "expected the operator to write")
    done = patch({"agents": [{"nodeId": "bzzz-0"}], "issues": "#4"})
    assert done.status_code == 200, done.text


def test_another_namespaces_scribe_is_not_this_policys_business(api: ApiServer, guarded: str) -> None:
    policy = find(render(namespace=guarded), "ValidatingAdmissionPolicy", f"{guarded}-bzzz-scribe-resolution")
    for place in (
        policy["spec"]["matchConstraints"],
        find(
            render(namespace=guarded),
            "ValidatingAdmissionPolicyBinding",
            f"{guarded}-bzzz-scribe-resolution",
        )["spec"]["matchResources"],
    ):
        assert place["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": guarded}}


def test_the_api_server_finds_no_fault_with_the_policys_expressions(api: ApiServer, guarded: str) -> None:
    policy = api.get("validatingadmissionpolicy", f"{guarded}-bzzz-scribe-resolution")
    status = policy.get("status")
    assert not (isinstance(status, dict) and status.get("typeChecking", {}).get("expressionWarnings"))


HIVE_AGENT: Json = {
    "apiVersion": "bzzz.dev/v1alpha1",
    "kind": "HiveAgent",
    "metadata": {"name": "bzzz"},
    "spec": {
        "replicas": 1,
        "github": {"repositories": ["acme/widgets"], "credentialsSecretRef": {"name": "github"}},
        "execution": {"type": "command", "plan": "dryRun", "command": ["true"]},
    },
}
