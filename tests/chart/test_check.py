"""`helm test`'s script against a real API server, with nobody else there: what it says, and what it says to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, render
from tests.support.kube_api import ApiServer

SCRIPT = CHART / "files" / "check.py"
NOBODY = "http://127.0.0.1:9"
"""Nobody listens there."""


@pytest.fixture(scope="module")
def api() -> Generator[ApiServer]:
    """An API server with the chart's CRDs."""
    with ApiServer.start() as server:
        for path in sorted((CHART / "crds").iterdir()):
            server.apply(path.read_text())
        yield server


def check(api: ApiServer, namespace: str, folder: Path) -> dict[str, str]:
    """Run the script under its own account; return what it says by check."""
    rights = [o for o in render(namespace=namespace) if o["metadata"]["name"] == "bzzz-check"]
    rights = [o for o in rights if o["kind"] in {"ServiceAccount", "Role", "RoleBinding"}]
    api.apply(yaml.safe_dump_all(rights))
    token = api.kubectl("create", "token", "bzzz-check", "-n", namespace).stdout.strip()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(api.ca_file.read_bytes())
    done = subprocess.run(
        [
            *(sys.executable, SCRIPT, "--hive", "bzzz", "--namespace", namespace),
            *("--archive", NOBODY, "--scribe", NOBODY, "--operator", NOBODY, "--timeout", "0"),
            *("--kubernetes", api.url, "--account", folder),
            *("--archive-token", folder / "token", "--metrics-token", folder / "token"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 1
    return {line[6:].partition(":")[0]: line for line in done.stdout.splitlines()}


def test_what_is_missing_is_named_with_the_command_that_shows_more(api: ApiServer, tmp_path: Path) -> None:
    namespace = api.namespace()
    said = check(api, namespace, tmp_path)
    assert said["definitions"].startswith("ok ")
    assert said["agents"] == "ok    agents: no HiveAgents yet; apply one"
    for name, object_name in (
        ("operator metrics", "deployment/bzzz-operator"),
        ("archive", "statefulset/bzzz-archive"),
        ("scribe", "deployment/bzzz-scribe"),
    ):
        assert said[name].startswith("FAIL")
        assert f"kubectl -n {namespace} logs {object_name}" in said[name]
    assert said["lease"].startswith("FAIL")


def test_an_operator_that_holds_its_lease_and_an_agent_that_is_not_ready(
    api: ApiServer, tmp_path: Path
) -> None:
    namespace = api.namespace()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease: dict[str, Any] = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "bzzz-operator", "namespace": namespace},
        "spec": {"holderIdentity": "op-1", "renewTime": now, "leaseDurationSeconds": 15},
    }
    agent = {
        "apiVersion": "bzzz.dev/v1alpha1",
        "kind": "HiveAgent",
        "metadata": {"name": "fixer", "namespace": namespace},
        "spec": {
            "github": {"repositories": ["acme/widgets"], "credentialsSecretRef": {"name": "github"}},
            "execution": {"type": "command", "plan": "dryRun", "command": ["true"]},
        },
    }
    api.kubectl("apply", "-f", "-", input=f"{json.dumps(lease)}\n---\n{json.dumps(agent)}")
    condition = {
        "type": "Degraded",
        "status": "True",
        "reason": "SecretMissing",
        "message": "spec.github.credentialsSecretRef.name: no Secret github",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = json.dumps({"status": {"conditions": [condition]}})
    api.kubectl(
        *("patch", "hiveagent", "fixer", "-n", namespace),
        *("--subresource=status", "--type=merge", "-p", patch),
    )
    said = check(api, namespace, tmp_path)
    assert said["lease"].startswith("ok    lease: held by op-1, renewed ")
    assert said["agents"].startswith("FAIL  agents: expected HiveAgent fixer to be Ready, came nothing yet")
    assert "SecretMissing spec.github.credentialsSecretRef.name: no Secret github" in said["agents"]
    assert f"kubectl -n {namespace} describe hiveagent fixer" in said["agents"]
