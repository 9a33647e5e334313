"""HiveAgent: one kind of agent of a hive, `replicas` of it (architecture §10)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from bzzz_crds.rules import refuse
from bzzz_crds.values import (
    Argument,
    CapabilityName,
    Dollars,
    DurationBetween,
    Glob,
    LabelName,
    Metadata,
    Model,
    Quantity,
    RepositoryName,
    SecretRef,
    Url,
)

API_VERSION: Final = "bzzz.dev/v1alpha1"

AuthorAssociation = Literal[
    "OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "FIRST_TIMER", "NONE"
]


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
        strict=False, min_length=1, max_length=32, description="Repositories to work on, as owner/name."
    )
    api_url: Url = Field(
        default="https://api.github.com", description="REST API of GitHub or a server like it."
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None, description="Secret with a token, or with appId, installationId and privateKey."
    )
    issues: Issues = Field(default_factory=Issues, description="Which issues may be taken.")

    @field_validator("repositories")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.lower() for name in value}) != len(value):
            raise ValueError("expected each repository once")
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


class ExecutionLimits(Model):
    """What one execution may use up before it is stopped."""

    tokens: int | None = Field(
        default=None, ge=1, le=10**9, description="Model tokens, in and out; none means unlimited."
    )
    usd: Dollars | None = Field(default=None, description='Money for the model, as text: "2.00".')
    patch_bytes: int = Field(
        default=262_144, ge=1, le=16 * 1024 * 1024, description="Largest patch in bytes."
    )
    protected_paths: tuple[Glob, ...] = Field(
        default=(".github/workflows/**",),
        strict=False,
        max_length=100,
        description="Globs of files that no patch may touch.",
    )


class Execution(Model):
    """How a plan is made and carried out."""

    type: Literal["command", "builtin"] = Field(
        description="command runs any coding tool; builtin lets the model read, write, search and run."
    )
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = Field(
        default=None, description="Image of the workspace container; needs python3. Unused by a local hive."
    )
    plan: Literal["model", "command", "dryRun"] = Field(
        default="model",
        description="Who makes the plan: the model, planCommand, or a dry run of the command in a scratch checkout.",
    )
    plan_command: tuple[Argument, ...] | None = Field(
        default=None, strict=False, min_length=1, max_length=64, description="Prints the plan as JSON."
    )
    command: tuple[Argument, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=64,
        description="Program and arguments, no shell; $(BZZZ_ISSUE_FILE) and $(BZZZ_PLAN_FILE) are replaced.",
    )
    test: tuple[Argument, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=64,
        description="The repository's own test command.",
    )
    timeout: Annotated[timedelta, DurationBetween("1s", "6h")] = Field(
        default=timedelta(minutes=20), description="Longest run of the command, and of the tests."
    )
    limits: ExecutionLimits = Field(
        default_factory=ExecutionLimits, description="What one execution may use up."
    )

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        problems: list[tuple[str, str]] = []
        if self.type == "command" and self.command is None:
            problems.append(("command", "expected the command to run, because type is command; came nothing"))
        if self.type == "builtin" and self.command is not None:
            problems.append(("command", "expected nothing, because type is builtin; came a command"))
        if self.type == "builtin" and self.plan == "dryRun":
            problems.append(
                ("plan", "expected model or command, because only a command can be tried out; came dryRun")
            )
        if self.plan == "command" and self.plan_command is None:
            problems.append(("planCommand", "expected a command, because plan is command; came nothing"))
        if self.plan != "command" and self.plan_command is not None:
            problems.append(("planCommand", f"expected nothing, because plan is {self.plan}; came a command"))
        problems += self._model_limits_of_a_command()
        refuse(problems)
        return self

    def _model_limits_of_a_command(self) -> list[tuple[str, str]]:
        """A command's own model calls are out of sight unless a proxy meters them (architecture §9)."""
        if self.type != "command":
            return []
        set_limits = {"limits.tokens": self.limits.tokens, "limits.usd": self.limits.usd}
        return [
            (path, "expected nothing, because a command's use of a model cannot be metered yet; came a limit")
            for path, value in set_limits.items()
            if value is not None
        ]


class Discussion(Model):
    """The debate before anything is executed (architecture §6); hive-wide maxima bound these."""

    window: Annotated[timedelta, DurationBetween("100ms", "1h")] = Field(
        default=timedelta(seconds=30), description="How long peers may object in a round."
    )
    close_early: bool = Field(
        default=False, description="Close a round once all named reviewers answered without objection."
    )
    reviewers: int = Field(default=2, ge=0, le=16, description="Peers named to review a plan.")
    min_reviewers: int = Field(
        default=0, ge=0, le=16, description="Fewer answers than this escalate; 0 goes on and says unreviewed."
    )
    rounds: int = Field(default=3, ge=1, le=10, description="Rounds before the discussion escalates.")
    participants: int = Field(default=5, ge=1, le=32, description="Participants of one discussion.")
    hops: int = Field(default=4, ge=1, le=16, description="Longest chain of replies.")
    message_ttl: Annotated[timedelta, DurationBetween("1s", "2h")] = Field(
        default=timedelta(seconds=60),
        alias="messageTTL",
        description="Age at which a message no longer counts; raised to the window's double where that is longer.",
    )
    ttl: Annotated[timedelta, DurationBetween("1s", "24h")] = Field(
        default=timedelta(minutes=15), description="Longest planning, listening and revising in total."
    )
    require_human: Literal["never", "onObjection", "always"] = Field(
        default="never", description="When a human must agree before anything is executed."
    )

    @model_validator(mode="after")
    def _bounds_fit_together(self) -> Self:
        problems: list[tuple[str, str]] = []
        if self.min_reviewers > self.reviewers:
            problems.append(
                ("minReviewers", f"expected at most reviewers ({self.reviewers}), came {self.min_reviewers}")
            )
        if self.reviewers > self.participants:
            problems.append(
                ("reviewers", f"expected at most participants ({self.participants}), came {self.reviewers}")
            )
        if self.ttl < self.window:
            problems.append(("ttl", "expected at least the window, came less"))
        refuse(problems)
        return self


class Escalation(Model):
    """What happens when agents cannot settle it."""

    timeout: Annotated[timedelta, DurationBetween("1s", "720h")] = Field(
        default=timedelta(hours=24), description="How long a human may take before the issue is released."
    )


class Storage(Model):
    """The volume of an agent's log."""

    size: Quantity = Field(default="1Gi", description="Size of each agent's volume.")
    retain: bool = Field(
        default=True, description="Keep volumes and keys, together, when the agent is deleted."
    )


class HiveAgentSpec(Model):
    """What the user wants."""

    replicas: int = Field(default=1, ge=0, le=256, description="Agents of this kind.")
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

    @model_validator(mode="after")
    def _somebody_thinks(self) -> Self:
        problems: list[tuple[str, str]] = []
        if self.model is None and self.execution.type == "builtin":
            problems.append(("model", "expected a model, because execution.type is builtin; came nothing"))
        if self.model is None and self.execution.plan == "model":
            problems.append(
                (
                    "model",
                    "expected a model, because execution.plan is model; came nothing (or plan by dryRun)",
                )
            )
        refuse(problems[:1])
        return self


class HiveAgent(Model):
    """One document of a manifest."""

    api_version: Literal["bzzz.dev/v1alpha1"]
    kind: Literal["HiveAgent"]
    metadata: Metadata
    spec: HiveAgentSpec

    @property
    def name(self) -> str:
        """The resource's name; its agents are called name-0, name-1, …."""
        return self.metadata.name
