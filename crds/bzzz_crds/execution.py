"""How an issue is planned and carried out (architecture §9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from bzzz_crds.rules import Rule
from bzzz_crds.values import Argument, Between, Dollars, DurationBetween, Glob, Image, Model


class ExecutionLimits(Model):
    """What one execution may use up before it is stopped."""

    tokens: Annotated[int, Between(1, 10**9)] | None = Field(
        default=None,
        description="Model tokens, in and out; none means unlimited. Needs spec.model, which a command is given "
        "by a proxy that counts.",
    )
    usd: Dollars | None = Field(
        default=None, description='Money for the model, as text: "2.00". Needs spec.model, as tokens do.'
    )
    patch_bytes: Annotated[int, Between(1, 16 * 1024 * 1024)] = Field(
        default=262_144, description="Largest patch in bytes."
    )
    protected_paths: tuple[Glob, ...] = Field(
        default=(".github/workflows/**",),
        strict=False,
        max_length=100,
        description="Globs of files that no patch may touch.",
    )


class Execution(Model):
    """How a plan is made and carried out."""

    rules = (
        Rule(
            "command",
            "expected the command to run, because type is command",
            "self.type != 'command' || has(self.command)",
            lambda it: it.type != "command" or it.command is not None,
        ),
        Rule(
            "command",
            "expected nothing, because type is builtin",
            "self.type != 'builtin' || !has(self.command)",
            lambda it: it.type != "builtin" or it.command is None,
            "a command",
        ),
        Rule(
            "plan",
            "expected model or command, because only a command can be tried out",
            "self.type != 'builtin' || self.plan != 'dryRun'",
            lambda it: it.type != "builtin" or it.plan != "dryRun",
            "dryRun",
        ),
        Rule(
            "planCommand",
            "expected a command, because plan is command",
            "self.plan != 'command' || has(self.planCommand)",
            lambda it: it.plan != "command" or it.plan_command is not None,
        ),
        Rule(
            "planCommand",
            "expected nothing, because plan is not command",
            "self.plan == 'command' || !has(self.planCommand)",
            lambda it: it.plan == "command" or it.plan_command is None,
            "a command",
        ),
    )

    type: Literal["command", "builtin"] = Field(
        description="command runs any coding tool; builtin lets the model read, write, search and run."
    )
    image: Image | None = Field(
        default=None,
        description="Image of the workspace container, with the tools that command and test name; needs python3. "
        "Unused by a local hive.",
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
    help_command: tuple[Argument, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=64,
        description="Helps a peer whose work failed: what it prints is the suggestion, what it changes is a patch of "
        "the plan's files; $(BZZZ_PROBLEM_FILE) says what failed. Without it the model helps, if there is one.",
    )
    test: tuple[Argument, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        max_length=64,
        description="The repository's own test command.",
    )
    timeout: Annotated[timedelta, DurationBetween("1s", "6h")] = Field(
        default=timedelta(minutes=20),
        description="Longest run of the command, and of the tests; from 1s to 6h.",
    )
    limits: ExecutionLimits = Field(
        default_factory=ExecutionLimits, description="What one execution may use up."
    )
