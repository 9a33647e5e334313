"""Edges of what is taken, each as a change of a good manifest, for the models and for the API server alike."""

from __future__ import annotations

from typing import Any

import yaml

from tests.crds.tables import GOOD

REMOVED: Any = object()


def edited(changes: dict[str, Any], base: str = GOOD) -> dict[str, Any]:
    """Return a manifest with fields set by their dotted paths; REMOVED takes a field out."""
    document: dict[str, Any] = yaml.safe_load(base)
    for path, value in changes.items():
        *above, last = path.split(".")
        place = document
        for name in above:
            place = place.setdefault(name, {})
        if value is REMOVED:
            place.pop(last, None)
        else:
            place[last] = value
    return document


PLANLESS = {"spec.model": REMOVED, "spec.execution.plan": "dryRun"}

EDGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "null is absent": ({"spec.replicas": None, "spec.model.baseUrl": None}, None),
    "null of a whole part": ({"spec.discussion": None, "spec.storage": None}, None),
    "null of a required field": ({"spec.execution.type": None}, "spec.execution.type"),
    "null in a list": ({"spec.github.repositories": [None]}, "spec.github.repositories[0]"),
    "a whole number with a point": ({"spec.replicas": 3.0}, None),
    "half an agent": ({"spec.replicas": 1.5}, "spec.replicas"),
    "a switch for a number": ({"spec.replicas": True}, "spec.replicas"),
    "the most replicas": ({"spec.replicas": 256}, None),
    "a list for a mapping": ({"spec.github": []}, "spec.github"),
    "text for a mapping": ({"spec.capabilities": "ruff"}, "spec.capabilities"),
    "the longest window": ({"spec.discussion.window": "60m", "spec.discussion.ttl": "1h"}, None),
    "the shortest window": ({"spec.discussion.window": "100ms"}, None),
    "a window too short": ({"spec.discussion.window": "99ms"}, "spec.discussion.window"),
    "a duration in days": ({"spec.escalation.timeout": "30d"}, "spec.escalation.timeout"),
    "thirty days": ({"spec.escalation.timeout": "720h"}, None),
    "a duration of centuries": ({"spec.escalation.timeout": "999999999h"}, "spec.escalation.timeout"),
    "a duration with a fraction": ({"spec.escalation.timeout": "1.5h"}, "spec.escalation.timeout"),
    "a duration out of order": ({"spec.escalation.timeout": "30s1h"}, None),
    "a duration with a line's end": ({"spec.escalation.timeout": "1h\n"}, "spec.escalation.timeout"),
    "no duration at all": ({"spec.escalation.timeout": ""}, "spec.escalation.timeout"),
    "tokens of a command with a model": ({"spec.execution.limits.tokens": 200000}, None),
    "money of a command with a model": ({"spec.execution.limits.usd": "2.00"}, None),
    "tokens of a command without a model": (
        {**PLANLESS, "spec.execution.limits.tokens": 200000},
        "spec.model",
    ),
    "money of a command without a model": ({**PLANLESS, "spec.execution.limits.usd": "2.00"}, "spec.model"),
    "a command without a model": (PLANLESS, None),
    "no model to plan": ({"spec.model": REMOVED}, "spec.model"),
    "no model to build": (
        {"spec.model": REMOVED, "spec.execution.type": "builtin", "spec.execution.command": REMOVED},
        "spec.model",
    ),
    "a dry run of the builtin": (
        {
            "spec.execution.type": "builtin",
            "spec.execution.command": REMOVED,
            "spec.execution.plan": "dryRun",
        },
        "spec.execution.plan",
    ),
    "the builtin": ({"spec.execution.type": "builtin", "spec.execution.command": REMOVED}, None),
    "an empty command": ({"spec.execution.command": []}, "spec.execution.command"),
    "a command of words and numbers": ({"spec.execution.command": ["sleep", 5]}, "spec.execution.command[1]"),
    "a zero byte in an argument": ({"spec.execution.command": ["a\x00"]}, "spec.execution.command[0]"),
    "an argument of several lines": ({"spec.execution.command": ["sh", "-c", "a\nb\n"]}, None),
    "cents as a number": ({"spec.execution.limits.usd": 2.0}, "spec.execution.limits.usd"),
    "too much money": ({"spec.execution.limits.usd": "1000000"}, "spec.execution.limits.usd"),
    "an absolute glob": (
        {"spec.execution.limits.protectedPaths": ["/etc"]},
        "spec.execution.limits.protectedPaths[0]",
    ),
    "no glob": ({"spec.execution.limits.protectedPaths": []}, None),
    "a label with a space inside": ({"spec.github.issues.labels": ["good first issue"]}, None),
    "a label with a space before": ({"spec.github.issues.labels": [" bzzz"]}, "spec.github.issues.labels[0]"),
    "a label beyond ASCII": ({"spec.github.issues.labels": ["größe 🐝", "\u00a0x"]}, None),
    "fifty bees": ({"spec.github.issues.labels": ["🐝" * 50]}, None),
    "fifty-one bees": ({"spec.github.issues.labels": ["🐝" * 51]}, "spec.github.issues.labels[0]"),
    "no labels": ({"spec.github.issues.labels": []}, "spec.github.issues.labels"),
    "a service of the cluster": ({"spec.github.apiUrl": "http://github:8000"}, None),
    "a service by its namespace": ({"spec.github.apiUrl": "http://github.hive.svc:8000/api/v3"}, None),
    "a service by its whole name": ({"spec.model.baseUrl": "http://m.hive.svc.cluster.local/v1/"}, None),
    "this machine": ({"spec.model.baseUrl": "http://127.0.0.1:8080/v1"}, None),
    "this machine by IPv6": ({"spec.model.baseUrl": "http://[::1]:8080"}, None),
    "a host that only looks like this machine": (
        {"spec.model.baseUrl": "http://127.evil.example"},
        "spec.model.baseUrl",
    ),
    "an internet address as one number": ({"spec.model.baseUrl": "http://134744072"}, "spec.model.baseUrl"),
    "a password in an address": ({"spec.github.apiUrl": "https://a:b@github.com"}, "spec.github.apiUrl"),
    "a query in an address": ({"spec.github.apiUrl": "https://github.com/?a=b"}, "spec.github.apiUrl"),
    "an address of another kind": ({"spec.github.apiUrl": "ftp://github.com"}, "spec.github.apiUrl"),
    "an address with a backslash": (
        {"spec.github.apiUrl": "https://github.com\\@evil"},
        "spec.github.apiUrl",
    ),
    "an address with a line's end": ({"spec.github.apiUrl": "https://github.com\n"}, "spec.github.apiUrl"),
    "a port of letters": ({"spec.github.apiUrl": "https://github.com:http"}, "spec.github.apiUrl"),
    "an image with a space": ({"spec.execution.image": "a b"}, "spec.execution.image"),
    "an image by digest": ({"spec.execution.image": f"ghcr.io/acme/coder@sha256:{'0' * 64}"}, None),
    "the longest name": ({"metadata.name": "a" * 50}, None),
    "a name too long": ({"metadata.name": "a" * 51}, "metadata.name"),
    "a name with a dot": ({"metadata.name": "a.b"}, "metadata.name"),
    "a label of the object": ({"metadata.labels": {"app.kubernetes.io/name": "bzzz"}}, None),
    "a label that is no label": ({"metadata.labels": {"a": "b c"}}, "metadata.labels"),
    "a label without a name": ({"metadata.labels": {"": "b"}}, "metadata.labels"),
    "an annotation of any text": ({"metadata.annotations": {"bzzz.dev/rotate.0": "a b\nc 🐝"}}, None),
}
"""What is changed, and the field that is refused, or None when it is taken."""

DISCUSSION = """
apiVersion: bzzz.dev/v1alpha1
kind: MetaDiscussion
metadata: {name: acme-widgets-42-1a2b3c}
spec:
  issue: {repository: acme/widgets, number: 42}
  resolution: {verdict: proceed, by: ada}
  ttlAfterClosed: 24h
"""

DISCUSSION_EDGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "as the scribe makes it": ({"spec.resolution": REMOVED, "spec.ttlAfterClosed": REMOVED}, None),
    "a question": ({"spec.issue.number": REMOVED, "spec.question": "Shall we move to Python 3.12?"}, None),
    "a question about an issue": ({"spec.question": "Why?"}, "spec.issue"),
    "neither question nor issue": ({"spec.issue.number": REMOVED}, "spec.issue"),
    "an empty question": ({"spec.issue.number": REMOVED, "spec.question": ""}, "spec.question"),
    "too long a question": ({"spec.issue.number": REMOVED, "spec.question": "x" * 4001}, "spec.question"),
    "an epoch, which is status": ({"spec.issue.epoch": 2}, "spec.issue.epoch"),
    "issue zero": ({"spec.issue.number": 0}, "spec.issue.number"),
    "no issue": ({"spec.issue": REMOVED}, "spec.issue"),
    "a revision": (
        {"spec.resolution.verdict": "revise", "spec.resolution.text": "leave setup.py alone"},
        None,
    ),
    "a revision of nothing": ({"spec.resolution.verdict": "revise"}, "spec.resolution.text"),
    "another verdict": ({"spec.resolution.verdict": "maybe"}, "spec.resolution.verdict"),
    "nobody's verdict": ({"spec.resolution.by": ""}, "spec.resolution.by"),
    "kept for two years": ({"spec.ttlAfterClosed": "17520h"}, "spec.ttlAfterClosed"),
    "not kept": ({"spec.ttlAfterClosed": "0s"}, None),
    "a name as long as a label": ({"metadata.name": "a" * 63}, None),
    "a name longer than a label": ({"metadata.name": "a" * 64}, "metadata.name"),
}
