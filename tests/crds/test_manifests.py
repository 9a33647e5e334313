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
from tests.crds.tables import BAD, GOOD, SMALLEST, changed


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


TRICKS: dict[str, tuple[str, str, str]] = {
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


@pytest.mark.parametrize("case", BAD)
def test_a_bad_field_is_refused_by_its_path(case: str) -> None:
    assert problems_of(changed(case)) == [BAD[case][2]]


@pytest.mark.parametrize("case", TRICKS)
def test_a_trick_of_yaml_is_refused_with_its_line(case: str) -> None:
    old, new, wanted = TRICKS[case]
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
        "spec.model: expected a model, because execution.plan is model (dryRun and command need none); came nothing"
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
