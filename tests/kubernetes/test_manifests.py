"""What the cluster itself says of the manifests: explained field by field, and refused by field."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.kubernetes.hive import Json, PodHive, hive_agent
from tools.up.kube import KubeError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BAD: dict[str, tuple[Callable[[Json], object], str]] = {
    "too many replicas": (lambda s: s.update(replicas=1000), "spec.replicas: Invalid value: 1000"),
    "a number as text": (lambda s: s.update(replicas="3"), 'spec.replicas: Invalid value: "string"'),
    "a misspelt field": (lambda s: s.update(replica=3), 'unknown field "spec.replica"'),
    "no repository": (lambda s: s["github"].update(repositories=[]), "spec.github.repositories"),
    "no repository's name": (
        lambda s: s["github"].update(repositories=["widgets"]),
        "spec.github.repositories[0]",
    ),
    "an unsafe address": (
        lambda s: s["github"].update(apiUrl="http://github.example.com"),
        "spec.github.apiUrl",
    ),
    "no command": (lambda s: s["execution"].pop("command"), "spec.execution.command"),
    "a model's plan without a model": (lambda s: s["execution"].update(plan="model"), "spec.model"),
    "a window that never closes": (lambda s: s["discussion"].update(window="2h"), "spec.discussion.window"),
    "more wanted than asked": (
        lambda s: s["discussion"].update(reviewers=1, minReviewers=2),
        "spec.discussion.minReviewers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_manifest_is_refused_with_its_field_named(hive: PodHive, case: str) -> None:
    spoil, said = BAD[case]
    manifest = hive_agent("bad")
    spoil(manifest["spec"])
    with pytest.raises(KubeError) as refused:
        hive.kube.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    assert said in str(refused.value)


def test_kubectl_explains_every_field_of_the_spec(hive: PodHive) -> None:
    told = hive.kube.kubectl("explain", "hiveagent.spec")
    for field in (
        "replicas",
        "github",
        "model",
        "capabilities",
        "execution",
        "discussion",
        "storage",
        "suspend",
    ):
        assert f"  {field}\t" in told
    assert "<no description>" not in told
    told = hive.kube.kubectl("explain", "hiveagent.spec.discussion.window")
    assert "FIELD: window <string>" in told
    assert "How long peers may object in a round; from 100ms to 1h." in told
    assert "<no description>" not in hive.kube.kubectl("explain", "metadiscussion.spec")
