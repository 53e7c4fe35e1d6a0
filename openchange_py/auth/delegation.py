"""Acting for a client elsewhere with Kerberos: [MS-SFU], RFC 4120 2.8 (forwarded tickets).

Three ways, of which the KDC's administrator allows none, some or all: the TGT that the client forwarded; his own ticket
for this server as evidence (S4U2proxy, "Kerberos only"); a ticket that this server asks for itself in his name
(S4U2self, then S4U2proxy, "any protocol"). Not done: other realms than this server's own.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
import time
from pathlib import Path
from typing import Any, Final

from openchange_py.auth.kerberos import mechanism
from openchange_py.auth.kerberos_initiator import InitiatorCredential, KerberosCredential
from openchange_py.auth.krb5 import CredentialCache, Received, ServiceTicket, evidence_cache, initial_ticket
from openchange_py.rpc.security import SecurityError

try:
    import gssapi
    from gssapi import raw as gss
except ImportError:  # as in `kerberos`
    gssapi = gss = None

logger = logging.getLogger(__name__)

#: Seconds: the service's own TGT is renewed so long before it expires.
_MARGIN: Final = 300
#: RFC 1964 2.1.3: what separates a name's components, escaped inside one.
_SEPARATORS: Final = re.compile(r"([\\/@])")


def user_principal(account: str, realm: str) -> str:
    """`account@REALM`, whatever characters are in the account's name."""
    return _SEPARATORS.sub(r"\\\1", account) + "@" + realm


@dataclasses.dataclass(slots=True, eq=False)
class DelegatedTickets:
    """What a client's Kerberos logon brought: his ticket for this server, and the TGT that he forwarded."""

    ticket: ServiceTicket
    forwarded: CredentialCache | None
    claimed: bool = False

    @classmethod
    def of(cls, received: Received) -> DelegatedTickets:
        """Of an AP-REQ."""
        return cls(received.ticket, received.forwarded)

    @property
    def principal(self) -> str:
        """Whose they are, `alice@EXAMPLE.TEST`."""
        return self.ticket.client

    def close(self) -> None:
        """Wipe the forwarded TGT."""
        if self.forwarded is not None:
            self.forwarded.close()


@dataclasses.dataclass(frozen=True, slots=True)
class CachedTickets:
    """The credential of who has tickets in a cache; keeps the cache."""

    cache: CredentialCache

    def acquire(self) -> Any:
        """See `InitiatorCredential.acquire`."""
        if self.cache.closed:
            raise SecurityError(f"the session of {self.cache.client} is over")
        return KerberosCredential(ccache=self.cache.name).acquire()


@dataclasses.dataclass(frozen=True, slots=True)
class _Impersonated:
    """The credential of a client that this server names to the KDC: S4U2self, [MS-SFU] 3.1.5.1.1."""

    service: ServiceLogon
    principal: str

    def acquire(self) -> Any:
        """See `InitiatorCredential.acquire`."""
        tickets = self.service.tickets()
        store = {b"ccache": tickets.name.encode(), b"keytab": b"FILE:" + str(self.service.keytab).encode()}
        try:
            own = gss.acquire_cred_from(store, _name(tickets.client), mechs=[mechanism()], usage="both").creds
            return gss.acquire_cred_impersonate_name(
                own, _name(self.principal), mechs=[mechanism()], usage="initiate"
            ).creds
        except gss.GSSError as error:
            raise SecurityError(f"S4U2self for {self.principal}: {error}") from error


class _Evidence:
    """The credential of a client who came with a ticket: S4U2proxy, [MS-SFU] 3.1.5.2.1."""

    def __init__(self, service: ServiceLogon, ticket: ServiceTicket) -> None:
        self._service = service
        self._ticket = ticket
        #: Kept, as the tickets are gone without it.
        self._tickets: CachedTickets | None = None

    def acquire(self) -> Any:
        """See `InitiatorCredential.acquire`."""
        if not self._ticket.forwardable:
            raise SecurityError(f"the ticket of {self._ticket.client} for this server is not forwardable")
        self._tickets = CachedTickets(evidence_cache(self._ticket, self._service.tickets()))
        return self._tickets.acquire()


class ServiceLogon:
    """This server's own logon at the KDC, with its keytab: who constrained delegation is granted to."""

    def __init__(self, keytab: Path, principal: str) -> None:
        self.keytab = keytab
        self.principal = principal
        self._tickets: CredentialCache | None = None
        self._renew_at = 0.0
        self._guard = threading.Lock()

    def tickets(self) -> CredentialCache:
        """Its TGT, asked for again before it expires. Raises `SecurityError`. May block; safe from several threads."""
        with self._guard:
            if self._tickets is None or time.time() >= self._renew_at:
                ticket = initial_ticket(self.principal, self.keytab)
                self._tickets, self._renew_at = ticket.cache, ticket.end_time - _MARGIN
                logger.info("tickets of %s until %s", self.principal, time.ctime(ticket.end_time))
            return self._tickets

    def constrained(self, ticket: ServiceTicket) -> InitiatorCredential:
        """The credential of a client who logged on with this ticket."""
        return _Evidence(self, ticket)

    def impersonated(self, principal: str) -> InitiatorCredential:
        """The credential of a client of the realm who proved to be `principal` by other means."""
        return _Impersonated(self, principal)


def _name(principal: str) -> Any:
    return gssapi.Name(principal, gssapi.NameType.kerberos_principal)
