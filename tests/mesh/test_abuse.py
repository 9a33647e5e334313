"""Whatever a peer sends, the node goes on: its process lives and a good message still passes.

The victim is one process for all cases, so what an earlier case broke shows in the later ones. Cases from the
outside in: raw TCP, the handshake, the muxer, streams without a card, the membership protocol, and members' gossip.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_uvarint, encode_varint_prefixed

from bzzz_mesh.framing import frame
from bzzz_mesh.settings import CARDS_PROTOCOL, MEMBERSHIP_PROTOCOL, PRESENCE_PROTOCOL
from hmmm.envelope import CARD_TYPE, Envelope, SigningKey
from tests.mesh.attacker import GOSSIP, Attacker, attacker
from tests.mesh.support import Hive, NodeProcess, seed_of, until

RPC = rpc_pb2.RPC
Control = rpc_pb2.ControlMessage
Raw = Callable[[trio.SocketStream], Awaitable[None]]
Attack = Callable[[Attacker], Awaitable[Any]]

MULTISTREAM = b"\x13/multistream/1.0.0\n"


def line(text: bytes) -> bytes:
    return encode_varint_prefixed(text + b"\n")


def sending(*chunks: bytes) -> Raw:
    async def send(socket: trio.SocketStream) -> None:
        for chunk in chunks:
            await socket.send_all(chunk)

    return send


async def dripping(socket: trio.SocketStream) -> None:
    for byte in MULTISTREAM[:8]:
        await socket.send_all(bytes([byte]))
        await trio.sleep(0.01)


async def plaintext(socket: trio.SocketStream) -> None:
    await socket.send_all(MULTISTREAM + line(b"/plaintext/2.0.0"))
    answer = b""
    while b"na\n" not in answer:
        answer += await socket.receive_some()


RAW: dict[str, Raw] = {
    "connects and leaves": sending(),
    "random bytes": sending(sha256(b"noise").digest() * 64),
    "an HTTP request": sending(b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n"),
    "a name of an exabyte": sending(encode_uvarint(1 << 60), b"x" * 100_000),
    "an endless varint": sending(b"\xff" * 64),
    "a name without a newline": sending(MULTISTREAM, encode_varint_prefixed(b"/noise")),
    "a name in bad UTF-8": sending(MULTISTREAM, line(b"\xff\xfe\xfd")),
    "no handshake but names for ever": sending(MULTISTREAM, *[line(b"/nothing")] * 2000),
    "plaintext instead of Noise": plaintext,
    "a truncated Noise message": sending(MULTISTREAM, line(b"/noise"), b"\x00\x20" + b"\x01" * 7),
    "a Noise message of zeros": sending(MULTISTREAM, line(b"/noise"), b"\xff\xff" + b"\x00" * 65535),
    "an empty Noise message": sending(MULTISTREAM, line(b"/noise"), b"\x00\x00"),
    "byte by byte, then silence": dripping,
}


def yamux(kind: int, flags: int, stream: int, length: int, body: bytes = b"", version: int = 0) -> bytes:
    return struct.pack(">BBHII", version, kind, flags, stream, length) + body


def muxed(*frames: bytes) -> Attack:
    async def attack(peer: Attacker) -> None:
        for data in frames:
            await peer.connection.secured_conn.write(data)

    return attack


async def past_the_window(peer: Attacker) -> None:
    """Ignore flow control on a stream that the victim does not read: 64 MiB into its memory."""
    stream = await peer.stream(GOSSIP)
    chunk = b"x" * 65000
    for _ in range(1000):
        await peer.connection.secured_conn.write(
            yamux(0, 0, stream.muxed_stream.stream_id, len(chunk)) + chunk  # type: ignore[attr-defined]
        )


async def undecryptable(peer: Attacker) -> None:
    raw = peer.connection.secured_conn.conn.read_writer.read_writer.read_write_closer
    await raw.write(b"\x00\x40" + b"\x00" * 64)


MUXER: dict[str, Attack] = {
    "bytes that do not decrypt": undecryptable,
    "yamux garbage": muxed(sha256(b"mux").digest() * 100),
    "yamux of another version": muxed(yamux(0, 1, 1, 0, version=7)),
    "a yamux frame of 4 GiB": muxed(yamux(0, 1, 1, 0xFFFFFFFF)),
    "data for a stream that is not there": muxed(yamux(0, 0, 77, 5, b"hello")),
    "a window update that overflows": muxed(yamux(1, 1, 1, 0xFFFFFFFF), yamux(1, 0, 1, 0xFFFFFFFF)),
    "a stream opened and reset at once": muxed(*[yamux(1, 9, number, 0) for number in range(1, 401, 2)]),
    "the victim's own stream numbers": muxed(*[yamux(1, 1, number, 0) for number in range(2, 20, 2)]),
    "a flood of streams": muxed(*[yamux(1, 1, number, 0) for number in range(1, 4001, 2)]),
    "a flood of pings": muxed(*[yamux(2, 1, 0, number) for number in range(3000)]),
    "goodbye in the middle": muxed(yamux(0, 1, 1, 100, b"half"), yamux(3, 0, 0, 99)),
    "more data than its window": past_the_window,
}


def on(protocol: str, *chunks: bytes, close: bool = True) -> Attack:
    async def attack(peer: Attacker) -> None:
        stream = await peer.stream(protocol)
        for chunk in chunks:
            await stream.write(chunk)
        if close:
            await stream.close()

    return attack


async def unknown_protocols(peer: Attacker) -> None:
    for number in range(20):
        with pytest.raises(Exception, match="open a stream"):
            await peer.stream(f"/nothing/{number}")


async def name_of_a_gigabyte(peer: Attacker) -> None:
    stream = await peer.host.get_network().new_stream(peer.victim)
    await stream.write(encode_uvarint(1 << 30) + b"x" * 200_000)


async def half_open(peer: Attacker) -> None:
    for protocol in (GOSSIP, MEMBERSHIP_PROTOCOL, PRESENCE_PROTOCOL, CARDS_PROTOCOL):
        await peer.stream(protocol)
    await peer.cut_off()


async def gossip_before_the_card(peer: Attacker) -> None:
    stream = await peer.stream(GOSSIP)
    await stream.write(encode_varint_prefixed(RPC(publish=[peer.message()]).SerializeToString()))
    await peer.cut_off()


def showing(
    make: Callable[[Attacker], bytes], revocations: Callable[[Attacker], bytes] = lambda _: b""
) -> Attack:
    async def attack(peer: Attacker) -> None:
        await peer.show(make(peer), revocations(peer))

    return attack


def good(peer: Attacker) -> bytes:
    return peer.hive.card(peer.number)


def deep_json(_: Attacker) -> bytes:
    return b'{"payload":' * 300 + b"1" + b"}" * 300


def signed_nonsense(peer: Attacker) -> bytes:
    return Envelope.sign(CARD_TYPE, b'{"hive": 1}', peer.hive.key).raw


CARDLESS: dict[str, Attack] = {
    "streams of protocols that nobody speaks": unknown_protocols,
    "a stream whose protocol's name is a gigabyte": name_of_a_gigabyte,
    "streams that stay half open": half_open,
    "gossip before the card": gossip_before_the_card,
    "beats before the card": on(PRESENCE_PROTOCOL, b"\xff" * 8000, close=False),
    "a question for a card before its own": on(CARDS_PROTOCOL, frame(b"12D3KooW"), close=False),
    "a membership stream that says nothing": on(MEMBERSHIP_PROTOCOL),
    "a card of 4 GiB": on(MEMBERSHIP_PROTOCOL, b"\xff\xff\xff\xff", close=False),
    "a card of 4097 bytes": on(MEMBERSHIP_PROTOCOL, frame(b"x" * 4097), close=False),
    "half a card": on(MEMBERSHIP_PROTOCOL, frame(b"x" * 1000)[:500]),
    "an empty card": showing(lambda _: b""),
    "a card that is no JSON": showing(lambda _: b"\x00\xff garbage"),
    "a card nested three hundred deep": showing(deep_json),
    "a card signed by the hive that is no card": showing(signed_nonsense),
    "a card signed by nobody": showing(lambda peer: good(peer).replace(b'"sig":"', b'"sig":"00')),
    "another member's card": showing(lambda peer: peer.hive.card(1)),
    "a good card and revocations that are garbage": showing(good, lambda _: b"garbage"),
    "a good card and revocations by another key": showing(
        good, lambda _: Hive(key=SigningKey.hive(seed_of(5))).revocations(9, 1)
    ),
    "revocations of 16 MiB": on(MEMBERSHIP_PROTOCOL, frame(b"{}") + b"\x01\x00\x00\x00" + b"x" * 1000),
}


def frames(*data: bytes) -> Attack:
    """Bytes on a member's gossip stream."""

    async def attack(peer: Attacker) -> None:
        stream: INetStream = await peer.gossip()
        for chunk in data:
            await stream.write(chunk)

    return attack


def rpc(make: Callable[[Attacker], RPC]) -> Attack:
    async def attack(peer: Attacker) -> None:
        await peer.send(make(peer))

    return attack


def message(**changes: Any) -> Attack:
    return rpc(lambda peer: RPC(publish=[peer.message(**changes)]))


def control(**entries: Any) -> Attack:
    return rpc(lambda _: RPC(control=Control(**entries)))


def spoofed(peer: Attacker) -> RPC:
    """The victim's name on our own words."""
    return RPC(publish=[peer.message(from_id=peer.victim.to_bytes())])


def by_nobody_known(peer: Attacker) -> RPC:
    """Rightly signed by keys that have no card."""
    messages: list[rpc_pb2.Message] = []
    for number in range(100):
        key = SigningKey.mesh(seed_of(5000 + number))
        stranger = peer.message(signed=False, from_id=b"\x00\x24\x08\x01\x12\x20" + key.public)
        stranger.signature = key.private.sign(b"libp2p-pubsub:" + stranger.SerializeToString())
        messages.append(stranger)
    return RPC(publish=messages)


async def replayed(peer: Attacker) -> None:
    await peer.send(*[RPC(publish=[peer.message(data=b"once")])] * 50)


async def many_bad_signatures(peer: Attacker) -> None:
    stream = await peer.gossip()
    for _ in range(150):
        bad = RPC(publish=[peer.message(after_signature=b"\x00" * 64)])
        await stream.write(encode_varint_prefixed(bad.SerializeToString()))


async def cards_of_nobody(peer: Attacker) -> None:
    await peer.show()
    for question in (b"", b"\xff\xfe", b"x" * 64, b"../../etc/passwd"):
        await on(CARDS_PROTOCOL, frame(question))(peer)
    await on(CARDS_PROTOCOL, frame(b"x" * 65))(peer)


async def impossible_beats(peer: Attacker) -> None:
    await peer.show()
    await on(PRESENCE_PROTOCOL, b"\xff" * 8 * 500 + b"odd", close=True)(peer)


def field(number: int, wire: int, payload: bytes) -> bytes:
    return encode_varint_prefixed(bytes([number << 3 | wire]) + payload)


GRAFT, PRUNE = rpc_pb2.ControlGraft, rpc_pb2.ControlPrune
IHAVE, IWANT, IDONTWANT = rpc_pb2.ControlIHave, rpc_pb2.ControlIWant, rpc_pb2.ControlIDontWant
SUBSCRIBE = rpc_pb2.RPC.SubOpts

MEMBERS: dict[str, Attack] = {
    "a frame that is no protobuf": frames(encode_varint_prefixed(b"\xff" * 100)),
    "a frame of 16 MiB": frames(encode_uvarint(1 << 24) + b"x" * 100_000),
    "a frame with an endless length": frames(b"\xff" * 20),
    "an empty frame": frames(b"\x00" * 100),
    "half a frame, then silence": frames(encode_uvarint(1000) + b"x" * 10),
    "a field with a wrong wire type": frames(field(2, 0, b"\x01")),
    "a field that is longer than its frame": frames(field(2, 2, b"\xff\xff\x03abc")),
    "groups nested a thousand deep": frames(encode_varint_prefixed(b"\x0b" * 1000)),
    "a subscription to nothing": rpc(lambda _: RPC(subscriptions=[SUBSCRIBE(subscribe=True, topicid="")])),
    "a subscription to 100 kB": rpc(
        lambda _: RPC(subscriptions=[SUBSCRIBE(subscribe=True, topicid="t" * 100_000)])
    ),
    "ten thousand subscriptions": rpc(
        lambda _: RPC(subscriptions=[SUBSCRIBE(subscribe=True, topicid=f"t{n}") for n in range(10_000)])
    ),
    "a topic in bad UTF-8": frames(field(1, 2, b"\x06\x08\x01\x12\x02\xff\xfe")),
    "leaving topics it never joined": rpc(
        lambda _: RPC(subscriptions=[SUBSCRIBE(subscribe=False, topicid="no")])
    ),
    "a message on no topic": message(topicIDs=[]),
    "a message on an empty topic": message(topicIDs=[""]),
    "a message on many topics": message(topicIDs=["bzzz"] * 50),
    "a message by nobody": message(after_from_id=b""),
    "a message by no peer id": message(after_from_id=b"\x00\x01\x02"),
    "a message by 50 kB of peer id": message(after_from_id=b"\x00" * 50_000),
    "a message by an RSA peer id": message(after_from_id=b"\x12\x20" + b"\x07" * 32),
    "a message without a number": message(after_seqno=b""),
    "a message with a number of 1 kB": message(after_seqno=b"\x01" * 1000),
    "a message without a signature": message(after_signature=b""),
    "a message with a wrong signature": message(after_signature=b"\x05" * 64),
    "a message with a signature of 10 kB": message(after_signature=b"\x05" * 10_000),
    "a message changed after signing": message(after_data=b"changed"),
    "a message moved to another topic": message(topicIDs=["other"], after_topicIDs=["bzzz"]),
    "a message with another's key": message(after_key=b"\x08\x01\x12\x20" + b"\x01" * 32),
    "a message with a key that is garbage": message(after_key=b"\xff" * 100),
    "a message in the victim's name": rpc(spoofed),
    "messages by authors without a card": rpc(by_nobody_known),
    "a message of 17 kB": message(data=b"x" * 17_000),
    "two thousand messages in a frame": rpc(
        lambda peer: RPC(publish=[rpc_pb2.Message(topicIDs=["bzzz"])] * 2000)
    ),
    "a message sent fifty times": replayed,
    "wrong signatures without end": many_bad_signatures,
    "a sender record that is garbage": rpc(lambda _: RPC(senderRecord=b"\xff" * 1000)),
    "a sender record in an empty envelope": rpc(lambda _: RPC(senderRecord=b"", control=Control())),
    "IHAVE of a million bytes of ids": control(ihave=[IHAVE(topicID="bzzz", messageIDs=[b"i" * 20] * 8000)]),
    "IHAVE of odd hex and empty ids": control(
        ihave=[IHAVE(topicID="bzzz", messageIDs=[b"abc", b"", b"\xff"])]
    ),
    "IHAVE on topics that are not there": control(ihave=[IHAVE(topicID=f"t{n}") for n in range(1000)]),
    "IWANT of nothing and of everything": control(iwant=[IWANT(), IWANT(messageIDs=[b"", b"abc"] * 5000)]),
    "GRAFT onto a topic that is not there": control(
        graft=[GRAFT(topicID="nowhere"), GRAFT(), GRAFT(topicID="t" * 9000)]
    ),
    "GRAFT again and again": control(graft=[GRAFT(topicID="bzzz")] * 1000),
    "PRUNE for ever": control(
        prune=[PRUNE(topicID="bzzz", backoff=2**63), PRUNE(topicID="nowhere", backoff=1)]
    ),
    "PRUNE with peers to dial": control(
        prune=[PRUNE(topicID="bzzz", peers=[rpc_pb2.PeerInfo(peerID=b"\x01", signedPeerRecord=b"\xff")] * 16)]
    ),
    "IDONTWANT of garbage": control(idontwant=[IDONTWANT(messageIDs=[b"", b"\xff" * 1000])]),
    "fifty thousand control entries": control(graft=[GRAFT()] * 50_000),
    "questions for cards of nobody": cards_of_nobody,
    "beats that promise revocations": impossible_beats,
}

STREAMED = MUXER | CARDLESS | MEMBERS
CASES = [*RAW, *STREAMED]


DROPPED, REFUSED = "messages_dropped_total", "peers_refused_total"
COUNTED = {
    # proof that an attack arrived where it was aimed; the others leave no trace but the log of the library
    "a flood of streams": f"{DROPPED}/streams",
    "streams that stay half open": f"{REFUSED}/no_card",
    "gossip before the card": f"{REFUSED}/no_card",
    "a membership stream that says nothing": f"{DROPPED}/stream_failed",
    "a card of 4 GiB": f"{REFUSED}/oversized",
    "a card of 4097 bytes": f"{REFUSED}/oversized",
    "an empty card": f"{REFUSED}/malformed",
    "a card that is no JSON": f"{REFUSED}/malformed",
    "a card nested three hundred deep": f"{REFUSED}/malformed",
    "a card signed by the hive that is no card": f"{REFUSED}/malformed",
    "another member's card": f"{REFUSED}/borrowed_card",
    "a good card and revocations that are garbage": f"{REFUSED}/malformed",
    "a good card and revocations by another key": f"{REFUSED}/other_signer",
    "revocations of 16 MiB": f"{REFUSED}/oversized",
    "a frame that is no protobuf": f"{DROPPED}/malformed_rpc",
    "a frame of 16 MiB": f"{DROPPED}/oversized_rpc",
    "a frame with an endless length": f"{DROPPED}/malformed_rpc",
    "a field that is longer than its frame": f"{DROPPED}/malformed_rpc",
    "groups nested a thousand deep": f"{DROPPED}/malformed_rpc",
    "a subscription to nothing": f"{DROPPED}/bad_subscription",
    "a subscription to 100 kB": f"{DROPPED}/bad_subscription",
    "ten thousand subscriptions": f"{REFUSED}/offences",
    "a message on many topics": f"{DROPPED}/bad_topic",
    "a message by nobody": f"{DROPPED}/malformed",
    "a message by no peer id": f"{DROPPED}/bad_key_id",
    "a message by 50 kB of peer id": f"{DROPPED}/malformed",
    "a message by an RSA peer id": f"{DROPPED}/bad_key_id",
    "a message without a number": f"{DROPPED}/malformed",
    "a message with a number of 1 kB": f"{DROPPED}/malformed",
    "a message without a signature": f"{DROPPED}/bad_signature",
    "a message with a wrong signature": f"{DROPPED}/bad_signature",
    "a message with a signature of 10 kB": f"{DROPPED}/bad_signature",
    "a message changed after signing": f"{DROPPED}/bad_signature",
    "a message moved to another topic": f"{DROPPED}/bad_signature",
    "a message with another's key": f"{DROPPED}/wrong_key",
    "a message with a key that is garbage": f"{DROPPED}/wrong_key",
    "a message in the victim's name": f"{DROPPED}/wrong_key",
    "messages by authors without a card": f"{DROPPED}/hold_full",
    "a message of 17 kB": f"{DROPPED}/oversized",
    "two thousand messages in a frame": f"{DROPPED}/malformed_rpc",
    "wrong signatures without end": f"{REFUSED}/offences",
    "fifty thousand control entries": f"{DROPPED}/malformed_rpc",
    "questions for cards of nobody": f"{DROPPED}/stream_failed",
}


@pytest.fixture(scope="module")
def village() -> Iterator[tuple[Hive, NodeProcess, NodeProcess]]:
    """A hive of two processes, victim and friend, for all cases."""
    hive = Hive()
    victim = NodeProcess(hive, 0)
    try:
        trio.run(until, lambda: victim.ready is not None)
        friend = NodeProcess(hive, 1, victim.ready["addresses"][0], topic="bzzz/echo")
        try:
            trio.run(until, lambda: friend.ready is not None)
            yield hive, victim, friend
        finally:
            friend.end()
    finally:
        victim.end()


def test_there_are_93_distinct_cases() -> None:
    assert len(CASES) == len(set(CASES)) == 93
    assert set(COUNTED) <= set(CASES)


@pytest.mark.parametrize("case", CASES)
async def test_the_process_survives_and_a_good_message_still_passes(
    case: str, village: tuple[Hive, NodeProcess, NodeProcess]
) -> None:
    hive, victim, friend = village
    address: str = victim.ready["addresses"][0]
    before = await victim.metrics()
    with trio.fail_after(40):
        if case in RAW:
            async with raw(address) as socket:
                await attack(RAW[case](socket))
                await good_message_passes(victim, friend, case)
        else:
            async with attacker(hive, 100 + CASES.index(case), address) as peer:
                await attack(STREAMED[case](peer))
                await good_message_passes(victim, friend, case)
    assert victim.alive, victim.errors.decode()
    assert "evil" not in victim.received(), "nothing of the attacker's was believed"
    if case in COUNTED:
        name = f"bzzz_mesh_{COUNTED[case]}"
        with trio.fail_after(30):
            while (await victim.metrics()).get(name, 0) <= before.get(name, 0):
                await trio.sleep(0.02)
    assert (await victim.metrics())["bzzz_mesh_handler_failures_total"] == 0, victim.errors.decode()


async def attack(attempt: Awaitable[Any]) -> None:
    """Do it; being cut off in the middle of it is how most attacks should end."""
    try:
        with trio.move_on_after(3):
            await attempt
    except* Exception:  # connection reset, stream reset, end of stream: the victim's answer
        pass


async def good_message_passes(victim: NodeProcess, friend: NodeProcess, case: str) -> None:
    """The friend is heard by the victim, and hears it."""
    text = f"good after {case}"
    friend.do("publish", topic="bzzz", data=text)
    with trio.fail_after(30):
        while text not in victim.received() or text not in friend.received():
            assert victim.alive, victim.errors.decode()
            await trio.sleep(0.01)


@asynccontextmanager
async def raw(address: str) -> AsyncIterator[trio.SocketStream]:
    _, _, host, _, port, *_ = address.split("/")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        yield stream
