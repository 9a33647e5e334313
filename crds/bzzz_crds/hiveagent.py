"""HiveAgent: one kind of agent of a hive, `replicas` of it (architecture §10)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, field_validator

from bzzz_crds.debate import Discussion
from bzzz_crds.execution import Execution, ExecutionLimits
from bzzz_crds.hiveagent_status import HiveAgentStatus
from bzzz_crds.metadata import Metadata, name_rule
from bzzz_crds.rules import Rule
from bzzz_crds.values import (
    Between,
    CapabilityName,
    DurationBetween,
    LabelName,
    Model,
    Quantity,
    RepositoryName,
    SecretRef,
    Url,
)

__all__ = ["API_VERSION", "Discussion", "Execution", "ExecutionLimits", "HiveAgent", "HiveAgentSpec"]

API_VERSION: Final = "bzzz.dev/v1alpha1"

AuthorAssociation = Literal[
    "OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "FIRST_TIMER", "NONE"
]


ONCE: Final = "expected each repository once"


class Issues(Model):
    """Which issues the hive may take."""

    labels: tuple[LabelName, ...] = Field(
        default=("bzzz",),
        strict=False,
        min_length=1,
        max_length=20,
        description="An issue is eligible when it carries all of these labels.",
    )
    authors: tuple[AuthorAssociation, ...] = Field(
        default=("OWNER", "MEMBER", "COLLABORATOR"),
        strict=False,
        min_length=1,
        max_length=7,
        description="Associations whose issues count as asked for by someone with a say; write permission is "
        "checked besides.",
    )


class GitHub(Model):
    """Where the issues are."""

    repositories: tuple[RepositoryName, ...] = Field(
        strict=False,
        min_length=1,
        max_length=32,
        description="Repositories to work on, as owner/name.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self.all(a, self.exists_one(b, a.lowerAscii() == b.lowerAscii()))", "message": ONCE}
            ]
        },
    )
    api_url: Url = Field(
        default="https://api.github.com",
        description="REST API of GitHub or a server like it; plain http only to this machine or a service of the "
        "cluster.",
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None, description="Secret with a token, or with appId, installationId and privateKey."
    )
    issues: Issues = Field(default_factory=Issues, description="Which issues may be taken.")

    @field_validator("repositories")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.lower() for name in value}) != len(value):
            raise ValueError(ONCE)
        return value


class ReasoningModel(Model):
    """The model that plans and reviews."""

    name: Annotated[
        str, Field(max_length=120, pattern=r"^[a-z0-9][a-z0-9-]*:[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    ] = Field(
        description="provider:model, e.g. anthropic:claude-opus-4. embedded:gemma-3-270m is the small model that "
        "comes along and needs no key."
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None, description="Secret with the provider's key."
    )
    base_url: Url | None = Field(default=None, description="Any server that speaks OpenAI's wire format.")


class Capabilities(Model):
    """What the agent can do beside reasoning; decides who takes an issue that asks for it by label."""

    languages: tuple[CapabilityName, ...] = Field(
        default=(), strict=False, max_length=32, description="An issue asks for one by the label lang:NAME."
    )
    tools: tuple[CapabilityName, ...] = Field(
        default=(), strict=False, max_length=32, description="An issue asks for one by the label tool:NAME."
    )


class Escalation(Model):
    """What happens when agents cannot settle it."""

    timeout: Annotated[timedelta, DurationBetween("1s", "720h")] = Field(
        default=timedelta(hours=24),
        description="How long a human may take, from 1s to 720h, before the issue is released.",
    )


class Storage(Model):
    """The volume of an agent's log."""

    rules = (
        Rule(
            "size",
            "expected the size it was made with, because a volume is not resized; make another HiveAgent",
            "quantity(self.size).compareTo(quantity(oldSelf.size)) == 0",
            None,
        ),
    )

    size: Quantity = Field(default="1Gi", description="Size of each agent's volume.")
    retain: bool = Field(
        default=True, description="Keep volumes and keys, together, when the agent is deleted."
    )


class HiveAgentSpec(Model):
    """What the user wants."""

    rules = (
        Rule(
            "model",
            "expected a model, because execution.type is builtin",
            "has(self.model) || self.execution.type != 'builtin'",
            lambda it: it.model is not None or it.execution.type != "builtin",
        ),
        Rule(
            "model",
            "expected a model, because execution.plan is model (dryRun and command need none)",
            "has(self.model) || self.execution.type == 'builtin' || self.execution.plan != 'model'",
            lambda it: it.model is not None or it.execution.type == "builtin" or it.execution.plan != "model",
        ),
        Rule(
            "model",
            "expected a model, because execution.limits says how much of one the command may use",
            "has(self.model) || self.execution.type == 'builtin' || self.execution.plan == 'model' || "
            "(!has(self.execution.limits.tokens) && !has(self.execution.limits.usd))",
            lambda it: (
                it.model is not None
                or it.execution.type == "builtin"
                or it.execution.plan == "model"
                or (it.execution.limits.tokens is None and it.execution.limits.usd is None)
            ),
        ),
    )

    replicas: Annotated[int, Between(0, 256)] = Field(default=1, description="Agents of this kind.")
    github: GitHub = Field(description="Where the issues are.")
    model: ReasoningModel | None = Field(
        default=None, description="The model that plans and reviews; without one, rules alone review."
    )
    capabilities: Capabilities = Field(default_factory=Capabilities, description="What the agent can do.")
    execution: Execution = Field(description="How a plan is made and carried out.")
    discussion: Discussion = Field(default_factory=Discussion, description="The debate before execution.")
    escalation: Escalation = Field(default_factory=Escalation, description="When agents cannot settle it.")
    storage: Storage = Field(default_factory=Storage, description="The volume of an agent's log.")
    suspend: bool = Field(default=False, description="Finish what is under way, take nothing new.")


class HiveAgent(Model):
    """One kind of agent of a hive: `replicas` agents that share repositories, tools and model."""

    model_config = ConfigDict(json_schema_extra=name_rule(50))

    api_version: Literal["bzzz.dev/v1alpha1"]
    kind: Literal["HiveAgent"]
    metadata: Metadata
    spec: HiveAgentSpec = Field(description="What the user wants.")
    status: HiveAgentStatus | None = Field(default=None, description="What operator and scribe observed.")

    @property
    def name(self) -> str:
        """The resource's name; its agents are called name-0, name-1, …."""
        return self.metadata.name
