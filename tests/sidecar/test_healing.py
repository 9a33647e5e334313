"""A log that may have lost blocks is not written until the archive has given them back."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from hmmm.hypercore_proof import verify_bundle
from tests.support.processes import eventually
from tests.support.sidecar import Archive, Log, Logs, record


def refused(log: Log) -> str:
    """Return the code with which an append is refused."""
    with log.client() as client:
        answer = client.post("/v1/records", json={"records": [record("refused")]})
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return str(answer.json()["error"]["code"])


def damage_write_ahead_log(log: Log) -> None:
    """Flip one byte in the middle of RocksDB's log; it drops everything from there on."""
    (file,) = sorted((log.data / "core" / "db").glob("*.log"), key=lambda path: path.stat().st_size)[-1:]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


@pytest.fixture
def grown(archived: tuple[Log, Archive]) -> tuple[Log, Archive]:
    """A log of 300 records that the archive holds."""
    log, archive = archived
    for start in range(0, 300, 50):
        log.append(*(record(n) for n in range(start, start + 50)))
    archive.wait_held(log, 300)
    return log, archive


def test_a_flipped_byte_is_refused_then_healed_by_the_archive(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    whole = log.records()
    archive.live.kill()
    log.live.kill()
    damage_write_ahead_log(log)
    log.start()
    assert log.get("/v1/head")["length"] < 300
    assert refused(log) == "RECOVERING"
    assert log.get("/v1/head")["recovering"] is True
    with log.client() as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    archive.start()
    archive.follow(log)
    log.wait_open()
    assert log.records() == whole
    answer = log.append(record(7), record("after"))
    assert [(r["seq"], r["replayed"]) for r in answer["results"]] == [(7, True), (300, False)]
    archive.wait_held(log, 301)


def test_a_flipped_byte_without_an_archive_is_refused_and_still_readable(log: Log) -> None:
    for start in range(0, 300, 50):
        log.append(*(record(n) for n in range(start, start + 50)))
    log.live.kill()
    damage_write_ahead_log(log)
    log.start()
    assert refused(log) == "RECOVERING"
    shortened = log.get("/v1/head")["length"]
    assert len(log.records()) == shortened < 300
    assert log.live.stop() == 0
    log.start()
    assert refused(log) == "RECOVERING"  # a clean stop does not make it forget


def test_a_lost_volume_is_filled_again_from_the_archive(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    whole = log.records()
    log.live.kill()
    shutil.rmtree(log.data)
    log.start()
    archive.follow(log)
    log.wait_open()
    assert log.records() == whole
    assert log.append(record("after"))["length"] == 301


def test_an_empty_log_waits_until_the_archive_says_that_it_is_new(logs: Logs) -> None:
    log = logs.log(archived=True).start()
    assert refused(log) == "RECOVERING"
    archive = logs.archive().start()
    archive.follow(log)
    log.wait_open()
    assert log.append(record(1))["length"] == 1


@pytest.mark.parametrize("in_place", [False, True], ids=["moved", "in place"])
def test_a_data_directory_rolled_back_with_its_watermark_is_healed(
    grown: tuple[Log, Archive], tmp_path: Path, in_place: bool
) -> None:
    log, archive = grown
    log.live.stop()
    shutil.copytree(log.data, tmp_path / "old")
    log.start()
    archive.follow(log)
    log.wait_open()
    log.append(*(record(n) for n in range(300, 350)))
    archive.wait_held(log, 350)
    log.live.kill()
    roll_back(log.data, tmp_path / "old", in_place=in_place)
    log.config["replication"]["witnessMs"] = 20_000  # this machine may be slow
    log.start()
    archive.follow(log)
    log.wait_open()
    assert log.append(record("after"))["length"] == 351
    archive.wait_held(log, 351)
    assert archive.state(log)["conflict"] is False


def roll_back(data: Path, old: Path, *, in_place: bool) -> None:
    """Put an older copy where the log is; `in_place` leaves no trace by which the copy shows."""
    shutil.rmtree(data / "core" / "db")
    shutil.copytree(old / "core" / "db", data / "core" / "db")
    if not in_place:
        shutil.copyfile(old / "core" / "CORESTORE", data / "core" / "CORESTORE.copy")
        (data / "core" / "CORESTORE.copy").rename(data / "core" / "CORESTORE")
    for name in ("watermark", "tenure.json"):
        shutil.copyfile(old / name, data / name)


def test_a_copied_directory_is_not_written_without_the_archive(
    grown: tuple[Log, Archive], tmp_path: Path
) -> None:
    log, archive = grown
    log.live.stop()
    archive.live.kill()
    shutil.copytree(log.data, tmp_path / "copy")
    log.config["dir"] = str(tmp_path / "copy")
    log.start()
    assert refused(log) == "RECOVERING"
    archive.start()
    archive.follow(log)
    log.wait_open()
    assert log.append(record("after"))["length"] == 301


def test_a_storage_that_cannot_be_read_is_set_aside_and_filled_again(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    log.live.stop()
    for file in (log.data / "core" / "db").glob("MANIFEST-*"):
        file.write_bytes(b"\x00" * 200)
    log.start()
    archive.follow(log)
    log.wait_open()
    assert len(log.records()) == 300
    assert (log.data / "core.damaged").is_dir()


def test_a_log_left_open_when_the_machine_went_down_waits_for_the_archive(
    grown: tuple[Log, Archive],
) -> None:
    log, archive = grown
    archive.live.kill()
    log.live.kill()
    tenure = log.data / "tenure.json"
    tenure.write_text(tenure.read_text().replace('"boot":"', '"boot":"another-'))
    log.start()
    assert refused(log) == "RECOVERING"
    archive.start()
    archive.follow(log)
    log.wait_open()
    assert log.append(record("after"))["length"] == 301


def test_a_log_killed_while_the_archive_is_away_goes_on_after_a_moment(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    archive.live.kill()
    log.live.kill()
    log.start()
    assert log.append(record("after"))["length"] == 301  # waits for the archive's word for a moment


def test_the_archive_fetches_again_what_its_own_disk_lost(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    archive.live.kill()
    replica = archive.folder / "data" / "logs" / log.key
    shutil.rmtree(replica / "core")
    archive.start()
    archive.wait_held(log, 300)
    assert archive.state(log)["conflict"] is False
    bundle = archive.get(f"/v1/logs/{log.key}/proof?seqs=0,299")
    assert sorted(verify_bundle(bundle, log.key).blocks) == [0, 299]


def test_the_archive_claims_nothing_that_its_disk_lost(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    log.live.kill()
    archive.live.kill()
    shutil.rmtree(archive.folder / "data" / "logs" / log.key / "core")
    archive.start()
    assert archive.get(f"/v1/logs/{log.key}/acknowledged?length=300")["acknowledged"] is False
    log.start()
    archive.follow(log)
    answer = archive.get(f"/v1/logs/{log.key}/acknowledged?length=300&wait=10")
    assert answer["acknowledged"] is True


def test_the_time_of_a_witness_survives_the_archive(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    path = f"/v1/logs/{log.key}/acknowledged?length=250"
    first = archive.get(path)["signedAt"]
    assert archive.live.stop() == 0
    archive.start()
    log.append(record("later"))
    archive.wait_held(log, 301)
    assert archive.get(path)["signedAt"] == first
    assert archive.get(f"/v1/logs/{log.key}/acknowledged?length=301")["signedAt"] > first


def test_two_processes_never_share_a_log(log: Log) -> None:
    second = Log(log.processes, log.folder, dict(log.config) | {"socket": str(log.folder / "s2")})
    second.start(ready_within=None)
    assert second.live.wait() == 2
    (line,) = second.live.logged("cannot_start")
    assert f"stop that process (kill {log.live.pid})" in line["error"]
    assert log.append(record(1))["length"] == 1


def test_a_socket_that_somebody_serves_is_not_taken(log: Log, logs: Logs) -> None:
    other = logs.log("other", socket=str(log.socket))
    other.start(ready_within=None)
    assert other.live.wait() == 2
    assert log.append(record(1))["length"] == 1


def test_a_stale_socket_is_replaced_and_another_file_is_not(log: Log) -> None:
    log.live.kill()
    assert log.socket.is_socket()
    log.start()
    assert log.append(record(1))["length"] == 1
    log.live.stop()
    log.socket.write_text("precious")
    log.start(ready_within=None)
    assert log.live.wait() == 2
    assert log.socket.read_text() == "precious"


def test_the_archive_dials_again_when_a_log_moves_to_another_port(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    before = log.live.ready["replicationPort"]
    log.live.stop()
    log.start()
    assert log.live.ready["replicationPort"] != before
    archive.follow(log)
    log.append(record("after"))
    archive.wait_held(log, 301)


def test_a_restarted_archive_serves_logs_whose_agent_is_gone(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    whole = log.records()
    log.live.stop()
    archive.follow()
    assert archive.live.stop() == 0
    archive.start()
    state = archive.state(log)
    assert (state["length"], state["connected"], state["lag"]) == (300, False, None)
    with archive.client() as client:
        text = client.get(f"/v1/logs/{log.key}/records").text
    assert len(text.splitlines()) == len(whole)


def test_the_archive_is_reachable_by_token_only(grown: tuple[Log, Archive]) -> None:
    log, archive = grown
    for path in ("/v1/logs", f"/v1/logs/{log.key}/head", "/v1/stream", "/nothing"):
        with archive.client(token="wrong") as client:
            assert client.get(path).status_code == 401
        assert httpx.get(f"{archive.live.ready['url']}{path}").status_code == 401
    assert httpx.get(f"{archive.live.ready['url']}/healthz").status_code == 200
    eventually(lambda: archive.metrics().get('bzzz_archive_errors_total{code="UNAUTHORIZED"}') == 8)
