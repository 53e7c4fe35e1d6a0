"""What a user's client is told: who the user is, and how it reaches his mailbox here.

Where mailboxes are relayed, all that leads a client anywhere names this server, which is the way to them: one that was
told the upstream's names would go past it. The server's distinguished name is what address book and referrals show.

Any authenticated account may ask for any address that the address book shows, as with Exchange: clients ask so for
mailboxes that they were given access to. Who is hidden from it is found by himself and by who may open his mailbox.

Not done: accounts that this server's directory has not are unknown; a relay with `delegated_auth` may serve them.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import uuid
from collections.abc import Callable
from typing import Final

from openchange_py.addressbook.base import Directory, DisplayType, Entry, may_open_mailbox
from openchange_py.addressbook.hosts import host_of
from openchange_py.addressbook.recipients import home_mdb
from openchange_py.auth.identity import caller_entry
from openchange_py.rpc.security import Identity

#: What becomes DeploymentIds together with the organization's name, so that all its servers say the same.
_DEPLOYMENTS: Final = uuid.UUID("5d0d4d1c-6a5f-4f7e-9d07-3d6d6a1b7f52")

#: The server version that clients see: what `EcDoConnectEx` says.
VERSION: Final = (14, 0, 722, 0)

#: What becomes names of mailboxes of which nobody tells the GUID here, together with their owners' distinguished names.
_MAILBOXES: Final = uuid.UUID("0f6c1f0a-4a52-4e19-8a3b-6b7a9c1d2e57")

_SMTP_ADDRESS: Final = re.compile(r"[^\s@<>\x00-\x1f\x7f]{1,64}@[^\s@<>\x00-\x1f\x7f]{1,255}")


class Problem(enum.Enum):
    """Why there are no settings for a user."""

    UNKNOWN = "The e-mail address cannot be found."
    NO_MAILBOX = "The e-mail address has no mailbox."


class NoSettings(Exception):
    """There is nothing to tell of this user."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """What a server offers to whom it is found by."""

    netbios: str
    #: How clients inside of the organization's network, and those outside, call this server.
    internal_host: str
    external_host: str
    #: Where HTTPS is, for this server's clients.
    https_port: int = 443
    mapi_http: bool = False
    rpc_http: bool = False
    rpc_tcp: bool = True
    #: How clients may say who they are over HTTP: "negotiate", "ntlm", "basic", in the order of preference.
    authentication: tuple[str, ...] = ("negotiate", "ntlm", "basic")
    #: Mailboxes are another server's, and this one is the way to it.
    relays: bool = False
    #: Clients see this server's name in place of every other one's, as in the address book.
    hides_servers: bool = False
    #: Of an ActiveSync server that is none of this program's; "" for none.
    activesync_url: str = ""
    mail_domain: str = ""

    def url(self, host: str, path: str) -> str:
        """`https://HOST/PATH`, with the port where it is not the usual one."""
        return f"https://{host}{path}" if self.https_port == 443 else f"https://{host}:{self.https_port}{path}"


@dataclasses.dataclass(frozen=True, slots=True)
class Mailbox:
    """A user, and where his mailbox is."""

    smtp_address: str
    display_name: str
    legacy_dn: str
    deployment_id: str
    #: What names the mailbox in URLs: its GUID at its mail domain.
    mailbox_id: str
    server_dn: str
    mdb_dn: str


@dataclasses.dataclass(frozen=True, slots=True)
class Redirect:
    """Ask again: for another address, or another server."""

    address: str = ""
    host: str = ""


def is_smtp_address(text: str) -> bool:
    """Whether it looks like one."""
    return _SMTP_ADDRESS.fullmatch(text) is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a mailbox whom only the server relayed to knows."""

    smtp_address: str
    display_name: str
    legacy_dn: str


#: Asks the server relayed to, on behalf of a caller, for who has a mail address or distinguished name; None where
#: nobody does. Raises `DirectoryError`. May block.
AskUpstream = Callable[[Identity, str], Person | None]


class Finder:
    """Looks users up in the directory, and where it does not know them, on a relay, in the one that is relayed to."""

    def __init__(self, directory: Directory, offer: Offer, ask_upstream: AskUpstream | None = None) -> None:
        self._directory = directory
        self._offer = offer
        self._ask_upstream = ask_upstream

    def find(self, caller: Identity, address: str, legacy_dn: str = "") -> Mailbox | Redirect:
        """By mail address, or where one is given, by distinguished name ([MS-OXDSCLI] 3.2.5).

        Raises `NoSettings`, `DirectoryError`.
        """
        entry = self._visible(caller, address, legacy_dn)
        if entry is None:
            return self._upstream_mailbox(caller, address, legacy_dn)
        return self._redirect(entry) or self._mailbox(entry)

    def _visible(self, caller: Identity, address: str, legacy_dn: str) -> Entry | None:
        entry = None
        if legacy_dn:
            entry = self._directory.by_legacy_dn(legacy_dn)
        elif is_smtp_address(address):
            entry = self._directory.by_address(address)
        if entry is None or not entry.is_hidden:
            return entry
        own = caller_entry(self._directory, caller)
        if own is not None and may_open_mailbox(self._directory, own, entry):
            return entry
        raise NoSettings(Problem.UNKNOWN)

    def _upstream_mailbox(self, caller: Identity, address: str, legacy_dn: str) -> Mailbox:
        """Of who is in the address book of the server relayed to alone: this one is the way to it."""
        person = None
        if self._offer.relays and self._ask_upstream is not None and (legacy_dn or is_smtp_address(address)):
            person = self._ask_upstream(caller, legacy_dn or address)
        if person is None:
            raise NoSettings(Problem.UNKNOWN)
        mailbox = uuid.uuid5(_MAILBOXES, person.legacy_dn.casefold())
        return self._described(person.smtp_address, person.display_name, person.legacy_dn, mailbox, self._own_dn())

    def _redirect(self, entry: Entry) -> Redirect | None:
        """A mailbox that is in another organization, or on another server that clients reach by itself."""
        kind, _, target = (entry.first("targetAddress") or "").rpartition(":")
        if kind.casefold() in ("smtp", "") and is_smtp_address(target) and not _is_of(entry, target):
            return Redirect(address=target)
        home = entry.first("msExchHomeServerName") or ""
        if self._offer.relays or not home or home.casefold() == self._own_dn().casefold():
            return None
        server = self._directory.by_legacy_dn(home)
        host = host_of(server) if server is not None else ""
        if not host or host == self._offer.internal_host.casefold():
            return None
        return Redirect(host=host)

    def _mailbox(self, entry: Entry) -> Mailbox:
        guid = entry.mailbox_guid
        if guid is None and self._offer.relays and entry.account and entry.display_type is DisplayType.MAILUSER:
            # The mailbox is on the server relayed to, whose directory may be another one; the name is of use here only.
            guid = entry.guid
        address = entry.smtp_address
        if guid is None or not address or not entry.legacy_exchange_dn:
            raise NoSettings(Problem.NO_MAILBOX)
        home = None if self._offer.hides_servers else entry.first("msExchHomeServerName")
        return self._described(address, entry.display_name, entry.legacy_exchange_dn, guid, home or self._own_dn())

    def _described(self, address: str, display_name: str, legacy_dn: str, guid: uuid.UUID, server_dn: str) -> Mailbox:
        return Mailbox(
            smtp_address=address,
            display_name=display_name,
            legacy_dn=legacy_dn,
            deployment_id=str(uuid.uuid5(_DEPLOYMENTS, self._directory.organization().name.casefold())),
            mailbox_id=f"{guid}@{address.rpartition('@')[2]}",
            server_dn=server_dn,
            mdb_dn=home_mdb(server_dn),
        )

    def _own_dn(self) -> str:
        return self._directory.organization().server_dn(self._offer.netbios)


def _is_of(entry: Entry, address: str) -> bool:
    """Whether an address is one of the entry's own; a client would ask for it again and again."""
    own = {known.casefold().removeprefix("smtp:") for known in entry.all("proxyAddresses")}
    return address.casefold() in own
