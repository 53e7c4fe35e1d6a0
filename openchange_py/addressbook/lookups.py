"""Reading entries: the SELECTs that the whole directory and an organization's address book have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, func, or_, select, true

from openchange_py.addressbook.base import BACK_LINKS, Entry, Kind, MinimalEntryId
from openchange_py.addressbook.index import parts
from openchange_py.addressbook.rows import LONGEST_NAME, fold_address, to_entry
from openchange_py.addressbook.schema import address, entry, link
from openchange_py.addressbook.sortkeys import fold, sort_key

#: Where an entry may be.
Scope = ColumnElement[bool]
EVERYWHERE: Scope = true()


def within(organization: int) -> Scope:
    """In one organization, which holds most entries: nothing is looked up by that, and no database is to try."""
    return entry.c.organization + 0 == organization


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


def mids_by_legacy_dn(connection: Connection, names: Sequence[str], scope: Scope) -> dict[str, int]:
    """By folded DN the ids of those that there are, as `by_legacy_dn` finds them."""
    folded = list(dict.fromkeys(map(fold, names)))
    dn = entry.c.legacy_exchange_dn_folded
    found: dict[str, int] = {}
    for some in parts(folded):
        rows = connection.execute(select(dn, entry.c.mid).where(dn.in_(some), scope))
        found |= {name: mid for name, mid in rows if name}
    former = {fold_address(f"X500:{name}"): name for name in folded if name not in found}
    for some in parts(list(former)):
        query = select(address.c.address_folded, address.c.mid).join(entry, entry.c.mid == address.c.mid)
        rows = connection.execute(query.where(address.c.address_folded.in_(some), scope))
        found |= {former[row.address_folded]: row.mid for row in rows}
    return found


def by_address(connection: Connection, name: str, scope: Scope, first: int = 0) -> Entry | None:
    """The owner of an address; where several organizations have one, that of the organization `first`."""
    query = select(entry).join(address).where(address.c.address_folded == fold_address(name), scope)
    row = connection.execute(query.order_by(address.c.organization != first, address.c.organization)).first()
    return to_entry(row) if row else None


#: What of a text stands in JSON as it is.
_PLAIN = re.compile(rb"[a-z0-9]+")


def mentioning(connection: Connection, text: str, scope: Scope) -> set[int] | None:
    """The ids of entries whose attributes contain a text as sort keys compare it, of others too.

    It is looked for in the attributes' JSON, where what is not ASCII, and thus may compare like ASCII, begins with a
    backslash. None where nothing of the text would be found so.
    """
    plain: list[bytes] = _PLAIN.findall(sort_key(text[:LONGEST_NAME]))
    if not plain:
        return None
    stored = cast(entry.c.attributes, String)
    longest = max(plain, key=len).decode()
    found = or_(stored.ilike(f"%{longest}%"), stored.like("%\\u%", escape="/"))
    return set(connection.execute(select(entry.c.mid).where(scope, found)).scalars())


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


def link_counts(
    connection: Connection, mids: Sequence[int], attribute: str, scope: Scope, kind: Kind | None
) -> dict[MinimalEntryId, int]:
    """How many of a kind, or of any, an attribute of each entry refers to."""
    own, other, attributes = _sides(attribute)
    query = select(own, func.count()).select_from(link).join(entry, entry.c.mid == other).where(attributes, scope)
    if kind is not None:
        query = query.where(entry.c.kind == kind)
    found: dict[MinimalEntryId, int] = {}
    for some in parts(mids):
        rows = connection.execute(query.where(own.in_(some)).group_by(own))
        found |= {MinimalEntryId(mid): count for mid, count in rows}
    return found


def linked_names(
    connection: Connection, mids: Sequence[int], attribute: str, scope: Scope, limit: int | None
) -> dict[MinimalEntryId, list[tuple[str, str]]]:
    """The legacyExchangeDNs and display names of whom an attribute of each entry refers to, in display-name order."""
    own, other, attributes = _sides(attribute)
    number = func.row_number().over(partition_by=own, order_by=(entry.c.sort_key, entry.c.mid)).label("number")
    columns = own.label("own"), entry.c.legacy_exchange_dn, entry.c.display_name, number
    query = select(*columns).select_from(link).join(entry, entry.c.mid == other).where(attributes, scope)
    found: dict[MinimalEntryId, list[tuple[str, str]]] = {}
    for some in parts(mids):
        rows = query.where(own.in_(some)).subquery()
        numbered = select(rows).order_by(rows.c.own, rows.c.number)
        if limit is not None:
            numbered = numbered.where(rows.c.number <= limit)
        for mid, dn, name, _ in connection.execute(numbered):
            found.setdefault(MinimalEntryId(mid), []).append((dn, name))
    return found


def _linked(query: Any, mid: int, attribute: str) -> Any:
    own, other, attributes = _sides(attribute)
    return query.join(link, other == entry.c.mid).where(own == mid, attributes)


def _sides(attribute: str) -> tuple[Any, Any, ColumnElement[bool]]:
    """Where a link that an attribute shows has the entry and the other one, and which links these are."""
    forward = BACK_LINKS.get(attribute)
    if forward is None:
        return link.c.source, link.c.target, link.c.attribute == attribute
    return link.c.target, link.c.source, link.c.attribute == forward
