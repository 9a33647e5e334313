"""What a pod asks of the program: a log for each key, metrics behind a token, a list of logs that comes by HTTP."""

from __future__ import annotations

import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import eventually
from tests.support.sidecar import TOKEN, Archive, Log, Logs, record

METRICS_TOKEN = "a-token-of-the-metrics-0123"


@pytest.fixture
def archive(logs: Logs) -> Archive:
    """An archive that has no file with a list of logs."""
    archive = logs.archive()
    del archive.config["logsFile"]
    return archive.start()


def put(archive: Archive, body: Any, token: str = TOKEN) -> httpx.Response:
    with archive.client(token) as client:
        return client.put("/v1/logs", json=body)


def test_a_key_of_its_own_gets_a_log_of_its_own_beside_the_one_before(logs: Logs) -> None:
    log = logs.log(dirPerKey=True).start()
    first = log.key
    log.append(record(1))
    assert (log.data / first / "core").is_dir()
    log.live.stop()
    before = (log.folder / "seed").read_text()
    (log.folder / "seed").write_text(secrets.token_hex(32))
    log.start()
    assert log.key != first
    assert log.records() == []
    log.live.stop()
    (log.folder / "seed").write_text(before)
    log.start()
    assert log.key == first
    assert [row["record"]["id"] for row in log.records()] == ["id-1"]


def test_a_log_without_a_folder_for_its_key_stays_where_it_is(log: Log) -> None:
    log.append(record(1))
    log.live.stop()
    log.config["dirPerKey"] = False
    log.start()
    assert (log.data / "core").is_dir()
    assert len(log.records()) == 1


def test_metrics_ask_for_their_token(logs: Logs) -> None:
    log = logs.log()
    (log.folder / "metrics-token").write_text(METRICS_TOKEN + "\n")
    log.config["metrics"]["tokenFile"] = str(log.folder / "metrics-token")
    log.start()
    url = f"http://127.0.0.1:{log.live.ready['metricsPort']}/metrics"
    refused = [httpx.get(url), httpx.get(url, headers={"Authorization": f"Bearer {METRICS_TOKEN}x"})]
    assert [answer.status_code for answer in refused] == [401, 401]
    assert all("bzzz_log_length" not in answer.text for answer in refused)
    answer = httpx.get(url, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200
    assert "bzzz_log_length" in answer.text


def test_a_list_that_was_put_is_followed_and_survives_a_restart(logs: Logs, archive: Archive) -> None:
    log = logs.log(archived=True).start()
    answer = put(archive, [log.address()])
    assert (answer.status_code, answer.json()) == (200, {"count": 1})
    log.wait_open()
    log.append(record(1))
    archive.wait_held(log, 1)
    archive.live.kill()
    archive.start()
    log.append(record(2))
    archive.wait_held(log, 2)


def test_a_log_that_leaves_the_list_is_still_served(logs: Logs, archive: Archive) -> None:
    log, other = logs.log("bzzz-0", archived=True).start(), logs.log("bzzz-1", archived=True).start()
    put(archive, [log.address()])
    log.wait_open()
    log.append(record(1))
    archive.wait_held(log, 1)
    assert put(archive, [other.address()]).json() == {"count": 1}
    eventually(lambda: archive.state(other)["connected"], what="the new one is followed")
    eventually(lambda: not archive.state(log)["connected"], what="the old one is let go")
    assert [archive.state(which)["followed"] for which in (log, other)] == [False, True]
    assert archive.get(f"/v1/logs/{log.key}/acknowledged?length=1")["acknowledged"] is True
    with archive.client() as client:
        assert "id-1" in client.get(f"/v1/logs/{log.key}/records?from=0").text


ADDRESS = {"nodeId": "a", "key": "0" * 64, "host": "h", "port": 1, "replicationKey": "1" * 64}


@pytest.mark.parametrize(
    "body",
    [
        {"logs": 5},
        "text",
        [{**ADDRESS, "key": "short"}],
        [{**ADDRESS, "port": 70_000}],
        [{**ADDRESS, "host": "x" * 300}],
        [ADDRESS, ADDRESS],
        [{**ADDRESS, "key": f"{n:064x}"} for n in range(4097)],
    ],
)
def test_a_list_that_does_not_fit_changes_nothing(logs: Logs, archive: Archive, body: Any) -> None:
    log = logs.log(archived=True).start()
    put(archive, [log.address()])
    answer = put(archive, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("body: expected")
    log.wait_open()
    log.append(record(1))
    archive.wait_held(log, 1)


def test_a_body_without_end_is_refused(archive: Archive) -> None:
    with archive.client() as client:
        answer = client.put("/v1/logs", content=b"[" + b" " * (4 * 1024 * 1024) + b"]")
    assert answer.status_code == 413


def test_nobody_puts_a_list_without_the_token(archive: Archive) -> None:
    assert put(archive, [], "another-token-of-somebody").status_code == 401


def test_a_list_from_a_file_cannot_be_put(logs: Logs) -> None:
    archive = logs.archive().start()
    answer = put(archive, [])
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "LIST_FROM_FILE"
    assert str(archive.folder / "logs.json") in answer.json()["error"]["message"]


def test_a_sidecar_is_dialled_by_its_name_soon_after_it_came_up(logs: Logs, archive: Archive) -> None:
    log = logs.log(archived=True).start()
    address = {**log.address(), "host": "localhost"}
    log.config["replication"]["port"] = address["port"]
    log.live.stop()
    away = {**ADDRESS, "host": "bzzz-7.bzzz.nowhere.invalid"}
    assert put(archive, [address, away]).status_code == 200
    log.start()
    started = time.monotonic()
    log.wait_open()
    assert time.monotonic() - started < 3
    assert archive.state(log)["connected"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another UID")
def test_in_a_pods_volume_the_socket_is_for_the_volumes_group(logs: Logs) -> None:
    """A volume with an fsGroup belongs to root, is setgid, and every container is in its group."""
    log = logs.log()
    uid, group = 10_003, 10_000
    volume = Path(log.folder)
    volume.parent.chmod(0o755)
    os.chown(volume, 0, group)
    volume.chmod(0o2777)
    os.chown(volume / "seed", uid, group)
    log.start(prefix=("setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={group}"))
    status = log.socket.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, group, 0o660)
    log.append(record(1))
    log.live.stop()
    volume.chmod(0o0777)  # a volume that does not hand its group on
    log.start(prefix=("setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={group}"))
    assert log.socket.stat().st_gid == group
