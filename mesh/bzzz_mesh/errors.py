"""What can go wrong on the mesh, by who can do something about it."""

from __future__ import annotations

from hmmm.errors import BzzzError


class MeshError(BzzzError):
    """Root of the mesh's errors."""


class AddressError(MeshError):
    """An address that is not a multiaddr this mesh can dial: `/ip4|ip6|dns|dns4|dns6/…/tcp/…[/p2p/…]`."""


class ListenError(MeshError):
    """The listening address cannot be used: taken by another process, or not this machine's."""


class MessageTooLargeError(MeshError):
    """A message above the cap of 16 KiB (architecture §5); nothing was sent."""


class TopicError(MeshError):
    """A topic name that is empty, too long or not printable ASCII."""


class ClosedMeshError(MeshError):
    """The mesh was left; nothing was sent."""


class RefusedExchangeError(MeshError):
    """A peer that did not show a valid card in time, or broke the membership protocol.

    `reason` is a constant word: a metric's label, and the key under which the first offence is logged.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
