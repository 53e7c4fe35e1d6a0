"""`Directory` in an LDAP server: what reads comes from the index, what writes goes to the server.

What was written is read back and put into the index at once, so that whoever changes something sees it; what others
change the follower brings in. With no server there everything that reads goes on; what writes is a `DirectoryError`.
Not done: servers of the organization are made by `ocpy provision` alone.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import ldap3

from openchange_py.addressbook.base import (
    LINK_ATTRIBUTES,
    SHOW_IN_ADDRESS_BOOK,
    Attributes,
    AttributeValue,
    DirectoryError,
    DirectoryStatus,
    Entry,
    Kind,
    Links,
    NoSuchEntry,
    Record,
)
from openchange_py.addressbook.following import Follower
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import IndexWriter
from openchange_py.addressbook.ldap.accounts import Accounts, ActiveDirectoryAccounts, OpenLdapAccounts, Values
from openchange_py.addressbook.ldap.connection import LdapServers
from openchange_py.addressbook.ldap.containers import configuration
from openchange_py.addressbook.ldap.mapping import UNPUBLISHED, attributes_to_read, to_ldap, to_record
from openchange_py.addressbook.ldap.session import LdapEntry, Pool, ServerKind, Session, escape_filter
from openchange_py.addressbook.ldap.source import open_source
from openchange_py.addressbook.ldap.taken import refuse_taken
from openchange_py.addressbook.organizations import address_books
from openchange_py.addressbook.purported_search import belongs
from openchange_py.addressbook.rows import AttributeMap, derive, organization_of
from openchange_py.addressbook.sortkeys import fold

logger = logging.getLogger(__name__)

#: Attributes of distinguished names that the rest of the program gives by legacyExchangeDN.
_BY_LEGACY_DN: Final = ("homeMDB", "homeMTA")
#: Values of a link that are changed at once.
_LINKS_AT_ONCE: Final = 1000


class LdapDirectory(IndexedDirectory):
    """See `Directory`. `index` is the URL of the database that has the index, `place` where new entries go.

    `lag` are the seconds between two looks at what others changed, for who follows.
    """

    def __init__(
        self, servers: LdapServers, index: str, organization: str | None = None, *, place: str = "", lag: float = 10.0
    ) -> None:
        super().__init__(index, organization)
        self.servers = servers
        self._follower = Follower(self, ", ".join(servers.urls), lambda: open_source(servers), lag=lag)
        self._pool = Pool(servers)
        self._writer = IndexWriter(self.database)
        self._unknown: frozenset[str] | None = None
        self._accounts: dict[ServerKind, Accounts] = {
            ServerKind.ACTIVE_DIRECTORY: ActiveDirectoryAccounts(place),
            ServerKind.OPENLDAP: OpenLdapAccounts(place),
        }

    def close(self) -> None:
        """Follow no more; close the connections to the server and to the index."""
        self._follower.stop()
        self._pool.close()
        super().close()

    def _nt_hash(self, found: Entry) -> bytes | None:
        """The index holds no secret: `auth.ldap_passwords` and domain controllers are asked at each logon."""
        return None

    def status(self) -> DirectoryStatus:
        return self._follower.status()

    def catch_up(self, *, accept_loss: bool = False) -> None:
        self._follower.catch_up(accept_loss=accept_loss)

    def start(self) -> None:
        """Keep the index up to date from now on. `DirectoryError` where it was never made and the server is away."""
        self._follower.start()
        super().start()

    # Administration.

    def create(self, kind: Kind, account: str, attributes: Attributes, links: Links | None = None) -> Entry:
        if kind in (Kind.SERVER, Kind.ORGANIZATION):
            raise DirectoryError(f"`ocpy provision` adds what is of kind {kind} to a directory in LDAP")
        links = dict(links or {})
        for attribute in links:
            _check_link(attribute)
        if SHOW_IN_ADDRESS_BOOK not in links:
            links[SHOW_IN_ADDRESS_BOOK] = self._lists(kind, attributes)
        with self._pool.session() as session:
            wanted = AttributeMap({**attributes, **({"sAMAccountName": [account]} if account else {})})
            derive(Record(uuid.uuid4(), "", kind, True, wanted, {}))  # what the index could not keep is not written
            refuse_taken(session, None, wanted.text("legacyExchangeDN") or "", wanted)
            names: Values = {name: list(self._linkable(session, name, targets)) for name, targets in links.items()}
            known = self._known(session, _named(session, attributes))
            dn = self._accounts_of(session).add(session, kind, account, known, names)
            return self._taken_in(session, dn)

    def modify(self, entry: Entry, changes: Mapping[str, Sequence[AttributeValue] | None]) -> Entry:
        with self._pool.session() as session:
            there = self._there(session, entry)
            given = AttributeMap({name: values for name, values in changes.items() if values})
            derive(Record(entry.guid, there.dn, entry.kind, True, given, {}), checked=True)
            dn = given.text("legacyExchangeDN") or there.text("legacyExchangeDN")
            refuse_taken(session, entry.guid, dn, given)
            wanted = to_ldap(self._known(session, _named(session, changes)), session.root)
            self._write(session, there, entry.kind, {name: [(ldap3.MODIFY_REPLACE, v)] for name, v in wanted.items()})
            changed = self._taken_in(session, there.dn)
            return self._listed(session, changed)

    def change_links(
        self, entry: Entry, attribute: str, add: Sequence[Entry] = (), remove: Sequence[Entry] = ()
    ) -> None:
        _check_link(attribute)
        with self._pool.session() as session:
            there = self._there(session, entry)
            added = {fold(dn): dn for dn in self._linkable(session, attribute, self._names_of(add))}
            removed = {fold(dn): dn for dn in self._names_of(remove, missing=True)}
            self._relink(session, there, entry.kind, attribute, added, removed)
            self._taken_in(session, there.dn)

    def set_password(self, entry: Entry, password: str) -> None:
        with self._pool.session() as session:
            self._accounts_of(session).set_password(session, self._there(session, entry), password)

    def set_enabled(self, entry: Entry, enabled: bool) -> None:
        with self._pool.session() as session:
            there = self._there(session, entry)
            self._accounts_of(session).set_enabled(session, there, enabled)
            self._taken_in(session, there.dn)

    def delete(self, entry: Entry) -> None:
        with self._pool.session() as session:
            session.delete(self._there(session, entry).dn)
            self._writer.remove([entry.guid])

    # Parts of it.

    def _accounts_of(self, session: Session) -> Accounts:
        return self._accounts[session.root.kind]

    def _lacking(self, session: Session) -> frozenset[str]:
        """The unpublished attributes that the server does not have either; asked once."""
        if self._unknown is None:
            self._unknown = session.lacking(UNPUBLISHED)
        return self._unknown

    def _known(self, session: Session, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Without what the server's schema has no place for."""
        known = dict(attributes)
        for name in UNPUBLISHED & known.keys() and self._lacking(session) & known.keys():
            if known.pop(name):
                logger.warning("%s is not kept: the directory's schema does not have it", name)
        return known

    def _linkable(self, session: Session, attribute: str, names: Sequence[str]) -> Sequence[str]:
        if names and attribute in UNPUBLISHED and attribute in self._lacking(session):
            raise DirectoryError(f"the directory's schema does not have {attribute}: only Exchange's own setup adds it")
        return names

    def _base(self, session: Session) -> str:
        return self.servers.base or session.root.base

    def _there(self, session: Session, entry: Entry) -> LdapEntry:
        """The entry as the server has it now, wherever it was moved; `NoSuchEntry`."""
        condition = _is(session, entry.guid)
        attributes = attributes_to_read(session.root)
        found = session.read(entry.name, attributes, condition) if entry.name else None
        for base in (self._base(session), configuration(session)):
            found = found or next(session.search(base, condition, attributes), None)
        if found is None:
            raise NoSuchEntry(f"{entry.display_name} is not in the directory any more")
        return found

    def _write(self, session: Session, there: LdapEntry, kind: Kind, changes: dict[str, list[Any]]) -> None:
        """Change an entry, with the object classes that it needs for it."""
        needed = self._accounts_of(session).prepare(session, there, kind)
        extra = {name: [(ldap3.MODIFY_ADD, values)] for name, values in needed.items()}
        session.modify(there.dn, {**extra, **changes})

    def _taken_in(self, session: Session, dn: str) -> Entry:
        """What was written, read back and put into the index."""
        there = session.read(dn, attributes_to_read(session.root))
        record = to_record(there, session.root) if there is not None else None
        if record is None:
            raise NoSuchEntry(f"{dn} is not in the directory any more")
        return self._indexed(record)

    def _indexed(self, record: Record) -> Entry:
        self._writer.put([record])
        found = self.by_guid(record.guid)
        if found is None:
            raise DirectoryError(f"{record.name} is in the directory, but cannot be indexed: the log says why")
        return found

    def _lists(self, kind: Kind, attributes: Attributes) -> list[str]:
        """The address lists of its organization whose searches find an entry, by name."""
        dn = AttributeMap(attributes).text("legacyExchangeDN") or ""
        with self.database.reading() as connection:
            books = address_books(connection)
        book = next((one for one in books if fold(one.organization.name) == organization_of(dn)), None)
        return [one.name for one in book.containers if belongs(one.purported_search, kind, attributes)] if book else []

    def _listed(self, session: Session, entry: Entry) -> Entry:
        """In the lists whose searches find it now, and in no other that has one."""
        there = session.read(entry.name, [SHOW_IN_ADDRESS_BOOK])
        present = {fold(dn): dn for dn in (there.texts(SHOW_IN_ADDRESS_BOOK) if there else ())}
        with self.database.reading() as connection:
            lists = [one for book in address_books(connection) for one in book.containers]
        searched = {fold(one.name) for one in lists if one.purported_search}
        wanted = {fold(dn): dn for dn in self._lists(entry.kind, entry.attributes)}
        added = {key: dn for key, dn in wanted.items() if key not in present}
        removed = {key: dn for key, dn in present.items() if key in searched and key not in wanted}
        if not added and not removed:
            return entry
        self._relink(session, self._there(session, entry), entry.kind, SHOW_IN_ADDRESS_BOOK, added, removed)
        return self._taken_in(session, entry.name)

    def _relink(
        self,
        session: Session,
        there: LdapEntry,
        kind: Kind,
        attribute: str,
        added: Mapping[str, str],
        removed: Mapping[str, str],
    ) -> None:
        """Add and remove values of a link; what is so already is not sent."""
        if attribute == "member" and "groupofuniquenames" in {name.casefold() for name in there.texts("objectClass")}:
            attribute = "uniqueMember"
        present = {fold(dn): dn for dn in there.texts(attribute)}
        gone = {key: present[key] for key in removed if key in present and key not in added}
        new = {key: dn for key, dn in added.items() if key not in present}
        own = fold(there.dn)
        if attribute in ("member", "uniqueMember") and not session.is_active_directory:
            left = (present.keys() | new.keys()) - gone.keys() - {own}
            if left and own in present:
                gone[own] = present[own]
            elif not left and own not in present:
                new[own] = there.dn  # the class wants a member
            elif not left:
                gone.pop(own, None)
        # Both at once: a link may have one value at most, and a group may have to have one at least.
        operations = ((ldap3.MODIFY_DELETE, list(gone.values())), (ldap3.MODIFY_ADD, list(new.values())))
        for start in range(0, max(len(gone), len(new)), _LINKS_AT_ONCE):
            parts = [(operation, values[start : start + _LINKS_AT_ONCE]) for operation, values in operations]
            self._write(session, there, kind, {attribute: [part for part in parts if part[1]]})

    def _names_of(self, entries: Iterable[Entry], *, missing: bool = False) -> list[str]:
        """What the server calls entries now, as the index knows; with `missing` one may be gone."""
        found = []
        for one in entries:
            current = self.by_guid(one.guid)
            if current is None and not missing:
                raise NoSuchEntry(f"{one.display_name} is not in the directory any more")
            found.append((current or one).name)
        return found


def _check_link(attribute: str) -> None:
    if attribute not in LINK_ATTRIBUTES:
        raise DirectoryError(f"{attribute} is no link")


def _same(name: str, other: str) -> bool:
    return name.casefold() == other.casefold()


def _is(session: Session, guid: uuid.UUID) -> str:
    """The filter that finds an entry by its identity."""
    if session.is_active_directory:
        return f"(objectGUID={escape_filter(guid.bytes_le)})"
    return f"(entryUUID={escape_filter(str(guid))})"


def _named(session: Session, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """With distinguished names where the server wants them; what has none there is left out."""
    found = dict(attributes)
    for name in [one for one in found if any(_same(one, known) for known in _BY_LEGACY_DN)]:
        names = []
        for value in found.pop(name) or ():
            if isinstance(value, str) and value.startswith("/"):
                condition = f"(legacyExchangeDN={escape_filter(value)})"
                names += [one.dn for one in session.search(configuration(session), condition, ["cn"])][:1]
            else:
                names.append(value)
        if names or attributes[name] is None:
            found[name] = names or None
    return found
