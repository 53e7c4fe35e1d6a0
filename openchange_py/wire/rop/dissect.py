"""One readable line for each ROP, for logs and for people: what the `print` flag of a binding shows.

    RopOpenFolderRequest logon_id=0 input_handle_index=0 output_handle_index=1 folder_id=0001-000000000009 ...

Long bytes, texts and lists are shortened, property tags and error codes have their names, and rows the names of
their columns. The lines show what is in the mailbox: who logs them decides who may read that.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import split_id
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import Absent, PropertyError, PropertyRow
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.ids import RopId

_BYTES, _TEXT, _ITEMS = 16, 60, 8
_ERRORS: Final = {int(member): member.name for member in ErrorCode}
_ROPS: Final = {int(member): member.name for member in RopId}
#: 64-bit fields that are a replica id and a GlobalCounter, each alone or in a list.
_IDS: Final = frozenset({"folder_id", "message_id", "object_id", "folder_ids", "message_ids"})


def describe(rop: Rop) -> str:
    """The ROP in one line: its class, then `field=value` in wire order."""
    fields = dataclasses.fields(rop)  # type: ignore[arg-type]  # every registered ROP is a @structure
    columns = getattr(rop, "columns", None)
    parts = [type(rop).__name__]
    for field in fields:
        value = getattr(rop, field.name)
        if field.name == "columns" or value is None:
            continue
        parts.append(f"{field.name}={_field(field.name, value, columns)}")
    return " ".join(parts)


def describe_buffer(buffer: RopBuffer) -> list[str]:
    """A line for each ROP, one for what was not decoded, and one for the handle table."""
    lines = [describe(rop) for rop in buffer.rops]
    if buffer.tail:
        name = _ROPS.get(buffer.tail[0], f"0x{buffer.tail[0]:02X}")
        lines.append(f"not decoded, from Rop{name} on: {_bytes(buffer.tail)}")
    handles = ", ".join("-" if handle == NO_HANDLE else f"0x{handle:X}" for handle in buffer.handles)
    lines.append(f"handles [{handles}]")
    return lines


def _field(name: str, value: Any, columns: Sequence[PropertyTag] | None) -> str:
    if name == "return_value":
        return _ERRORS.get(value, f"0x{value:08X}")
    if name == "rop_id":
        return _ROPS.get(value, f"0x{value:02X}")
    if name in _IDS:
        return _list(value, _id) if isinstance(value, list) else _id(value)
    return _value(value, columns)


def _id(value: Any) -> str:
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        return _value(value, None)
    replica, counter = split_id(value)
    return f"{replica:04X}-{counter:012X}"


def _value(value: Any, columns: Sequence[PropertyTag] | None) -> str:
    match value:
        case PropertyTag():
            return value.name
        case Absent():
            return "<absent>"
        case enum.Enum():
            return value.name
        case bytes():
            return _bytes(value)
        case str():
            return repr(value if len(value) <= _TEXT else value[:_TEXT] + "…")
        case PropertyRow():
            return _row(value, columns)
        case PropertyError():
            return f"<{_ERRORS.get(value.code, f'0x{value.code:08X}')}>"
        case TaggedPropertyValue():
            return f"{value.tag.name}={_value(value.value, None)}"
        case uuid.UUID():
            return str(value)
        case list() | tuple():
            return _list(value, lambda item: _value(item, columns))
    return _other(value)


def _other(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        pairs = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        columns = dict(pairs).get("columns")
        shown = [
            f"{name}={_field(name, item, columns)}" for name, item in pairs if name != "columns" and item is not None
        ]
        return f"{type(value).__name__}({', '.join(shown)})"
    return str(value)


def _row(row: PropertyRow, columns: Sequence[PropertyTag] | None) -> str:
    if columns is None or len(columns) < len(row.values):
        return _value(row.values, None)
    pairs = zip(columns, row.values, strict=False)
    return "{" + ", ".join(f"{tag.name}: {_value(cell, None)}" for tag, cell in pairs) + "}"


def _bytes(value: bytes) -> str:
    if len(value) <= _BYTES:
        return value.hex() or "''"
    return f"{value[:_BYTES].hex()}…({len(value)} bytes)"


def _list(value: Sequence[Any], show: Callable[[Any], str]) -> str:
    count = f"(of {len(value)})" if len(value) > _ITEMS else ""
    return "[" + ", ".join(map(show, value[:_ITEMS])) + "]" + count
