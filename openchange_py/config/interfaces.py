"""Which addresses to listen on: `interfaces` and `bind interfaces only`, as Samba reads them.

An entry is an address, a network (`192.0.2.0/24`: this machine's addresses in it), or a network interface's
name, in which `*` and `?` match.
"""

from __future__ import annotations

import fcntl
import fnmatch
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from openchange_py.config import declared
from openchange_py.config.settings import Settings

#: ioctl(2) SIOCGIFADDR and the size of struct ifreq.
_SIOCGIFADDR, _IFREQ_SIZE = 0x8915, 40

Addresses = Mapping[str, Sequence[str]]


def listen_addresses(settings: Settings) -> list[str]:
    """The addresses to bind to; `ConfigError` where `interfaces` names none of this machine's."""
    if not settings[declared.BIND_INTERFACES_ONLY]:
        return ["0.0.0.0", "::"] if _has_ipv6() else ["0.0.0.0"]  # noqa: S104  the user chose no address
    entries = settings[declared.INTERFACES]
    if not entries:
        raise settings.error(declared.BIND_INTERFACES_ONLY, f"needs {declared.INTERFACES.name}")
    found: dict[str, None] = {}
    local = local_addresses()
    for entry in entries:
        addresses = addresses_of(entry, local)
        if not addresses:
            raise settings.error(declared.INTERFACES, f"{entry!r} is no address or interface of this machine")
        found.update(dict.fromkeys(addresses))
    return list(found)


def addresses_of(entry: str, local: Addresses) -> list[str]:
    """What one entry of `interfaces` stands for, given this machine's addresses."""
    try:
        interface = ipaddress.ip_interface(entry)
    except ValueError:
        matching = [name for name in local if fnmatch.fnmatchcase(name, entry)]
        return [address for name in matching for address in local[name]]
    network = interface.network
    if network.num_addresses == 1 or interface.ip != network.network_address:
        return [str(interface.ip)]
    everything = [address for addresses in local.values() for address in addresses]
    return [address for address in everything if ipaddress.ip_address(address) in network]


def local_addresses() -> dict[str, list[str]]:
    """The addresses of this machine's network interfaces, by the interface's name."""
    found: dict[str, list[str]] = {name: [] for _, name in socket.if_nameindex()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name in found:
            request = name.encode()[:15].ljust(_IFREQ_SIZE, b"\0")
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an IPv4 address
            found[name].append(socket.inet_ntoa(answer[20:24]))
    for name, address in _ipv6_addresses():
        found.setdefault(name, []).append(address)
    return found


def _ipv6_addresses(table: Path = Path("/proc/net/if_inet6")) -> list[tuple[str, str]]:
    """Interface and address; link-local addresses are left out, they can't be bound to without a scope."""
    if not table.exists():
        return []
    rows = [line.split() for line in table.read_text("ascii").splitlines()]
    pairs = [(row[5], ipaddress.IPv6Address(bytes.fromhex(row[0]))) for row in rows]
    return [(name, str(address)) for name, address in pairs if not address.is_link_local]


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
