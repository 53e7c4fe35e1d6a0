"""Making, changing and finding recipients: what `ocpy newuser`, `ocpy group` and `ocpy contact` do with a directory.

Everything may be repeated: what is so already stays, and what lacks is added.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence

from openchange_py.addressbook.base import (
    GLOBAL_ADDRESS_LIST,
    AddressLists,
    AttributeValue,
    Directory,
    DirectoryError,
    Entry,
    EntryExists,
    Kind,
    NoSuchEntry,
    Organization,
)
from openchange_py.addressbook.recipients import (
    RecipientType,
    recipient_attributes,
    recipient_type,
    typed_address,
    with_primary_address,
    without_addresses,
)

#: Links that refer to one entry.
_SINGLE_LINKS = frozenset({"manager", "managedBy"})

#: How people call the kinds.
_WORDS = {Kind.USER: "an account", Kind.GROUP: "a group", Kind.CONTACT: "a contact", Kind.SERVER: "a server"}


@dataclasses.dataclass(slots=True)
class Changes:
    """What is to be different. An attribute that is None is removed."""

    attributes: dict[str, Sequence[AttributeValue] | None] = dataclasses.field(default_factory=dict)
    mail: str | None = None
    add_addresses: Sequence[str] = ()
    remove_addresses: Sequence[str] = ()
    #: By link attribute: names of who is added, and of who is removed. Who is added to a link of one replaces it.
    links: Mapping[str, tuple[Sequence[str], Sequence[str]]] = dataclasses.field(default_factory=dict)
    #: Link attributes that are to refer to nobody any more.
    cleared_links: Sequence[str] = ()

    def __bool__(self) -> bool:
        addresses = self.mail or self.add_addresses or self.remove_addresses
        links = self.cleared_links or any(any(names) for names in self.links.values())
        return bool(self.attributes or addresses or links)


class Recipients:
    """The recipients of one organization; those with a mailbox are on `server`."""

    def __init__(self, directory: Directory, server: str, mail_domain: str) -> None:
        self._directory = directory
        self._server = server
        self._mail_domain = mail_domain
        self._organization: Organization | None = None

    @property
    def organization(self) -> Organization:
        """This server's. `NoSuchEntry` before `ocpy provision`."""
        if self._organization is None:
            self._organization = self._directory.organization()
        return self._organization

    # Finding.

    def find(self, name: str) -> Entry | None:
        """By account, mail address, distinguished name, alias, or the whole display name where only one has it.

        Recipients of other organizations are not found.
        """
        directory = self._directory
        if name.startswith("/"):
            candidates = [directory.by_legacy_dn(name)]
        else:
            by_address = directory.by_address(name) if "@" in name else None
            candidates = [by_address, directory.by_account(name), self._by_alias(name)]
        for entry in candidates:
            if entry is not None and self._is_ours(entry):
                return entry
        return self._by_display_name(name)

    def existing(self, name: str) -> Entry:
        """The same; `NoSuchEntry` where there is none."""
        entry = self.find(name)
        if entry is None:
            raise NoSuchEntry(f"there is no account, group, contact or mail address {name}")
        return entry

    def _by_alias(self, name: str) -> Entry | None:
        dn = self.organization.recipient_dn(name)
        entry = self._directory.by_legacy_dn(dn)
        # Whose name that was before (an X500 address) is not meant.
        return entry if entry is not None and entry.legacy_exchange_dn.casefold() == dn.casefold() else None

    def _is_ours(self, entry: Entry) -> bool:
        """Who is in no organization may be taken into this one."""
        dn = entry.legacy_exchange_dn.casefold()
        return not dn or dn.startswith(f"/o={self.organization.name}/".casefold())

    def _by_display_name(self, name: str) -> Entry | None:
        lists = self.lists()
        found = lists.resolve(f"={name}", GLOBAL_ADDRESS_LIST, 2) if lists is not None else []
        if len(found) > 1:
            raise DirectoryError(f"{name} may be {' or '.join(entry.legacy_exchange_dn for entry in found)}")
        return found[0] if found else None

    def lists(self) -> AddressLists | None:
        """The organization's address book, as its server sees it; None where the server is not in the directory."""
        server = self._server_entry()
        return self._directory.lists(server) if server is not None else None

    def _server_entry(self) -> Entry | None:
        return self._directory.by_legacy_dn(self.organization.server_dn(self._server))

    def linked(self, entry: Entry, attribute: str) -> list[Entry]:
        """Who a link of an entry refers to."""
        lists = self.lists()
        return lists.linked(entry, attribute) if lists is not None else []

    # Making and changing.

    def create(self, recipient: RecipientType, name: str, changes: Changes) -> tuple[Entry, bool]:
        """The recipient of that name, and whether it was made now. What is there is made one, or changed.

        `name` is an account's or an alias. Without a mail address it gets `name@` the mail domain.
        """
        present = self.find(name)
        if present is not None:
            _refuse_another_kind(present, recipient, name)
        if present is not None and present.legacy_exchange_dn:
            return self.update(present, changes), False
        mail = changes.mail or (present and present.smtp_address) or f"{name}@{self._mail_domain}"
        self._refuse_taken(mail, present)
        for address in changes.add_addresses:
            self._refuse_taken(address, present)
        links = self._resolved(changes)
        if recipient.has_mailbox and self._server_entry() is None:
            raise NoSuchEntry(f"the directory has no server {self._server} yet: run `ocpy provision`")
        attributes = self._new_attributes(recipient, name, mail, present, changes)
        if present is None:
            account = name if recipient.kind is Kind.USER else ""
            entry = self._directory.create(recipient.kind, account, attributes)
        else:
            entry = self._directory.modify(present, attributes)
        self._link(entry, changes, links)
        return entry, True

    def _new_attributes(
        self, recipient: RecipientType, name: str, mail: str, present: Entry | None, changes: Changes
    ) -> dict[str, Sequence[AttributeValue]]:
        shown = present.display_name if present is not None else name
        made = recipient_attributes(self.organization, recipient, name, mail, shown, server=self._server)
        if self._directory.by_legacy_dn(self.organization.recipient_dn(name)) is not None:
            made["legacyExchangeDN"] = [self.organization.recipient_dn(f"{name}{secrets.token_hex(4)}")]
        attributes: dict[str, Sequence[AttributeValue]] = {**made}
        attributes["proxyAddresses"] = [
            *(value for value in made["proxyAddresses"]),
            *map(typed_address, changes.add_addresses),
        ]
        return attributes | {key: value for key, value in changes.attributes.items() if value}

    def update(self, entry: Entry, changes: Changes) -> Entry:
        """The entry with the changes, which are checked as a whole before the first is made."""
        addresses = _addresses(entry, changes)
        for address in (changes.mail, *changes.add_addresses):
            if address:
                self._refuse_taken(address, entry)
        links = self._resolved(changes)
        attributes = dict(changes.attributes)
        if changes.mail:
            attributes["mail"] = [changes.mail]
            if entry.kind is Kind.CONTACT:
                attributes["targetAddress"] = [f"SMTP:{changes.mail}"]
        if addresses != entry.all("proxyAddresses"):
            attributes["proxyAddresses"] = addresses
        differing = {name: value for name, value in attributes.items() if not _same(entry, name, value)}
        if differing:
            entry = self._directory.modify(entry, differing)
        self._link(entry, changes, links)
        return entry

    def _refuse_taken(self, address: str, owner: Entry | None) -> None:
        taken = self._directory.by_address(address)
        if taken is not None and (owner is None or taken.guid != owner.guid):
            raise EntryExists(f"the address {address} is {taken.account or taken.display_name}'s")

    def _resolved(self, changes: Changes) -> dict[str, tuple[list[Entry], list[Entry]]]:
        """Entries for the names, so that a name of nobody is told before anything is changed."""
        return {
            attribute: ([self._linkable(name) for name in add], [self.existing(name) for name in remove])
            for attribute, (add, remove) in changes.links.items()
        } | {attribute: ([], []) for attribute in changes.cleared_links}

    def _linkable(self, name: str) -> Entry:
        entry = self.existing(name)
        if not entry.legacy_exchange_dn:
            raise DirectoryError(f"{name} has no Exchange attributes: run `ocpy newuser --create {name}`")
        return entry

    def _link(self, entry: Entry, changes: Changes, links: Mapping[str, tuple[list[Entry], list[Entry]]]) -> None:
        for attribute, (add, remove) in links.items():
            if attribute in changes.cleared_links or (attribute in _SINGLE_LINKS and add):
                kept = {one.guid for one in add}
                remove = [one for one in self.linked(entry, attribute) if one.guid not in kept]
            if add or remove:
                self._directory.change_links(entry, attribute, add, remove)


def _addresses(entry: Entry, changes: Changes) -> list[str]:
    """proxyAddresses as they are to be. The primary one is not removed: without it no mail comes from anywhere."""
    addresses = entry.all("proxyAddresses")
    if changes.mail:
        addresses = with_primary_address(addresses, changes.mail)
    kept = without_addresses(addresses, changes.remove_addresses)
    if any(value.startswith("SMTP:") for value in addresses) and not any(value.startswith("SMTP:") for value in kept):
        raise DirectoryError("the primary mail address is not removed; --mail makes another one the primary one")
    for address in changes.add_addresses:
        if typed_address(address).casefold() not in (value.casefold() for value in kept):
            kept.append(typed_address(address))
    return kept


def _same(entry: Entry, name: str, value: Sequence[AttributeValue] | None) -> bool:
    return list(entry.attributes.get(name, ())) == list(value or ())


def _refuse_another_kind(present: Entry, wanted: RecipientType, name: str) -> None:
    """What has a name is not made something else: who means it would get mail of somebody else's."""
    if present.kind is not wanted.kind:
        raise EntryExists(f"{name} is {_WORDS[present.kind]} already")
    known = recipient_type(present.attributes)
    if known is not None and known is not wanted:
        raise EntryExists(f"{name} is there as {known.name}, not as {wanted.name}")
