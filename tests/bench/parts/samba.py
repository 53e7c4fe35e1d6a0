"""Samba's own generic relay, `dcerpc_remote`, in front of the benchmark's upstream.

It relays interfaces that Samba knows, decoded and made anew: rpcecho, then. The server that it is part of starts as a
domain controller only, of which nothing else runs here; clients log on with an account of its own domain.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.security import AuthLevel, SecurityContext
from openchange_py.transports.epmapper import EPMAPPER_PORT, ept_map
from tests.bench.parts import people
from tests.bench.parts.calls import RPCECHO
from tests.interop import samba_dc

_FLAGS = {AuthLevel.CONNECT: "connect", AuthLevel.INTEGRITY: "sign", AuthLevel.PRIVACY: "seal"}


def missing() -> str:
    """Why there can be no such relay here; "" where there can."""
    return samba_dc.missing()


@contextlib.contextmanager
def relay(upstream: int, level: AuthLevel, place: Path) -> Iterator[str]:
    """The relay in front of the port; the address where its endpoint mapper is."""
    options = {
        "server services": "rpc",
        "dcerpc endpoint servers": "epmapper, remote",
        "dcerpc_remote:interfaces": RPCECHO.name,
        "dcerpc_remote:binding": f"ncacn_ip_tcp:127.0.0.1[{upstream},{_FLAGS[level]}]",
        "dcerpc_remote:user": people.RELAY,
        "dcerpc_remote:password": people.PASSWORD,
        "dcerpc_remote:domain": people.DOMAIN,
        "dceprc_remote:domain": people.DOMAIN,  # what Samba really asks for
        "client use kerberos": "off",
        "allow dcerpc auth level connect": "yes",
    }
    place.mkdir()
    with samba_dc.running_dc(place, samba_dc.own_address(96 + level), options) as running:
        yield running.address


async def port_of(address: str) -> int:
    """Where the relay has its interface."""
    return await ept_map(address, EPMAPPER_PORT, RPCECHO)


def context(level: AuthLevel) -> SecurityContext:
    """A client's side of a logon at the relay."""
    credential = NtlmCredential.from_password("alice", samba_dc.WORKGROUP, samba_dc.PASSWORD)
    return NtlmInitiator(credential, level=level)
