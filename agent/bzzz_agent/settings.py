"""What an agent's process is told, read once from a JSON file (`--config FILE`) and passed in from there.

Secrets come as paths of files, never as values: a configuration can be shown and logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from bzzz_agent.fatal import DEFAULT_FILE
from bzzz_agent.github.settings import GitHubSettings
from bzzz_crds import HiveAgentSpec
from hmmm.base import NodeId, first_problem
from hmmm.errors import BzzzError
from hmmm.limits import DiscussionLimits, HelpLimits

HexKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SettingsError(BzzzError):
    """A configuration that does not fit; the text names the field."""


class Settings(BaseModel):
    """Base of the tree: frozen, camelCase in the file, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class LogSettings(Settings):
    """The agent's own Hypercore log, by way of its sidecar."""

    socket: Path


class ServiceSettings(Settings):
    """A service over HTTP with a bearer token."""

    url: str
    token_file: Path


class RunnerSettings(Settings):
    """The runner in the workspace container."""

    socket: Path
    token_file: Path


class ClaimSettings(Settings):
    """How issues are looked for and held."""

    poll_interval_s: float | None = Field(default=None, ge=0.2, le=3600)
    """How often the elected poller asks; an unchanged answer costs nothing (facts: GitHub). None means every 15 s
    on github.com and every second on another server."""
    lease_s: float = Field(default=900.0, ge=2, le=86_400)
    back_off_s: float = Field(default=60.0, ge=0, le=86_400)
    """Rest after an issue's first failure; grows fivefold."""


class ModelSettings(Settings):
    """The reasoning model; without one the agent plans by command and reviews by rules."""

    name: str
    base_url: str | None = None
    key_file: Path | None = None


class MetricsSettings(Settings):
    """Where Prometheus asks."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)
    token_file: Path | None = None
    """Whoever asks must bear the token in this file; without it anybody may ask."""


class AgentSettings(Settings):
    """Everything an agent is told."""

    node_id: NodeId
    hive: str
    hive_key: HexKey
    mesh_seed_file: Path
    card_file: Path
    members_file: Path
    revocations_file: Path | None = None
    listen: str
    announce: tuple[str, ...] = ()
    log: LogSettings
    archive: ServiceSettings
    runner: RunnerSettings
    state_dir: Path
    public_url: str
    github: GitHubSettings
    claims: ClaimSettings = Field(default_factory=ClaimSettings)
    model: ModelSettings | None = None
    model_proxy_port: int = Field(default=0, ge=0, le=65_535)
    """Port of 127.0.0.1 at which a command reaches the model; 0 takes any free one."""
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    spec: HiveAgentSpec
    podinfo_file: Path | None = None
    """The pod's annotations, by the downward API; `bzzz.dev/drain: "true"` asks the agent to leave."""
    ready_file: Path | None = None
    """There while the agent is on the mesh and not drained."""
    alive_file: Path | None = None
    """Touched every 10 s."""
    termination_log: Path = DEFAULT_FILE
    """Where the reason of an early end is written, if that file is there."""
    failpoints: tuple[str, ...] = ()
    """Points of `bzzz_agent.failpoints` at which this process kills itself, each once; tests only."""

    @property
    def poll_interval_s(self) -> float:
        """The seconds between two polls that apply."""
        if self.claims.poll_interval_s is not None:
            return self.claims.poll_interval_s
        return 15.0 if self.github.spacing_s else 1.0

    @property
    def limits(self) -> DiscussionLimits:
        """The manifest's discussion settings as the protocol has them."""
        d = self.spec.discussion
        return DiscussionLimits(
            window_s=d.window.total_seconds(),
            close_early=d.close_early,
            reviewers=d.reviewers,
            min_reviewers=d.min_reviewers,
            rounds=d.rounds,
            participants=d.participants,
            hops=d.hops,
            message_ttl_s=d.message_ttl.total_seconds(),
            ttl_s=d.ttl.total_seconds(),
            require_human=d.require_human,
            await_answers=True,
            help=HelpLimits(
                requests=d.help.requests, helpers=d.help.helpers, ttl_s=d.help.ttl.total_seconds()
            ),
        )


def load_settings(path: Path, overrides: Mapping[str, Any] | None = None) -> AgentSettings:
    """Read the configuration; what is given by the file's own names in `overrides` comes before it.

    Raises SettingsError, naming the file and the field.
    """
    try:
        given = json.loads(path.read_bytes())
        if not isinstance(given, dict):
            raise SettingsError(f"{path}: expected a JSON object; docs/agent.md lists the fields")
        # as JSON again: pydantic takes lists for tuples and texts for paths there, and there alone
        return AgentSettings.model_validate_json(json.dumps({**given, **(overrides or {})}))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SettingsError(f"{path}: expected JSON: {error}") from error
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}; name the file with --config"
        ) from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {first_problem(error)}") from error


def read_secret(path: Path) -> str:
    """Read a secret's file.

    Raises SettingsError, naming the file and never its content.
    """
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{path}: the secret cannot be read: {error.strerror}") from error
