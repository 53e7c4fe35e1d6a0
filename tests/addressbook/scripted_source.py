"""A directory server in memory that a `Follower` can be given."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

from openchange_py.addressbook.base import ContainerKind, ContainerRecord, DirectoryError, Organization, Record
from openchange_py.addressbook.followed import AddressBookRecord, Changes, CookieExpired
from tests.addressbook.conftest import identity

GAL = ContainerRecord(uuid.UUID(int=1), "cn=GAL", "Global Address List", ContainerKind.GLOBAL)


class ScriptedServer:
    """Entries and the log of their changes; a cookie is a place in the log."""

    def __init__(self) -> None:
        self.entries: dict[uuid.UUID, Record] = {}
        self.log: list[uuid.UUID] = []
        self.forgotten = 0
        self.away = False
        self.tells_deletions = True
        self.connections = 0
        self.reads: list[str] = []
        self.changed = threading.Event()
        self.books = [AddressBookRecord(Organization("First", "Group"), [GAL])]

    def put(self, *records: Record) -> None:
        for record in records:
            self.entries[record.guid] = record
            self.log.append(record.guid)
        self.changed.set()

    def delete(self, account: str) -> None:
        del self.entries[identity(account)]
        if self.tells_deletions:
            self.log.append(identity(account))
        self.changed.set()

    def connect(self) -> ScriptedSource:
        self.check()
        self.connections += 1
        return ScriptedSource(self)

    def check(self) -> None:
        if self.away:
            raise DirectoryError("ldaps://dc.example.test does not answer")


class ScriptedSource:
    """See `Source`."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self.closed = threading.Event()

    def address_books(self) -> list[AddressBookRecord]:
        self._server.check()
        return self._server.books

    def everything(self) -> Iterator[Changes]:
        self._server.reads.append("everything")
        cookie = str(len(self._server.log))
        for record in list(self._server.entries.values()):
            self._server.check()
            yield Changes([record])
        yield Changes(cookie=cookie)

    def changes(self, cookie: str) -> Iterator[Changes]:
        self._server.check()
        self._server.reads.append("changes")
        if int(cookie) < self._server.forgotten:
            raise CookieExpired("the log does not go back so far")
        for place, guid in enumerate(self._server.log[int(cookie) :], int(cookie) + 1):
            if guid in self._server.entries:
                yield Changes([self._server.entries[guid]], cookie=str(place))
            else:
                yield Changes(removed=[guid], cookie=str(place))

    def present(self) -> Iterator[uuid.UUID] | None:
        if self._server.tells_deletions:
            return None
        self._server.reads.append("present")
        return iter(list(self._server.entries))

    def wait(self, seconds: float, stop: threading.Event) -> None:
        while not stop.is_set() and not self._server.changed.wait(0.01) and not self.closed.is_set():
            pass
        self._server.changed.clear()

    def close(self) -> None:
        self.closed.set()
