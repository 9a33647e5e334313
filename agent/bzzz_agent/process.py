"""The agent's process: every part made, wired and run; ended cleanly by SIGTERM (architecture §3)."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
import trio
from prometheus_client import CollectorRegistry, start_http_server

from bzzz_agent import __version__
from bzzz_agent.archive_client import ArchiveClient
from bzzz_agent.capabilities import Herald
from bzzz_agent.claimant.case import Tools
from bzzz_agent.claimant.desk import Desk
from bzzz_agent.clock import now
from bzzz_agent.discovery import Discovery
from bzzz_agent.execution import Execution, ExecutionSettings, Runner
from bzzz_agent.execution.command import CommandModel
from bzzz_agent.failpoints import Failpoints
from bzzz_agent.github.client import GitHubClient, open_client
from bzzz_agent.github.metrics import GitHubMetrics
from bzzz_agent.github.repository import GitHubRepository, RepositorySettings, open_repository
from bzzz_agent.hive import HiveView
from bzzz_agent.inbox import Inbox
from bzzz_agent.journal import Journal
from bzzz_agent.log_client import LogClient
from bzzz_agent.metrics import AgentMetrics
from bzzz_agent.model_proxy import open_model_proxy, upstream_of
from bzzz_agent.reasoning.errors import ModelUnavailableError
from bzzz_agent.reasoning.model import ModelSettings, ReasoningModel
from bzzz_agent.reasoning.reviewer import ModelJudge
from bzzz_agent.review.reviewer import Reviewer, ReviewerSettings
from bzzz_agent.settings import AgentSettings, SettingsError, read_secret
from bzzz_agent.voice import Voice
from bzzz_mesh import Directory, Mesh, MeshSettings, join, read_members
from hmmm.claims import BackOff
from hmmm.eligibility import EligibilityRules
from hmmm.envelope import SigningKey
from hmmm.membership import Roster
from hmmm.messages import HIVE_TOPIC, Capabilities, IssueSeen, TaskClaimed
from hmmm.observer import LogOwner
from hmmm.records import AgentStarted

log = structlog.get_logger("bzzz.agent")

MAX_FOLLOWED = 64
"""Discussions followed at once; a hive has at most 32 agents, each with one issue (architecture §4)."""


async def run(settings: AgentSettings) -> None:
    """Run the agent until SIGTERM or SIGINT; work in progress stays claimed and is resumed by the next life."""
    _log_as_json()
    async with trio.open_nursery() as nursery:
        await nursery.start(_until_signal, nursery.cancel_scope)
        async with assemble(settings) as agent:
            await agent.run()


async def _until_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("ending", signal=signal.Signals(number).name)
            scope.cancel()
            return


def _log_as_json() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@dataclass
class Agent:
    """A wired agent."""

    settings: AgentSettings
    mesh: Mesh
    inbox: Inbox
    hive: HiveView
    reviewer: Reviewer
    herald: Herald
    desk: Desk
    discoveries: tuple[Discovery, ...]
    directory: Directory
    metrics_port: int

    async def run(self) -> None:
        """Listen, speak, review and work, for ever."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listen)
            nursery.start_soon(self.directory.run)
            nursery.start_soon(self.herald.run)
            ready = {
                "ready": True,
                "nodeId": self.settings.node_id,
                "peerId": self.mesh.peer_id,
                "addresses": list(self.mesh.addresses),
                "metricsPort": self.metrics_port,
            }
            print(json.dumps(ready), flush=True)
            await self.desk.resume()
            if self.settings.spec.suspend:
                log.info("suspended: no new issue is claimed")
                await trio.sleep_forever()
            for discovery in self.discoveries:
                nursery.start_soon(discovery.run)

    async def _listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        followers = trio.CapacityLimiter(MAX_FOLLOWED)
        async with self.mesh.subscribe(HIVE_TOPIC) as subscription, trio.open_nursery() as nursery:
            task_status.started()
            async for received in subscription:
                heard = self.inbox.read(HIVE_TOPIC, received.data, received.author)
                if heard is None or heard.card.node_id == self.settings.node_id:
                    continue
                message = heard.signed.message
                if isinstance(message, Capabilities):
                    self.herald.asked |= not self.hive.knows(message.node_id)
                    await self.directory.reach(heard.card.peer_id, message.addresses)
                self.hive.hear(message)
                if isinstance(message, TaskClaimed) and followers.available_tokens > 0:
                    nursery.start_soon(self._follow, message, followers)
                if isinstance(message, IssueSeen):
                    for discovery in self.discoveries:
                        discovery.wake.set()

    async def _follow(self, claim: TaskClaimed, followers: trio.CapacityLimiter) -> None:
        async with followers:
            await self.reviewer.follow(claim)


@asynccontextmanager
async def assemble(settings: AgentSettings) -> AsyncGenerator[Agent]:
    """Make every part, in the order in which they need each other, and close them in reverse."""
    registry = CollectorRegistry()
    metrics = AgentMetrics(registry)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    read_members(settings.members_file)  # a list that cannot be read is said now, not later
    seed = bytes.fromhex(read_secret(settings.mesh_seed_file))
    key = SigningKey.mesh(seed)
    roster = Roster(settings.hive, bytes.fromhex(settings.hive_key), settings.card_file.read_bytes())
    failpoints = Failpoints(settings.failpoints, settings.state_dir)
    inbox = Inbox(roster, frozenset(settings.spec.github.repositories), metrics, now)
    hive = HiveView(settings.node_id, trio.current_time)
    async with AsyncExitStack() as stack:
        journal = await _open_journal(settings, roster, key, failpoints, metrics, stack)
        github = await stack.enter_async_context(open_client(settings.github, GitHubMetrics(registry)))
        repos = await _open_repositories(settings, github, key.key_id)
        archive = ArchiveClient(settings.archive)
        stack.push_async_callback(archive.aclose)
        model = _model(settings)
        runner = Runner(settings.runner.socket, read_secret(settings.runner.token_file))
        hands = ExecutionSettings.from_spec(settings.spec.execution, settings.state_dir)
        command_model = await _command_model(settings, stack)
        execution = Execution(hands, runner, model, github.git_token, command_model)
        mesh = await stack.enter_async_context(_join(settings, seed, roster, registry))
        voice = Voice(settings.node_id, mesh, journal, key, failpoints)
        tools = Tools(
            settings, mesh, voice, journal, inbox, hive, execution, archive, failpoints, metrics, now
        )
        desk = Desk(tools, repos)
        herald = Herald(settings, roster, mesh, voice, desk)
        limits = settings.spec.execution.limits
        reviewer = Reviewer(
            voice,
            mesh,
            inbox,
            hive,
            ReviewerSettings(limits.protected_paths, settings.spec.execution.test is not None),
            None if model is None else ModelJudge(model),
            IssueTexts(repos),
            metrics,
        )
        discoveries = tuple(_discovery(settings, repo, desk, hive, voice, herald) for repo in repos.values())
        directory = Directory(mesh, settings.members_file, settings.revocations_file)
        port = _serve_metrics(settings, registry, stack)
        yield Agent(settings, mesh, inbox, hive, reviewer, herald, desk, discoveries, directory, port)


@dataclass(frozen=True)
class IssueTexts:
    """Reads issues for the reviewer."""

    repos: dict[str, GitHubRepository]

    async def read(self, repository: str, number: int) -> tuple[str, str]:
        """Return an issue's title and body. Raises GitHubError."""
        facts = await self.repos[repository].issue(number)
        return facts.title, facts.body


async def _open_journal(
    settings: AgentSettings,
    roster: Roster,
    key: SigningKey,
    failpoints: Failpoints,
    metrics: AgentMetrics,
    stack: AsyncExitStack,
) -> Journal:
    client = LogClient(settings.log.socket, metrics)
    stack.push_async_callback(client.aclose)
    hive_key = bytes.fromhex(settings.hive_key)
    owner = LogOwner(settings.node_id, key.key_id, settings.hive, hive_key, trusted=True)
    journal = Journal(client, owner, key, failpoints, now)
    await journal.open()
    own = roster.own
    head = await client.head()
    if own.peer_id != key.key_id or own.log_key != head.key:
        raise SettingsError(
            f"card of {own.node_id}: expected peer {key.key_id} and log {head.key}, "
            f"got {own.peer_id} and {own.log_key}; ask the authority for a card that fits"
        )
    card = roster.own_card.decode()
    await journal.note(
        AgentStarted(node_id=settings.node_id, peer_id=key.key_id, version=__version__, card=card)
    )
    return journal


def _model(settings: AgentSettings) -> ReasoningModel | None:
    chosen = settings.model
    if chosen is None:
        return None
    key = None if chosen.key_file is None else read_secret(chosen.key_file)
    return ReasoningModel(ModelSettings(name=chosen.name, base_url=chosen.base_url, key=key))


async def _command_model(settings: AgentSettings, stack: AsyncExitStack) -> CommandModel | None:
    """Open the model proxy where a command may ask the manifest's model (architecture §9).

    Raises SettingsError where limits are to be kept that nobody could keep.
    """
    execution, chosen = settings.spec.execution, settings.model
    if execution.type != "command" or chosen is None:
        return None

    def model() -> ModelSettings:
        key = None if chosen.key_file is None else read_secret(chosen.key_file)
        return ModelSettings(name=chosen.name, base_url=chosen.base_url, key=key)

    try:
        upstream_of(model())
    except ModelUnavailableError as error:
        if execution.limits.tokens is None and execution.limits.usd is None:
            log.warning("the command gets no way to the model", problem=str(error))
            return None
        raise SettingsError(f"spec.execution.limits: cannot be kept for a command: {error}") from error
    proxy = await stack.enter_async_context(open_model_proxy(settings.model_proxy_port))
    return CommandModel(proxy, lambda: upstream_of(model()))


async def _open_repositories(
    settings: AgentSettings, github: GitHubClient, peer_id: str
) -> dict[str, GitHubRepository]:
    issues = settings.spec.github.issues
    rules = EligibilityRules(frozenset(issues.labels), frozenset(issues.authors))
    back_off = BackOff(first_s=settings.claims.back_off_s)
    governed = RepositorySettings(rules, lease_s=settings.claims.lease_s, back_off=back_off)
    return {
        name: await open_repository(github, name, governed, settings.node_id, peer_id)
        for name in settings.spec.github.repositories
    }


@asynccontextmanager
async def _join(
    settings: AgentSettings, seed: bytes, roster: Roster, registry: CollectorRegistry
) -> AsyncGenerator[Mesh]:
    mesh_settings = MeshSettings(
        seed=seed,
        listen=settings.listen,
        announce=settings.announce,
    )
    async with join(mesh_settings, roster, registry) as mesh:
        yield mesh


def _discovery(
    settings: AgentSettings,
    repo: GitHubRepository,
    desk: Desk,
    hive: HiveView,
    voice: Voice,
    herald: Herald,
) -> Discovery:
    interval = settings.poll_interval_s
    return Discovery(repo, desk, hive, voice, herald.candidate(), interval, settle_s=min(3.0, interval))


def _serve_metrics(settings: AgentSettings, registry: CollectorRegistry, stack: AsyncExitStack) -> int:
    server, thread = start_http_server(settings.metrics.port, settings.metrics.host, registry)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    stack.callback(close)
    return server.server_port
