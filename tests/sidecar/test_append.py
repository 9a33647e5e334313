"""Appending: acknowledged means durable, an id names one record for ever, bad input changes nothing."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.sidecar import Log, record


def test_records_come_back_in_order_as_they_were_sent(log: Log) -> None:
    sent = [
        record(n, text="häßlich \u2028 \U0001f41d", nested={"z": 1, "a": [None, True, 1.5]}) for n in range(5)
    ]
    answer = log.append(*sent)
    assert answer["length"] == 5
    assert [result["seq"] for result in answer["results"]] == [0, 1, 2, 3, 4]
    assert log.records() == [{"seq": seq, "record": value} for seq, value in enumerate(sent)]
    assert list(log.records()[0]["record"]["data"]["nested"]) == ["z", "a"]  # key order is kept


def test_a_range_of_records_can_be_read(log: Log) -> None:
    log.append(*(record(n) for n in range(10)))
    assert [line["seq"] for line in log.records("?from=3&to=6")] == [3, 4, 5]
    assert [line["seq"] for line in log.records("?from=3&limit=2")] == [3, 4]
    assert log.records("?from=10") == []


def test_the_same_record_twice_is_appended_once(log: Log) -> None:
    first = log.append(record(1), record(2))
    again = log.append(record(2), record(3))
    assert [(r["seq"], r["replayed"]) for r in first["results"]] == [(0, False), (1, False)]
    assert [(r["seq"], r["replayed"]) for r in again["results"]] == [(1, True), (2, False)]
    assert again["length"] == 3


def test_the_same_record_twice_in_one_request_is_appended_once(log: Log) -> None:
    answer = log.append(record(1), record(1))
    assert [(r["seq"], r["replayed"]) for r in answer["results"]] == [(0, False), (0, True)]


def test_an_id_is_remembered_across_restarts(log: Log) -> None:
    log.append(*(record(n) for n in range(3000 // 10)))
    assert log.live.stop() == 0
    log.start()
    answer = log.append(record(7), record("new"))
    assert [(r["seq"], r["replayed"]) for r in answer["results"]] == [(7, True), (300, False)]


def test_an_id_with_another_content_is_a_conflict_and_nothing_is_appended(log: Log) -> None:
    log.append(record(1))
    with log.client() as client:
        answer = client.post("/v1/records", json={"records": [record(2), record(1, other=True)]})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "ID_CONFLICT"
    assert "id-1" in answer.json()["error"]["message"]
    assert log.get("/v1/head")["length"] == 1
    assert log.append(record(2, again=True))["length"] == 2  # id-2 was not taken by the refused request


def body(records: Any, **more: Any) -> bytes:
    return json.dumps({"records": records, **more}).encode()


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("no JSON", b"{", 400),
        ("not UTF-8", b'{"records":[{"id":"\xff"}]}', 400),
        ("no object", b"[]", 400),
        ("no records", b"{}", 400),
        ("an empty list", body([]), 400),
        ("a record that is text", body(["x"]), 400),
        ("a record that is a list", body([[]]), 400),
        ("a record without id", body([{"kind": "x"}]), 400),
        ("an empty id", body([{"id": ""}]), 400),
        ("an id that is a number", body([{"id": 1}]), 400),
        ("an id of 129 characters", body([{"id": "x" * 129}]), 400),
        ("an integer that JavaScript rounds", body([{"id": "a", "n": 2**53}]), 400),
        ("a number beyond all", b'{"records":[{"id":"a","n":1e999}]}', 400),
        ("nesting of 70 levels", b'{"records":[{"id":"a","n":' + b"[" * 70 + b"]" * 70 + b"}]}", 400),
        (
            "nesting of 100000 levels",
            b'{"records":[{"id":"a","n":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
            400,
        ),
        ("unsynced", body([record(1)], sync=False), 400),
        ("a record of 64 KiB and more", body([{"id": "a", "x": "y" * 65_536}]), 413),
        ("1001 records", body([{"id": str(n)} for n in range(1001)]), 413),
        ("a body over 4 MiB", body([{"id": str(n), "x": "y" * 60_000} for n in range(80)]), 413),
        ("one bad among good ones", body([record(1), {"id": 5}]), 400),
    ],
)
def test_a_bad_request_is_refused_and_changes_nothing(
    shared: Log, name: str, content: bytes, status: int
) -> None:
    with shared.client() as client:
        answer = client.post("/v1/records", content=content)
    assert answer.status_code == status, name
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    assert shared.get("/v1/head")["length"] == 3


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v2/records", 404, "NOT_FOUND"),
        ("DELETE", "/v1/records", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/head", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/records?from=x", 400, "BAD_REQUEST"),
        ("GET", "/v1/records?from=-1", 400, "BAD_REQUEST"),
        ("GET", "/v1/proof?seqs=1,,2", 400, "BAD_REQUEST"),
        ("GET", "/v1/proof?seqs=99", 400, "BAD_REQUEST"),
        ("GET", "/v1/proof?from=2&to=2", 400, "BAD_REQUEST"),
        ("GET", "/v1/proof?length=2", 409, "LENGTH_NOT_SIGNED"),
        ("GET", "/v1/consistency", 400, "BAD_REQUEST"),
        ("GET", "/v1/consistency?length=4", 400, "BAD_REQUEST"),
    ],
)
def test_every_error_has_a_status_and_a_code(
    shared: Log, method: str, path: str, status: int, code: str
) -> None:
    with shared.client() as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_many_clients_at_once_lose_and_double_nothing(log: Log) -> None:
    def client(number: int) -> list[tuple[str, int]]:
        with log.client() as http:
            got: list[tuple[str, int]] = []
            for n in range(40):
                mine = {"id": f"{number}-{n}", "data": "x" * 200}
                common = {"id": f"all-{n}"}
                answer = http.post("/v1/records", json={"records": [mine, common]}).json()
                got += [(result["id"], result["seq"]) for result in answer["results"]]
            return got

    with ThreadPoolExecutor(8) as pool:
        acknowledged = {pair for pairs in pool.map(client, range(8)) for pair in pairs}
    there = {(line["record"]["id"], line["seq"]) for line in log.records()}
    assert len(there) == 8 * 40 + 40
    assert acknowledged == there


def test_appends_of_many_clients_are_committed_together(log: Log) -> None:
    barrier = threading.Barrier(16)

    def client(number: int) -> None:
        with log.client() as http:
            barrier.wait()
            for n in range(10):
                http.post("/v1/records", json={"records": [{"id": f"{number}-{n}"}]}).raise_for_status()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))
    figures = log.metrics()
    assert figures["bzzz_log_appended_records_total"] == 160
    assert figures["bzzz_log_commit_records_count"] < 160
