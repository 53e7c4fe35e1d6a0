"""Peers by name and address."""

from __future__ import annotations

import pytest

from openchange_py.rpc.peers import address_of, network_of, peer_name


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("10.0.0.1:1234", "10.0.0.1"),
        ("[::1]:1234", "::1"),
        ("::1", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("host:", "host:"),
        ("", ""),
    ],
)
def test_address_of(peer: str, address: str) -> None:
    assert address_of(peer) == address


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "2001:db8::1", "fe80::1%eth0"])
def test_a_name_can_be_taken_apart(host: str) -> None:
    assert address_of(peer_name(host, 1234)) == host


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket", "a socket"),
        ("", ""),
    ],
)
def test_what_one_client_has(address: str, network: str) -> None:
    assert network_of(address) == network
