"""HiveAgents as the reconciler sees them: parsed once a generation, with what they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from bzzz_crds import HiveAgentSpec
from bzzz_crds.manifests import describe
from bzzz_operator.objects import annotations_of, is_deleted, name_of, part, uid_of
from bzzz_operator.status import reasons
from bzzz_operator.status.problems import Problem

Json = dict[str, Any]


@dataclass(frozen=True)
class AgentView:
    """A HiveAgent that is not being deleted."""

    name: str
    uid: str
    created: str
    generation: int
    annotations: Mapping[str, str]
    spec: HiveAgentSpec | None
    """None when it does not fit this operator's schema; then `invalid` says why."""
    invalid: str = ""

    @property
    def rules(self) -> tuple[str, frozenset[str]] | None:
        """What HiveAgents of one hive have to agree on."""
        if self.spec is None:
            return None
        return self.spec.github.api_url, frozenset(self.spec.github.issues.authors)

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the user's Secrets that the spec refers to."""
        if self.spec is None:
            return frozenset()
        model = self.spec.model
        refs = (self.spec.github.credentials_secret_ref, model.credentials_secret_ref if model else None)
        return frozenset(ref.name for ref in refs if ref is not None)

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that the spec's URLs point at."""
        if self.spec is None:
            return frozenset()
        model = self.spec.model
        urls = (self.spec.github.api_url, model.base_url if model is not None else None)
        return frozenset(urlsplit(url).hostname or "" for url in urls if url is not None)


def view_of(body: Json, before: AgentView | None) -> AgentView | None:
    """Return the view of an object as the API server gives it; None for one that is being deleted."""
    if is_deleted(body):
        return None
    head = body["metadata"]
    generation = int(head.get("generation") or 0)
    spec, invalid = None, ""
    if before is not None and (before.uid, before.generation) == (uid_of(body), generation):
        spec, invalid = before.spec, before.invalid
    else:
        try:
            spec = HiveAgentSpec.model_validate(part(body, "spec"))
        except ValidationError as error:
            invalid = "; ".join(f"spec.{line}" for line in describe(error, HiveAgentSpec)[:5])
    return AgentView(
        name=name_of(body),
        uid=uid_of(body),
        created=str(head.get("creationTimestamp") or ""),
        generation=generation,
        annotations=annotations_of(body),
        spec=spec,
        invalid=invalid,
    )


def disagreements(views: Iterable[AgentView]) -> dict[str, list[Problem]]:
    """Return, by name, where HiveAgents contradict an older one of the hive."""
    rule: AgentView | None = None
    authors: dict[str, AgentView] = {}
    found: dict[str, list[Problem]] = {}
    for view in sorted(views, key=lambda v: (v.created, v.name)):
        if view.spec is None:
            continue
        rule = rule or view
        assert rule.spec is not None
        if rule.spec.github.api_url != view.spec.github.api_url:
            text = (
                f"spec.github.apiUrl: expected {rule.spec.github.api_url} as in HiveAgent {rule.name}, because a hive "
                f"works on one GitHub; came {view.spec.github.api_url}; change one, or install another hive"
            )
            found[view.name] = [Problem(reasons.HIVE_DISAGREES, text, blocking=True)]
            continue
        for repository in view.spec.github.repositories:
            first = authors.setdefault(repository.lower(), view)
            assert first.spec is not None
            if set(first.spec.github.issues.authors) != set(view.spec.github.issues.authors):
                text = (
                    f"spec.github.issues.authors: other than in HiveAgent {first.name} for the same {repository}; the "
                    f"longer list decides whose issues are taken; make them equal"
                )
                found.setdefault(view.name, []).append(Problem(reasons.HIVE_DISAGREES, text))
    return found
