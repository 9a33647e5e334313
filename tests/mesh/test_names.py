"""Addresses are parsed strictly and names resolved by us."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_mesh import AddressError
from bzzz_mesh.names import Address, resolve
from hmmm.envelope import SigningKey
from tests.mesh.support import seed_of

PEER = SigningKey.mesh(seed_of(1)).key_id

GOOD = [
    "/ip4/10.0.0.1/tcp/4001",
    f"/ip4/127.0.0.1/tcp/1/p2p/{PEER}",
    f"/ip6/::1/tcp/65535/p2p/{PEER}",
    "/dns4/bzzz-0.bzzz.default.svc/tcp/4001",
    f"/dns/localhost/tcp/4001/p2p/{PEER}",
    "/dns6/localhost/tcp/4001",
]
BAD = [
    "",
    "localhost:4001",
    "/ip4/10.0.0.1",
    "/ip4/10.0.0.256/tcp/1",
    "/ip4/::1/tcp/1",
    "/ip6/10.0.0.1/tcp/1",
    "/ip4/10.0.0.1/udp/1",
    "/ip4/10.0.0.1/tcp/0",
    "/ip4/10.0.0.1/tcp/65536",
    "/ip4/10.0.0.1/tcp/-1",
    "/ip4/10.0.0.1/tcp/١",
    "/dns4//tcp/1",
    "/dnsaddr/bootstrap.libp2p.io/tcp/1",
    "/ip4/10.0.0.1/tcp/1/quic-v1",
    "/ip4/10.0.0.1/tcp/1/p2p/QmNotEd25519",
    f"/ip4/10.0.0.1/tcp/1/p2p/{PEER}/p2p-circuit",
    "/dns4/" + "a" * 600 + "/tcp/1",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_address_comes_out_as_it_went_in(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("text", BAD)
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(text)


@given(st.text(alphabet="/ip46dnstcp2a.:019Q", max_size=60))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    with suppress(AddressError):
        assert str(Address.parse(text)) == text


async def test_an_ip_address_is_its_own_resolution() -> None:
    address = Address.parse(f"/ip4/10.0.0.1/tcp/4001/p2p/{PEER}")
    assert await resolve(address, 1) == [address]


async def test_a_name_becomes_ip_addresses_of_the_kind_asked_for() -> None:
    found = await resolve(Address.parse(f"/dns4/localhost/tcp/4001/p2p/{PEER}"), 5)
    assert found == [Address("ip4", "127.0.0.1", 4001, PEER)]


async def test_an_unknown_name_is_an_address_error() -> None:
    with pytest.raises(AddressError, match=r"nobody\.invalid"):
        await resolve(Address.parse("/dns4/nobody.invalid/tcp/1"), 5)
