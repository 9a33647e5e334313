"""Somebody at an agent's mesh port who does not belong there; runs in the agent's image, prints JSON.

Reads JSON from standard input: `victim` (`/ip4/…/tcp/…`), `peer` (its peer id), `seed` (hex), `card` (base64 or null:
none is shown), `marks` (how many messages to force upon it). Says whether the connection stood, how many bytes of
gossip came back, whether the victim ended it and after how many seconds.
"""

from __future__ import annotations

import base64
import json
import sys
import time

import trio
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed
from multiaddr import Multiaddr

from bzzz_mesh.framing import frame
from bzzz_mesh.host import build_host
from bzzz_mesh.muxer import abort
from bzzz_mesh.remedies import install
from bzzz_mesh.settings import MEMBERSHIP_PROTOCOL, PRESENCE_PROTOCOL, MeshSettings
from hmmm.envelope import SigningKey

GOSSIP = "/meshsub/1.1.0"
PATIENCE_S = 20.0


async def main() -> None:
    order = json.load(sys.stdin)
    install()
    seed = bytes.fromhex(order["seed"])
    host = build_host(MeshSettings(seed=seed))
    victim, heard = ID.from_string(order["peer"]), 0

    async def listen(stream) -> None:
        nonlocal heard
        while got := await stream.read(4096):
            heard += len(got)

    for protocol in (GOSSIP, PRESENCE_PROTOCOL):
        host.set_stream_handler(TProtocol(protocol), listen)
    async with host.run([]):
        with trio.fail_after(10):
            await host.connect(PeerInfo(victim, [Multiaddr(order["victim"])]))
        network, since = host.get_network(), time.monotonic()
        connected = bool(network.get_connections(victim))
        try:
            with trio.move_on_after(PATIENCE_S):
                if order["card"] is not None:
                    stream = await host.new_stream(victim, [TProtocol(MEMBERSHIP_PROTOCOL)])
                    await stream.write(frame(base64.b64decode(order["card"])) + frame(b""))
                stream = await host.new_stream(victim, [TProtocol(GOSSIP)])
                for number in range(order["marks"]):
                    rpc = rpc_pb2.RPC(publish=[message(host, seed, number)])
                    await stream.write(encode_varint_prefixed(rpc.SerializeToString()))
        except Exception as error:  # the victim's refusal, in whatever shape the library gives it
            print(repr(error), file=sys.stderr)
        with trio.move_on_after(PATIENCE_S):
            while network.get_connections(victim):
                await trio.sleep(0.02)
        found = {
            "connected": connected,
            "heard": heard,
            "ended": not network.get_connections(victim),
            "after": time.monotonic() - since,
        }
        print(json.dumps(found), flush=True)
        for connection in network.get_connections():
            await abort(connection)


def message(host, seed: bytes, number: int) -> rpc_pb2.Message:
    """A message as a member would send it, signed by this key."""
    made = rpc_pb2.Message(
        data=b"forced", topicIDs=["bzzz"], from_id=host.get_id().to_bytes(), seqno=number.to_bytes(8, "big")
    )
    made.signature = SigningKey.mesh(seed).private.sign(b"libp2p-pubsub:" + made.SerializeToString())
    made.key = host.get_public_key().serialize()
    return made


trio.run(main)
