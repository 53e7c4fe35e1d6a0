"""Writing organizations and the containers of their address books to the directory's tables."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from openchange_py.addressbook import linking
from openchange_py.addressbook.base import ContainerKind, ContainerRecord, Organization
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.indexing import Transaction
from openchange_py.addressbook.rows import LONGEST_NAME
from openchange_py.addressbook.schema import container, entry, organization
from openchange_py.addressbook.sortkeys import fold, sort_key

logger = logging.getLogger(__name__)

#: As deep as containers may lie in one another.
_DEEPEST = 32
#: The longest name that fits into its column.
_LONGEST_SHOWN = 255


def address_books(connection: Connection) -> list[AddressBookRecord]:
    """What the tables say: all organizations with their containers."""
    rows = connection.execute(select(container).order_by(container.c.position)).all()
    names = {row.mid: row.distinguished_name for row in rows}
    return [
        AddressBookRecord(
            Organization(one.name, one.administrative_group),
            [
                ContainerRecord(
                    row.guid,
                    row.distinguished_name,
                    row.name,
                    ContainerKind(row.kind),
                    names.get(row.parent),
                    row.purported_search,
                )
                for row in rows
                if row.organization == one.id
            ],
        )
        for one in connection.execute(select(organization).order_by(organization.c.name_folded))
    ]


def put_address_books(transaction: Transaction, books: Sequence[AddressBookRecord]) -> None:
    """Make these all organizations that there are; what is so already costs no write."""
    known = {row.name_folded: row for row in transaction.connection.execute(select(organization))}
    wanted = {fold(book.organization.name): book for book in books if _fits(book)}
    for name in known.keys() - wanted.keys():
        _remove(transaction, known[name].id)
    for name in known.keys() & wanted.keys():
        _rename(transaction, known[name], wanted[name])
    for name in wanted.keys() - known.keys():
        _add(transaction, name, wanted[name])
    numbers = transaction.organizations
    for name, book in wanted.items():
        put_containers(transaction, numbers[name], book.containers)


def _fits(book: AddressBookRecord) -> bool:
    names = book.organization.name, book.organization.administrative_group
    fits = all(0 < len(name) <= _LONGEST_SHOWN and "\0" not in name for name in names)
    if not fits:
        logger.warning("an organization is not indexed: %r is no name for one", names)
    return fits


def _add(transaction: Transaction, name: str, book: AddressBookRecord) -> None:
    connection = transaction.connection
    number = 1 + (connection.execute(select(func.max(organization.c.id))).scalar() or 0)
    values = {"id": number, "name": book.organization.name, "name_folded": name, "guid": uuid.uuid4()}
    group = book.organization.administrative_group
    connection.execute(insert(organization).values(administrative_group=group, **values))
    transaction.organizations[name] = number
    prefix = entry.c.legacy_exchange_dn_folded.startswith(f"/o={name}/", autoescape=True)
    transaction.renew(connection.execute(select(entry.c.mid).where(prefix)).scalars().all())
    transaction.touch()


def _rename(transaction: Transaction, row: Any, book: AddressBookRecord) -> None:
    """The name's spelling, or the administrative group."""
    found = book.organization
    if (row.name, row.administrative_group) != (found.name, found.administrative_group):
        values = {"name": found.name, "administrative_group": found.administrative_group}
        transaction.connection.execute(update(organization).where(organization.c.id == row.id).values(values))
        transaction.touch()


def _remove(transaction: Transaction, number: int) -> None:
    """Its entries stay, and belong to none; the address book's GUID is never another's."""
    connection = transaction.connection
    put_containers(transaction, number, ())
    transaction.organizations = {name: n for name, n in transaction.organizations.items() if n != number}
    transaction.renew(connection.execute(select(entry.c.mid).where(entry.c.organization == number)).scalars().all())
    connection.execute(delete(organization).where(organization.c.id == number))
    transaction.touch()


def put_containers(transaction: Transaction, number: int, records: Sequence[ContainerRecord]) -> None:
    """Make these all containers of an organization."""
    connection = transaction.connection
    present = {
        row.mid: dict(row._mapping)
        for row in connection.execute(select(container).where(container.c.organization == number))
    }
    usable = [record for record in records if _usable(record)]
    mids = transaction.mids([record.guid for record in usable])
    rows = {row["mid"]: row for row in _rows(usable, mids, number)}
    gone = [mid for mid in present if mid not in rows]
    changed = [mid for mid in rows if mid in present and rows[mid] != present[mid]]
    for mid in (*gone, *changed):
        connection.execute(delete(container).where(container.c.mid == mid))
    new = [mid for mid in rows if mid not in present]
    for mid in (*changed, *new):
        connection.execute(insert(container).values(rows[mid]))
    transaction.changed |= linking.rename(connection, dict.fromkeys(gone))
    names = {mid: fold(str(rows[mid]["distinguished_name"])) for mid in (*changed, *new)}
    transaction.changed |= linking.rename(connection, names)
    transaction.changed.update((*gone, *changed, *new))


def _usable(record: ContainerRecord) -> bool:
    """What can't be kept can't be shown either."""
    texts = record.display_name, record.name, record.purported_search
    usable = 0 < len(record.display_name) <= _LONGEST_SHOWN and 0 < len(record.name) <= LONGEST_NAME
    usable = usable and len(record.purported_search) <= 65536 and not any("\0" in text for text in texts)
    if not usable:
        logger.warning("the address list %r is not indexed: its name or search can't be kept", record.name[:80])
    return usable


def _rows(records: Sequence[ContainerRecord], mids: Mapping[uuid.UUID, int], number: int) -> Iterator[dict[str, Any]]:
    """Each behind its parent, the Global Address List first, others by name."""
    first_global = min((record for record in records if record.kind is ContainerKind.GLOBAL), key=_order, default=None)
    children: dict[str, list[ContainerRecord]] = {}
    names = {fold(record.name) for record in records}
    for record in sorted(records, key=_order):
        parent = fold(record.parent or "")
        children.setdefault(parent if parent in names else "", []).append(record)
    position = 0

    def walk(name: str, parent: int | None, depth: int) -> Iterator[dict[str, Any]]:
        nonlocal position
        for record in children.pop(name, ()):
            kind = record.kind
            if kind is ContainerKind.GLOBAL and record is not first_global:
                kind = ContainerKind.LIST  # an organization has one; clients know it by the id 0
            yield {
                "mid": mids[record.guid],
                "guid": record.guid,
                "organization": number,
                "kind": str(kind),
                "name": record.display_name,
                "distinguished_name": record.name,
                "parent": parent,
                "depth": depth,
                "position": position,
                "purported_search": record.purported_search,
            }
            position += 1
            if depth < _DEEPEST:
                yield from walk(fold(record.name), mids[record.guid], depth + 1)

    yield from walk("", None, 0)


def _order(record: ContainerRecord) -> tuple[bool, bytes, str]:
    return record.kind is not ContainerKind.GLOBAL, sort_key(record.display_name), str(record.guid)
