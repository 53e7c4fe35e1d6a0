"""What an index of a directory is made from: the interface of a source, which `following.Follower` reads.

A source is a connection to one directory server, used by one thread at a time. It knows how that kind of server tells
what changed; the follower knows the index, the lease and the waiting. `DirectoryError` where the server can't be
reached or refuses: the follower waits and tries again.
"""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Protocol

from openchange_py.addressbook.base import ContainerRecord, DirectoryError, Organization, Record


class CookieExpired(DirectoryError):
    """The server can't tell any more what changed since a cookie: all has to be read and compared."""


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    """A part of what changed, in an order that can be stored part by part; some hundred records, not all at once.

    `cookie` is remembered when this part is stored: what comes after it is asked for next time, in another process
    perhaps. None: no place to go on from. A change may be told twice, and a record may be as it was.
    """

    records: Sequence[Record] = ()
    removed: Sequence[uuid.UUID] = ()
    cookie: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class AddressBookRecord:
    """One organization and its containers, in any order."""

    organization: Organization
    containers: Sequence[ContainerRecord]


class Source(Protocol):
    """One directory server, as the follower reads it."""

    def address_books(self) -> list[AddressBookRecord]:
        """All organizations; read before the entries of every round."""

    def everything(self) -> Iterator[Changes]:
        """Every entry that belongs into the index, in parts.

        The last part's cookie is from before the first was read, so that no change falls in between. What the index has
        and this does not say is removed.
        """

    def changes(self, cookie: str) -> Iterator[Changes]:
        """What changed since; `CookieExpired` where the server can't tell."""

    def present(self) -> Iterator[uuid.UUID] | None:
        """The identities of all entries, for a server that does not tell what was deleted; None where `changes` does.

        Asked now and then, not in every round.
        """

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when something changed, after `seconds`, or when `stop` is set.

        Where the server gives no notice of changes this is `stop.wait(seconds)`.
        """

    def close(self) -> None:
        """Close the connection; may be called by another thread, and then ends what is waiting."""
