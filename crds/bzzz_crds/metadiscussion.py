"""MetaDiscussion: the debate about one issue, as `kubectl` shows it (architecture §10).

The scribe writes one an issue and keeps its status; a human's `spec.resolution` is the only part that others write.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from bzzz_crds.values import DurationBetween, Metadata, Model, RepositoryName

Phase = Literal[
    "Planning", "Listening", "Revising", "Executing", "Reporting", "Closed", "Escalated", "Abandoned"
]


class IssueRef(Model):
    """The issue that is debated."""

    repository: RepositoryName
    number: int = Field(ge=1)
    epoch: int = Field(default=1, ge=1, description="Which claim of the issue.")


class Resolution(Model):
    """A human's verdict."""

    verdict: Literal["proceed", "revise", "abandon"]
    text: Annotated[str, Field(max_length=4000)] = Field(
        default="", description="What is to be revised, or why."
    )
    by: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="Who decided."
    )


class MetaDiscussionSpec(Model):
    """What is debated and, once a human decided, how it ends."""

    issue: IssueRef
    resolution: Resolution | None = None
    ttl_after_closed: Annotated[timedelta, DurationBetween("0s", "8760h")] = Field(
        default=timedelta(hours=168), description="How long a closed discussion's resource is kept."
    )


class MetaDiscussionStatus(Model):
    """What the scribe observed."""

    phase: Phase
    round: int = Field(default=0, ge=0)
    claimant: str | None = None
    deadline: str | None = None
    objections: int = Field(default=0, ge=0)
    verdict: str | None = None
    pull_request: str | None = None
    transcript: str | None = None


class MetaDiscussion(Model):
    """One debate."""

    api_version: Literal["bzzz.dev/v1alpha1"]
    kind: Literal["MetaDiscussion"]
    metadata: Metadata
    spec: MetaDiscussionSpec
    status: MetaDiscussionStatus | None = None
