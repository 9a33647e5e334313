"""What was written to a test's API server and by whom: tests and benches count writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, verbs: [get, list, watch]}
- {level: None, users: ["system:apiserver"]}
- {level: None, resources: [{group: authentication.k8s.io}, {group: authorization.k8s.io}]}
- {level: Metadata}
"""
"""Every write but the server's own, and questions about rights, which go by POST and store nothing."""


@dataclass(frozen=True)
class Write:
    """One request that writes, as the server answered it."""

    user: str
    """`admin`, or `system:serviceaccount:NAMESPACE:NAME`."""
    agent: str
    """User-Agent, as the client sent it."""
    verb: str
    """create, update, patch, delete or deletecollection."""
    resource: str
    """Plural, with its subresource: `hiveagents`, `hiveagents/status`."""
    namespace: str
    name: str
    """Empty where the server made the name up or the request named none."""
    code: int
    """HTTP status of the answer."""


def read_writes(log: Path, offset: int) -> Iterator[Write]:
    """Yield the writes that the audit log holds from a byte offset on; a half-written last line is left out."""
    if not log.exists():
        return
    with log.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if line.endswith(b"\n"):
                yield _write(json.loads(line))


def _write(event: dict[str, Any]) -> Write:
    target: dict[str, Any] = event.get("objectRef") or {}
    answer: dict[str, Any] = event.get("responseStatus") or {}
    resource = str(target.get("resource", ""))
    return Write(
        user=str(event["user"]["username"]),
        agent=str(event.get("userAgent", "")),
        verb=str(event["verb"]),
        resource=f"{resource}/{target['subresource']}" if target.get("subresource") else resource,
        namespace=str(target.get("namespace", "")),
        name=str(target.get("name", "")),
        code=int(answer.get("code", 0)),
    )
