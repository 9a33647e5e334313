"""MetaDiscussion: the debate about one issue, as `kubectl` shows it (architecture §10).

The scribe writes one an issue and keeps its status; a user makes one to open a debate. A human's `spec.resolution`
ends an escalation; an admission policy keeps the scribe from writing it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from bzzz_crds.metadata import DiscussionMetadata, name_rule
from bzzz_crds.metadiscussion_status import Id, MetaDiscussionStatus, Verdict
from bzzz_crds.rules import Rule, unchanged
from bzzz_crds.values import Between, DurationBetween, Model, RepositoryName

NAME_LIMIT = 63
"""Characters of a name: nothing is called after a discussion, so it may be as long as a label."""


class IssueRef(Model):
    """What is debated: an issue, or a repository that a question is about."""

    repository: RepositoryName = Field(description="Repository, as owner/name.")
    number: Annotated[int, Between(1, 2**53)] | None = Field(
        default=None, description="The issue's number; none for a question of the user's own."
    )


class Resolution(Model):
    """A human's verdict."""

    rules = (
        Rule(
            "text",
            "expected what is to be revised, because verdict is revise",
            "self.verdict != 'revise' || self.text.size() > 0",
            lambda it: it.verdict != "revise" or it.text != "",
        ),
    )

    verdict: Verdict = Field(
        description="proceed executes the plan, revise has it changed as text says, abandon releases the issue."
    )
    text: Annotated[str, Field(max_length=4000)] = Field(
        default="", description="What is to be revised, or why."
    )
    by: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="Who decided."
    )
    escalation: Id | None = Field(
        default=None,
        description="Which escalation it answers, by status.escalation.id; none means whichever is open.",
    )


class MetaDiscussionSpec(Model):
    """What is debated and, once a human decided, how it ends."""

    rules = (
        Rule(
            "issue",
            "expected a number, or a question about the repository; exactly one of both",
            "has(self.issue.number) != has(self.question)",
            lambda it: (it.issue.number is None) != (it.question is None),
            lambda it: "neither" if it.question is None else "both",
        ),
        unchanged("issue", "a discussion is about one issue; make another MetaDiscussion"),
    )

    issue: IssueRef = Field(description="What is debated; cannot be changed.")
    question: Annotated[str, Field(min_length=1, max_length=4000)] | None = Field(
        default=None, description="A question that a user puts to the hive, instead of an issue's number."
    )
    resolution: Resolution | None = Field(
        default=None,
        description="A human's verdict on the open escalation. Written by people, never by the hive.",
    )
    ttl_after_closed: Annotated[timedelta, DurationBetween("0s", "8760h")] = Field(
        default=timedelta(hours=168),
        description="How long a closed discussion's resource is kept, up to 8760h.",
    )


class MetaDiscussion(Model):
    """The debate about one issue: plan, objections, verdict and evidence."""

    model_config = ConfigDict(json_schema_extra=name_rule(NAME_LIMIT))

    api_version: Literal["bzzz.dev/v1alpha1"]
    kind: Literal["MetaDiscussion"]
    metadata: DiscussionMetadata
    spec: MetaDiscussionSpec = Field(description="What is debated and, once a human decided, how it ends.")
    status: MetaDiscussionStatus | None = Field(
        default=None, description="What the scribe read in the logs, and what the operator signed."
    )
