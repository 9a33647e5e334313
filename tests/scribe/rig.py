"""A scribe under test: the real program beside real logs and a real archive, fed with really signed discussions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from hmmm.evidence import Statement, make_statement, sign_statement
from hmmm.hypercore_proof import log_key_of_seed
from hmmm.records import EffectIntended, EvidenceSealed, PullRequestOpened, Record
from tests.support.discussions import Claimant, Hive, Node, seed_of
from tests.support.processes import Process, Processes, eventually
from tests.support.sidecar import TOKEN, Archive, Log, Logs

PUBLIC_URL = "http://127.0.0.1:1"


@dataclass
class Voice:
    """A claimant whose log is a real one: what it has said on paper so far is appended by `write`."""

    claimant: Claimant
    log: Log
    written: int = 0

    def write(self) -> int:
        """Append what is not appended yet; return the log's length."""
        blocks = [json.loads(block) for block in self.claimant.blocks[self.written :]]
        if blocks:
            self.log.append(*blocks)
        self.written = len(self.claimant.blocks)
        return self.written

    def head(self) -> dict[str, Any]:
        """The log's signed head."""
        return self.log.get("/v1/head")


@dataclass
class Rig:
    """Logs, an archive, and a scribe's configuration."""

    processes: Processes
    logs: Logs
    folder: Path
    hive: Hive = field(default_factory=Hive)
    voices: list[Voice] = field(default_factory=list)
    process: Process | None = None

    def __post_init__(self) -> None:
        self.archive: Archive = self.logs.archive().start()
        self.folder.mkdir(exist_ok=True)
        far = datetime.now(UTC) + timedelta(days=3650)
        self.node: Node = self.hive.node("scribe-0", role="scribe", log_key=None, not_after=far)
        (self.folder / "seed").write_text(seed_of(f"mesh {self.hive.name} scribe-0").hex())
        (self.folder / "card").write_bytes(self.node.card_bytes)
        (self.folder / "members.json").write_text("[]")
        (self.folder / "token").write_text(TOKEN)
        self.config: dict[str, Any] = {
            "nodeId": "scribe-0",
            "hive": self.hive.name,
            "hiveKey": self.hive.key.public.hex(),
            "meshSeedFile": str(self.folder / "seed"),
            "cardFile": str(self.folder / "card"),
            "membersFile": str(self.folder / "members.json"),
            "revocationsFile": None,
            "listen": "/ip4/127.0.0.1/tcp/0",
            "archive": {"url": self.archive.live.ready["url"], "tokenFile": str(self.folder / "token")},
            "http": {"host": "127.0.0.1", "port": 0},
            "stateFile": str(self.state_file),
            "publicUrl": PUBLIC_URL,
            "repositories": ["acme/widgets"],
        }

    @property
    def state_file(self) -> Path:
        """The scribe's store."""
        return self.folder / "state.db"

    def agent(self, node_id: str = "bzzz-0", **claimant: Any) -> Voice:
        """Admit an agent with a running log; its first record is that it started, with its card."""
        node = self.hive.node(node_id, not_after=datetime.now(UTC) + timedelta(days=3650))
        log = self.logs.log(node_id, archived=True)
        (log.folder / "seed").write_text(node.log_seed.hex())
        log.start()
        assert log.key == log_key_of_seed(node.log_seed)
        voice = Voice(Claimant(self.hive, node, **claimant), log)
        self.voices.append(voice)
        self.archive.follow(*(v.log for v in self.voices))
        log.wait_open()
        started = {
            "node_id": node_id,
            "peer_id": node.key.key_id,
            "version": "0",
            "card": node.card_bytes.decode(),
        }
        chair = voice.claimant
        chair.append(Record(id=chair.new_id("r"), at=chair.now, kind="agent_started", data=started).to_json())
        return voice

    def start(self) -> Rig:
        """Start the scribe (again)."""
        file = self.folder / "config.json"
        file.write_text(json.dumps(self.config))
        argv = [sys.executable, "-m", "bzzz_scribe", "--config", file]
        self.process = self.processes.start("scribe", argv)
        return self

    @property
    def live(self) -> Process:
        """The scribe's process; it must have been started."""
        assert self.process is not None
        return self.process

    def ask(self, path: str, **options: Any) -> httpx.Response:
        """Ask the scribe something."""
        return httpx.get(f"{self.live.ready['url']}{path}", timeout=30, **options)

    def state(self) -> dict[str, Any]:
        """The state as the API gives it."""
        answer = self.ask("/api/state")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def export(self) -> bytes:
        """What follows from the logs alone."""
        return self.ask("/api/export").content

    def discussion(self, number: int = 42) -> dict[str, Any] | None:
        """One discussion of the state."""
        return next((d for d in self.state()["discussions"] if d["number"] == number), None)

    def wait_folded(self, *voices: Voice, within: float = 20.0) -> None:
        """Wait until the scribe has folded all that these voices have written."""

        def lengths() -> bool:
            folded = {log["logKey"]: log["folded"] for log in self.state()["logs"]}
            return all(folded.get(v.log.key, 0) >= v.written for v in voices)

        eventually(lengths, within=within, what="the scribe has folded the logs")


def state_on_paper(statement: Statement) -> str:
    """The path of the page that a statement links to."""
    return statement.predicate.transcript_url.removeprefix(PUBLIC_URL)


def report(voice: Voice) -> Statement:
    """Sign and log the statement of a sealed discussion as an agent does, and that its pull request was opened."""
    claimant = voice.claimant
    voice.write()
    seal = next(e for e in reversed(claimant.entries) if e.record.kind == "evidence_sealed")
    sealed = EvidenceSealed.from_object(seal.record.data, what="seal")
    head = voice.head()
    execution = claimant.state.execution
    statement = make_statement(
        issue=claimant.issue,
        hive=claimant.hive.name,
        node_id=claimant.node.node_id,
        peer_id=claimant.node.key.key_id,
        log_key=head["key"],
        length=head["length"],
        tree_hash=head["treeHash"],
        signature=head["signature"],
        seqs=[e.seq for e in claimant.entries if e.record.issue == claimant.issue and e.seq <= seal.seq],
        sealed=sealed,
        tests=None if execution is None else execution.tests,
        transcript_url=f"{PUBLIC_URL}/logs/{head['key']}/{sealed.transcript_token}",
    )
    signed = sign_statement(statement, claimant.node.key).decode()
    parameters = {"statement": signed, "head_sha": sealed.head_sha}
    claimant.record(EffectIntended(effect="pull_request", parameters=parameters))
    claimant.record(
        PullRequestOpened(number=7, url="http://github.test/acme/widgets/pull/7", head_sha=sealed.head_sha)
    )
    voice.write()
    return statement
