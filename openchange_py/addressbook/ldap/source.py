"""An LDAP server as the index's follower reads it: everything in pages, and then what changed.

Active Directory gives every change a number that only grows, per server (uSNChanged, [MS-ADTS] 3.1.1.1.9); what was
deleted stays for months as a tombstone, which who may read `CN=Deleted Objects` is told. OpenLDAP is `openldap.py`.
What a server does not tell is found by comparing the identities of all entries. A container that was renamed moves all
below it, and no entry there changes: they are read again.
Not done: notices of changes as they come; the follower asks at intervals.
"""

from __future__ import annotations

import abc
import json
import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from ldap3.protocol.microsoft import show_deleted_control

from openchange_py.addressbook.base import Record
from openchange_py.addressbook.followed import AddressBookRecord, Changes, CookieExpired
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.containers import configuration, read_address_books
from openchange_py.addressbook.ldap.mapping import attributes_to_read, identity, to_record
from openchange_py.addressbook.ldap.session import LEVEL, STEP_SECONDS, LdapEntry, ServerKind, Session

logger = logging.getLogger(__name__)

#: Records that are handed over at once.
_PART: Final = 500
#: Who belongs into an address book. Computers have mailboxes only where somebody gave them one.
_PEOPLE: Final = {
    ServerKind.ACTIVE_DIRECTORY: (
        "(|(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))(objectCategory=group)"
        "(&(objectCategory=computer)(legacyExchangeDN=*)))"
    ),
    ServerKind.OPENLDAP: (
        "(|(objectClass=inetOrgPerson)(objectClass=user)(objectClass=contact)(objectClass=group)"
        "(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))"
    ),
}
#: And organizations, which know their root department.
SERVERS: Final = "(|(objectClass=msExchExchangeServer)(objectClass=msExchOrganizationContainer))"
#: What has entries below it: when its name changes, theirs do.
PARENTS: Final = "(|(objectClass=organizationalUnit)(objectClass=container))"


def open_source(servers: LdapServers) -> LdapSource:
    """A source by the first server that answers; `DirectoryAway`."""
    session = Session(connect(servers, STEP_SECONDS, read_only=True, what="directory (following)"))
    try:
        if session.is_active_directory:
            return ActiveDirectorySource(session, servers.base)
        # The other one is made of what is here.
        from openchange_py.addressbook.ldap.openldap import OpenLdapSource

        return OpenLdapSource(session, servers.base)
    except BaseException:
        session.close()
        raise


class LdapSource(abc.ABC):
    """What both kinds have in common; see `Source`. Used by one thread at a time."""

    def __init__(self, session: Session, base: str) -> None:
        self._session = session
        self._base = base or session.root.base
        self._configuration = configuration(session)
        self._attributes = attributes_to_read(session.root)
        self._people = _PEOPLE[session.root.kind]

    def address_books(self) -> list[AddressBookRecord]:
        """See `Source`."""
        return read_address_books(self._session, self._configuration)

    def everything(self) -> Iterator[Changes]:
        """See `Source`."""
        cookie = self._position()
        yield from in_parts(self._records(self._people, SERVERS))
        yield Changes(cookie=cookie)

    @abc.abstractmethod
    def changes(self, cookie: str) -> Iterator[Changes]:
        """See `Source`."""

    def present(self) -> Iterator[uuid.UUID] | None:
        """See `Source`."""
        found = self._entries(self._people, SERVERS, ["objectGUID", "entryUUID"])
        return (guid for entry in found if (guid := identity(entry)) is not None)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """See `Source`."""
        stop.wait(seconds)

    def close(self) -> None:
        """See `Source`."""
        self._session.close()

    @abc.abstractmethod
    def _position(self) -> str:
        """A cookie of now."""

    def _entries(
        self, people: str, servers: str, attributes: Sequence[str], controls: Sequence[Any] = ()
    ) -> Iterator[LdapEntry]:
        yield from self._session.search(self._configuration, servers, attributes, controls=controls)
        yield from self._session.search(self._base, people, attributes, controls=controls)

    def _records(self, people: str, servers: str) -> Iterator[Record]:
        for entry in self._entries(people, servers, self._attributes):
            if self._is_news(entry) and (record := to_record(entry, self._session.root)) is not None:
                yield record

    def _is_news(self, entry: LdapEntry) -> bool:
        """Whether the entry was not told as it is."""
        return True

    def _below(self, dn: str) -> Iterator[Record]:
        """The entries of a container that may have another name now."""
        logger.info("%s changed: all below it is read again", dn)
        for entry in self._session.search(dn, self._people, self._attributes):
            if (record := to_record(entry, self._session.root)) is not None:
                yield record

    def _changed(self, condition: str) -> Iterator[Record]:
        """The entries of which a condition holds, and those below containers of which it holds."""
        yield from self._records(f"(&{self._people}{condition})", f"(&{SERVERS}{condition})")
        parents = self._session.search(self._base, f"(&{PARENTS}{condition})", ["objectGUID", "entryUUID", "entryCSN"])
        for dn in [one.dn for one in parents if self._is_news(one)]:
            yield from self._below(dn)


def in_parts(records: Iterator[Record]) -> Iterator[Changes]:
    """Some hundred at a time, without a place to go on from."""
    while part := list(islice(records, _PART)):
        yield Changes(records=part)


class ActiveDirectorySource(LdapSource):
    """By update sequence numbers. A cookie has one for each server that was asked: they are each server's own."""

    def __init__(self, session: Session, base: str) -> None:
        super().__init__(session, base)
        self._invocation = self._invocation_id()
        #: [MS-ADTS] 3.1.1.1.4: where tombstones are.
        self._deleted_below = f"CN=Deleted Objects,{session.root.base}"
        self._warned = False

    def changes(self, cookie: str) -> Iterator[Changes]:
        """What this server has got since, from wherever; `CookieExpired` where it was never asked before."""
        numbers = _numbers(cookie)
        since = numbers.get(self._invocation)
        if since is None:
            raise CookieExpired(f"the directory server {self._session.root.service} was not asked before")
        now = self._highest()
        if now < since:
            raise CookieExpired(f"the directory server {self._session.root.service} was restored from a backup")
        if now > since:
            condition = f"(uSNChanged>={since + 1})"
            yield from in_parts(self._changed(condition))
            yield from self._removed(condition)
        yield Changes(cookie=json.dumps({**numbers, self._invocation: now}))

    def present(self) -> Iterator[uuid.UUID] | None:
        """Nothing where tombstones tell what was deleted, and nobody can move out of sight."""
        whole = self._base.casefold() == self._session.root.base.casefold()
        return None if whole and self._sees_tombstones() else super().present()

    def _position(self) -> str:
        return json.dumps({self._invocation: self._highest()})

    def _removed(self, condition: str) -> Iterator[Changes]:
        guids = (guid for entry in self._tombstones(condition) if (guid := identity(entry)) is not None)
        while part := list(islice(guids, _PART)):
            yield Changes(removed=part)

    def _highest(self) -> int:
        root = self._session.read("", ["highestCommittedUSN"])
        return int(root.text("highestCommittedUSN") or 0) if root else 0

    def _invocation_id(self) -> str:
        """Of the server's database: another one has other numbers, and a restored one gets a new id."""
        service = self._session.read(self._session.root.service, ["invocationId"])
        raw = next(iter(service.attributes.get("invocationid", ())), b"") if service else b""
        # Without it numbers of different servers can't be told apart: each counts for the server of that name.
        return str(uuid.UUID(bytes_le=raw)) if len(raw) == 16 else self._session.root.service

    def _tombstones(self, condition: str) -> Iterator[LdapEntry]:
        return self._session.search(
            self._deleted_below,
            f"(&(isDeleted=TRUE){condition})",
            ["objectGUID"],
            scope=LEVEL,
            controls=[show_deleted_control(criticality=True)],
        )

    def _sees_tombstones(self) -> bool:
        """Whether we may: who may not is shown an empty container. One that is empty is told in no other way."""
        sees = next(self._tombstones("(uSNChanged>=1)"), None) is not None
        if not sees and not self._warned:
            logger.warning(
                "the account that the directory is asked with sees nothing in %s: deleted entries are found later, by "
                "comparing all; dsacls or the group Administrators gives the right",
                self._deleted_below,
            )
            self._warned = True
        return sees


def _numbers(cookie: str) -> dict[str, int]:
    try:
        found = json.loads(cookie)
    except ValueError as error:
        raise CookieExpired(f"no cookie of a directory server: {cookie[:80]!r}") from error
    if not isinstance(found, dict) or not all(isinstance(number, int) for number in found.values()):
        raise CookieExpired(f"no cookie of a directory server: {cookie[:80]!r}")
    return found
