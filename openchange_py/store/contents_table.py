"""Contents tables: the sorted ids of a folder's messages, and rows of properties by id.

A sort by columns of `columns.ORDER` is the database's; any other reads the folder's rows and sorts here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, Select, bindparam, select

from openchange_py.store import ids, properties, schema
from openchange_py.store.base import SortKey
from openchange_py.store.columns import ORDER, row_plan
from openchange_py.store.messages import Place
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import MessageId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType, PropertyValue

_C = schema.messages.c
#: Rows that one query reads; databases limit the values of one statement.
_BATCH = 500
_NEWEST_FIRST = (SortKey(proptags.PidTagMessageDeliveryTime, descending=True),)


def sorted_ids(
    place: Place, connection: Connection, folder: int | None, associated: bool, sort: Sequence[SortKey]
) -> list[MessageId]:
    """Ids of the folder's messages in order; ties in the order of the ids, in the last key's direction."""
    keys = tuple(sort) or _NEWEST_FIRST
    in_database = all(key.tag in ORDER for key in keys)
    scope = {"mailbox": place.mailbox_id, "folder": folder, "associated": associated}
    found = ids.message_ids(connection.execute(_ids_query(keys if in_database else ()), scope).scalars().all())
    return found if in_database else _sort_here(place, connection, found, keys)


@lru_cache(maxsize=256)
def _ids_query(keys: tuple[SortKey, ...]) -> Select[Any]:
    query = select(_C.mid).where(
        _C.mailbox_id == bindparam("mailbox"),
        _C.folder_id == bindparam("folder"),
        _C.associated == bindparam("associated"),
    )
    for key in keys:
        query = query.order_by(_ordered(ORDER[key.tag], key.descending))
    return query.order_by(_C.mid.desc() if keys and keys[-1].descending else _C.mid)


def _ordered(column: Column[Any], descending: bool) -> Any:
    """Messages without the property come first; SQLite does so by itself, and uses its index then."""
    if not column.nullable:
        return column.desc() if descending else column.asc()
    return column.desc().nulls_last() if descending else column.asc().nulls_first()


def _sort_here(
    place: Place, connection: Connection, found: list[MessageId], keys: tuple[SortKey, ...]
) -> list[MessageId]:
    rows = list(zip(found, read_rows(place, connection, found, tuple(key.tag for key in keys)), strict=True))
    if keys[-1].descending:
        rows.reverse()
    for key in reversed(keys):
        rows.sort(key=_sort_value(key.tag), reverse=key.descending)
    return [identifier for identifier, _ in rows]


def _sort_value(tag: PropertyTag) -> Callable[[tuple[MessageId, PropertyMap]], tuple[int, Any]]:
    return lambda row: _comparable(tag, row[1].get(tag))


def _comparable(tag: PropertyTag, value: PropertyValue) -> tuple[int, Any]:
    """Texts compare without case, large values by how they begin; what is missing comes first."""
    if value is None:
        return 0, 0
    if hasattr(value, "read") and hasattr(value, "size"):
        value = value.read(0, 2 * schema.SORT_TEXT)
        value = value.decode("utf-16-le", "replace") if tag.type == PropertyType.String else value
    if isinstance(value, str):
        return 1, value.casefold()[: schema.SORT_TEXT]
    if isinstance(value, uuid.UUID):
        return 1, value.bytes_le
    if isinstance(value, list):
        return 1, [_comparable(tag, element) for element in value]
    return 1, value


def read_rows(
    place: Place, connection: Connection, wanted: Sequence[MessageId], tags: tuple[PropertyTag, ...]
) -> list[PropertyMap]:
    """For each id, in order, those of the properties that it has; an empty map for one that is gone."""
    plan = row_plan(tags)
    rows: dict[int, PropertyMap] = {}
    counters = [ids.counter_of(identifier) for identifier in wanted]
    for start in range(0, len(counters), _BATCH):
        batch = [counter for counter in counters[start : start + _BATCH] if counter is not None]
        for row in connection.execute(_rows_query(tags), {"mailbox": place.mailbox_id, "mids": batch}).all():
            values = plan.values(place.replica_guid, row)
            if plan.packed:
                values |= properties.unpack(row[-1], place.content, plan.packed)
            rows[row[0]] = values
    return [{} if counter is None else dict(rows.get(counter, {})) for counter in counters]


@lru_cache(maxsize=512)
def _rows_query(tags: tuple[PropertyTag, ...]) -> Select[Any]:
    plan = row_plan(tags)
    query: Select[Any] = select(*plan.columns).where(
        _C.mailbox_id == bindparam("mailbox"), _C.mid.in_(bindparam("mids", expanding=True))
    )
    if not plan.packed:
        return query
    packed = schema.message_properties
    return query.add_columns(packed.c.properties).join(packed, packed.c.message_id == _C.id)
