"""What a local hive is made of, decided before anything is started: agents, accounts, models, where the issues are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from bzzz_cli.errors import UsageError
from bzzz_cli.local.models import ModelChoice, choose_model
from bzzz_crds import HiveAgent, HiveAgentSpec, load_manifests

HIVE: Final = "local"
SCRIBE: Final = "scribe"
MAX_AGENTS: Final = 32
"""Hives up to 32 agents connect fully (architecture §4); a single machine has enough of them by then."""
MAX_MANIFEST_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True)
class EscalationOptions:
    """Whom to tell that a human is asked (docs/escalation.md)."""

    url: str
    secret: Path
    """A folder with the files `token` and `hmac`."""
    answer_port: int


@dataclass(frozen=True)
class LocalOptions:
    """The command line of `bzzz local`."""

    manifest: Path
    repo: Path | None = None
    issues: Path | None = None
    once: bool = False
    report: Path | None = None
    model: str | None = None
    timeout: timedelta = timedelta(minutes=20)
    window: timedelta | None = None
    state: Path | None = None
    keep: bool = False
    github_record: Path | None = None
    tools: tuple[Path, ...] = ()
    escalation: EscalationOptions | None = None
    """None alerts nobody; `bzzz answer --state` answers all the same."""
    failpoints: tuple[tuple[str, str], ...] = ()
    """(node id, point) pairs at which agents kill themselves; tests only."""


@dataclass(frozen=True)
class AgentPlan:
    """One agent of the hive."""

    node_id: str
    account: str
    """Login on the local GitHub server; one for each HiveAgent, as agents share accounts on GitHub too."""
    spec: HiveAgentSpec
    model: ModelChoice | None
    failpoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class HivePlan:
    """All of the hive."""

    agents: tuple[AgentPlan, ...]
    repositories: tuple[str, ...]
    labels: frozenset[str]
    """Every label by which some agent takes issues."""
    github_token: str | None
    """The user's credential; None means that the local GitHub server is used."""
    tools: tuple[Path, ...]
    notices: tuple[str, ...] = ()

    @property
    def api_url(self) -> str:
        """Where the manifest says that GitHub is."""
        return self.agents[0].spec.github.api_url

    @property
    def needs_embedded_model(self) -> bool:
        """Some agent thinks with the model that comes along."""
        return any(agent.model is not None and agent.model.embedded for agent in self.agents)


def make_plan(options: LocalOptions, environ: Mapping[str, str] = os.environ) -> HivePlan:
    """Read the manifest and decide.

    Raises ManifestError, UsageError.
    """
    manifests = load_manifests(_read_manifest(options.manifest))
    agents = tuple(_agents_of(manifests, options, environ))
    if not agents:
        raise UsageError(
            f"{options.manifest}: expected at least one agent, came replicas: 0 or suspend: true throughout"
        )
    if len(agents) > MAX_AGENTS:
        raise UsageError(
            f"{options.manifest}: expected at most {MAX_AGENTS} agents on one machine, came {len(agents)}"
        )
    if len({manifest.spec.github.api_url for manifest in manifests}) > 1:
        raise UsageError(
            f"{options.manifest}: expected one spec.github.apiUrl for the whole hive, came several"
        )
    repositories = tuple(dict.fromkeys(r for m in manifests for r in m.spec.github.repositories))
    if options.repo is not None and len(repositories) > 1:
        raise UsageError(
            f"--repo: expected one repository in the manifest to serve it as, came {', '.join(repositories)}"
        )
    token = None if options.repo else environ.get("GITHUB_TOKEN") or None
    if token and options.issues:
        raise UsageError(
            "--issues: expected --repo with it, because issues are not opened on the real GitHub"
        )
    _check_failpoints(options, agents)
    return HivePlan(
        agents=agents,
        repositories=repositories,
        labels=frozenset(label for m in manifests for label in m.spec.github.issues.labels),
        github_token=token,
        tools=_tools(options),
        notices=tuple(dict.fromkeys(a.model.notice for a in agents if a.model and a.model.notice)),
    )


def _read_manifest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MANIFEST_BYTES).decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name a manifest with -f") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected a manifest in UTF-8") from error


def _agents_of(
    manifests: list[HiveAgent], options: LocalOptions, environ: Mapping[str, str]
) -> list[AgentPlan]:
    agents: list[AgentPlan] = []
    for manifest in manifests:
        spec = manifest.spec
        if options.window is not None:
            discussion = spec.discussion.model_copy(update={"window": options.window})
            spec = spec.model_copy(update={"discussion": discussion})
        for ordinal in range(0 if spec.suspend else spec.replicas):
            node_id = f"{manifest.name}-{ordinal}"
            agents.append(
                AgentPlan(
                    node_id=node_id,
                    account=f"{manifest.name[:35].rstrip('-')}-bot",  # GitHub allows 39 characters
                    spec=spec,
                    model=choose_model(spec.model, options.model, environ),
                    failpoints=tuple(point for node, point in options.failpoints if node == node_id),
                )
            )
    return agents


def _check_failpoints(options: LocalOptions, agents: tuple[AgentPlan, ...]) -> None:
    known = {agent.node_id for agent in agents}
    for node_id, _ in options.failpoints:
        if node_id not in known:
            raise UsageError(f"--failpoint: expected one of {', '.join(sorted(known))}, came {node_id}")


def _tools(options: LocalOptions) -> tuple[Path, ...]:
    """Folders whose `bin` commands find their programs in, as they find them in the image in a cluster."""
    beside = options.manifest.resolve().parent / "tools"
    found = (beside,) if (beside / "bin").is_dir() else ()
    for folder in options.tools:
        if not (folder / "bin").is_dir():
            raise UsageError(f"--tools {folder}: expected a folder with programs in its bin, found none")
    return (*found, *(folder.resolve() for folder in options.tools))
