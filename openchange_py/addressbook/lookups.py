"""Reading entries: the SELECTs that the whole directory and an organization's address book have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, true

from openchange_py.addressbook.base import BACK_LINKS, Entry, MinimalEntryId
from openchange_py.addressbook.index import parts
from openchange_py.addressbook.rows import fold_address, to_entry
from openchange_py.addressbook.schema import address, entry, link
from openchange_py.addressbook.sortkeys import fold

#: Where an entry may be.
Scope = ColumnElement[bool]
EVERYWHERE: Scope = true()


def within(organization: int) -> Scope:
    """In one organization."""
    return entry.c.organization == organization


def one(connection: Connection, condition: Any, scope: Scope) -> Entry | None:
    """The entry that meets a condition."""
    row = connection.execute(select(entry).where(condition, scope)).first()
    return to_entry(row) if row else None


def by_mid(connection: Connection, mids: Sequence[int], scope: Scope) -> dict[MinimalEntryId, Entry]:
    """Those that there are."""
    found: dict[MinimalEntryId, Entry] = {}
    for some in parts([mid for mid in mids if 0 <= mid < 1 << 31]):
        for row in connection.execute(select(entry).where(entry.c.mid.in_(some), scope)):
            found[MinimalEntryId(row.mid)] = to_entry(row)
    return found


def by_legacy_dn(connection: Connection, dn: str, scope: Scope) -> Entry | None:
    """A DN that an entry had before stays as its X500 address, so that old mail can be answered."""
    found = one(connection, entry.c.legacy_exchange_dn_folded == fold(dn), scope)
    return found or by_address(connection, f"X500:{dn}", scope)


def by_address(connection: Connection, name: str, scope: Scope, first: int = 0) -> Entry | None:
    """The owner of an address; where several organizations have one, that of the organization `first`."""
    query = select(entry).join(address).where(address.c.address_folded == fold_address(name), scope)
    row = connection.execute(query.order_by(address.c.organization != first, address.c.organization)).first()
    return to_entry(row) if row else None


def linked(
    connection: Connection, mid: int, attribute: str, scope: Scope, *, limit: int | None = None, ids_only: bool = False
) -> Sequence[Any]:
    """Rows of those whom an attribute refers to, in display-name order."""
    columns = select(entry.c.mid) if ids_only else select(entry)
    query = _linked(columns, mid, attribute).where(scope).order_by(entry.c.sort_key, entry.c.mid)
    return connection.execute(query.limit(limit)).all()


def link_count(connection: Connection, mid: int, attribute: str, scope: Scope) -> int:
    """How many an attribute refers to."""
    query = _linked(select(func.count()).select_from(entry), mid, attribute).where(scope)
    return int(connection.execute(query).scalar_one())


def _linked(query: Any, mid: int, attribute: str) -> Any:
    forward = BACK_LINKS.get(attribute)
    if forward is None:
        return query.join(link, link.c.target == entry.c.mid).where(link.c.source == mid, link.c.attribute == attribute)
    return query.join(link, link.c.source == entry.c.mid).where(link.c.target == mid, link.c.attribute == forward)
