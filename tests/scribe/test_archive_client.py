"""Whatever answers in the archive's place, the client gives blocks or its own errors, in bounded time and memory."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from bzzz_scribe import archive as archive_module
from bzzz_scribe.archive import MAX_LINE_BYTES, UNREADABLE, ArchiveClient
from bzzz_scribe.errors import ArchiveAwayError, ArchiveRefusedError

KEY = "a" * 64


@asynccontextmanager
async def answering(raw: bytes, *, then_hang: bool = False) -> AsyncIterator[ArchiveClient]:
    """A server that gives these bytes to whoever asks."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        try:
            await stream.send_all(raw)
            if then_hang:
                await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        client = ArchiveClient(f"http://127.0.0.1:{port}", "token")
        try:
            yield client
        finally:
            await client.aclose()
            nursery.cancel_scope.cancel()


def answer(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


async def test_blocks_come_byte_for_byte() -> None:
    block = '{"z":1,"a":"ü\u2028","n":[1.50,2e3]}'.encode()
    async with answering(answer(b'{"seq":0,"record":' + block + b"}\n")) as client:
        assert await client.records(KEY, 0, 5) == ((0, block),)


async def test_a_block_that_is_no_record_stands_at_its_place() -> None:
    raw = lines(
        {"seq": 3, "record": None, "data": base64.b64encode(b"\xff\xfe").decode()},
        {"seq": 4, "record": None, "data": "!!"},
        {"seq": 5, "record": [1]},
    )
    long = b'{"seq":6,"record":{"x":"' + b"a" * (MAX_LINE_BYTES + 10) + b'"}}\n'
    async with answering(answer(raw + long + lines({"seq": 7, "record": {"id": "x"}}))) as client:
        found = dict(await client.records(KEY, 3, 10))
    assert found == {3: b"\xff\xfe", 4: UNREADABLE, 5: b"[1]", 6: UNREADABLE, 7: b'{"id":"x"}'}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        answer(b"{}", "500 Internal Server Error"),
        answer(b"{}", "401 Unauthorized"),
        answer(b"{}", "302 Found"),
        answer(b"not json\n"),
        answer(b"[1]\n"),
        answer(b"[" * 100_000 + b"\n"),
        answer(lines({"seq": 9, "record": {}})),
        answer(lines({"seq": 0, "record": {}}, {"seq": 2, "record": {}})),
        answer(lines(*({"seq": n, "record": {}} for n in range(20)))),
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + lines({"seq": 0, "record": {}}),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=[
        "nothing",
        "no http",
        "500",
        "401",
        "302",
        "no json",
        "a list",
        "deep",
        "wrong",
        "gap",
        "more",
        "cut",
        "chunk",
    ],
)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # httpx's own generators, left early
async def test_anything_else_is_an_archive_that_is_away(raw: bytes) -> None:
    async with answering(raw) as client:
        with pytest.raises(ArchiveAwayError):
            await client.records(KEY, 0, 10)


@pytest.mark.parametrize("status", ["404 Not Found", "409 Conflict", "400 Bad Request"])
async def test_a_refusal_carries_the_archives_own_word(status: str) -> None:
    body = b'{"error":{"code":"LENGTH_NOT_SIGNED","message":"no such length"}}'
    async with answering(answer(body, status)) as client:
        with pytest.raises(ArchiveRefusedError, match="no such length") as refused:
            await client.proof(KEY, [1, 2], 5)
    assert refused.value.code == "LENGTH_NOT_SIGNED"


async def test_a_refusal_without_words_is_one_all_the_same() -> None:
    async with answering(answer(b"<html>" * 100, "404 Not Found")) as client:
        with pytest.raises(ArchiveRefusedError) as refused:
            await client.logs()
    assert refused.value.code == "HTTP_404"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_answer_above_the_bound_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_ANSWER_BYTES", 1000)
    async with answering(answer(b'{"logs":[' + b" " * 5000 + b"]}")) as client:
        with pytest.raises(ArchiveAwayError, match="at most 1000 bytes"):
            await client.logs()


async def first_growth(client: ArchiveClient) -> object:
    async with client.growth() as growth:
        return await anext(growth)


async def test_silence_ends_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "SILENCE_S", 0.3)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with answering(head, then_hang=True) as client:
        with pytest.raises(ArchiveAwayError), trio.fail_after(5):
            await first_growth(client)


async def test_growth_passes_heartbeats_over() -> None:
    raw = b"\n" + lines({"key": KEY, "length": 3}) + b"\n\n" + lines({"key": KEY, "length": 4})
    async with answering(answer(raw)) as client, client.growth() as growth:
        assert [told async for told in growth] == [(KEY, 3), (KEY, 4)]
