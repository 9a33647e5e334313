"""What can be wrong with a HiveAgent, told by field and remedy. Pure checks of what the caches know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from bzzz_crds import HiveAgentSpec
from bzzz_crds.values import format_duration
from bzzz_operator.desired.config import is_embedded
from bzzz_operator.desired.facts import AppCredential, GitHubCredential, TokenCredential, VolumeFacts
from bzzz_operator.settings import OperatorSettings
from bzzz_operator.status import reasons


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    reason: str
    message: str
    blocking: bool = False
    """The StatefulSet and its configuration stay as they are until it is mended."""


@dataclass(frozen=True)
class SecretFacts:
    """What is known of a Secret: never its values, but an App's two numbers, which are none."""

    keys: frozenset[str]
    app_id: str | None = None
    installation_id: str | None = None


def check_spec(spec: HiveAgentSpec, settings: OperatorSettings) -> list[Problem]:
    """Check what the schema cannot know: this hive's maxima and whether it serves the embedded model."""
    problems: list[Problem] = []
    d, m = spec.discussion, settings.maxima
    bounds: tuple[tuple[str, int | timedelta, int | timedelta], ...] = (
        ("rounds", d.rounds, m.rounds),
        ("participants", d.participants, m.participants),
        ("hops", d.hops, m.hops),
        ("ttl", d.ttl, m.ttl),
        ("window", d.window, m.window),
    )
    for name, value, bound in bounds:
        if value > bound:  # type: ignore[operator]
            problems.append(
                Problem(
                    reasons.BEYOND_MAXIMA,
                    f"spec.discussion.{name}: expected at most {_shown(bound)}, the hive's maximum; came "
                    f"{_shown(value)}; lower it, or raise maxima.{name} in the chart's values",
                    blocking=True,
                )
            )
    if is_embedded(spec) and settings.model_url is None:
        name = spec.model.name if spec.model is not None else ""
        problems.append(
            Problem(
                reasons.MODEL_NOT_SERVED,
                f"spec.model.name: {name} is served by no part of this hive; set model.enabled in the chart's "
                f"values, or name another model",
                blocking=True,
            )
        )
    return problems


def check_github(
    spec: HiveAgentSpec, secrets: Mapping[str, SecretFacts]
) -> tuple[GitHubCredential | None, list[Problem]]:
    """Return which kind of credential the Secret holds, or why it cannot be used."""
    field = "spec.github.credentialsSecretRef"
    ref = spec.github.credentials_secret_ref
    if ref is None:
        text = f"{field}: expected a Secret with a token, or with appId, installationId and privateKey; came none"
        return None, [Problem(reasons.SECRET_MISSING, text, blocking=True)]
    found = secrets.get(ref.name)
    if found is None:
        return None, [_missing(field, ref.name)]
    if "token" in found.keys:
        return TokenCredential(), []
    absent = sorted({"appId", "installationId", "privateKey"} - found.keys)
    if len(absent) == 3:
        return None, [_incomplete(field, ref.name, "token, or appId, installationId and privateKey")]
    if absent:
        return None, [_incomplete(field, ref.name, " and ".join(absent))]
    numbers = (found.app_id or "", found.installation_id or "")
    for name, text in zip(("appId", "installationId"), numbers, strict=True):
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**53:
            problem = Problem(
                reasons.SECRET_INCOMPLETE,
                f"{field}: Secret {ref.name}, key {name}: expected a whole number, came something else; "
                f"take it from the App's settings page",
                blocking=True,
            )
            return None, [problem]
    return AppCredential(int(numbers[0]), int(numbers[1])), []


def check_model_secret(spec: HiveAgentSpec, secrets: Mapping[str, SecretFacts]) -> list[Problem]:
    """Check the Secret with the model's key, where one is named."""
    ref = spec.model.credentials_secret_ref if spec.model is not None else None
    if ref is None:
        return []
    field = "spec.model.credentialsSecretRef"
    found = secrets.get(ref.name)
    if found is None:
        return [_missing(field, ref.name)]
    return [] if "apiKey" in found.keys else [_incomplete(field, ref.name, "apiKey")]


def check_storage(spec: HiveAgentSpec, volume: VolumeFacts | None) -> list[Problem]:
    """Say that a changed size is not followed: a StatefulSet's claim template is immutable."""
    if volume is None or volume.size == spec.storage.size:
        return []
    text = (
        f"spec.storage.size: the volumes are {volume.size} and stay so; came {spec.storage.size}; set it back, or "
        f"enlarge the PersistentVolumeClaims themselves"
    )
    return [Problem(reasons.STORAGE_FIXED, text)]


def check_storage_class(wanted: str | None, missing: bool) -> list[Problem]:
    """Say that the volumes' class does not exist."""
    if not missing:
        return []
    text = (
        f"storage.storageClass in the chart's values: StorageClass {wanted} does not exist; create it or name another"
        if wanted
        else "the cluster has no default StorageClass; mark one as default, or set storage.storageClass in the "
        "chart's values"
    )
    return [Problem(reasons.STORAGE_CLASS_MISSING, text)]


def _missing(field: str, secret: str) -> Problem:
    text = f"{field}: Secret {secret} does not exist in this namespace; create it"
    return Problem(reasons.SECRET_MISSING, text, blocking=True)


def _incomplete(field: str, secret: str, keys: str) -> Problem:
    text = f"{field}: Secret {secret} lacks {keys}; add it"
    return Problem(reasons.SECRET_INCOMPLETE, text, blocking=True)


def _shown(value: int | timedelta) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def is_blocked(problems: Iterable[Problem]) -> bool:
    """Whether some problem keeps the pods' objects from being changed."""
    return any(problem.blocking for problem in problems)
