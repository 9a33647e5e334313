"""The configuration file of each process. Secrets go in files of their own and are named here by path."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bzzz_cli.local.files import write_json
from bzzz_cli.local.issues import IssueEntry
from bzzz_cli.local.plan import AgentPlan, EscalationOptions

Json = dict[str, Any]
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Folders:
    """Where a local hive keeps what. `state` outlives a restart; `scratch` is short (socket paths) and does not."""

    state: Path
    scratch: Path

    @property
    def keys(self) -> Path:
        """Seeds, cards and tokens."""
        return self.state / "keys"

    @property
    def logs(self) -> Path:
        """What the processes print."""
        return self.state / "process-logs"

    @property
    def members(self) -> Path:
        """Who is in the hive and where to dial them."""
        return self.state / "members.json"

    @property
    def archive_logs(self) -> Path:
        """Which logs the archive replicates; it reads the file again when it changes."""
        return self.state / "archive-logs.json"

    def config(self, name: str) -> Path:
        """Return the path of a process's configuration."""
        return self.state / "config" / f"{name}.json"

    def agent_file(self, node_id: str, name: str) -> Path:
        """Return the path of a file by which an agent and its surroundings talk, as a pod's do (docs/agent.md)."""
        return self.state / "agents" / node_id / name

    def socket(self, name: str) -> Path:
        """Return the path of a unix socket; below 108 bytes, which is all that the kernel takes."""
        return self.scratch / "s" / f"{name}.sock"


@dataclass(frozen=True)
class Archive:
    """Where the archive is, once it is up."""

    url: str
    token_file: Path
    replication_key: str


def member(node_id: str, peer_id: str, mesh_port: int) -> Json:
    """Return an entry of the list of members."""
    return {"nodeId": node_id, "peerId": peer_id, "addresses": [f"/ip4/{LOOPBACK}/tcp/{mesh_port}"]}


def github_server(
    folders: Folders,
    port: int,
    accounts: Sequence[tuple[str, str]],
    sources: Sequence[tuple[str, Path]],
    issues: Sequence[IssueEntry],
    record: Path | None,
) -> Path:
    """Configure the local GitHub server: an admin who owns the place, and (login, token) accounts that may write.

    The issues are those of the first repository.
    """
    entries = [
        {
            "title": issue.title,
            "body": issue.body,
            "labels": list(issue.labels),
            "authorAssociation": issue.author_association,
        }
        for issue in issues
    ]
    users = [{"login": login, "token": token, "permission": "write"} for login, token in accounts]
    config: Json = {
        "host": LOOPBACK,
        "port": port,
        "stateDir": str(folders.state / "github"),
        "users": [{"login": "hive-admin", "token": secrets.token_urlsafe(32), "permission": "admin"}, *users],
        "repositories": [
            {"name": name, "source": str(source), "private": False, "issues": entries if index == 0 else []}
            for index, (name, source) in enumerate(sources)
        ],
    }
    if record is not None:
        config["record"] = str(record.resolve())
    return write_json(folders.config("github"), config)


def archive(folders: Folders, http_port: int, token_file: Path, noise_seed: Path) -> Path:
    """Configure the archive; which logs it replicates comes from a file that is written later."""
    if not folders.archive_logs.exists():
        write_json(folders.archive_logs, [])
    config: Json = {
        "dir": str(folders.state / "archive"),
        "http": {"host": LOOPBACK, "port": http_port},
        "tokenFile": str(token_file),
        "noiseSeedFile": str(noise_seed),
        "logs": [],
        "logsFile": str(folders.archive_logs),
        "metrics": {"host": LOOPBACK, "port": 0},
    }
    return write_json(folders.config("archive"), config)


def sidecar(folders: Folders, node_id: str, seed_file: Path, replication_port: int, archive_key: str) -> Path:
    """Configure an agent's log sidecar."""
    config = {
        "dir": str(folders.state / "agents" / node_id / "log"),
        "socket": str(folders.socket(f"log-{node_id}")),
        "seedFile": str(seed_file),
        "replication": {"host": LOOPBACK, "port": replication_port, "allow": [archive_key]},
        "metrics": {"host": LOOPBACK, "port": 0},
        "socketMode": 0o600,
    }
    return write_json(folders.config(f"log-{node_id}"), config)


@dataclass(frozen=True)
class HiveConfig:
    """What agents and scribe have in common."""

    folders: Folders
    hive: str
    hive_key: str
    archive: Archive
    public_url: str

    def shared(self, node_id: str, mesh_seed: Path, card: Path, mesh_port: int) -> Json:
        """Return the part of a configuration that makes a process a member of the mesh."""
        return {
            "nodeId": node_id,
            "hive": self.hive,
            "hiveKey": self.hive_key,
            "meshSeedFile": str(mesh_seed),
            "cardFile": str(card),
            "membersFile": str(self.folders.members),
            "revocationsFile": None,
            "listen": f"/ip4/{LOOPBACK}/tcp/{mesh_port}",
            "archive": {"url": self.archive.url, "tokenFile": str(self.archive.token_file)},
            "publicUrl": self.public_url,
        }


def agent(
    shared: Json,
    folders: Folders,
    plan: AgentPlan,
    github: Json,
    claims: Json,
    model: Json | None,
    runner_token: Path,
) -> Path:
    """Configure an agent."""
    config: Json = {
        **shared,
        "log": {"socket": str(folders.socket(f"log-{plan.node_id}"))},
        "runner": {"socket": str(folders.socket(f"run-{plan.node_id}")), "tokenFile": str(runner_token)},
        "stateDir": str(folders.state / "agents" / plan.node_id / "state"),
        "github": github,
        "claims": claims,
        "model": model,
        "metrics": {"host": LOOPBACK, "port": 0},
        "spec": plan.spec.to_object(),
        "podinfoFile": str(folders.agent_file(plan.node_id, "annotations")),
        "readyFile": str(folders.agent_file(plan.node_id, "ready")),
        "aliveFile": str(folders.agent_file(plan.node_id, "alive")),
    }
    if plan.failpoints:
        config["failpoints"] = list(plan.failpoints)
    return write_json(folders.config(f"agent-{plan.node_id}"), config)


def scribe(shared: Json, folders: Folders, node_id: str, http_port: int, repositories: Sequence[str]) -> Path:
    """Configure the scribe."""
    config: Json = {
        **shared,
        "http": {"host": LOOPBACK, "port": http_port},
        "stateFile": str(folders.state / node_id / "state.sqlite"),
        "repositories": list(repositories),
    }
    return write_json(folders.config(node_id), config)


def escalation(folders: Folders, hive: str, told: EscalationOptions, api_url: str, public_url: str) -> Path:
    """Configure what tells people of escalations and takes their answers."""
    config: Json = {
        "hive": hive,
        "state": str(folders.state),
        "url": told.url,
        "secret": str(told.secret.resolve()),
        "answerPort": told.answer_port,
        "apiUrl": api_url,
        "publicUrl": public_url,
    }
    return write_json(folders.config("escalation"), config)
