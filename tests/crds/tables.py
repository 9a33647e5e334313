"""Manifests that fit and manifests that do not, for the models and for the API server alike."""

from __future__ import annotations

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
