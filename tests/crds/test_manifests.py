"""Manifests: what is taken, and that each thing that is not is named by its field's path."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bzzz_crds import HiveAgentSpec, ManifestError, MetaDiscussion, load_manifests
from bzzz_crds.values import format_duration, parse_duration
from bzzz_crds.yaml_documents import MAX_BYTES

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


def problems_of(text: str) -> list[str]:
    with pytest.raises(ManifestError) as refused:
        load_manifests(text)
    return list(refused.value.problems)


def test_the_designs_example_is_taken_with_every_field() -> None:
    (agent,) = load_manifests(GOOD)
    assert agent.name == "bzzz"
    assert agent.spec.replicas == 3
    assert agent.spec.execution.timeout == timedelta(minutes=20)
    assert agent.spec.discussion.message_ttl == timedelta(seconds=60)
    assert agent.spec.execution.limits.protected_paths == (".github/workflows/**",)


def test_what_is_left_out_gets_the_designs_defaults() -> None:
    (tiny,) = load_manifests(SMALLEST)
    (full,) = load_manifests(GOOD)
    assert tiny.spec.discussion == full.spec.discussion
    assert tiny.spec.escalation == full.spec.escalation
    assert tiny.spec.storage == full.spec.storage
    assert tiny.spec.github.issues == full.spec.github.issues
    assert tiny.spec.execution.limits == full.spec.execution.limits
    assert tiny.spec.github.api_url == "https://api.github.com"
    assert (tiny.spec.replicas, tiny.spec.suspend, tiny.spec.model) == (1, False, None)


def test_a_spec_written_as_json_reads_back_as_the_same() -> None:
    for agent in load_manifests(GOOD + "---" + SMALLEST):
        written = json.loads(json.dumps(agent.spec.to_object()))
        assert HiveAgentSpec.model_validate(written) == agent.spec


def test_several_documents_keep_their_order_and_empty_ones_do_not_count() -> None:
    assert [a.name for a in load_manifests(f"---\n{GOOD}\n---\n---\n{SMALLEST}\n---\n")] == ["bzzz", "tiny"]


def test_what_kubectl_prints_is_taken_as_if_the_user_had_written_it() -> None:
    document = yaml.safe_load(GOOD)
    document["metadata"] |= {"uid": "1-2-3", "resourceVersion": "7", "generation": 1, "managedFields": []}
    document["status"] = {"replicas": 3}
    assert load_manifests(yaml.safe_dump(document)) == load_manifests(GOOD)


CHANGES: dict[str, tuple[str, str, str]] = {
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
        "spec.execution.planCommand: expected nothing, because plan is model; came a command",
    ),
    "a plan by command without one": (
        "plan: model",
        "plan: command",
        "spec.execution.planCommand: expected a command, because plan is command; came nothing",
    ),
    "tokens of a command": (
        "{patchBytes: 262144,",
        "{tokens: 200000,",
        "spec.execution.limits.tokens: expected nothing, because a command's use of a model cannot be metered yet; "
        "came a limit",
    ),
    "money of a command": (
        "{patchBytes: 262144,",
        '{usd: "2.00",',
        "spec.execution.limits.usd: expected nothing, because a command's use of a model cannot be metered yet; "
        "came a limit",
    ),
    "more reviewers asked for than named": (
        "minReviewers: 0",
        "minReviewers: 4",
        "spec.discussion.minReviewers: expected at most reviewers (2), came 4",
    ),
    "more reviewers than participants": (
        "participants: 5",
        "participants: 1",
        "spec.discussion.reviewers: expected at most participants (1), came 2",
    ),
    "a discussion shorter than its window": (
        "ttl: 15m",
        "ttl: 10s",
        "spec.discussion.ttl: expected at least the window, came less",
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
    "an anchor": (
        "spec:",
        "spec: &a",
        "line 5: expected no anchors or aliases (& and *), came one; write it out",
    ),
    "a tag": (
        "replicas: 3",
        "replicas: !!python/object:os.system 3",
        "line 6: expected no tags (!), came one",
    ),
    "a key twice": (
        "rounds: 3",
        "rounds: 3, rounds: 4",
        "file: expected YAML, came at line 22: expected each key once, came 'rounds' again",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_bad_field_is_refused_by_its_path(case: str) -> None:
    old, new, wanted = CHANGES[case]
    assert old in GOOD
    assert problems_of(GOOD.replace(old, new, 1)) == [wanted]


def test_every_bad_field_of_every_document_is_reported_at_once() -> None:
    bad = GOOD.replace("replicas: 3", "replicas: x").replace("1Gi", "lots")
    other = SMALLEST.replace("[acme/widgets]", "[]")
    assert [p.split(": expected")[0] for p in problems_of(f"{bad}---{other}")] == [
        "document 1: spec.replicas",
        "document 1: spec.storage.size",
        "document 2: spec.github.repositories",
    ]


def test_two_agents_of_one_name_are_refused() -> None:
    assert problems_of(f"{SMALLEST}---{SMALLEST}") == [
        "metadata.name: expected each name once, came tiny again",
    ]


def test_an_agent_that_plans_by_model_needs_one() -> None:
    assert problems_of(SMALLEST.replace("plan: dryRun, ", "")) == [
        "spec.model: expected a model, because execution.plan is model; came nothing (or plan by dryRun)"
    ]


HOSTILE = {
    "nothing": "",
    "only comments": "# nothing here\n---\n",
    "a bomb of aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep nesting": "[" * 5000,
    "deep but closed nesting": "[" * 60 + "]" * 60,
    "no YAML": "{a: b",
    "a control character": "a: \x00",
    "a merge key": "<<: {a: b}\n",
    "a number as a key": "1: 2\n",
    "a list as a key": "? [a]\n: b\n",
    "an impossible number": "a: 0b\n",
    "too large": "#" * (MAX_BYTES + 1),
    "too many documents": "---\na\n" * 100,
    "a list": "- a\n",
    "a word": "hello",
    "a lone surrogate": "a: \ud800",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_with_a_reason(case: str) -> None:
    assert all("expected" in problem for problem in problems_of(HOSTILE[case]))


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_manifest_error(text: str) -> None:
    found: list[object] = []
    try:
        found += load_manifests(text)
    except ManifestError as error:
        found += error.problems
    assert found


@given(st.integers(min_value=0, max_value=10**12))
def test_a_duration_written_out_reads_back_as_the_same(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "s", "-1s", "1.5h", "1d", "1 s", "1s ", "٣s", "9" * 50 + "s", "1s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


def test_a_discussion_as_kubectl_shows_it_is_taken() -> None:
    discussion = MetaDiscussion.model_validate(
        {
            "apiVersion": "bzzz.dev/v1alpha1",
            "kind": "MetaDiscussion",
            "metadata": {"name": "acme-widgets-42-1a2b3c"},
            "spec": {
                "issue": {"repository": "acme/widgets", "number": 42},
                "resolution": {"verdict": "proceed", "by": "ada"},
            },
            "status": {"phase": "Listening", "round": 1},
        }
    )
    assert discussion.spec.ttl_after_closed == timedelta(days=7)
