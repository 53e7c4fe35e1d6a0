"""Named properties: which id a mailbox has for a name ([MS-OXCPRPT] 3.2.5.8 and 3.2.5.9, [MS-OXPROPS] 1.3.2)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from openchange_py.store import schema
from openchange_py.store.base import StoreError
from openchange_py.store.messages import Place
from openchange_py.wire.oxcdata.named import Kind, PropertyName

#: The ids of named properties; 0xFFFF is none.
FIRST_ID, LAST_ID = 0x8000, 0xFFFE

_N = schema.named_properties.c
_SELECT = select(_N.property_id, _N.property_set, _N.lid, _N.name).where(_N.mailbox_id == bindparam("mailbox"))
_INSERT = insert(schema.named_properties)

Key = tuple[uuid.UUID, int | str]


def read_names(place: Place, connection: Connection) -> Mapping[int, PropertyName]:
    """All names, by id."""
    rows = connection.execute(_SELECT, {"mailbox": place.mailbox_id}).all()
    return {row.property_id: _name(row) for row in rows}


def _name(row: Any) -> PropertyName:
    if row.lid is None:
        return PropertyName.of_name(row.property_set, row.name)
    return PropertyName.of_lid(row.property_set, row.lid)


def read_ids(place: Place, connection: Connection, names: Sequence[PropertyName]) -> list[int]:
    """The ids of the names, 0 for one that is not known."""
    known = {_key(name): property_id for property_id, name in read_names(place, connection).items()}
    return [known.get(_key(name), 0) for name in names]


def create_ids(place: Place, connection: Connection, names: Sequence[PropertyName]) -> list[int]:
    """The same, within a transaction that locks the mailbox: an unknown name becomes known, while there are ids."""
    names_by_id = read_names(place, connection)
    known = {_key(name): property_id for property_id, name in names_by_id.items()}
    following = max(names_by_id, default=FIRST_ID - 1) + 1
    new = []
    for name in names:
        if _key(name) in known or following > LAST_ID:
            continue
        known[_key(name)] = following
        new.append(_row(place, following, name))
        following += 1
    if new:
        connection.execute(_INSERT, new)
    return [known.get(_key(name), 0) for name in names]


def _row(place: Place, property_id: int, name: PropertyName) -> dict[str, Any]:
    return {
        "mailbox_id": place.mailbox_id,
        "property_id": property_id,
        "property_set": name.guid,
        "lid": name.lid,
        "name": name.name,
    }


def _key(name: PropertyName) -> Key:
    if name.kind == Kind.Lid and name.lid is not None:
        return name.guid, name.lid
    if name.kind == Kind.Name and name.name is not None:
        return name.guid, name.name
    raise StoreError(f"{name!r:.120} names no property")
