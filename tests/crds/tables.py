"""Manifests that fit and manifests that do not, for the models and for the API server alike."""

from __future__ import annotations

from typing import Any

import yaml

GOOD = """
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {name: bzzz}
spec:
  replicas: 3
  github:
    repositories: [acme/widgets]
    apiUrl: https://api.github.com
    credentialsSecretRef: {name: github}
    issues: {labels: [bzzz], authors: [OWNER, MEMBER, COLLABORATOR]}
  model: {name: "anthropic:claude-opus-4", credentialsSecretRef: {name: anthropic}}
  capabilities: {languages: [python], tools: [ruff]}
  execution:
    type: command
    image: ghcr.io/acme/coder:1
    plan: model
    command: [coder, --task, "$(BZZZ_ISSUE_FILE)", --plan, "$(BZZZ_PLAN_FILE)"]
    test: [python, -m, pytest, -q]
    timeout: 20m
    limits: {patchBytes: 262144, protectedPaths: [".github/workflows/**"]}
  discussion: {window: 30s, closeEarly: false, reviewers: 2, minReviewers: 0, rounds: 3, participants: 5, hops: 4,
    messageTTL: 60s, ttl: 15m, requireHuman: never}
  escalation: {timeout: 24h}
  storage: {size: 1Gi, retain: true}
  suspend: false
"""

SMALLEST = """
apiVersion: bzzz.dev/v1alpha1
kind: HiveAgent
metadata: {name: tiny}
spec:
  github: {repositories: [acme/widgets]}
  execution: {type: command, plan: dryRun, command: [ruff, check, --fix]}
"""


BAD: dict[str, tuple[str, str, str]] = {
    "a word for a number": (
        "replicas: 3",
        "replicas: three",
        "spec.replicas: expected a whole number, came 'three'",
    ),
    "too many replicas": ("replicas: 3", "replicas: 1000", "spec.replicas: expected at most 256, came 1000"),
    "fewer than none": ("replicas: 3", "replicas: -1", "spec.replicas: expected at least 0, came -1"),
    "a number as text": ("replicas: 3", "replicas: '3'", "spec.replicas: expected a whole number, came '3'"),
    "a misspelt field": (
        "replicas: 3",
        "replica: 3",
        "spec.replica: expected replicas, came an unknown field",
    ),
    "python's name of a field": (
        "closeEarly",
        "close_early",
        "spec.discussion.close_early: expected closeEarly, came an unknown field",
    ),
    "a field nobody knows": (
        "{size: 1Gi,",
        "{colour: blue, size: 1Gi,",
        "spec.storage.colour: expected one of size, retain, came an unknown field",
    ),
    "a duration in words": (
        "20m",
        "20 minutes",
        "spec.execution.timeout: expected a duration from 1s to 6h, like 30s, 20m or 1h30m, came '20 minutes'",
    ),
    "a duration without unit": (
        "window: 30s",
        "window: 30",
        "spec.discussion.window: expected a duration from 100ms to 1h, like 30s, 20m or 1h30m, came 30",
    ),
    "a duration out of bounds": (
        "window: 30s",
        "window: 9h",
        "spec.discussion.window: expected a duration from 100ms to 1h, like 30s, 20m or 1h30m, came '9h'",
    ),
    "text for a list": (
        "[acme/widgets]",
        "acme/widgets",
        "spec.github.repositories: expected a list, came 'acme/widgets'",
    ),
    "an empty list": (
        "[acme/widgets]",
        "[]",
        "spec.github.repositories: expected at least 1 entries, came a list",
    ),
    "a repository twice": (
        "[acme/widgets]",
        "[acme/widgets, Acme/Widgets]",
        "spec.github.repositories: expected each repository once, came a list",
    ),
    "a repository without owner": (
        "[acme/widgets]",
        "[widgets]",
        "spec.github.repositories[0]: expected text like ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$, came 'widgets'",
    ),
    "an unknown association": (
        "OWNER, ",
        "BOSS, ",
        "spec.github.issues.authors[0]: expected 'OWNER', 'MEMBER', 'COLLABORATOR', 'CONTRIBUTOR', "
        "'FIRST_TIME_CONTRIBUTOR', 'FIRST_TIMER' or 'NONE', came 'BOSS'",
    ),
    "a token where a Secret's name belongs": (
        "{name: github}",
        "ghp_0123456789",
        "spec.github.credentialsSecretRef: expected a mapping, came something else",
    ),
    "plain http over the internet": (
        "https://api.github.com",
        "http://github.example.com",
        "spec.github.apiUrl: expected https, except to this machine or a service of the cluster, "
        "came 'http://github.example.com'",
    ),
    "a model without provider": (
        "anthropic:claude-opus-4",
        "claude",
        "spec.model.name: expected text like ^[a-z0-9][a-z0-9-]*:[A-Za-z0-9][A-Za-z0-9._:/@-]*$, came 'claude'",
    ),
    "a command for the builtin executor": (
        "type: command",
        "type: builtin",
        "spec.execution.command: expected nothing, because type is builtin; came a command",
    ),
    "no command for the command executor": (
        'command: [coder, --task, "$(BZZZ_ISSUE_FILE)", --plan, "$(BZZZ_PLAN_FILE)"]',
        "",
        "spec.execution.command: expected the command to run, because type is command; came nothing",
    ),
    "a plan command that nobody asks": (
        "plan: model",
        "planCommand: [plan]",
        "spec.execution.planCommand: expected nothing, because plan is not command; came a command",
    ),
    "a plan by command without one": (
        "plan: model",
        "plan: command",
        "spec.execution.planCommand: expected a command, because plan is command; came nothing",
    ),
    "more reviewers asked for than named": (
        "minReviewers: 0",
        "minReviewers: 4",
        "spec.discussion.minReviewers: expected at most reviewers; came 4 of 2",
    ),
    "more reviewers than participants": (
        "participants: 5",
        "participants: 1",
        "spec.discussion.reviewers: expected at most participants; came 2 of 1",
    ),
    "a discussion shorter than its window": (
        "ttl: 15m",
        "ttl: 10s",
        "spec.discussion.ttl: expected at least the window; came 10s with a window of 30s",
    ),
    "an unknown gate": (
        "requireHuman: never",
        "requireHuman: sometimes",
        "spec.discussion.requireHuman: expected 'never', 'onObjection' or 'always', came 'sometimes'",
    ),
    "storage that is no amount": (
        "1Gi",
        "lots",
        "spec.storage.size: expected text like ^[1-9][0-9]*(Ki|Mi|Gi|Ti)?$, came 'lots'",
    ),
    "text for a switch": (
        "retain: true",
        "retain: 'true'",
        "spec.storage.retain: expected true or false, came 'true'",
    ),
    "another kind": ("kind: HiveAgent", "kind: Pod", "kind: expected 'HiveAgent', came 'Pod'"),
    "another version": (
        "bzzz.dev/v1alpha1",
        "bzzz.dev/v9",
        "apiVersion: expected bzzz.dev/v1alpha1, came 'bzzz.dev/v9'",
    ),
    "a name that is no label": (
        "{name: bzzz}",
        "{name: Bzzz_1}",
        "metadata.name: expected text like ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$, came 'Bzzz_1'",
    ),
    "no name": ("{name: bzzz}", "{}", "metadata.name: expected a value, came nothing"),
}


def changed(case: str) -> str:
    """Return the good manifest with one thing wrong."""
    old, new, _ = BAD[case]
    assert old in GOOD, case
    return GOOD.replace(old, new, 1)


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


REMOVED: Any = object()
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
