"""From facts to conditions. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bzzz_operator.status import reasons
from bzzz_operator.status.conditions import (
    AgentFacts,
    StatefulSetFacts,
    changed_conditions,
    stateful_set_facts,
    status_of,
)
from bzzz_operator.status.problems import Problem, SecretFacts, check_github, check_spec
from tests.operator.examples import settings, spec

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
PAGE = Path(__file__).parents[2] / "docs" / "operator.md"


def sts(**changes: Any) -> StatefulSetFacts:
    base = {"exists": True, "observed": True, "wanted": 2, "replicas": 2, "ready": 2, "updated": 2}
    return StatefulSetFacts(**{**base, **changes})


def facts(stateful_set: StatefulSetFacts | None = None, **changes: Any) -> AgentFacts:
    base: dict[str, Any] = {"name": "bzzz", "generation": 4, "replicas": 2, "suspend": False}
    return AgentFacts(**{**base, **changes}, stateful_set=stateful_set or sts())


def reason(kind: str, given: AgentFacts) -> tuple[str, str]:
    found = next(c for c in status_of(given, {}, NOW)["conditions"] if c["type"] == kind)
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts(), ("True", "AllReplicasReady")),
        (facts(suspend=True), ("True", "Suspended")),
        (facts(sts(ready=1)), ("False", "ReplicasNotReady")),
        (facts(StatefulSetFacts()), ("False", "ReplicasNotReady")),
        (facts(StatefulSetFacts(), replicas=0), ("False", "ReplicasNotReady")),
        (facts(sts(wanted=0, replicas=0, ready=0, updated=0), replicas=0), ("True", "AllReplicasReady")),
    ],
)
def test_ready(given: AgentFacts, expected: tuple[str, str]) -> None:
    assert reason("Ready", given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts(), ("False", "Reconciled")),
        (facts(sts(replicas=1)), ("True", "ScalingUp")),
        (facts(sts(observed=False)), ("True", "ScalingUp")),
        (facts(draining=["bzzz-2"]), ("True", "ScalingDown")),
        (facts(sts(replicas=3)), ("True", "ScalingDown")),
        (facts(sts(updated=1, rolling=True)), ("True", "RollingOut")),
        (facts(sts(ready=1)), ("True", "Starting")),
        (facts(sts(ready=1), problems=[Problem("PodFailing", "x")]), ("False", "Reconciled")),
        (facts(problems=[Problem("SecretMissing", "x", blocking=True)]), ("False", "Blocked")),
        (facts(waiting_for=["Service bzzz"]), ("True", "WaitingForDeletion")),
    ],
)
def test_progressing(given: AgentFacts, expected: tuple[str, str]) -> None:
    assert reason("Progressing", given) == expected


def test_the_problem_that_blocks_gives_the_reason_and_all_are_told() -> None:
    problems = [Problem("ArchiveUnavailable", "first"), Problem("SecretMissing", "second", blocking=True)]
    status = status_of(facts(problems=problems), {}, NOW)
    (found,) = [c for c in status["conditions"] if c["type"] == "Degraded"]
    assert (found["status"], found["reason"], found["message"]) == ("True", "SecretMissing", "second\nfirst")


def test_the_time_of_transition_moves_with_the_status_only() -> None:
    before = status_of(facts(sts(ready=1)), {}, THEN)
    same = status_of(facts(sts(ready=0)), before, NOW)
    other = status_of(facts(), before, NOW)
    times = [
        next(c for c in s["conditions"] if c["type"] == "Ready")["lastTransitionTime"] for s in (same, other)
    ]
    assert times == [THEN, NOW]
    assert [new["type"] for _, new in changed_conditions(before, other)] == ["Ready", "Progressing"]


def test_a_stateful_set_that_somebody_else_owns_tells_nothing() -> None:
    assert stateful_set_facts({"metadata": {"name": "bzzz"}}) == StatefulSetFacts()


def test_every_reason_is_explained_on_the_page() -> None:
    page = PAGE.read_text()
    constants = {
        v for k, v in vars(reasons).items() if k.isupper() and isinstance(v, str) and k not in CONDITION_TYPES
    }
    assert constants <= reasons.MEANINGS.keys()
    missing = [r for r, meaning in reasons.MEANINGS.items() if f"| `{r}` | {meaning} |" not in page]
    assert missing == []


CONDITION_TYPES = {"READY", "PROGRESSING", "DEGRADED"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (None, "SecretMissing"),
        (SecretFacts(frozenset({"password"})), "SecretIncomplete"),
        (SecretFacts(frozenset({"appId", "privateKey"}), app_id="1"), "SecretIncomplete"),
        (
            SecretFacts(
                frozenset({"appId", "installationId", "privateKey"}), app_id="x", installation_id="2"
            ),
            "SecretIncomplete",
        ),
    ],
)
def test_a_github_secret_that_cannot_be_used_is_named_by_field(
    keys: SecretFacts | None, expected: str
) -> None:
    credential, (problem,) = check_github(spec(), {"github": keys} if keys else {})
    assert credential is None
    assert problem.reason == expected
    assert problem.message.startswith("spec.github.credentialsSecretRef: Secret github")
    assert problem.blocking


def test_a_manifest_without_a_github_secret_is_told_which_field() -> None:
    _, (problem,) = check_github(spec(github={"repositories": ["a/b"]}), {})
    assert problem.message.startswith("spec.github.credentialsSecretRef: expected a Secret")


def test_each_maximum_is_checked() -> None:
    maxima = {"rounds": 1, "participants": 2, "hops": 1, "ttl": "1m", "window": "1s"}
    found = check_spec(spec(), settings(maxima=maxima))
    fields = [p.message.partition(":")[0].rpartition(".")[2] for p in found]
    assert fields == ["rounds", "participants", "hops", "ttl", "window"]
