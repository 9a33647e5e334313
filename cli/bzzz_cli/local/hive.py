"""Bringing a local hive up, in the order in which its parts need each other.

GitHub server, archive and model first; then each agent's log and workspace, whose keys go into the membership cards;
then the scribe, and the agents last. Ports are chosen before anything starts and stay, so that what dies comes back
under the same address.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bzzz_cli.errors import ComponentError
from bzzz_cli.local import components, config
from bzzz_cli.local.authority import Authority, token
from bzzz_cli.local.config import Folders
from bzzz_cli.local.files import write_json, write_private
from bzzz_cli.local.issues import load_issues
from bzzz_cli.local.plan import HIVE, SCRIBE, AgentPlan, HivePlan, LocalOptions
from bzzz_cli.local.ports import HivePorts, free_ports
from bzzz_cli.local.processes import Command, Supervisor, argv_of
from bzzz_cli.local.repository import serve_copy
from bzzz_cli.local.uids import free_uids

LOCAL_POLL_S: Final = 1.0
LOCAL_BACK_OFF_S: Final = 2.0
LOCAL_LEASE_S: Final = 60.0
"""A local server has no limits to respect, and nobody is to wait minutes for a second try."""


@dataclass(frozen=True)
class RunningHive:
    """Where a hive that is up can be reached."""

    scribe_url: str
    api_url: str
    github_token_file: Path
    hive_key: str
    accounts: frozenset[str]
    folders: Folders


@dataclass(frozen=True)
class _Log:
    """An agent's log, once its sidecar is up."""

    key: str
    replication_key: str


class LocalHive:
    """Starts all parts of a hive. `folders` must be locked by the caller."""

    def __init__(
        self, options: LocalOptions, plan: HivePlan, folders: Folders, supervisor: Supervisor
    ) -> None:
        self._options = options
        self._plan = plan
        self._folders = folders
        self._supervisor = supervisor
        self._authority = Authority(folders.keys, HIVE)
        self._ports = HivePorts.choose(len(plan.agents), folders.state / "scribe-port")

    async def bring_up(self) -> RunningHive:
        """Start everything; return once all are ready. Raises ComponentError, MissingComponentError, UsageError."""
        self._check_components()
        self._make_folders()
        api_url, archive, model = await self._start_services()
        logs = await self._start_logs_and_runners(archive)
        hive = config.HiveConfig(
            folders=self._folders,
            hive=HIVE,
            hive_key=self._authority.public_key,
            archive=archive,
            public_url=f"http://{config.LOOPBACK}:{self._ports.scribe}",
        )
        self._write_members()
        scribe_url = await self._start_scribe(hive)
        await self._start_escalation(api_url, hive.public_url)
        await self._start_agents(hive, logs, api_url, model)
        return RunningHive(
            scribe_url=scribe_url,
            api_url=api_url,
            github_token_file=self._github_token(self._plan.agents[0]),
            hive_key=self._authority.public_key,
            accounts=frozenset(agent.account for agent in self._plan.agents),
            folders=self._folders,
        )

    def _check_components(self) -> None:
        """Say what is missing before anything is started."""
        components.sidecar()
        components.node()
        components.runner()
        components.module("bzzz_agent.__main__", "the agent")
        components.module("bzzz_scribe.__main__", "the scribe")
        if self._plan.github_token is None:
            components.module("bzzz_github_server.__main__", "the local GitHub server")
        if self._plan.needs_embedded_model:
            components.module("bzzz_agent.reasoning.embedded", "the embedded model's server")
            components.module("xllamacpp", "the embedded model's engine")

    def _make_folders(self) -> None:
        folders = self._folders
        folders.scratch.chmod(0o711)  # the workspaces below belong to other users, the sockets to us alone
        (folders.scratch / "s").mkdir(mode=0o700)
        (folders.scratch / "w").mkdir(mode=0o711)
        for agent in self._plan.agents:
            (folders.state / "agents" / agent.node_id / "state").mkdir(parents=True, exist_ok=True)
            (folders.state / "agents" / agent.node_id / "log").mkdir(parents=True, exist_ok=True)
        (folders.state / SCRIBE).mkdir(parents=True, exist_ok=True)
        (folders.state / "archive").mkdir(exist_ok=True)

    async def _start_services(self) -> tuple[str, config.Archive, dict[str, Any] | None]:
        """Start GitHub (if it is ours to start), the archive and the embedded model (if somebody needs it)."""
        folders, ports, plan = self._folders, self._ports, self._plan
        token_file = folders.keys / "archive.token"
        token(token_file)
        archive_config = config.archive(
            folders, ports.archive, token_file, self._authority.log_seed("archive")
        )
        commands = [self._node("archive", "archive", archive_config)]
        if plan.github_token is None:
            arguments = ("--config", str(self._github_config()))
            commands.append(_python("github", "bzzz_github_server", *arguments, restart=False))
        if plan.needs_embedded_model:
            commands.append(
                _python(
                    "model", "bzzz_agent.reasoning.embedded", "--port", str(ports.model), ready_timeout_s=180
                )
            )
        ready = dict(
            zip((command.name for command in commands), await self._supervisor.start(*commands), strict=True)
        )
        archive = config.Archive(
            _told(ready["archive"], "archive", "url"),
            token_file,
            _told(ready["archive"], "archive", "replicationKey"),
        )
        api_url = _told(ready["github"], "github", "url") if "github" in ready else plan.api_url
        return api_url, archive, ready.get("model")

    def _github_config(self) -> Path:
        folders, options = self._folders, self._options
        accounts = {
            agent.account: self._github_token(agent).read_text().strip() for agent in self._plan.agents
        }
        sources = [
            (
                name,
                serve_copy(
                    options.repo,
                    folders.state / "served" / f"{name.replace('/', '-')}.git",
                    name,
                    self._authority.public_key,
                ),
            )
            for name in self._plan.repositories
        ]
        issues = load_issues(options.issues) if options.issues is not None else ()
        return config.github_server(
            folders, self._ports.github, list(accounts.items()), sources, issues, options.github_record
        )

    def _github_token(self, agent: AgentPlan) -> Path:
        """Return the file with an agent's credential: the user's, or its account's on the local server."""
        if self._plan.github_token is not None:
            return write_private(self._folders.keys / "github.token", self._plan.github_token.encode())
        path = self._folders.keys / f"{agent.account}.token"
        token(path)
        return path

    async def _start_logs_and_runners(self, archive: config.Archive) -> dict[str, _Log]:
        commands: list[Command] = []
        for agent, port in zip(self._plan.agents, self._ports.replication, strict=True):
            seed = self._authority.log_seed(agent.node_id)
            settings = config.sidecar(self._folders, agent.node_id, seed, port, archive.replication_key)
            commands.append(self._node(f"log/{agent.node_id}", "log", settings))
        uids = free_uids(len(self._plan.agents)) if os.getuid() == 0 else [None] * len(self._plan.agents)
        runners = [self._runner(agent, uid) for agent, uid in zip(self._plan.agents, uids, strict=True)]
        ready = await self._supervisor.start(*commands, *runners)
        logs = {
            agent.node_id: _Log(_told(line, command.name, "key"), _told(line, command.name, "replicationKey"))
            for agent, command, line in zip(self._plan.agents, commands, ready[: len(commands)], strict=True)
        }
        write_json(
            self._folders.archive_logs,
            [
                {
                    "nodeId": node_id,
                    "key": log.key,
                    "host": config.LOOPBACK,
                    "port": port,
                    "replicationKey": log.replication_key,
                }
                for (node_id, log), port in zip(logs.items(), self._ports.replication, strict=True)
            ],
        )
        return logs

    def _runner(self, agent: AgentPlan, uid: int | None) -> Command:
        token_file = self._folders.keys / agent.node_id / "runner.token"
        token(token_file)
        root = self._folders.scratch / "w" / agent.node_id
        root.mkdir()
        arguments: list[str | Path] = ["--socket", self._folders.socket(f"run-{agent.node_id}")]
        arguments += ["--root", root, "--token-file", token_file]
        arguments += ["--user", str(uid)] if uid is not None else []
        for folder in self._plan.tools:
            arguments += ["--tools", folder]
        argv = argv_of(sys.executable, [components.runner(), *arguments])
        return Command(f"runner/{agent.node_id}", argv, components.environment())

    def _write_members(self) -> None:
        nodes = [*(agent.node_id for agent in self._plan.agents), SCRIBE]
        ports = [*self._ports.mesh, self._ports.scribe_mesh]
        write_json(
            self._folders.members,
            [config.member(n, self._authority.peer_id(n), p) for n, p in zip(nodes, ports, strict=True)],
        )

    async def _start_scribe(self, hive: config.HiveConfig) -> str:
        card = self._authority.issue_card(SCRIBE, "scribe", None)
        shared = hive.shared(SCRIBE, self._authority.mesh_seed(SCRIBE), card, self._ports.scribe_mesh)
        path = config.scribe(shared, self._folders, SCRIBE, self._ports.scribe, self._plan.repositories)
        (ready,) = await self._supervisor.start(_python("scribe", "bzzz_scribe", "--config", str(path)))
        return _told(ready, "scribe", "url")

    async def _start_escalation(self, api_url: str, public_url: str) -> None:
        told = self._options.escalation
        if told is None:
            return
        if told.answer_port == 0:  # one that stays the same while the process is started again
            told = replace(told, answer_port=free_ports(1)[0])
        path = config.escalation(self._folders, HIVE, told, api_url, public_url)
        await self._supervisor.start(
            _python("escalation", "bzzz_cli.local.escalation", "--config", str(path), network=True)
        )

    async def _start_agents(
        self, hive: config.HiveConfig, logs: dict[str, _Log], api_url: str, model: dict[str, Any] | None
    ) -> None:
        commands: list[Command] = []
        for agent, port in zip(self._plan.agents, self._ports.mesh, strict=True):
            card = self._authority.issue_card(agent.node_id, "agent", logs[agent.node_id].key)
            shared = hive.shared(agent.node_id, self._authority.mesh_seed(agent.node_id), card, port)
            path = config.agent(
                shared,
                self._folders,
                agent,
                self._github_settings(agent, api_url),
                self._claim_settings(),
                self._model_settings(agent, model),
                self._folders.keys / agent.node_id / "runner.token",
            )
            command = _python(
                f"agent/{agent.node_id}", "bzzz_agent", "--config", str(path), stop_timeout_s=30, network=True
            )
            commands.append(command)
        await self._supervisor.start(*commands)

    def _github_settings(self, agent: AgentPlan, api_url: str) -> dict[str, Any]:
        return {"apiUrl": api_url, "tokenFile": str(self._github_token(agent))}

    def _claim_settings(self) -> dict[str, Any]:
        """On github.com the agent's own defaults respect its limits; here nobody is to wait for them."""
        if self._plan.github_token is not None:
            return {}
        return {"pollIntervalS": LOCAL_POLL_S, "backOffS": LOCAL_BACK_OFF_S, "leaseS": LOCAL_LEASE_S}

    def _model_settings(self, agent: AgentPlan, served: dict[str, Any] | None) -> dict[str, Any] | None:
        choice = agent.model
        if choice is None:
            return None
        if choice.embedded:
            assert served is not None
            name = f"openai:{_told(served, 'model', 'model')}"
            return {"name": name, "baseUrl": _told(served, "model", "url"), "keyFile": None}
        key_file = None
        if choice.key is not None:
            key_file = str(
                write_private(self._folders.keys / agent.node_id / "model.key", choice.key.encode())
            )
        return {"name": choice.name, "baseUrl": choice.base_url, "keyFile": key_file}

    def _node(self, name: str, mode: str, settings: Path) -> Command:
        argv = argv_of(components.node(), [components.sidecar(), mode, "--config", settings])
        return Command(name, argv, components.environment())


def _python(
    name: str,
    module: str,
    *arguments: str,
    restart: bool = True,
    ready_timeout_s: float = 60,
    stop_timeout_s: float = 15,
    network: bool = False,
) -> Command:
    return Command(
        name,
        argv_of(sys.executable, ["-m", module, *arguments]),
        components.environment(network=network),
        ready_timeout_s=ready_timeout_s,
        stop_timeout_s=stop_timeout_s,
        restart=restart,
    )


def _told(ready: dict[str, Any], name: str, field: str) -> str:
    """Return a text field of a ready line. Raises ComponentError."""
    value = ready.get(field)
    if not isinstance(value, str):
        raise ComponentError(f"{name}: expected {field} in its ready line, came {sorted(ready)}")
    return value
