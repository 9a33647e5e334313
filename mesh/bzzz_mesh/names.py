"""Addresses: parsed strictly, and names resolved here.

py-libp2p 0.8.1 cannot dial `/dns4/…`: `host.connect` fails. So names are looked up with trio's resolver at each
attempt (a restarted pod has a new IP) and `/ip4` or `/ip6` is dialled.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

import trio

from bzzz_mesh.errors import AddressError
from hmmm.envelope import public_key_of
from hmmm.errors import SignatureError, excerpt

MAX_ADDRESS_CHARACTERS: Final = 512
MAX_RESOLVED: Final = 8
"""Addresses of one name that are tried in a round."""

_FAMILIES: Final = {
    "dns": trio.socket.AF_UNSPEC,
    "dns4": trio.socket.AF_INET,
    "dns6": trio.socket.AF_INET6,
}
_EXPECTED: Final = "expected /ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT[/p2p/PEER]"


@dataclass(frozen=True)
class Address:
    """Where a peer listens: a TCP port at an IP or a name; whose it is may be part of it."""

    kind: str
    host: str
    port: int
    peer_id: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse a multiaddr.

        Raises AddressError for what this mesh cannot dial.
        """
        parts = text.split("/") if len(text) <= MAX_ADDRESS_CHARACTERS else []
        if len(parts) not in (5, 7) or parts[0] != "" or parts[3] != "tcp" or not parts[2]:
            raise AddressError(f"address {excerpt(text)}: {_EXPECTED}")
        kind, host, port = parts[1], parts[2], parts[4]
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
            raise AddressError(
                f"address {excerpt(text)}: expected a port from 1 to 65535, got {excerpt(port)}"
            )
        if kind not in _FAMILIES:
            _check_ip(text, kind, host)
        peer_id = None
        if len(parts) == 7:
            if parts[5] != "p2p":
                raise AddressError(f"address {excerpt(text)}: {_EXPECTED}")
            peer_id = parts[6]
            check_peer_id(peer_id)
        return cls(kind, host, int(port), peer_id)

    def __str__(self) -> str:
        end = "" if self.peer_id is None else f"/p2p/{self.peer_id}"
        return f"/{self.kind}/{self.host}/tcp/{self.port}{end}"

    @property
    def transport(self) -> str:
        """The address without the peer id."""
        return f"/{self.kind}/{self.host}/tcp/{self.port}"


def check_peer_id(peer_id: str) -> None:
    """Check that a peer id is that of an Ed25519 key, as every member's is.

    Raises AddressError.
    """
    try:
        public_key_of(peer_id)
    except SignatureError as error:
        raise AddressError(f"peer id {excerpt(peer_id)}: expected an Ed25519 key's") from error


async def resolve(address: Address, timeout: float) -> list[Address]:
    """Return the IP addresses behind an address, in the resolver's order, none twice.

    Raises AddressError when the name is not known within `timeout` seconds.
    """
    family = _FAMILIES.get(address.kind)
    if family is None:
        return [address]
    try:
        with trio.fail_after(timeout):
            found = await trio.socket.getaddrinfo(address.host, address.port, family, trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError, trio.TooSlowError) as error:
        raise AddressError(
            f"name {excerpt(address.host)}: expected an address within {timeout:g} s, got {excerpt(repr(error))}"
        ) from error
    resolved: dict[Address, None] = {}
    for kind, _, _, _, place in found[:MAX_RESOLVED]:
        ip = "ip4" if kind == trio.socket.AF_INET else "ip6"
        resolved[Address(ip, str(place[0]), address.port, address.peer_id)] = None
    return list(resolved)


def _check_ip(text: str, kind: str, host: str) -> None:
    versions = {"ip4": 4, "ip6": 6}
    try:
        fits = ipaddress.ip_address(host).version == versions.get(kind)
    except ValueError:
        fits = False
    if not fits:
        raise AddressError(f"address {excerpt(text)}: {_EXPECTED}")
