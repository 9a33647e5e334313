"""Somebody who means harm: raw sockets, a real Noise and Yamux handshake, and bytes where they hurt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed
from multiaddr import Multiaddr

from bzzz_mesh.framing import frame, read_frame
from bzzz_mesh.host import build_host
from bzzz_mesh.muxer import abort
from bzzz_mesh.remedies import install
from bzzz_mesh.settings import MEMBERSHIP_PROTOCOL, PRESENCE_PROTOCOL, MeshSettings
from hmmm.envelope import SigningKey
from hmmm.membership import MAX_CARD_BYTES, MAX_REVOCATIONS_BYTES
from tests.mesh.support import Hive, seed_of

GOSSIP = "/meshsub/1.1.0"


class Attacker:
    """A peer with a key of its own and a connection to the victim; a member if it shows its card."""

    def __init__(self, hive: Hive, number: int, host: BasicHost, victim: str) -> None:
        self.hive = hive
        self.number = number
        self.host = host
        self.key = SigningKey.mesh(seed_of(number))
        self.address = Multiaddr(victim.split("/p2p/")[0])
        self.victim = ID.from_string(victim.split("/p2p/")[1])
        self.sequence = 0

    async def connect(self) -> None:
        await self.host.connect(PeerInfo(self.victim, [self.address]))

    @property
    def connection(self) -> Any:
        """The Yamux connection."""
        return self.host.get_network().get_connections(self.victim)[0].muxed_conn

    async def cut_off(self) -> None:
        """Wait until the victim closes the connection."""
        while self.host.get_network().get_connections(self.victim):
            await trio.sleep(0.02)

    async def stream(self, protocol: str) -> INetStream:
        return await self.host.new_stream(self.victim, [TProtocol(protocol)])

    async def show(self, card: bytes | None = None, revocations: bytes = b"") -> None:
        """Do the membership exchange, with the card given or a good one."""
        stream = await self.stream(MEMBERSHIP_PROTOCOL)
        card = self.hive.card(self.number) if card is None else card
        await stream.write(frame(card) + frame(revocations))
        await read_frame(stream, MAX_CARD_BYTES)
        await read_frame(stream, MAX_REVOCATIONS_BYTES)

    async def gossip(self) -> INetStream:
        """Become a member and open a gossip stream."""
        await self.show()
        return await self.stream(GOSSIP)

    async def send(self, *rpcs: rpc_pb2.RPC) -> INetStream:
        stream = await self.gossip()
        for rpc in rpcs:
            await stream.write(encode_varint_prefixed(rpc.SerializeToString()))
        return stream

    def message(self, data: bytes = b"evil", signed: bool = True, **changes: Any) -> rpc_pb2.Message:
        """A message on `bzzz` by this peer; fields may be changed before or (with `after_`) after signing."""
        after = {name.removeprefix("after_"): changes.pop(name) for name in list(changes) if "after_" in name}
        self.sequence += 1
        fields: dict[str, Any] = {
            "data": data,
            "topicIDs": ["bzzz"],
            "from_id": self.host.get_id().to_bytes(),
            "seqno": self.sequence.to_bytes(8, "big"),
        }
        message = rpc_pb2.Message(**fields | changes)
        if signed:
            message.signature = self.key.private.sign(b"libp2p-pubsub:" + message.SerializeToString())
            message.key = self.host.get_public_key().serialize()
        for name, value in after.items():
            message.ClearField(name)
            if name == "topicIDs":
                message.topicIDs.extend(value)
            else:
                setattr(message, name, value)
        return message


async def swallow(stream: INetStream) -> None:
    """Accept a stream of the victim and read it to the end."""
    while await stream.read(4096):
        pass


@asynccontextmanager
async def attacker(hive: Hive, number: int, victim: str, *, connect: bool = True) -> AsyncIterator[Attacker]:
    install()
    host = build_host(MeshSettings(seed=seed_of(number)))
    for protocol in (GOSSIP, PRESENCE_PROTOCOL):
        host.set_stream_handler(TProtocol(protocol), swallow)
    async with host.run([]):
        found = Attacker(hive, number, host, victim)
        if connect:
            with trio.fail_after(5):
                await found.connect()
        try:
            yield found
        finally:
            for connection in host.get_network().get_connections():
                await abort(connection)
