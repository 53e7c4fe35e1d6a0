"""ROPs and other decoded structures made readable: as plain values for programs, and as a line of text for people.

    RopOpenFolderRequest logon_id=0 input_handle_index=0 output_handle_index=1 folder_id=0001-000000000009 ...

`dissect` gives values that JSON knows; texts are made from them, so that both always say the same. Long bytes, texts
and lists are shortened, property tags and error codes have their names, and rows the names of their columns:

| | as a value | as text |
|---|---|---|
| names, ids, error codes | `Word("PidTagSubject")`, a str | `PidTagSubject` |
| text | `"Inbox"` | `'Inbox'` |
| bytes | `{"hex": "0102", "size": 2}`; 8-bit text `{"text": "abc", "size": 3}` | `0102`, `b'abc'` |
| a row, a property | `{"PidTagDisplayName": "Inbox"}` | `{PidTagDisplayName: 'Inbox'}` |
| an error in a row | `{"error": "NotFound"}` | `<NotFound>` |
| another structure | `{"type": "ExistRestriction", "prop_tag": ...}` | `ExistRestriction(prop_tag=...)` |

What is shown is in the mailbox: who logs it decides who may read that.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import split_id
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import Absent, PropertyError, PropertyRow
from openchange_py.wire.oxnspi_types import PropertyValue_r
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.ids import RopId

#: None, bool, int, float, str, and lists and dicts of these.
Plain: TypeAlias = Any

_ERRORS: Final = {int(member): member.name for member in ErrorCode}
_ROPS: Final = {int(member): member.name for member in RopId}
#: 64-bit fields that are a replica id and a GlobalCounter, each alone or in a list.
ID_FIELDS: Final = frozenset({"folder_id", "message_id", "object_id", "folder_ids", "message_ids"})
#: Of NSPI: numbers that are property tags, each alone or in a list.
_TAG_FIELDS: Final = frozenset({"prop_tag", "prop_tag1", "prop_tag2", "prop_tags", "columns"})
_PRINTABLE: Final = bytes(range(0x20, 0x7F))


@dataclasses.dataclass(frozen=True, slots=True)
class Lengths:
    """How much is shown of long values: bytes, characters of a text, elements of a list."""

    bytes: int = 16
    text: int = 60
    items: int = 8


SHORT: Final = Lengths()


class Word(str):
    """A name that stands for a number, an id and the like: text shows it without quotes."""

    __slots__ = ()


def rop_name(rop_id: int) -> str:
    """`OpenFolder`, or `0xF0` where the document knows none."""
    return _ROPS.get(rop_id, f"0x{rop_id:02X}")


def error_name(code: int) -> str:
    """`NotFound`, or `0x12345678`."""
    return _ERRORS.get(code, f"0x{code:08X}")


def dissect(rop: Rop, lengths: Lengths = SHORT) -> dict[str, Plain]:
    """A ROP: `{"rop": class, field: value, ...}` in wire order."""
    return {"rop": Word(type(rop).__name__), **dissect_fields(rop, lengths)}


def dissect_buffer(buffer: RopBuffer, lengths: Lengths = SHORT) -> dict[str, Plain]:
    """`{"rops": [...], "handles": [...]}`; `not_decoded` where something was not: from which ROP on, and its bytes."""
    found: dict[str, Plain] = {"rops": [dissect(rop, lengths) for rop in buffer.rops]}
    if buffer.tail:
        found["not_decoded"] = {"from": Word(f"Rop{rop_name(buffer.tail[0])}"), **_binary(buffer.tail, lengths)}
    found["handles"] = [None if handle == NO_HANDLE else handle for handle in buffer.handles]
    return found


def dissect_fields(value: Any, lengths: Lengths = SHORT) -> dict[str, Plain]:
    """The fields of any structure, in wire order; those that are None, and the columns of rows, are left out."""
    pairs = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    columns = dict(pairs).get("columns")
    shown = [(name, item) for name, item in pairs if name != "columns" and item is not None]
    return {name: dissect_field(name, item, lengths, columns) for name, item in shown}


def dissect_field(
    name: str, value: Any, lengths: Lengths = SHORT, columns: Sequence[PropertyTag] | None = None
) -> Plain:
    """A field's value; `columns` are those of the rows in it. Some fields are told by their names."""
    if isinstance(value, int):
        if name == "return_value":
            return Word(error_name(value))
        if name == "rop_id":
            return Word(rop_name(value))
    if name in ID_FIELDS:
        return _list(value, _id, lengths) if isinstance(value, list) else _id(value)
    if name in _TAG_FIELDS:
        return _list(value, _tag, lengths) if isinstance(value, list) else _tag(value)
    return _value(value, columns, lengths)


def describe(rop: Rop) -> str:
    """The ROP in one line: its class, then `field=value` in wire order."""
    return rop_text(dissect(rop))


def describe_buffer(buffer: RopBuffer) -> list[str]:
    """A line for each ROP, one for what was not decoded, and one for the handle table."""
    return buffer_lines(dissect_buffer(buffer))


def rop_text(rop: dict[str, Plain]) -> str:
    """The line of a dissected ROP."""
    return " ".join([rop["rop"], *(f"{name}={as_text(value)}" for name, value in rop.items() if name != "rop")])


def buffer_lines(buffer: dict[str, Plain]) -> list[str]:
    """The lines of a dissected buffer."""
    lines = [rop_text(rop) for rop in buffer["rops"]]
    if left_out := buffer.get("left_out"):
        lines.append(f"({left_out} more ROPs)")
    if rest := buffer.get("not_decoded"):
        lines.append(f"not decoded, from {rest['from']} on: {_binary_text(rest)}")
    handles = ", ".join("-" if handle is None else f"0x{handle:X}" for handle in buffer["handles"])
    lines.append(f"handles [{handles}]")
    return lines


def as_text(value: Plain) -> str:
    """A dissected value for people."""
    match value:
        case None:
            return "<absent>"
        case Word():
            return str(value)
        case str():
            return repr(value)
        case list():
            more = value[-1] if value and isinstance(value[-1], _More) else ""
            return "[" + ", ".join(map(as_text, value[:-1] if more else value)) + "]" + more
        case {"hex": _} | {"text": _}:
            return _binary_text(value)
        case {"error": code}:
            return f"<{code}>"
        case {"type": name}:
            return f"{name}({', '.join(f'{key}={as_text(item)}' for key, item in value.items() if key != 'type')})"
        case dict():
            return "{" + ", ".join(f"{key}: {as_text(item)}" for key, item in value.items()) + "}"
    return str(value)


class _More(Word):
    """Ends a list of which not all is shown."""

    __slots__ = ()


def _id(value: Any) -> Plain:
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        return _value(value, None, SHORT)
    replica, counter = split_id(value)
    return Word(f"{replica:04X}-{counter:012X}")


def _tag(value: Any) -> Plain:
    return Word(PropertyTag(value).name) if isinstance(value, int) else _value(value, None, SHORT)


def _value(value: Any, columns: Sequence[PropertyTag] | None, lengths: Lengths) -> Plain:
    match value:
        case PropertyTag():
            return Word(value.name)
        case None | Absent():
            return None
        case enum.Enum():
            return Word(value.name or value.value)
        case bytes() | bytearray() | memoryview():
            return _binary(bytes(value), lengths)
        case str():
            return value if len(value) <= lengths.text else value[: lengths.text] + "…"
        case float():
            return value if math.isfinite(value) else Word(value)
        case bool() | int():
            return value
        case list() | tuple():
            return _list(value, lambda item: _value(item, columns, lengths), lengths)
    return _structure(value, columns, lengths)


def _structure(value: Any, columns: Sequence[PropertyTag] | None, lengths: Lengths) -> Plain:
    match value:
        case PropertyRow():
            return _row(value, columns, lengths)
        case PropertyError():
            return {"error": Word(error_name(value.code))}
        case TaggedPropertyValue():
            return {value.tag.name: _value(value.value, None, lengths)}
        case PropertyValue_r():
            return {PropertyTag(value.prop_tag).name: _value(value.value, None, lengths)}
        case ContextHandle():
            return None if value.is_null else Word(value.uuid)
        case uuid.UUID():
            return Word(value)
    if dataclasses.is_dataclass(value):
        return {"type": Word(type(value).__name__), **dissect_fields(value, lengths)}
    return Word(value)


def _row(row: PropertyRow, columns: Sequence[PropertyTag] | None, lengths: Lengths) -> Plain:
    if columns is None or len(columns) < len(row.values):
        return _value(row.values, None, lengths)
    return {tag.name: _value(cell, None, lengths) for tag, cell in zip(columns, row.values, strict=False)}


def _binary(value: bytes, lengths: Lengths) -> dict[str, Plain]:
    """8-bit text is told from other bytes by what is in it, since mostly nothing else tells."""
    if value and not value.translate(None, _PRINTABLE):
        return {"text": value[: lengths.text].decode("ascii"), "size": len(value)}
    return {"hex": value[: lengths.bytes].hex(), "size": len(value)}


def _binary_text(value: dict[str, Plain]) -> str:
    if "text" in value:
        shown, size = repr(value["text"].encode()), len(value["text"])
    else:
        shown, size = value["hex"] or "''", len(value["hex"]) // 2
    return shown if size == value["size"] else f"{shown}…({value['size']} bytes)"


def _list(value: Sequence[Any], show: Callable[[Any], Plain], lengths: Lengths) -> list[Plain]:
    shown = list(map(show, value[: lengths.items]))
    if len(value) > lengths.items:
        shown.append(_More(f"(of {len(value)})"))
    return shown
