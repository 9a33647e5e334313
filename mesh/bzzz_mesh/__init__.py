"""py-libp2p made dependable: host, pub/sub, membership, addresses, presence. A trio library.

    settings = MeshSettings(seed=seed, listen="/ip4/0.0.0.0/tcp/4001",
                            bootstrap=("/dns4/bzzz-1.bzzz/tcp/4001/p2p/12D3Koo…",))
    async with bzzz_mesh.join(settings, Roster("local", hive_key, own_card), CollectorRegistry()) as mesh:
        async with mesh.subscribe("bzzz") as subscription:
            await mesh.publish("bzzz", b"hello")
            async for received in subscription:
                print(received.author, received.data)

What it promises, what it does not, and the reason of each setting: docs/mesh.md.
"""

from bzzz_mesh.directory import Directory, DirectoryError, Member, Members, read_members
from bzzz_mesh.errors import (
    AddressError,
    ClosedMeshError,
    ListenError,
    MeshError,
    MessageTooLargeError,
    TopicError,
)
from bzzz_mesh.mesh import Mesh, PeerStatus, join
from bzzz_mesh.settings import GossipSettings, LimitSettings, MeshSettings, TimeoutSettings
from bzzz_mesh.subscriptions import Received, Subscription

__all__ = [
    "AddressError",
    "ClosedMeshError",
    "Directory",
    "DirectoryError",
    "GossipSettings",
    "LimitSettings",
    "ListenError",
    "Member",
    "Members",
    "Mesh",
    "MeshError",
    "MeshSettings",
    "MessageTooLargeError",
    "PeerStatus",
    "Received",
    "Subscription",
    "TimeoutSettings",
    "TopicError",
    "join",
    "read_members",
]
