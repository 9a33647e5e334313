"""How an agent executes, read once and passed in."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from bzzz_crds.hiveagent import Execution as ExecutionSpec


@dataclass(frozen=True)
class ExecutionSettings:
    """The manifest's `spec.execution`, with what only the agent's process knows."""

    state_dir: Path
    """Holds the agent's own clones; nobody else's process may write there."""
    type: Literal["command", "builtin"]
    plan: Literal["model", "command", "dryRun"]
    command: tuple[str, ...] = ()
    plan_command: tuple[str, ...] = ()
    help_command: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    timeout_s: float = 1200.0
    """Longest run of the command, of the plan command, and of the tests, each."""
    tokens: int | None = None
    usd: Decimal | None = None
    patch_bytes: int = 262_144
    max_files: int = 300
    """Files that one patch may touch; more is a rewrite, which no reviewer reads."""
    protected_paths: tuple[str, ...] = (".github/workflows/**",)
    outside_footprint: Literal["refuse", "revert"] = "refuse"
    """What becomes of changes outside the agreed footprint. A dry run's plan can only be narrowed by putting
    files back, so there it is `revert`."""
    author: tuple[str, str] = ("Bzzz", "bzzz@users.noreply.github.com")

    @classmethod
    def from_spec(
        cls, spec: ExecutionSpec, state_dir: Path, author: tuple[str, str] | None = None
    ) -> ExecutionSettings:
        """Take the manifest's settings over."""
        return cls(
            state_dir=state_dir,
            type=spec.type,
            plan=spec.plan,
            command=spec.command or (),
            plan_command=spec.plan_command or (),
            help_command=spec.help_command or (),
            test=spec.test or (),
            timeout_s=spec.timeout.total_seconds(),
            tokens=spec.limits.tokens,
            usd=None if spec.limits.usd is None else Decimal(spec.limits.usd),
            patch_bytes=spec.limits.patch_bytes,
            protected_paths=spec.limits.protected_paths,
            outside_footprint="revert" if spec.plan == "dryRun" else "refuse",
            author=author or cls.author,
        )
