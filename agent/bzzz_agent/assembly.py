"""Putting an agent together: every part made and wired, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import trio
from prometheus_client import CollectorRegistry

from bzzz_agent.archive_client import ArchiveClient
from bzzz_agent.capabilities import Herald
from bzzz_agent.claimant.case import Tools
from bzzz_agent.claimant.desk import Desk
from bzzz_agent.claimant.wants import capabilities_of
from bzzz_agent.clock import now
from bzzz_agent.drain import Drain
from bzzz_agent.execution import Execution, ExecutionSettings, Runner
from bzzz_agent.failpoints import Failpoints
from bzzz_agent.github.client import open_client
from bzzz_agent.github.metrics import GitHubMetrics
from bzzz_agent.health import Health
from bzzz_agent.help.able import Means
from bzzz_agent.help.helper import Helper
from bzzz_agent.hive import HiveView
from bzzz_agent.inbox import Inbox
from bzzz_agent.journal import Journal
from bzzz_agent.knowledge import Library, Memory
from bzzz_agent.log_client import LogClient
from bzzz_agent.metrics import AgentMetrics
from bzzz_agent.metrics_server import serve_metrics
from bzzz_agent.models import command_model, reasoning_model
from bzzz_agent.own_card import note_start, read_own
from bzzz_agent.reasoning.reviewer import ModelJudge
from bzzz_agent.repositories import Repositories
from bzzz_agent.review.reviewer import Reviewer, ReviewerSettings
from bzzz_agent.settings import AgentSettings, SettingsError, read_secret
from bzzz_agent.voice import Voice
from bzzz_agent.waiting import see_socket, wait_for
from bzzz_mesh import Directory, Mesh, MeshSettings, join, read_members
from hmmm.envelope import SigningKey
from hmmm.membership import Roster
from hmmm.observer import LogOwner


@dataclass
class Parts:
    """A wired agent's parts."""

    mesh: Mesh
    roster: Roster
    inbox: Inbox
    hive: HiveView
    voice: Voice
    reviewer: Reviewer
    helper: Helper
    herald: Herald
    desk: Desk
    health: Health
    repositories: Repositories
    library: Library
    directory: Directory
    metrics_port: int

    def ready(self) -> bool:
        """Whether the pod is one that works: neither gone nor put out of the hive."""
        return not self.drained() and not self.roster.own_is_revoked

    def drained(self) -> bool:
        """Whether the agent was asked to leave and owes nobody anything any more."""
        drain = self.desk.drain
        owes = self.reviewer.owes or self.helper.owes
        return drain.asked and self.desk.empty and not (drain.keeps_promises and owes)


@asynccontextmanager
async def assemble(settings: AgentSettings) -> AsyncGenerator[Parts]:
    """Make every part, and close them in reverse."""
    registry = CollectorRegistry()
    metrics = AgentMetrics(registry)
    _make_folder(settings)
    key = SigningKey.mesh(bytes.fromhex(read_secret(settings.mesh_seed_file)))
    roster = await wait_for("own membership card", lambda: read_own(settings, key.key_id))
    await wait_for("list of members", lambda: read_members(settings.members_file))
    failpoints = Failpoints(settings.failpoints, settings.state_dir)
    inbox = Inbox(roster, frozenset(settings.spec.github.repositories), metrics, now)
    hive = HiveView(settings.node_id, trio.current_time)
    health = Health()
    async with AsyncExitStack() as stack:
        port = serve_metrics(settings.metrics, registry, stack)
        journal = await _open_journal(settings, roster, key, failpoints, metrics, stack)
        github = await stack.enter_async_context(open_client(settings.github, GitHubMetrics(registry)))
        archive = ArchiveClient(settings.archive)
        stack.push_async_callback(archive.aclose)
        model = reasoning_model(settings.model)
        execution = Execution(
            ExecutionSettings.from_spec(settings.spec.execution, settings.state_dir),
            Runner(settings.runner.socket, read_secret(settings.runner.token_file)),
            model,
            github.git_token,
            await command_model(settings, stack),
        )
        mesh = await stack.enter_async_context(join(_mesh_settings(settings), roster, registry))
        voice = Voice(settings.node_id, mesh, journal, key, failpoints)
        library = Library(archive, Memory())
        memory = library.memory
        tools = Tools(
            settings,
            mesh,
            voice,
            journal,
            inbox,
            hive,
            execution,
            archive,
            memory,
            failpoints,
            metrics,
            now,
        )
        repositories = Repositories(settings, github, key.key_id, health)
        desk = Desk(tools, repositories.open, Drain(settings.podinfo_file), lambda: not roster.own_is_revoked)
        limits = settings.spec.execution.limits
        reviewer = Reviewer(
            voice,
            mesh,
            inbox,
            hive,
            ReviewerSettings(limits.protected_paths, settings.spec.execution.test is not None),
            None if model is None else ModelJudge(model),
            repositories,
            memory,
            metrics,
        )
        helper = Helper(
            voice,
            mesh,
            inbox,
            execution,
            repositories,
            lambda: _means(settings, execution, desk, health),
            metrics,
        )
        herald = Herald(settings, roster, mesh, voice, desk, health)
        directory = Directory(mesh, settings.members_file, settings.revocations_file)
        parts = Parts(
            mesh,
            roster,
            inbox,
            hive,
            voice,
            reviewer,
            helper,
            herald,
            desk,
            health,
            repositories,
            library,
            directory,
            port,
        )
        herald.drained = parts.drained
        yield parts


def _means(settings: AgentSettings, execution: Execution, desk: Desk, health: Health) -> Means:
    offered = settings.spec.capabilities
    return Means(
        capabilities=capabilities_of(offered.languages, offered.tools),
        equipped=execution.can_help,
        problem=health.problem,
        leaving=desk.drain.asked,
        working_on=None if desk.current is None else str(desk.current),
    )


def _make_folder(settings: AgentSettings) -> None:
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"stateDir: {settings.state_dir} cannot be made: {error.strerror}; expected a folder of the agent's own"
        ) from error


def _mesh_settings(settings: AgentSettings) -> MeshSettings:
    seed = bytes.fromhex(read_secret(settings.mesh_seed_file))
    return MeshSettings(seed=seed, listen=settings.listen, announce=settings.announce)


async def _open_journal(
    settings: AgentSettings,
    roster: Roster,
    key: SigningKey,
    failpoints: Failpoints,
    metrics: AgentMetrics,
    stack: AsyncExitStack,
) -> Journal:
    await wait_for("the log's socket", lambda: see_socket(settings.log.socket))
    client = LogClient(settings.log.socket, metrics)
    stack.push_async_callback(client.aclose)
    hive_key = bytes.fromhex(settings.hive_key)
    owner = LogOwner(settings.node_id, key.key_id, settings.hive, hive_key, trusted=True)
    journal = Journal(client, owner, key, failpoints, now)
    await journal.open()
    own = roster.own
    head = await client.head()
    if own.log_key != head.key:
        raise SettingsError(
            f"card of {own.node_id}: expected log {head.key}, got {own.log_key}; ask the authority for a card that fits"
        )
    await note_start(journal, roster)
    return journal
