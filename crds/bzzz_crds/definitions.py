"""The two CustomResourceDefinitions, as documents (architecture §10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import BaseModel

from bzzz_crds.hiveagent import HiveAgent
from bzzz_crds.metadiscussion import MetaDiscussion
from bzzz_crds.schema import structural_schema

GROUP: Final = "bzzz.dev"
VERSION: Final = "v1alpha1"
_HEADER: Final = (
    "# Generated from the models in crds/bzzz_crds by `python -m bzzz_crds`; not edited by hand.\n"
)


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False
    """Shown by `-o wide` only."""

    def to_object(self) -> dict[str, Any]:
        """Return the entry of `additionalPrinterColumns`."""
        wide = {"priority": 1} if self.wide else {}
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
            **wide,
        }


AGE: Final = Column("Age", ".metadata.creationTimestamp", "date", "Since when it exists.")

HIVE_AGENT_COLUMNS: Final = (
    Column("Ready", ".status.ready", description="Agents on the mesh, of those wanted."),
    Column("Model", ".spec.model.name", description="The model that plans and reviews."),
    Column("Issues", ".status.issues", description="Issues under way."),
    Column("Suspended", ".spec.suspend", "boolean", "Whether it takes nothing new.", wide=True),
    Column(
        "Reason",
        '.status.conditions[?(@.type=="Ready")].reason',
        description="Why it is ready, or not.",
        wide=True,
    ),
    AGE,
)
META_DISCUSSION_COLUMNS: Final = (
    Column("Repository", ".spec.issue.repository", description="Repository of the issue.", wide=True),
    Column("Issue", ".spec.issue.number", "integer", "Number of the issue."),
    Column("Phase", ".status.phase", description="Where the discussion stands."),
    Column("Claimant", ".status.claimant", description="Who holds the issue."),
    Column("Round", ".status.round", "integer", "Round of the discussion."),
    Column("Objections", ".status.objectionSummary", description="Open objections of all."),
    Column("Verdict", ".status.verdict.verdict", description="A human's answer."),
    Column("PR", ".status.pullRequest.url", description="The pull request."),
    Column("Title", ".status.title", description="Title of the issue.", wide=True),
    AGE,
)


def definitions() -> dict[str, dict[str, Any]]:
    """Return each definition under its file's name."""
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {
        f"hiveagents.{GROUP}.yaml": _definition(HiveAgent, "ha", HIVE_AGENT_COLUMNS, {"scale": scale}),
        f"metadiscussions.{GROUP}.yaml": _definition(MetaDiscussion, "md", META_DISCUSSION_COLUMNS, {}),
    }


def files() -> dict[str, str]:
    """Return each definition's file: name → YAML."""
    return {name: _HEADER + _yaml(document) for name, document in definitions().items()}


def _definition(
    model: type[BaseModel], short: str, columns: Sequence[Column], subresources: dict[str, Any]
) -> dict[str, Any]:
    kind = model.__name__
    singular = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": f"{singular}s",
                "singular": singular,
                "shortNames": [short],
                "categories": ["bzzz"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, **subresources},
                    "additionalPrinterColumns": [column.to_object() for column in columns],
                    "schema": {"openAPIV3Schema": structural_schema(model)},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes equal parts twice instead of by anchor, which not every reader takes."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
