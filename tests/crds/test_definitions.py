"""The definitions as the API server serves them: generated, explained, printed, scaled, merged and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from bzzz_crds.definitions import definitions, files
from tests.crds.conftest import CRDS
from tests.crds.edges import DISCUSSION
from tests.crds.tables import GOOD
from tests.support.kube_api import ApiServer

AGENT_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "replicas": 3,
    "readyReplicas": 2,
    "ready": "2/3",
    "selector": "app.kubernetes.io/instance=bzzz",
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "ReplicasNotReady",
            "message": "",
            "lastTransitionTime": "2026-11-27T06:00:00Z",
        }
    ],
}
SEEN: dict[str, Any] = {
    "issues": "#4 #7",
    "agents": [
        {
            "nodeId": "bzzz-0",
            "phase": "Listening",
            "present": True,
            "issue": "acme/widgets#4",
            "models": ["m"],
            "load": 0.5,
        }
    ],
}
DISCUSSION_STATUS: dict[str, Any] = {
    "epoch": 2,
    "title": "Sort the shelf",
    "phase": "Escalated",
    "round": 2,
    "claimant": "bzzz-0",
    "objectionSummary": "1/2 open",
    "objections": [
        {"nodeId": "bzzz-1", "severity": "blocking", "reason": "no tests", "round": 1, "status": "open"}
    ],
    "lastMessages": [
        {"from": "bzzz-1", "type": "objection", "text": "no tests", "at": "2026-11-27T06:00:00.123Z"}
    ],
    "phaseTimestamps": {"Planning": "2026-11-27T06:00:00Z", "Listening": "2026-11-27T06:00:05Z"},
    "pullRequest": {"url": "https://github.com/acme/widgets/pull/9"},
    "verdict": {"id": "v-1", "epoch": 2, "verdict": "proceed"},
}


@pytest.mark.parametrize("name", files())
def test_the_definition_in_the_checkout_is_the_generated_one(name: str) -> None:
    committed = (CRDS / name).read_text()
    assert committed == files()[name], "stale; run: python -m bzzz_crds"


def fields_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, each in schema.get("properties", {}).items():
        yield f"{path}.{name}", each
        yield from fields_of(each, f"{path}.{name}")
        yield from fields_of(each.get("items", {}), f"{path}.{name}[]")


@pytest.mark.parametrize("name", definitions())
def test_every_field_is_described_and_bounded(name: str) -> None:
    (version,) = definitions()[name]["spec"]["versions"]
    served_by_kubernetes = {".apiVersion", ".kind", ".metadata"}
    for path, field in fields_of(version["schema"]["openAPIV3Schema"]):
        if path in served_by_kubernetes:
            continue
        assert field.get("description", "") if "[]" not in path else True, f"{path} is not described"
        bounds = {
            "string": ("maxLength", "enum"),
            "integer": ("maximum",),
            "array": ("maxItems",),
            "number": ("maximum",),
        }
        wanted = bounds.get(field["type"], ())
        assert not wanted or any(bound in field for bound in wanted), f"{path} has no bound"


@pytest.mark.parametrize("name", definitions())
def test_no_status_has_defaults_which_its_writers_would_take_for_a_change(name: str) -> None:
    (version,) = definitions()[name]["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert [path for path, field in fields_of(status) if "default" in field] == []


def test_kubectl_explains_every_field(api: ApiServer) -> None:
    tree = api.kubectl("explain", "hiveagent.spec", "--recursive").stdout
    assert all(
        name in tree for name in ("planCommand", "messageTTL", "credentialsSecretRef", "protectedPaths")
    )
    assert "dry run of the command" in api.kubectl("explain", "hiveagent.spec.execution.plan").stdout
    assert "human's verdict" in api.kubectl("explain", "md.spec.resolution").stdout


def manage(api: ApiServer, document: dict[str, Any], manager: str, *args: str) -> None:
    """Apply on the server, as one field manager among several, without force."""
    api.kubectl(
        "apply", "--server-side", f"--field-manager={manager}", *args, "-f", "-", input=json.dumps(document)
    )


@pytest.fixture
def space(api: ApiServer) -> str:
    return api.namespace()


def stored(api: ApiServer, text: str, space: str) -> dict[str, Any]:
    """Apply a manifest and return what identifies the object, for its status."""
    api.apply(text, "-n", space)
    document = yaml.safe_load(text)
    name = document["metadata"]["name"]
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "metadata": {"name": name, "namespace": space},
    }


def test_operator_and_scribe_share_an_agents_status(api: ApiServer, space: str) -> None:
    agent = stored(api, GOOD, space)
    manage(api, agent | {"status": AGENT_STATUS}, "bzzz-operator", "--subresource=status")
    manage(api, agent | {"status": SEEN}, "bzzz-scribe", "--subresource=status")
    manage(api, agent | {"status": {**AGENT_STATUS, "ready": "3/3"}}, "bzzz-operator", "--subresource=status")
    status = json.loads(api.kubectl("get", "ha/bzzz", "-n", space, "-o", "json").stdout)["status"]
    assert status == {**AGENT_STATUS, **SEEN, "ready": "3/3"}


def test_kubectl_get_shows_an_agents_columns(api: ApiServer, space: str) -> None:
    agent = stored(api, GOOD, space)
    manage(api, agent | {"status": {**AGENT_STATUS, **SEEN}}, "test", "--subresource=status")
    header, row = api.kubectl("get", "bzzz", "-n", space).stdout.splitlines()
    assert header.split() == ["NAME", "READY", "MODEL", "ISSUES", "AGE"]
    assert row.split()[1:-1] == ["2/3", "anthropic:claude-opus-4", "#4", "#7"]


def test_kubectl_get_shows_a_discussions_columns(api: ApiServer, space: str) -> None:
    discussion = stored(api, DISCUSSION, space)
    manage(api, discussion | {"status": DISCUSSION_STATUS}, "bzzz-scribe", "--subresource=status")
    header, row = api.kubectl("get", "md", "-n", space).stdout.splitlines()
    assert header.split() == [
        "NAME",
        "ISSUE",
        "PHASE",
        "CLAIMANT",
        "ROUND",
        "OBJECTIONS",
        "VERDICT",
        "PR",
        "AGE",
    ]
    url = "https://github.com/acme/widgets/pull/9"
    assert row.split()[1:-1] == ["42", "Escalated", "bzzz-0", "2", "1/2", "open", "proceed", url]


def test_an_agent_is_scaled_by_kubectl(api: ApiServer, space: str) -> None:
    agent = stored(api, GOOD, space)
    manage(api, agent | {"status": AGENT_STATUS}, "bzzz-operator", "--subresource=status")
    api.kubectl("scale", "ha/bzzz", "--replicas=5", "-n", space)
    scale = api.kubectl(
        "get", "--raw", f"/apis/bzzz.dev/v1alpha1/namespaces/{space}/hiveagents/bzzz/scale"
    ).stdout
    assert json.loads(scale)["spec"] == {"replicas": 5}
    assert json.loads(scale)["status"] == {"replicas": 3, "selector": "app.kubernetes.io/instance=bzzz"}


@pytest.mark.parametrize(
    ("text", "resource", "patch", "refused"),
    [
        (GOOD, "ha/bzzz", {"storage": {"size": "2Gi"}}, "spec.storage.size"),
        (DISCUSSION, "md/acme-widgets-42-1a2b3c", {"issue": {"number": 43}}, "spec.issue"),
    ],
)
def test_what_cannot_change_is_refused(
    api: ApiServer, space: str, text: str, resource: str, patch: dict[str, Any], refused: str
) -> None:
    stored(api, text, space)
    change = json.dumps({"spec": patch})
    answer = api.kubectl("patch", resource, "-n", space, "--type=merge", "-p", change, check=False)
    assert f"{refused}: Invalid value" in answer.stderr
    assert "expected" in answer.stderr


def test_the_same_size_in_another_unit_is_no_change(api: ApiServer, space: str) -> None:
    stored(api, GOOD, space)
    same = json.dumps({"spec": {"storage": {"size": "1024Mi"}}})
    assert "patched" in api.kubectl("patch", "ha/bzzz", "-n", space, "--type=merge", "-p", same).stdout


def test_the_operator_frameworks_notes_are_kept(api: ApiServer, space: str) -> None:
    agent = stored(api, GOOD, space)
    notes = {"progress": {"anything": [1, {"at": "all"}]}}
    manage(api, agent | {"status": {"kopf": notes}}, "kopf", "--subresource=status")
    assert (
        json.loads(api.kubectl("get", "ha/bzzz", "-n", space, "-o", "json").stdout)["status"]["kopf"] == notes
    )
