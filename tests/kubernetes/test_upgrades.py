"""The release itself: upgraded under work, tested, and uninstalled with HiveAgents in it."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.kubernetes.hive import PodHive, eventually, hive_agent
from tools.cluster import Cluster
from tools.up.deploy import Deployment, Release, free_port
from tools.up.kube import Kube

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_an_upgrade_loses_nothing_of_a_running_claim_and_helm_test_passes(hive: PodHive) -> None:
    number = hive.open_issue(
        "Mend while upgrading", "touch: src/upgraded.py", "sleep: 5", labels=("bzzz", "tool:edit")
    )
    hive.wait_status(number, "is claimed", lambda s: bool(s.get("claimant")))
    name = f"{hive.deployment.release.name}-operator"
    before = hive.kube.get("deployment", name)["metadata"]["generation"]
    hive.deployment.install("--set=operator.workers=3", "--set=operator.logLevel=debug")
    assert hive.kube.get("deployment", name)["metadata"]["generation"] > before
    config = hive.kube.get("configmap", f"{name}-config")["data"]["operator.json"]
    assert json.loads(config)["workers"] == 3
    assert hive.wait_pull_request(number, 300)["epoch"] == 1
    hive.wait_ready("edit")
    said = hive.kube.helm("test", hive.deployment.release.name, "--timeout=3m")
    assert "Succeeded" in said


def test_an_uninstall_ends_though_hive_agents_are_there_and_so_does_the_namespace(loaded: Cluster) -> None:
    namespace = f"{os.environ.get('BZZZ_TEST_NAMESPACE', 'hive')}-leaving"
    kube = Kube(loaded.kubeconfig, loaded.bin, namespace)
    Deployment(kube, Release(namespace, "short", free_port())).install()
    try:
        kube.kubectl("create", "secret", "generic", "github", "--from-literal=token=of-no-account")
        kube.kubectl("apply", "-f", "-", stdin=json.dumps(hive_agent("stay", 1)))
        eventually(
            lambda: kube.exists("statefulset", "stay"), within=120, what="the operator saw the HiveAgent"
        )
        began = time.monotonic()
        kube.helm("uninstall", "short", "--wait", "--timeout=90s")
        assert time.monotonic() - began < 90
        assert kube.exists("hiveagent", "stay")
        assert kube.exists("secret", "short-hive-key")
    finally:
        kube.kubectl("delete", "namespace", namespace, "--wait=false")
    eventually(
        lambda: not kube.exists("namespace", namespace), within=240, what=f"namespace {namespace} is gone"
    )
