"""The program as its neighbours meet it: socket, streams, slow readers, metrics, configuration, its end."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import threading
from typing import Any

import httpx
import pytest

from tests.support.processes import Processes, eventually
from tests.support.sidecar import PROGRAM, Archive, Log, Logs, record


def test_the_socket_is_for_its_owner_and_group_only(log: Log) -> None:
    assert stat.S_IMODE(log.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(log.data.stat().st_mode) == 0o700
    for file in log.data.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_the_sockets_mode_can_be_chosen(logs: Logs) -> None:
    log = logs.log(socketMode=0o600).start()
    assert stat.S_IMODE(log.socket.stat().st_mode) == 0o600


class Reader:
    """Reads a live stream in a thread."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self._read, args=(client, path), daemon=True)
        self.thread.start()

    def _read(self, client: httpx.Client, path: str) -> None:
        with client, client.stream("GET", path) as answer:
            for line in answer.iter_lines():
                if line:
                    self.lines.append(json.loads(line))


def test_a_stream_gives_what_is_there_and_what_comes(log: Log) -> None:
    log.append(record(0), record(1), record(2, text="a\u2028b"))
    reader = Reader(log.client(), "/v1/records/stream?from=1")
    eventually(lambda: len(reader.lines) == 2)
    log.append(record(3))
    eventually(lambda: len(reader.lines) == 3)
    assert [line["seq"] for line in reader.lines] == [1, 2, 3]
    assert reader.lines[1]["record"]["data"]["text"] == "a\u2028b"
    assert log.live.stop() == 0
    reader.thread.join(5)
    assert not reader.thread.is_alive()


def test_the_archive_streams_records_and_lengths(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    lengths = Reader(archive.client(), "/v1/stream")
    records = Reader(archive.client(), f"/v1/logs/{log.key}/records/stream?from=0")
    log.append(record(0), record(1))
    eventually(lambda: len(records.lines) == 2)
    eventually(lambda: {"key": log.key, "length": 2} in lengths.lines)
    assert archive.live.stop() == 0
    for reader in (lengths, records):
        reader.thread.join(5)
        assert not reader.thread.is_alive()


def test_an_acknowledgement_waits_until_the_archive_holds_it(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    log.append(record(0))
    path = f"/v1/logs/{log.key}/acknowledged"
    assert archive.get(f"{path}?length=2")["acknowledged"] is False
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(archive.get(f"{path}?length=2&wait=20")))
    waiting.start()
    log.append(record(1))
    waiting.join(20)
    assert answers[0]["acknowledged"] is True
    assert answers[0]["treeHash"] == log.get("/v1/head")["treeHash"]
    log.append(record(2))
    archive.wait_held(log, 3)
    assert archive.get(f"{path}?length=2")["treeHash"] == answers[0]["treeHash"]


def test_a_bad_question_for_an_acknowledgement_is_refused(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    with archive.client() as client:
        for query in ("", "?length=0", "?length=1&wait=31", "?length=x"):
            assert client.get(f"/v1/logs/{log.key}/acknowledged{query}").status_code == 400, query
        assert client.get(f"/v1/logs/{'0' * 64}/head").status_code == 404


def test_a_reader_that_does_not_read_holds_nobody_up(log: Log) -> None:
    log.append(*({"id": str(n), "pad": "x" * 60_000} for n in range(60)))
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(log.socket))
        slow.sendall(b"GET /v1/records/stream?from=0 HTTP/1.1\r\nHost: log\r\n\r\n")
        assert log.append(record("meanwhile"))["length"] == 61
        assert log.live.stop(within=10) == 0


def test_a_client_that_never_finishes_its_request_is_dropped(log: Log) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.settimeout(30)
        slow.connect(str(log.socket))
        slow.sendall(b"POST /v1/records HTTP/1.1\r\nHost: log\r\nContent-Le")
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")


def test_metrics_tell_what_happened(log: Log) -> None:
    log.append(record(1), record(2))
    log.append(record(2))
    with log.client() as client:
        client.get("/nothing")
    figures = log.metrics()
    assert figures["bzzz_log_length"] == 2
    assert figures["bzzz_log_appended_records_total"] == 2
    assert figures["bzzz_log_replayed_records_total"] == 1
    assert figures["bzzz_log_commit_seconds_count"] == 2
    assert figures["bzzz_log_recovering"] == 0
    assert figures['bzzz_log_errors_total{code="NOT_FOUND"}'] == 1
    assert figures["process_resident_memory_bytes"] > 0


def test_the_archives_metrics_name_the_node(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    log.append(record(1))
    archive.wait_held(log, 1)
    label = f'{{node="{log.folder.name}",key="{log.key[:16]}"}}'
    figures = archive.metrics()
    assert figures[f"bzzz_archive_length{label}"] == 1
    assert figures[f"bzzz_archive_lag{label}"] == 0
    assert figures[f"bzzz_archive_connected{label}"] == 1
    assert figures[f"bzzz_archive_conflict{label}"] == 0


def test_every_line_on_stderr_is_json_and_stdout_has_one_line(archived: tuple[Log, Archive]) -> None:
    log, archive = archived
    log.append(record(1))
    for program in (archive, log):
        assert program.live.stop() == 0
        assert program.live.out.read_text().count("\n") == 1
        assert all({"timestamp", "level", "event"} <= set(line) for line in program.live.logs())


def test_a_seed_is_never_logged(log: Log) -> None:
    seed = (log.folder / "seed").read_text()
    log.live.stop()
    assert seed not in log.live.err.read_text() + log.live.out.read_text()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"dir": None}, "dir: expected text"),
        ({"seedFile": "/nowhere/seed"}, "seedFile: cannot read /nowhere/seed"),
        ({"socket": "/" + "x" * 200}, "socket: expected a path of at most 107 bytes"),
        ({"replication": {"port": 70_000}}, "replication.port: expected a port"),
        ({"replication": {"allow": ["xyz"]}}, "replication.allow: expected a list of Noise keys"),
        ({"socketMode": "660"}, "socketMode: expected file mode bits"),
    ],
)
def test_a_bad_configuration_is_told_field_by_field(logs: Logs, fault: dict[str, Any], words: str) -> None:
    log = logs.log(**fault).start(ready_within=None)
    assert log.live.wait() == 2
    (line,) = log.live.logged("cannot_start")
    assert words in line["error"]


@pytest.mark.parametrize(
    "arguments", [[], ["log"], ["log", "--config"], ["nothing", "--config", "x"], ["log", "--x"]]
)
def test_wrong_arguments_end_with_2(processes: Processes, arguments: list[str]) -> None:
    process = processes.start("wrong", ["node", PROGRAM, *arguments], ready_within=None)
    assert process.wait() == 2


def test_help_says_how_to_start_it() -> None:
    done = subprocess.run(["node", PROGRAM, "--help"], capture_output=True, text=True, timeout=20, check=True)
    assert "--config FILE" in done.stdout
