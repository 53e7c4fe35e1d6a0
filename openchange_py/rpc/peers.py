"""How a peer is called, in the log and where something is counted per address: `10.0.0.1:1234`, `[::1]:1234`."""

from __future__ import annotations

import ipaddress
from typing import Final

#: An IPv6 customer has this prefix for himself: its addresses are one.
_IPV6_PREFIX: Final = 64


def peer_name(host: str, port: int) -> str:
    """Address and port as one text, which `address_of` takes apart again."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(peer: str) -> str:
    """`10.0.0.1:1234` or `[::1]:1234` without the port."""
    host, colon, port = peer.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        return host.strip("[]")
    return peer


def network_of(address: str) -> str:
    """What one client has: an IPv4 address, or a prefix of IPv6; what is neither stays as it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
