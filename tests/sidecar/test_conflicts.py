"""Two histories under one key: found, refused, never forgotten; and strangers get nothing."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

import pytest

from hmmm.hypercore_proof import verify_bundle
from tests.support.processes import eventually
from tests.support.sidecar import PROGRAM, Archive, Log, Logs, record


def twin_of(log: Log, logs: Logs, length: int) -> Log:
    """Make another log with the same seed and another history of that length, as who stole the seed could."""
    twin = logs.log("twin")
    (twin.folder / "seed").write_text((log.folder / "seed").read_text())
    twin.start()
    twin.append(*(record(n, twin=True) for n in range(length)))
    assert twin.key == log.key
    twin.live.stop()
    twin.config["replication"]["allow"] = [logs.archive_key]
    return twin


def refusal(log: Log) -> dict[str, Any]:
    with log.client() as client:
        answer = client.post("/v1/records", json={"records": [record("refused")]})
    assert answer.status_code == 503, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("length", [60, 50], ids=["longer", "equally long, then grown"])
def test_a_second_history_is_a_conflict_for_archive_and_writer_for_good(
    archived: tuple[Log, Archive], logs: Logs, length: int
) -> None:
    log, archive = archived
    log.append(*(record(n) for n in range(50)))
    archive.wait_held(log, 50)
    acknowledged = archive.get(f"/v1/logs/{log.key}/acknowledged?length=50")
    log.live.stop()
    twin = twin_of(log, logs, length).start()
    archive.follow(twin)
    if length == 50:
        twin.wait_open()
        twin.append(record("one more"))
    eventually(lambda: archive.state(log)["conflict"], what="the archive sees the conflict")
    eventually(lambda: twin.phase() == "conflict", what="the writer sees the conflict")
    assert refusal(twin)["code"] == "CONFLICT"
    assert twin.get("/v1/head")["conflict"] is True
    assert twin.live.stop() == 0
    twin.start()
    assert refusal(twin)["code"] == "CONFLICT"
    assert len(twin.records()) >= length  # kept as evidence
    assert archive.live.stop() == 0
    archive.start()
    state = archive.state(log)
    assert (state["conflict"], state["length"], state["connected"]) == (True, 50, False)
    still = archive.get(f"/v1/logs/{log.key}/acknowledged?length=50")
    assert still["treeHash"] == acknowledged["treeHash"]
    assert verify_bundle(archive.get(f"/v1/logs/{log.key}/proof?seqs=49"), log.key).length == 50


def test_a_shorter_second_history_is_never_written_on(archived: tuple[Log, Archive], logs: Logs) -> None:
    log, archive = archived
    log.append(*(record(n) for n in range(50)))
    archive.wait_held(log, 50)
    log.live.stop()
    twin = twin_of(log, logs, 30)
    twin.config["replication"]["witnessMs"] = 20_000
    twin.start()
    archive.follow(twin)
    eventually(lambda: twin.phase() != "witnessing")
    assert refusal(twin)["code"] in ("RECOVERING", "CONFLICT")
    assert twin.get("/v1/head")["length"] == 30
    assert archive.state(log)["length"] == 50


def test_a_truncated_log_is_a_conflict_for_writer_and_archive(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    log.append(*(record(n) for n in range(50)))
    archive.wait_held(log, 50)
    log.live.stop()
    truncate(log, 20)
    log.start()
    assert refusal(log)["code"] == "CONFLICT"
    assert log.get("/v1/head")["fork"] == 1
    assert archive.state(log)["length"] == 50


def truncate(log: Log, length: int) -> None:
    """Truncate a log with Hypercore itself, as who holds the seed can."""
    script = """
      const Hypercore = require('hypercore')
      const { logKeys } = require('./lib/keys')
      const [dir, seed, length] = process.argv.slice(1)
      const { keyPair, manifest, key } = logKeys(Buffer.from(seed, 'hex'))
      const core = new Hypercore(dir, key, { manifest })
      core.ready().then(() => core.truncate(Number(length), { keyPair })).then(() => core.close())
    """
    seed = (log.folder / "seed").read_text()
    command = ["node", "-e", script, str(log.data / "core"), seed, str(length)]
    subprocess.run(command, cwd=PROGRAM.parents[1], check=True, timeout=30)


def test_a_log_that_was_rewritten_below_its_watermark_is_a_conflict(log: Log, logs: Logs) -> None:
    log.append(*(record(n) for n in range(50)))
    log.live.stop()
    twin = twin_of(log, logs, 60)
    (log.data / "core").rename(log.data / "old")
    (twin.data / "core").rename(log.data / "core")
    log.start()
    assert refusal(log)["code"] == "CONFLICT"


def test_a_strangers_noise_key_gets_nothing(logs: Logs) -> None:
    log = logs.log(archived=True).start()
    stranger = logs.archive("stranger")
    (stranger.folder / "seed").write_text("77" * 32)
    stranger.start()
    stranger.follow(log)
    eventually(lambda: log.metrics().get("bzzz_log_replication_refused_total", 0) > 0)
    assert stranger.state(log)["length"] == 0
    assert stranger.state(log)["connected"] is False
    assert log.metrics()["bzzz_log_archives"] == 0
    (refused, *_) = log.live.logged("replication_refused")
    assert len(refused["noise_key"]) == 64


def test_a_sidecar_with_another_noise_key_than_listed_is_not_followed(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    log.append(record(1))
    archive.wait_held(log, 1)
    entry = log.address() | {"replicationKey": "ab" * 32}
    (archive.folder / "logs.json").write_text(json.dumps([entry]))
    eventually(lambda: archive.metrics().get("bzzz_archive_replication_refused_total", 0) > 0)
    log.append(record(2))
    assert archive.state(log)["length"] == 1


def test_one_who_connects_and_says_nothing_is_dropped(log: Log) -> None:
    with socket.create_connection(("127.0.0.1", log.live.ready["replicationPort"]), timeout=20) as silent:
        greeting = b"".join(iter(lambda: silent.recv(4096), b""))  # until the sidecar hangs up
    assert len(greeting) < 4096


def test_one_who_sends_noise_before_the_handshake_is_dropped(log: Log) -> None:
    with socket.create_connection(("127.0.0.1", log.live.ready["replicationPort"]), timeout=20) as loud:
        assert eventually(lambda: hangs_up(loud, b"\xff\xff\x3f" + b"x" * 65_536))
    assert log.append(record(1))["length"] == 1


def hangs_up(connection: socket.socket, sent: bytes) -> bool:
    try:
        connection.sendall(sent)
    except OSError:
        return True
    return False
