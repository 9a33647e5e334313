"""Releases on a real API server, without the programs: what the notes say, what an uninstall leaves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator

import pytest

from tests.chart.rendering import CHART, Json, helm
from tests.support.kube_api import ApiServer


@pytest.fixture(scope="module")
def api() -> Generator[ApiServer]:
    """An API server that knows nothing of a hive yet."""
    with ApiServer.start() as server:
        yield server


def install(
    api: ApiServer, namespace: str, values: Json | None = None, *more: str, release: str = "bzzz"
) -> subprocess.CompletedProcess[str]:
    """Run `helm install`; without hooks, for no kubelet would run them."""
    where = ("--kubeconfig", api.kubeconfig, "--namespace", namespace)
    return helm(
        *("install", release, CHART, *where, "--no-hooks", "--values", "-", *more),
        stdin=json.dumps(values or {}),
    )


def test_the_notes_name_the_next_commands_and_warn_of_links_that_nobody_can_open(api: ApiServer) -> None:
    namespace = api.namespace()

    def notes(values: Json) -> str:
        done = install(api, namespace, values, "--dry-run=server")
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2]

    text = notes({})
    for command in (
        "create secret generic github",
        "apply -f",
        "--watch",
        "port-forward service/bzzz-scribe",
    ):
        assert command in text
    for warning in (
        "publicUrl is not set",
        "networkPolicy.enabled is false",
        "admissionPolicy.enabled is false",
    ):
        assert (warning in text) == (warning == "publicUrl is not set")
    off = {"networkPolicy": {"enabled": False}, "admissionPolicy": {"enabled": False}}
    text = notes({"publicUrl": "https://hive.example.org", **off})
    assert "publicUrl is not set" not in text
    assert "networkPolicy.enabled is false" in text
    assert "admissionPolicy.enabled is false" in text


def test_an_uninstall_ends_and_leaves_what_cannot_be_made_again(api: ApiServer) -> None:
    namespace = api.namespace()
    where = ("--kubeconfig", api.kubeconfig, "--namespace", namespace)
    done = install(api, namespace)
    assert done.returncode == 0, done.stderr
    api.kubectl("-n", namespace, "create", "secret", "generic", "bzzz-hive-key", "--from-literal=hive.seed=x")
    api.kubectl("-n", namespace, "create", "configmap", "bzzz-members")
    upgraded = helm("upgrade", "bzzz", CHART, *where, "--no-hooks", "--set", "operator.workers=2")
    assert upgraded.returncode == 0, upgraded.stderr
    gone = helm("uninstall", "bzzz", *where, "--no-hooks", "--timeout", "30s")
    assert gone.returncode == 0, gone.stderr
    left = api.kubectl("-n", namespace, "get", "secret/bzzz-hive-key", "configmap/bzzz-members", "-o", "name")
    assert len(left.stdout.split()) == 2
    api.kubectl("get", "crd", "hiveagents.bzzz.dev", "metadiscussions.bzzz.dev")
    policies = api.kubectl("get", "validatingadmissionpolicies,clusterroles", "-o", "name").stdout
    assert namespace not in policies


def test_a_namespace_takes_one_hive_only(api: ApiServer) -> None:
    namespace = api.namespace()
    assert install(api, namespace).returncode == 0
    refused = install(api, namespace, None, "--dry-run=server", release="second")
    assert refused.returncode != 0
    assert "expected no other hive in it, came bzzz-operator" in refused.stderr
    again = install(api, namespace, None, "--dry-run=server", "--replace", release="bzzz")
    assert "expected no other hive" not in again.stderr


def test_two_hives_live_side_by_side_in_two_namespaces(api: ApiServer) -> None:
    for namespace in (api.namespace(), api.namespace()):
        done = install(api, namespace)
        assert done.returncode == 0, done.stderr
