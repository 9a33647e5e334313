"""Who belongs to a hive in pods, as its ledger, its status and the command line show it."""

from __future__ import annotations

import json
import os
import subprocess

from hmmm.membership import read_revocations
from tests.kubernetes.hive import BZZZ, Json, PodHive, eventually


def ledger(hive: PodHive) -> dict[str, str]:
    """Return the data of the hive's ConfigMap of members."""
    return hive.kube.get("configmap", f"{hive.deployment.release.name}-members")["data"]


def entry(hive: PodHive, node: str) -> Json:
    """Return a node's entry in the ledger, empty if it has none."""
    return json.loads(ledger(hive)["ledger.json"])["nodes"].get(node, {})


def is_revoked(hive: PodHive, serial: int) -> bool:
    """Whether the list of revocations, signed by the hive's key, has a card."""
    data = ledger(hive)
    key, name = bytes.fromhex(hive.hive_key), hive.deployment.release.name
    revocations = read_revocations(data["revocations.json"].encode(), hive=name, hive_key=key)
    return any(revocation.covers(serial) for revocation in revocations.revoked)


def seen(hive: PodHive, node: str) -> Json:
    """Return what the HiveAgent's status says of a node, empty if it says nothing."""
    agents: list[Json] = (
        hive.kube.get("hiveagent", node.rpartition("-")[0]).get("status", {}).get("agents", [])
    )
    return next((agent for agent in agents if agent["nodeId"] == node), Json())


def wait_present(hive: PodHive, node: str, within: float = 120) -> Json:
    """Wait until the mesh hears a node under its present card, and return what its status says."""

    def there() -> Json | None:
        found = seen(hive, node)
        return found if found.get("present") and found.get("logKey") == entry(hive, node)["logKey"] else None

    found = eventually(there, within=within, what=f"{node} is on the mesh; pods {hive.pods()}")
    assert found is not None
    return found


def ask(hive: PodHive, verb: str, node: str) -> str:
    """Run `bzzz revoke` or `bzzz rotate` as a person does, and return what it said."""
    done = subprocess.run(
        [BZZZ, verb, node, "-n", hive.kube.namespace],
        env={**os.environ, "KUBECONFIG": str(hive.kube.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
