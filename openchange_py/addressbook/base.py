"""The directory's interface: people, groups and containers with their Exchange attributes.

Servers, relay and commands know a directory only through `Directory`. `embedded.py` keeps it in SQL,
`ldap.py` will read it from LDAP. Attributes carry their LDAP names.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import NewType, Protocol

#: [MS-OXNSPI] 2.2.9.1: a number for an object that stays the same across sessions, restarts and processes.
MinimalEntryId = NewType("MinimalEntryId", int)

#: The container id of the Global Address List in a STAT ([MS-OXNSPI] 2.3.7).
GLOBAL_ADDRESS_LIST = MinimalEntryId(0)

AttributeValue = str | bytes
Attributes = Mapping[str, Sequence[AttributeValue]]


class DisplayType(enum.IntEnum):
    """[MS-OXNSPI] 2.2.1.3 (display types)."""

    MAILUSER = 0x00000000
    DISTLIST = 0x00000001
    FORUM = 0x00000002
    AGENT = 0x00000003
    ORGANIZATION = 0x00000004
    PRIVATE_DISTLIST = 0x00000005
    REMOTE_MAILUSER = 0x00000006
    CONTAINER = 0x00000100
    TEMPLATE = 0x00000101
    ADDRESS_TEMPLATE = 0x00000102
    SEARCH = 0x00000200


class DirectoryError(Exception):
    """The directory cannot do what was asked; the message says why, for a person."""


class NoSuchEntry(DirectoryError):
    """No entry of that name."""


class EntryExists(DirectoryError):
    """An entry of that name is there already."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One object of the directory. `mid` is its Minimal Entry Id, `account` the sAMAccountName if it can log in."""

    guid: uuid.UUID
    mid: MinimalEntryId
    display_type: DisplayType
    legacy_exchange_dn: str
    display_name: str
    account: str | None
    attributes: Attributes

    def first(self, attribute: str) -> str | None:
        """The first value of a text attribute."""
        for value in self.attributes.get(attribute, ()):
            if isinstance(value, str):
                return value
        return None

    def all(self, attribute: str) -> list[str]:
        """All values of a text attribute."""
        return [value for value in self.attributes.get(attribute, ()) if isinstance(value, str)]

    @property
    def smtp_address(self) -> str | None:
        """The primary mail address: the one of proxyAddresses that says `SMTP:`, others say `smtp:`; else mail."""
        for address in self.all("proxyAddresses"):
            if address.startswith("SMTP:"):
                return address[5:]
        return self.first("mail")

    @property
    def is_hidden(self) -> bool:
        """Whether address lists leave the entry out (msExchHideFromAddressLists)."""
        return (self.first("msExchHideFromAddressLists") or "").casefold() == "true"

    @property
    def mailbox_guid(self) -> uuid.UUID | None:
        """msExchMailboxGuid, where the entry has a mailbox."""
        for value in self.attributes.get("msExchMailboxGuid", ()):
            return uuid.UUID(bytes_le=value) if isinstance(value, bytes) else uuid.UUID(value)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """An address list. `mid` is what a STAT's ContainerID names; `parent` is None for the top ones."""

    mid: MinimalEntryId
    guid: uuid.UUID
    name: str
    parent: MinimalEntryId | None
    depth: int


@dataclasses.dataclass(frozen=True, slots=True)
class Organization:
    """Names that legacyExchangeDNs are made from."""

    name: str
    administrative_group: str

    @property
    def dn_prefix(self) -> str:
        """`/o=NAME/ou=GROUP`."""
        return f"/o={self.name}/ou={self.administrative_group}"

    def recipient_dn(self, name: str) -> str:
        """`/o=NAME/ou=GROUP/cn=Recipients/cn=name`."""
        return f"{self.dn_prefix}/cn=Recipients/cn={name}"

    def server_dn(self, server: str) -> str:
        """`/o=NAME/ou=GROUP/cn=Configuration/cn=Servers/cn=SERVER`."""
        return f"{self.dn_prefix}/cn=Configuration/cn=Servers/cn={server}"


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """What authentication needs. `nt_hash` is None where the directory cannot tell it."""

    name: str
    domain: str
    nt_hash: bytes | None = dataclasses.field(repr=False)
    enabled: bool = True


class Directory(Protocol):
    """One directory. Plain synchronous calls, safe from several threads."""

    def organization(self) -> Organization:
        """The Exchange organization; `NoSuchEntry` before `ocpy provision`."""

    # Looking up. Names compare without case; None where there is no such entry.
    def by_guid(self, guid: uuid.UUID) -> Entry | None: ...
    def by_mid(self, mids: Sequence[MinimalEntryId]) -> dict[MinimalEntryId, Entry]: ...
    def by_account(self, account: str) -> Entry | None: ...
    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None: ...
    def by_address(self, address: str) -> Entry | None:
        """By any of its proxyAddresses, `alice@example.test` or `SMTP:alice@example.test`."""

    def account(self, name: str) -> Account | None:
        """For authentication: by sAMAccountName, or by `name@domain` (userPrincipalName or mail)."""

    # Address lists, sorted by display name, hidden entries left out.
    def containers(self) -> list[Container]:
        """All of them, each behind its parent."""

    def count(self, container: MinimalEntryId) -> int: ...
    def page(self, container: MinimalEntryId, start: int, limit: int) -> list[Entry]:
        """Entries `start` to `start + limit` in display-name order."""

    def position(self, container: MinimalEntryId, entry: Entry) -> int | None:
        """The entry's row number in the container; None where it is not there."""

    def seek(self, container: MinimalEntryId, display_name: str) -> int:
        """The number of the first row whose display name sorts at or behind `display_name`."""

    def resolve(self, name: str, container: MinimalEntryId, limit: int) -> list[Entry]:
        """Ambiguous name resolution over display name, account, alias, mail and names, at most `limit`."""

    # Administration.
    def provision(self, organization: Organization, server: str) -> bool:
        """Create the organization's containers; false where all was there already."""

    def create_entry(self, account: str, attributes: Attributes, *, display_type: DisplayType = ...) -> Entry:
        """A new entry; `EntryExists`."""

    def modify(self, entry: Entry, changes: Mapping[str, Sequence[AttributeValue] | None]) -> Entry:
        """Replace attributes; None removes one."""

    def set_password(self, entry: Entry, password: str) -> None: ...
    def set_enabled(self, entry: Entry, enabled: bool) -> None: ...
    def delete(self, entry: Entry) -> None:
        """Delete it, and what it was given: nobody who gets its name later inherits full access to a mailbox."""

    def entries(self) -> Iterable[Entry]:
        """Every entry, hidden ones too."""

    def close(self) -> None:
        """Close its connections."""


#: The attribute that lists the legacyExchangeDNs of those who were given full access to a mailbox.
FULL_ACCESS_ATTRIBUTE = "ocpyFullAccess"


def may_open_mailbox(caller: Entry, mailbox: Entry) -> bool:
    """Whether `caller` owns the mailbox or was explicitly given full access to it."""
    if caller.guid == mailbox.guid:
        return True
    # An account without Exchange attributes has no name that could be granted anything.
    name = caller.legacy_exchange_dn.casefold()
    return bool(name) and name in {dn.casefold() for dn in mailbox.all(FULL_ACCESS_ATTRIBUTE)}
