"""`helm test`: is this hive whole? A line a check; exit code 1, with what to do, if one fails. Python's library only.

Each check is tried again until the time is over, so that it can be run right after an install.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KUBERNETES = "https://kubernetes.default.svc"
REQUEST_S = 5.0
PAUSE_S = 1.0
MAX_ANSWER = 4 * 1024 * 1024
STALE_S = 60.0


class CheckError(Exception):
    """A check that failed: what was expected, what came, what to do."""


def main() -> int:
    """Run all checks; return the exit code."""
    parser = argparse.ArgumentParser(description="Checks that a hive is whole.")
    parser.add_argument("--hive", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--archive", required=True, help="URL")
    parser.add_argument("--scribe", required=True, help="URL")
    parser.add_argument("--operator", required=True, help="URL of its metrics")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds, for all checks together")
    parser.add_argument("--kubernetes", default=KUBERNETES, help="URL of the API server")
    parser.add_argument("--account", type=Path, default=ACCOUNT, help="folder with token and ca.crt")
    parser.add_argument("--archive-token", type=Path, default=Path("/etc/bzzz/archive/token"))
    parser.add_argument("--metrics-token", type=Path, default=Path("/etc/bzzz/metrics/token"))
    options = parser.parse_args()
    until = time.monotonic() + options.timeout
    checks = (definitions, lease, operator_metrics, archive, scribe, agents)
    failed = sum(not passes(check, options, until) for check in checks)
    return 1 if failed else 0


def passes(check: Callable[[argparse.Namespace], str], options: argparse.Namespace, until: float) -> bool:
    """Try a check until it passes or the time is over; say which."""
    name = check.__name__.replace("_", " ")
    while True:
        try:
            print(f"ok    {name}: {check(options)}", flush=True)
        except CheckError as error:
            if time.monotonic() < until:
                time.sleep(PAUSE_S)
                continue
            print(f"FAIL  {name}: {error}", flush=True)
            return False
        return True


def definitions(options: argparse.Namespace) -> str:
    """Check that the API server serves the hive's kinds."""
    served = {r["name"] for r in from_kubernetes(options, "/apis/bzzz.dev/v1alpha1")["resources"]}
    wanted = {
        "hiveagents",
        "hiveagents/status",
        "hiveagents/scale",
        "metadiscussions",
        "metadiscussions/status",
    }
    if missing := sorted(wanted - served):
        raise CheckError(
            f"expected bzzz.dev/v1alpha1 to have {', '.join(sorted(wanted))}, came none of {', '.join(missing)}; "
            "apply the chart's CRDs: kubectl apply --server-side -f charts/bzzz/crds"
        )
    return "HiveAgent and MetaDiscussion are served"


def lease(options: argparse.Namespace) -> str:
    """Check that an operator acts."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{options.namespace}/leases/{options.hive}-operator"
    spec = from_kubernetes(options, path).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    age = None if renewed is None else (datetime.now(UTC) - moment(renewed)).total_seconds()
    if not holder or age is None or age > STALE_S:
        raise CheckError(
            f"expected an operator to hold the Lease {options.hive}-operator, came holder {holder}, renewed {renewed}; "
            f"see: kubectl -n {options.namespace} logs deployment/{options.hive}-operator"
        )
    return f"held by {holder}, renewed {max(age, 0):.0f} s ago"


def operator_metrics(options: argparse.Namespace) -> str:
    """Check that the operator tells its metrics."""
    see = f"see: kubectl -n {options.namespace} logs deployment/{options.hive}-operator"
    text = ask(f"{options.operator}/metrics", see, token=read(options.metrics_token))
    lines = [line for line in text.decode(errors="replace").splitlines() if line and not line.startswith("#")]
    if not lines:
        raise CheckError(f"expected metrics, came an empty answer; {see}")
    return f"{len(lines)} series"


def archive(options: argparse.Namespace) -> str:
    """Check that the archive lists its logs to who has the token, and to nobody else."""
    see = f"see: kubectl -n {options.namespace} logs statefulset/{options.hive}-archive"
    found = json.loads(ask(f"{options.archive}/v1/logs", see, token=read(options.archive_token)))
    try:
        ask(f"{options.archive}/v1/logs", see)
    except CheckError as error:
        if "401" not in str(error):
            raise
    else:
        raise CheckError(f"expected 401 without a token, came the list of logs; {see}")
    return f"answers with the token only; {len(found['logs'])} logs"


def scribe(options: argparse.Namespace) -> str:
    """Check that the scribe is ready."""
    ask(
        f"{options.scribe}/readyz",
        f"see: kubectl -n {options.namespace} logs deployment/{options.hive}-scribe",
    )
    return "ready"


def agents(options: argparse.Namespace) -> str:
    """Check that each HiveAgent, if there are any, is ready."""
    path = f"/apis/bzzz.dev/v1alpha1/namespaces/{options.namespace}/hiveagents"
    items = from_kubernetes(options, path)["items"]
    for item in items:
        name = item["metadata"]["name"]
        conditions = {c["type"]: c for c in (item.get("status") or {}).get("conditions") or []}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True" and not item["spec"].get("suspend"):
            degraded = conditions.get("Degraded", {})
            words = degraded if degraded.get("status") == "True" else ready
            raise CheckError(
                f"expected HiveAgent {name} to be Ready, came {ready.get('status', 'nothing yet')}: "
                f"{words.get('reason', '')} {words.get('message', '')}; "
                f"see: kubectl -n {options.namespace} describe hiveagent {name}"
            )
    return f"{len(items)} HiveAgents, all Ready" if items else "no HiveAgents yet; apply one"


def from_kubernetes(options: argparse.Namespace, path: str) -> dict[str, Any]:
    """Return what the API server says. Raises CheckError."""
    token, trusted = (
        read(options.account / "token"),
        ssl.create_default_context(cafile=options.account / "ca.crt"),
    )
    see = "is the chart of this version installed, and its operator running?"
    return json.loads(ask(options.kubernetes + path, see, token=token, trusted=trusted))


def ask(url: str, remedy: str, token: str | None = None, trusted: ssl.SSLContext | None = None) -> bytes:
    """Return the body of a 200. Raises CheckError."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_S, context=trusted) as answer:  # noqa: S310
            return answer.read(MAX_ANSWER)
    except urllib.error.HTTPError as error:
        raise CheckError(f"expected 200 of {url}, came {error.code}; {remedy}") from error
    except OSError as error:
        raise CheckError(f"expected an answer of {url}, came {error}; {remedy}") from error


def read(path: Path) -> str:
    """Return a file's text. Raises CheckError, which names the file only."""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise CheckError(
            f"expected {path} to be readable, came {error.strerror}; run it by `helm test`"
        ) from error


def moment(text: str) -> datetime:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


if __name__ == "__main__":
    sys.exit(main())
