"""The scribe's HTTP side under clients good and bad."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.scribe.rig import Rig
from tests.support.discussions import a_plan
from tests.support.processes import eventually


@pytest.fixture(scope="module")
def serving(shared: Rig) -> Rig:
    voice = shared.agent("bzzz-0")
    voice.claimant.claim()
    voice.claimant.propose()
    voice.write()
    shared.start()
    shared.wait_folded(voice)
    return shared


def connect(rig: Rig, *, receive_buffer: int | None = None) -> socket.socket:
    host, _, port = rig.live.ready["url"].removeprefix("http://").partition(":")
    raw = socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.settimeout(40)
    raw.connect((host, int(port)))
    return raw


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, object]]]:
    kind = ""
    for line in lines:
        if line.startswith("event:"):
            kind = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield kind, json.loads(line.removeprefix("data:"))


def test_viewers_get_the_state_and_then_every_change(serving: Rig) -> None:
    (voice,) = serving.voices
    with (
        httpx.Client(timeout=20) as client,
        client.stream("GET", f"{serving.live.ready['url']}/api/events") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer.iter_lines())
        kind, first = next(told)
        assert kind == "state"
        assert isinstance(first["discussions"], list)
        voice.claimant.objection(serving.hive.node("bzzz-1"))
        voice.write()
        changed = next(document for kind, document in told if kind == "discussion")
        assert changed["openBlocking"] == 1


def test_healthz_metrics_and_state_answer(serving: Rig) -> None:
    assert serving.ask("/healthz").json() == {"ok": True}
    metrics = serving.ask("/metrics").text
    assert "bzzz_scribe_archive_up 1.0" in metrics
    assert 'bzzz_scribe_discussions{phase="Listening"} 1.0' in metrics
    assert serving.state()["archive"] == "here"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(serving: Rig, method: str) -> None:
    answer = httpx.request(method, f"{serving.live.ready['url']}/api/state", content=b"x" * 100_000)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 40_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"GET /\x00\xff HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
        b"GET /logs/" + b"%ff" * 2000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /api/state HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /api/state HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["long head", "tls", "control bytes", "broken h2", "long path", "bad length", "bad chunk"],
)
def test_garbage_ends_its_own_connection_only(serving: Rig, sent: bytes) -> None:
    with closing(connect(serving)) as raw:
        raw.sendall(sent)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := raw.recv(65536):
                answer += part
        except ConnectionError:
            pass
        assert b"200 OK" not in answer.split(b"\r\n", 1)[0] or b"api/state" in sent
    assert serving.ask("/healthz").status_code == 200


def test_a_client_that_never_finishes_its_request_is_let_go(serving: Rig) -> None:
    with closing(connect(serving)) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ")
        assert raw.recv(100) == b""


def test_connections_are_counted_and_the_rest_refused_without_harm(serving: Rig) -> None:
    held = [connect(serving) for _ in range(300)]
    try:

        def refused() -> int:
            return sum(is_closed(raw) for raw in held)

        eventually(lambda: refused() >= 44, what="connections above 256 are closed")
    finally:
        for raw in held:
            raw.close()
    eventually(lambda: answers(serving), within=20, what="the scribe answers again")


def is_closed(raw: socket.socket) -> bool:
    raw.setblocking(False)
    try:
        return raw.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def answers(rig: Rig) -> bool:
    try:
        return rig.ask("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_viewers_are_bounded(serving: Rig) -> None:
    streams: list[socket.socket] = []
    try:
        for _ in range(64):
            raw = connect(serving)  # one after the other: a head is waited for no longer than 5 s
            streams.append(raw)
            raw.sendall(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n")
            assert raw.recv(12) == b"HTTP/1.1 200"

        def viewers() -> bool:
            return "bzzz_scribe_viewers 64.0" in serving.ask("/metrics").text

        eventually(viewers, what="64 viewers are counted")
        assert serving.ask("/api/events").status_code == 503
    finally:
        for raw in streams:
            raw.close()
    eventually(lambda: "bzzz_scribe_viewers 0.0" in serving.ask("/metrics").text, what="they are gone")


def test_a_client_who_reads_nothing_neither_holds_others_up_nor_the_end(rig: Rig) -> None:
    voice = rig.agent("bzzz-0")
    chair = voice.claimant
    chair.claim()
    chair.propose(a_plan(summary="x" * 600))
    voice.write()
    rig.start()
    rig.wait_folded(voice)
    with closing(connect(rig, receive_buffer=1024)) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 900)

        def stuck() -> bool:
            before = count(rig, "metrics")
            return 0 < count(rig, "metrics") == before + 1 < 900  # only our own looking is counted

        eventually(stuck, what="the scribe waits for a client that does not read")
        voice.claimant.objection(rig.hive.node("bzzz-1"))
        voice.write()
        rig.wait_folded(voice)
        assert rig.live.stop(within=12) == 0


def count(rig: Rig, route: str) -> float:
    name = f'bzzz_scribe_requests_total{{route="{route}",status="200"}}'
    lines = rig.ask("/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(name))
