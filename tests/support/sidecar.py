"""Logs and archives as real processes, for every suite that needs one."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import Process, Processes, eventually

PROGRAM = Path(__file__).parents[2] / "sidecar" / "bin" / "hypercore-sidecar.js"
TOKEN = "archive-token-of-the-tests"


@dataclass
class Log:
    """One agent's log: its folder, its configuration, and its process while it runs."""

    processes: Processes
    folder: Path
    config: dict[str, Any]
    process: Process | None = None

    @property
    def socket(self) -> Path:
        """The unix socket of its API."""
        return self.folder / "s"

    @property
    def data(self) -> Path:
        """The directory that holds the log."""
        return self.folder / "data"

    @property
    def key(self) -> str:
        """The log's key, 64 hex digits."""
        return str(self.live.ready["key"])

    @property
    def live(self) -> Process:
        """Its process; it must have been started."""
        assert self.process is not None
        return self.process

    def start(self, *, ready_within: float | None = 30.0, prefix: tuple[str, ...] = ()) -> Log:
        """Start (again) with the present configuration; `prefix` is a command that runs the program."""
        file = self.folder / "config.json"
        file.write_text(json.dumps(self.config))
        self.process = self.processes.start(
            self.folder.name, [*prefix, "node", PROGRAM, "log", "--config", file], ready_within=ready_within
        )
        return self

    def client(self, timeout: float = 30.0) -> httpx.Client:
        """Return a new HTTP client on its socket; close it."""
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://log", timeout=timeout
        )

    def append(self, *records: dict[str, Any]) -> dict[str, Any]:
        """Append records and return the answer; fails unless it is 201."""
        with self.client() as client:
            answer = client.post("/v1/records", json={"records": list(records)})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """Return a JSON answer; fails unless it is 200."""
        with self.client() as client:
            answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metrics(self) -> dict[str, float]:
        """Return its metrics; a label is part of the name."""
        return _metrics(self.live)

    def phase(self) -> str:
        """Return the phase it says it is in."""
        with self.client() as client:
            return str(client.get("/readyz").json()["phase"])

    def wait_open(self, within: float = 15.0) -> None:
        """Wait until it may be written, the archive's word included."""
        eventually(lambda: self.phase() == "open", within=within, what=f"{self.folder.name} is open")

    def records(self, query: str = "") -> list[dict[str, Any]]:
        """Return all records (or those of a query) as {"seq", "record"}."""
        with self.client() as client:
            answer = client.get(f"/v1/records{query}")
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def address(self) -> dict[str, Any]:
        """Return its entry in the archive's list of logs."""
        ready = self.live.ready
        return {
            "nodeId": self.folder.name,
            "key": ready["key"],
            "host": "127.0.0.1",
            "port": ready["replicationPort"],
            "replicationKey": ready["replicationKey"],
        }


@dataclass
class Archive:
    """The archive: follows the logs given to `follow`."""

    processes: Processes
    folder: Path
    config: dict[str, Any]
    logs: list[Log] = field(default_factory=list)
    process: Process | None = None

    @property
    def live(self) -> Process:
        """Its process; it must have been started."""
        assert self.process is not None
        return self.process

    def start(self) -> Archive:
        """Start (again)."""
        file = self.folder / "config.json"
        file.write_text(json.dumps(self.config))
        self.process = self.processes.start("archive", ["node", PROGRAM, "archive", "--config", file])
        return self

    def follow(self, *logs: Log) -> None:
        """Follow these logs where they are now, in place of those before."""
        self.logs = list(logs)
        temporary = self.folder / "logs.json.new"
        temporary.write_text(json.dumps([log.address() for log in logs]))
        temporary.rename(self.folder / "logs.json")

    def client(self, token: str = TOKEN) -> httpx.Client:
        """Return a new HTTP client with the token; close it."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=str(self.live.ready["url"]), headers=headers, timeout=40.0)

    def get(self, path: str) -> Any:
        """Return a JSON answer; fails unless it is 200 or 202."""
        with self.client() as client:
            answer = client.get(path)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def state(self, log: Log) -> dict[str, Any]:
        """Return what the archive says of a log, {} when it does not know it."""
        entries: list[dict[str, Any]] = self.get("/v1/logs")["logs"]
        return next((entry for entry in entries if entry["key"] == log.key), dict[str, Any]())

    def metrics(self) -> dict[str, float]:
        """Return its metrics; a label is part of the name."""
        return _metrics(self.live)

    def wait_held(self, log: Log, length: int, within: float = 15.0) -> None:
        """Wait until it holds that many blocks of the log."""
        eventually(
            lambda: self.state(log).get("length", 0) >= length,
            within=within,
            what=f"the archive holds {length}",
        )


class Logs:
    """Makes logs and archives in a folder of their own, under names short enough for a unix socket."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes = processes
        self.folder = folder
        self._noise_seed = secrets.token_hex(32)
        self.archive_key = _public_key_of(self._noise_seed)

    def log(
        self, name: str = "bzzz-0", *, archived: bool = False, witness_ms: int = 300, **config: Any
    ) -> Log:
        """Make a log, not yet started; `archived` lets this folder's archive replicate it.

        `witness_ms`: how long its first appends wait for the archive's word.
        """
        folder = self.folder / name
        folder.mkdir()
        (folder / "seed").write_text(secrets.token_hex(32))
        allow = [self.archive_key] if archived else []
        settings: dict[str, Any] = {
            "dir": str(folder / "data"),
            "socket": str(folder / "s"),
            "seedFile": str(folder / "seed"),
            "replication": {"host": "127.0.0.1", "port": 0, "allow": allow, "witnessMs": witness_ms},
            "metrics": {"host": "127.0.0.1", "port": 0},
        }
        return Log(self.processes, folder, settings | config)

    def archive(self, name: str = "archive") -> Archive:
        """Make an archive, not yet started."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "seed").write_text(self._noise_seed)
        (folder / "token").write_text(TOKEN)
        (folder / "logs.json").write_text("[]")
        settings: dict[str, Any] = {
            "dir": str(folder / "data"),
            "http": {"host": "127.0.0.1", "port": 0},
            "tokenFile": str(folder / "token"),
            "noiseSeedFile": str(folder / "seed"),
            "logs": [],
            "logsFile": str(folder / "logs.json"),
            "metrics": {"host": "127.0.0.1", "port": 0},
        }
        return Archive(self.processes, folder, settings)


def _metrics(process: Process) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{process.ready['metricsPort']}/metrics").text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def _public_key_of(seed: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).public_key().public_bytes_raw().hex()


def record(number: int | str, **data: Any) -> dict[str, Any]:
    """Return a record as an agent would append it."""
    return {"id": f"id-{number}", "kind": "test", "data": {"number": number} | data}
