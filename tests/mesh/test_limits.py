"""Token buckets, frames and windows: what is let through, and what is kept of it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.io.exceptions import IncompleteReadError
from libp2p.network.stream.exceptions import StreamReset
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from bzzz_mesh.errors import RefusedExchangeError
from bzzz_mesh.frames import FrameReader
from bzzz_mesh.framing import frame, read_frame
from bzzz_mesh.limits import TokenBucket, TokenBuckets
from bzzz_mesh.muxer import WindowExceededError, _Buffers
from bzzz_mesh.pubsub import parse_rpc
from hmmm.errors import MalformedError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Chunks:
    """A stream that hands out what it was given, and then ends or breaks."""

    def __init__(self, *chunks: bytes, end: Exception | None = None) -> None:
        self.chunks = list(chunks)
        self.end = end

    async def read(self, size: int) -> bytes:
        if not self.chunks:
            if self.end is not None:
                raise self.end
            return b""
        chunk = self.chunks.pop(0)
        if len(chunk) > size:
            self.chunks.insert(0, chunk[size:])
        return chunk[:size]


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(10, 5, clock)
    assert [bucket.take() for _ in range(7)] == [True] * 5 + [False] * 2
    assert bucket.wait_s() == pytest.approx(0.1)
    clock.now = 0.3
    assert [bucket.take() for _ in range(4)] == [True] * 3 + [False]


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_bucket_never_lets_more_through_than_burst_and_rate(pauses: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(2, 4, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += sum(bucket.take() for _ in range(10))
    assert taken <= 4 + 2 * clock.now + 1e-6


@given(st.floats(0.1, 1000), st.floats(0, 100))
def test_after_the_time_it_names_a_bucket_has_a_token(rate: float, start: float) -> None:
    clock = Clock()
    clock.now = start
    bucket = TokenBucket(rate, 1, clock)
    assert bucket.take()
    clock.now += bucket.wait_s()
    assert bucket.take()


def test_buckets_that_are_full_again_are_forgotten() -> None:
    clock = Clock()
    buckets = TokenBuckets(1, 2, clock)
    for number in range(100):
        assert buckets.take(f"peer {number}")
    assert len(buckets) == 100
    clock.now = 5
    assert buckets.take("another")
    assert len(buckets) == 1


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 50))
async def test_frames_come_out_whole_however_they_are_cut(frames: list[bytes], cut: int) -> None:
    data = b"".join(encode_varint_prefixed(one) for one in frames)
    chunks = [data[start : start + cut] for start in range(0, len(data), cut)]
    reader = FrameReader(Chunks(*chunks), 1000)  # type: ignore[arg-type]
    assert [await reader.next() for _ in frames] == frames
    assert await reader.next() is None


async def test_a_frame_above_the_limit_is_refused_by_its_length_alone() -> None:
    reader = FrameReader(Chunks(b"\xe9\x07"), 1000)  # type: ignore[arg-type]
    with pytest.raises(MalformedError, match="1001 announced"):
        await reader.next()


async def test_an_endless_length_is_refused() -> None:
    with pytest.raises(MalformedError, match="endless"):
        await FrameReader(Chunks(b"\xff" * 5), 1000).next()  # type: ignore[arg-type]


async def test_a_stream_that_breaks_ends_the_frames() -> None:
    assert await FrameReader(Chunks(b"\x05ab", end=StreamReset()), 1000).next() is None  # type: ignore[arg-type]


@given(st.binary(max_size=300))
def test_any_frame_is_an_rpc_or_malformed(data: bytes) -> None:
    with suppress(MalformedError):
        assert isinstance(parse_rpc(data), rpc_pb2.RPC)


@given(st.binary(max_size=200), st.integers(1, 50))
async def test_our_own_frames_come_out_whole(data: bytes, cut: int) -> None:
    sent = frame(data)
    chunks = [sent[start : start + cut] for start in range(0, len(sent), cut)]
    assert await read_frame(Chunks(*chunks), 200) == data  # type: ignore[arg-type]


async def test_our_own_frames_are_bounded_and_complete() -> None:
    with pytest.raises(RefusedExchangeError, match="at most 10 bytes, 11 announced"):
        await read_frame(Chunks(frame(b"x" * 11)), 10)  # type: ignore[arg-type]
    with pytest.raises(IncompleteReadError):
        await read_frame(Chunks(frame(b"x" * 10)[:-1]), 10)  # type: ignore[arg-type]


def test_a_stream_s_buffer_takes_its_window_and_no_more() -> None:
    class Stream:
        target_recv_window = 100_000

    buffers = _Buffers({1: Stream()})
    buffers[1] = bytearray()
    buffers[1].extend(b"x" * 100_000)
    buffers[1].extend(b"x" * 65_536)
    with pytest.raises(WindowExceededError):
        buffers[1].extend(b"x")
    assert len(buffers[1]) == 165_536
