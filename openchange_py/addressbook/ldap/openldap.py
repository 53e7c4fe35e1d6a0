"""OpenLDAP, and other servers that know entryUUID, as the index's follower reads them.

With the `syncprov` overlay the synchronization of RFC 4533 tells which entries changed since a contextCSN, and which
are gone, or (where the overlay has no `syncprov-sessionlog`) which are left. Without it modifyTimestamp says what
changed, and nothing what was deleted.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

from openchange_py.addressbook.base import DirectoryError, Record
from openchange_py.addressbook.followed import Changes, CookieExpired
from openchange_py.addressbook.ldap.mapping import identity, to_record
from openchange_py.addressbook.ldap.session import LdapEntry, LimitExceeded, Session
from openchange_py.addressbook.ldap.source import PARENTS, SERVERS, LdapSource, in_parts
from openchange_py.addressbook.ldap.synchronization import Refreshed, read_refresh, request_control

#: Changes that are read one by one; more than that and all is read in pages.
_MANY: Final = 5000
#: Changes are told in the order of their commits, stamps are given when they begin: so far are they looked for again.
_OVERLAP: Final = datetime.timedelta(seconds=60)
_GENERALIZED_TIME: Final = "%Y%m%d%H%M%S"
_STAMPS: Final = ("objectClass", "entryUUID", "entryCSN", "modifyTimestamp")


class OpenLdapSource(LdapSource):
    """See `Source`. A cookie has the contextCSNs, or the newest modifyTimestamp."""

    def __init__(self, session: Session, base: str) -> None:
        super().__init__(session, base)
        self._synchronizes = bool(self._context())
        #: The entries that were there last, where the server told which are left.
        self._known: set[bytes] = set()
        #: What was told within the overlap: entryCSN by entry.
        self._told: dict[uuid.UUID, str] = {}

    def everything(self) -> Iterator[Changes]:
        """See `Source`."""
        self._told = {}
        if not self._synchronizes:
            for parent in self._session.search(self._base, PARENTS, _STAMPS):
                self._is_news(parent)
        return super().everything()

    def changes(self, cookie: str) -> Iterator[Changes]:
        """See `Source`."""
        since = _parsed(cookie)
        if "csn" in since:
            yield from self._refresh([str(csn) for csn in since["csn"]])
        elif not self._synchronizes:
            yield from self._modified(str(since.get("modified", "")))
        else:
            raise CookieExpired("the directory tells its changes in another way than before")

    def _position(self) -> str:
        if self._synchronizes:
            return json.dumps({"csn": self._context()})
        stamps = self._entries(self._people, SERVERS, _STAMPS)
        return json.dumps({"modified": max((_stamp(entry) for entry in stamps), default="")})

    def _context(self) -> list[str]:
        found = self._session.read(self._base, ["contextCSN"])
        return sorted(found.texts("contextCSN")) if found else []

    # RFC 4533

    def _refresh(self, since: list[str]) -> Iterator[Changes]:
        now = self._context()
        if not now:
            raise CookieExpired("the directory has no contextCSN any more")
        if now != since:
            refreshed = self._ask(since)
            if len(refreshed.changed) > _MANY:
                raise CookieExpired("so much changed that all is read again")
            yield from in_parts(self._read(list(refreshed.changed.values())))
            yield from self._gone(refreshed)
        yield Changes(cookie=json.dumps({"csn": now}))

    def _ask(self, since: list[str]) -> Refreshed:
        control = request_control(f"rid=000,csn={';'.join(since)}")
        condition = f"(|{self._people}{SERVERS}{PARENTS})"
        try:
            messages = self._session.raw_search(self._base, condition, ["objectClass"], [control])
        except LimitExceeded as error:
            raise CookieExpired(f"more changed than the directory tells at once: {error}") from error
        return read_refresh(messages)

    def _read(self, names: list[str]) -> Iterator[Record]:
        """Entries by their names; one that is gone meanwhile is told next time."""
        for name in names:
            entry = self._session.read(name, self._attributes)
            if entry is None:
                continue
            if (record := to_record(entry, self._session.root)) is not None:
                yield record
            else:
                yield from self._below(entry.dn)

    def _gone(self, refreshed: Refreshed) -> Iterator[Changes]:
        changed = set(refreshed.changed)
        deleted = refreshed.deleted
        if refreshed.tells_deletions:
            self._known = (self._known | changed) - deleted if self._known else set()
        elif left := refreshed.present | changed:
            deleted = deleted | (self._known - left)
            self._known = left
        if deleted:
            yield Changes(removed=[uuid.UUID(bytes=one) for one in deleted])

    # Without syncprov

    def _modified(self, since: str) -> Iterator[Changes]:
        newest = since
        records = (
            self._changed(f"(modifyTimestamp>={_before(since)})") if since else self._records(self._people, SERVERS)
        )
        for part in in_parts(records):
            stamps = [str(value) for one in part.records for value in one.attributes.get("whenChanged", ())]
            newest = max([newest, *stamps])
            yield part
        if newest != since:
            self._told = {guid: csn for guid, csn in self._told.items() if csn >= _before(newest)}
        yield Changes(cookie=json.dumps({"modified": newest}))

    def _is_news(self, entry: LdapEntry) -> bool:
        """The same state of an entry is told once, though it is asked for again."""
        guid, csn = identity(entry), entry.text("entryCSN")
        if self._synchronizes or guid is None or not csn:
            return True
        if self._told.get(guid) == csn:
            return False
        self._told[guid] = csn
        return True


def _stamp(entry: LdapEntry) -> str:
    return entry.text("modifyTimestamp")


def _before(stamp: str) -> str:
    """A while before a time (`20261126180000Z`)."""
    try:
        time = datetime.datetime.strptime(stamp[:14], _GENERALIZED_TIME).replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise DirectoryError(f"the directory has a modifyTimestamp that is no time: {stamp[:40]!r}") from error
    return f"{time - _OVERLAP:{_GENERALIZED_TIME}}Z"


def _parsed(cookie: str) -> dict[str, Any]:
    try:
        found = json.loads(cookie)
    except ValueError as error:
        raise CookieExpired(f"no cookie of this directory: {cookie[:80]!r}") from error
    if not isinstance(found, dict) or not isinstance(found.get("csn", []), list):
        raise CookieExpired(f"no cookie of this directory: {cookie[:80]!r}")
    return found
