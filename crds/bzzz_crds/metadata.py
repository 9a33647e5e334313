"""The part of ObjectMeta that a user writes, held to the API server's own rules."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from bzzz_crds.base import Model
from bzzz_crds.values import DnsLabel

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_KEY = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
Key = Annotated[str, StringConstraints(max_length=317, pattern=_KEY)]
LabelValue = Annotated[
    str, StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
]


class Metadata(Model):
    """Name, labels and annotations of a HiveAgent."""

    model_config = ConfigDict(alias_generator=None)

    name: Annotated[str, Field(min_length=1, max_length=50, pattern=NAME_PATTERN)]
    """At most 50 characters: a pod's name and its labels, which Kubernetes cuts at 63, are made from it."""
    namespace: DnsLabel | None = None
    labels: dict[Key, LabelValue] = Field(default_factory=dict, max_length=100)
    annotations: dict[Key, Annotated[str, Field(max_length=262_144)]] = Field(
        default_factory=dict, max_length=100
    )


class DiscussionMetadata(Metadata):
    """Name, labels and annotations of a MetaDiscussion; nothing is named after it, so it may be longer."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]


def name_rule(limit: int) -> JsonDict:
    """Return what a kind's schema says of its name in CEL; the API server itself allows 253 characters and dots."""
    rule: JsonDict = {
        "rule": f"self.metadata.name.size() <= {limit} && self.metadata.name.matches('{NAME_PATTERN}')",
        "message": f"metadata.name: expected at most {limit} lower-case letters, digits and dashes",
    }
    return {"x-kubernetes-validations": [rule]}
