"""The directory's interface: people, groups and containers with their Exchange attributes.

Servers, relay and commands know a directory only through `Directory`, and what a client sees of it through the
`AddressLists` of the client's organization. `embedded.py` keeps it in SQL, `ldap/` in an LDAP server with an index of
it in SQL. Attributes carry their LDAP names.
"""

from __future__ import annotations

import dataclasses
import datetime
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
#: By attribute the names (`Record.name`) of other entries or containers.
Links = Mapping[str, Sequence[str]]

#: The attributes that refer to other entries: they are links, never among an entry's attributes.
LINK_ATTRIBUTES = (
    "altRecipient",
    "authOrig",
    "dLMemRejectPerms",
    "dLMemSubmitPerms",
    "manager",
    "managedBy",
    "member",
    "msExchCoManagedByLink",
    "msExchDelegateListLink",
    "msExchHABRootDepartmentLink",
    "msOrg-Leaders",
    "publicDelegates",
    "showInAddressBook",
    "unauthOrig",
)

#: The link of a mailbox to those who may open it besides its owner. No directory has it: it is the index's own.
FULL_ACCESS = "ocpyFullAccess"

#: Attributes that are read from the other side of a link, and stored nowhere.
BACK_LINKS = {
    "directReports": "manager",
    "managedObjects": "managedBy",
    "memberOf": "member",
    "msExchCoManagedObjectsBL": "msExchCoManagedByLink",
    "msExchDelegateListBL": "msExchDelegateListLink",
    "msOrg-LeadersBL": "msOrg-Leaders",
    "publicDelegatesBL": "publicDelegates",
}

#: The link that says which address lists show an entry; its targets are containers.
SHOW_IN_ADDRESS_BOOK = "showInAddressBook"


class Kind(enum.StrEnum):
    """What an entry is. Rooms, equipment and shared mailboxes are users by their msExchRecipientDisplayType."""

    USER = "user"
    GROUP = "group"
    CONTACT = "contact"
    SERVER = "server"
    #: The organization itself, whose distinguished name is `/o=NAME`: it knows the root of the departments.
    ORGANIZATION = "organization"


class ContainerKind(enum.StrEnum):
    """What a container of the address book is."""

    GLOBAL = "global"
    LIST = "list"


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
    """One object of the directory. `mid` is its Minimal Entry Id, `account` the sAMAccountName if it can log in.

    `name` is what links call it: its distinguished name in LDAP, the legacyExchangeDN in the embedded directory.
    `attributes` holds no links: those are `AddressLists.linked`.
    """

    guid: uuid.UUID
    mid: MinimalEntryId
    display_type: DisplayType
    legacy_exchange_dn: str
    display_name: str
    account: str | None
    attributes: Attributes
    kind: Kind = Kind.USER
    name: str = ""
    enabled: bool = True

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
class Record:
    """What a directory says of one object, and what its index is made of.

    `guid` is the object's identity (objectGUID, entryUUID, or made by the embedded directory): its Minimal Entry Id is
    for ever. `attributes` holds neither links nor secrets.
    """

    guid: uuid.UUID
    name: str
    kind: Kind
    enabled: bool
    attributes: Attributes
    links: Links


@dataclasses.dataclass(frozen=True, slots=True)
class ContainerRecord:
    """What a directory says of one address list: `name` is what showInAddressBook and `parent` (None: at the top) say.

    `purported_search` is the LDAP filter that says who belongs in it, empty where nobody does by himself.
    """

    guid: uuid.UUID
    name: str
    display_name: str
    kind: ContainerKind = ContainerKind.LIST
    parent: str | None = None
    purported_search: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """An address list. `mid` is what a STAT's ContainerID names, 0 for the Global Address List.

    `parent` is None at the top; `name` is what people read, `distinguished_name` what links call it.
    """

    mid: MinimalEntryId
    guid: uuid.UUID
    name: str
    parent: MinimalEntryId | None
    depth: int
    kind: ContainerKind = ContainerKind.LIST
    distinguished_name: str = ""
    purported_search: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class SortOrder:
    """How a list is sorted: `locale` is an LCID ([MS-LCID]), 0 the neutral one; by phonetic display names or not.

    Not done: orders of their own for locales; all have the neutral one's.
    """

    locale: int = 0
    phonetic: bool = False


#: By display name, the same for every locale.
BY_DISPLAY_NAME = SortOrder()


@dataclasses.dataclass(frozen=True, slots=True)
class Organization:
    """Names that legacyExchangeDNs are made from."""

    name: str
    administrative_group: str

    @property
    def dn(self) -> str:
        """`/o=NAME`."""
        return f"/o={self.name}"

    @property
    def dn_prefix(self) -> str:
        """`/o=NAME/ou=GROUP`."""
        return f"{self.dn}/ou={self.administrative_group}"

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


@dataclasses.dataclass(frozen=True, slots=True)
class DirectoryStatus:
    """How a directory is: what `ocpy status` shows. `url` has no secret in it.

    `last_contact` is when the server last answered, `lag` the seconds since what it said then; None for a directory
    that is its own authority. `error` is why it does not answer now.
    """

    kind: str
    url: str
    entries: int
    last_contact: datetime.datetime | None = None
    lag: float | None = None
    error: str | None = None


class AddressLists(Protocol):
    """One organization's address book, as its members see it. Plain synchronous calls, safe from several threads.

    Ids, names and addresses of other organizations do not exist in it. Lists are sorted and leave hidden entries out; a
    container that is not there is `NoSuchEntry`.
    """

    @property
    def organization(self) -> Organization: ...

    @property
    def guid(self) -> uuid.UUID:
        """The address book's GUID as an NSPI server: who gets another one must forget all Minimal Entry Ids."""

    def containers(self) -> list[Container]:
        """All of them, each behind its parent, the Global Address List first."""

    def count(self, container: MinimalEntryId) -> int: ...
    def page(
        self, container: MinimalEntryId, start: int, limit: int, order: SortOrder = BY_DISPLAY_NAME
    ) -> list[Entry]:
        """Entries `start` to `start + limit`."""

    def position(self, container: MinimalEntryId, entry: Entry, order: SortOrder = BY_DISPLAY_NAME) -> int | None:
        """The entry's row number in the container; None where it is not there."""

    def seek(self, container: MinimalEntryId, text: str, order: SortOrder = BY_DISPLAY_NAME) -> int:
        """The number of the first row whose name sorts at or behind `text`."""

    def resolve(self, name: str, container: MinimalEntryId, limit: int) -> list[Entry]:
        """Ambiguous name resolution over display name, account, alias, mail and names, at most `limit`."""

    def resolve_all(self, names: Sequence[str], container: MinimalEntryId, limit: int) -> list[list[Entry]]:
        """The same of many names, in a few queries where they are whole ones."""

    # Searching a list (`servers.nspi.searching`).
    def keys(self, container: MinimalEntryId) -> Sequence[tuple[bytes, int]]:
        """The sort keys of the display names and the ids of all rows, in the neutral order."""

    def sorted(
        self, container: MinimalEntryId, mids: Iterable[int], order: SortOrder = BY_DISPLAY_NAME
    ) -> list[MinimalEntryId]:
        """Those of the ids that the container has, in its order."""

    def named(self, beginning: str, limit: int, attribute: str | None = None) -> set[int] | None:
        """The ids of all entries that have a name (as `resolve` knows them) that begins so.

        With an attribute, one of `rows.SEARCHED`: those with a value of it that begins so.
        None for more than `limit`, and for what no name begins with.
        """

    def mentioning(self, text: str) -> set[int] | None:
        """The ids of all entries with an attribute that contains a text, of others too; None if that tells nothing."""

    # Looking up, hidden entries too. Names compare without case; None where there is no such entry.
    def by_mid(self, mids: Sequence[MinimalEntryId]) -> dict[MinimalEntryId, Entry]: ...
    def by_guid(self, guid: uuid.UUID) -> Entry | None: ...
    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None: ...
    def mids_by_legacy_dn(self, names: Sequence[str]) -> list[MinimalEntryId | None]: ...
    def by_address(self, address: str) -> Entry | None: ...

    def servers(self) -> list[Entry]:
        """The organization's servers, in the order of their names."""

    # Links. An attribute of `LINK_ATTRIBUTES` or `BACK_LINKS`; others link to nothing.
    def linked(self, entry: Entry, attribute: str, limit: int | None = None) -> list[Entry]:
        """The entries that an attribute refers to, in display-name order, hidden ones too, at most `limit`."""

    def linked_mids(self, entry: Entry, attribute: str) -> list[MinimalEntryId]:
        """Their ids alone, in the same order: all of a large group's members at little cost."""

    def link_count(self, entry: Entry, attribute: str) -> int: ...

    # The same for the rows of a page, in one query.
    def link_counts(
        self, entries: Sequence[Entry], attribute: str, kind: Kind | None = None
    ) -> dict[MinimalEntryId, int]:
        """How many of a kind (None: any) each refers to; who refers to nobody is not among them."""

    def linked_names(
        self, entries: Sequence[Entry], attribute: str, limit: int | None = None
    ) -> dict[MinimalEntryId, list[tuple[str, str]]]:
        """The legacyExchangeDNs and display names of whom each refers to, in display-name order, at most `limit`."""


class Directory(Protocol):
    """One directory with all its organizations: for authentication, stores and administration.

    Plain synchronous calls, safe from several threads.
    """

    def organization(self) -> Organization:
        """This server's; `NoSuchEntry` before `ocpy provision`."""

    def organizations(self) -> list[Organization]:
        """All of them, in the order of their names."""

    def lists(self, caller: Entry | None) -> AddressLists:
        """The address book of the caller's organization.

        Who has none (no legacyExchangeDN) sees this server's where the directory has only that one, else `NoSuchEntry`.
        """

    # Looking up. Names compare without case; None where there is no such entry.
    def by_guid(self, guid: uuid.UUID) -> Entry | None: ...
    def by_account(self, account: str) -> Entry | None: ...
    def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None: ...
    def by_address(self, address: str) -> Entry | None:
        """By any of its proxyAddresses, `alice@example.test` or `SMTP:alice@example.test`."""

    def account(self, name: str) -> Account | None:
        """For authentication: by sAMAccountName, or by `name@domain` (userPrincipalName or mail)."""

    # Administration.
    def create(self, kind: Kind, account: str, attributes: Attributes, links: Links | None = None) -> Entry:
        """A new entry; `account` is empty for one that can't log in. `EntryExists`.

        Without showInAddressBook among `links` it is in the lists of its organization whose search finds it.
        """

    def modify(self, entry: Entry, changes: Mapping[str, Sequence[AttributeValue] | None]) -> Entry:
        """Replace attributes; None removes one."""

    def change_links(
        self, entry: Entry, attribute: str, add: Sequence[Entry] = (), remove: Sequence[Entry] = ()
    ) -> None:
        """Add and remove what an attribute of `LINK_ATTRIBUTES` refers to; what is so already is no error."""

    def full_access(self, mailbox: Entry) -> list[Entry]:
        """Who was given full access to a mailbox: kept here in every kind of directory, and by identity.

        Nobody who gets the name of one who was deleted inherits it; nor does it outlive the mailbox.
        """

    def change_full_access(self, mailbox: Entry, add: Sequence[Entry] = (), remove: Sequence[Entry] = ()) -> None:
        """Give and take full access; what is so already is no error."""

    def set_password(self, entry: Entry, password: str) -> None: ...
    def set_enabled(self, entry: Entry, enabled: bool) -> None: ...
    def delete(self, entry: Entry) -> None:
        """Delete it, and what it was given."""

    def entries(self) -> Iterable[Entry]:
        """Every entry, hidden ones too."""

    def status(self) -> DirectoryStatus: ...
    def start(self) -> None:
        """What a server wants done all the time, in threads, until `close`: following, keeping lists. May take long."""

    def catch_up(self, *, accept_loss: bool = False) -> None:
        """Take in now what others changed at the directory's server; nothing where there is no server.

        A server that shows hardly anything any more is believed with `accept_loss` alone.
        """

    def close(self) -> None:
        """Close its connections."""


def may_open_mailbox(directory: Directory, caller: Entry, mailbox: Entry) -> bool:
    """Whether `caller` owns the mailbox or was explicitly given full access to it."""
    return caller.guid == mailbox.guid or caller.guid in {one.guid for one in directory.full_access(mailbox)}
