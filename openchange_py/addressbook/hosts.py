"""Where clients reach the servers of an organization: their `networkAddress`, or this server's own names."""

from __future__ import annotations

import dataclasses
import re

from openchange_py.addressbook.base import Entry, Kind

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")


def host_of(server: Entry) -> str:
    """What the directory says (`ncacn_ip_tcp:HOST`), in lower case; empty where it says nothing of use."""
    for address in server.all("networkAddress"):
        sequence, _, host = address.partition(":")
        if sequence.casefold() == "ncacn_ip_tcp" and _HOST.fullmatch(host):
            return host.casefold()
    return ""


@dataclasses.dataclass(frozen=True, slots=True)
class OwnNames:
    """How this server names itself. `relays`: it stands in front of others and is the way to all of them."""

    netbios: str
    fqdn: str
    #: Named pipes are served too.
    pipes: bool = False
    relays: bool = False

    def is_me(self, server: Entry) -> bool:
        """Whether a server of the directory is this one."""
        name = server.first("cn") or server.legacy_exchange_dn.rpartition("=")[2]
        return name.casefold() == self.netbios.casefold()

    def leads_to(self, server: Entry) -> bool:
        """Whether clients come here for a server: it is this one, or it is reached by way of it, or nowhere else."""
        return self.relays or self.is_me(server) or not host_of(server)

    def host(self, server: Entry) -> str:
        """The host that clients reach a server at."""
        return self.fqdn if self.leads_to(server) else host_of(server)

    def network_addresses(self, server: Entry) -> list[str]:
        """[MS-OXOABK] 2.2.5.1; of this server only bindings that it serves."""
        if not self.leads_to(server):
            return server.all("networkAddress")
        pipes = [f"ncacn_np:{self.netbios}"] if self.pipes else []
        return [f"netbios:{self.netbios}", f"ncacn_ip_tcp:{self.fqdn}", *pipes]


def is_server(entry: Entry) -> bool:
    """Whether an entry is an Exchange server."""
    return entry.kind == Kind.SERVER
