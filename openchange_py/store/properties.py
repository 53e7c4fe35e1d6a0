"""Properties packed into one value of a row.

    byte     1 (the format's version)
    u32      n
    n x u32  property tags, ascending
    n x u32  where each value ends, counted from the first value; bit 31: the value is a reference to a large one
    values

so that some properties are read without decoding the others. Numbers are little-endian and as short as they can
be, texts UTF-8 (lone surrogates kept), elements of multiple values each behind their u32 length.

Not done yet: Restriction and RuleAction values (rules are stored by nobody yet).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from openchange_py.store.base import Content, StoreError
from openchange_py.store.content import INLINE_LIMIT, ContentReference
from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.oxcdata.properties import MULTIPLE_FLAG, PropertyMap, PropertyTag, PropertyType, PropertyValue

VERSION = 1
#: Most bytes of one row's packed properties; larger single values stand outside.
BLOB_LIMIT = 16 << 20

_REFERENCE = 0x80000000
_F64 = struct.Struct("<d")
_LARGE_TYPES = frozenset(
    {PropertyType.String, PropertyType.String8, PropertyType.Binary, PropertyType.Object, PropertyType.ServerId}
)


def _pack_int(value: PropertyValue) -> bytes:
    if not isinstance(value, int) or not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"{value!r} is not a 64-bit integer")
    return value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)


def _unpack_int(raw: bytes) -> int:
    if not 1 <= len(raw) <= 9:
        raise ValueError(f"integer of {len(raw)} bytes")
    return int.from_bytes(raw, "little", signed=True)


def _pack_float(value: PropertyValue) -> bytes:
    writer = Writer()
    writer.fixed(_F64, value)
    return bytes(writer)


def _unpack_float(raw: bytes) -> float:
    reader = Reader(raw)
    value = reader.fixed(_F64)
    reader.expect_end()
    return value


def _pack_bool(value: PropertyValue) -> bytes:
    return b"\1" if value else b"\0"


def _unpack_bool(raw: bytes) -> bool:
    return raw != b"\0"


def _pack_text(value: PropertyValue) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} where a text is needed")
    return value.encode("utf-8", "surrogatepass")


def _unpack_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _pack_guid(value: PropertyValue) -> bytes:
    if not isinstance(value, uuid.UUID):
        raise ValueError(f"{type(value).__name__} where a GUID is needed")
    return value.bytes_le


def _unpack_guid(raw: bytes) -> uuid.UUID:
    return uuid.UUID(bytes_le=raw)


def _pack_bytes(value: PropertyValue) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueError(f"{type(value).__name__} where bytes are needed")
    return bytes(value)


Codec = tuple[Callable[[PropertyValue], bytes], Callable[[bytes], PropertyValue]]

_INT: Codec = (_pack_int, _unpack_int)
_FLOAT: Codec = (_pack_float, _unpack_float)
_TEXT: Codec = (_pack_text, _unpack_text)
_BYTES: Codec = (_pack_bytes, bytes)
_GUID: Codec = (_pack_guid, _unpack_guid)

_SINGLE: dict[int, Codec] = {
    PropertyType.Integer16: _INT,
    PropertyType.Integer32: _INT,
    PropertyType.Integer64: _INT,
    PropertyType.Currency: _INT,
    PropertyType.ErrorCode: _INT,
    PropertyType.Time: _INT,
    PropertyType.Floating32: _FLOAT,
    PropertyType.Floating64: _FLOAT,
    PropertyType.FloatingTime: _FLOAT,
    PropertyType.Boolean: (_pack_bool, _unpack_bool),
    PropertyType.String: _TEXT,
    PropertyType.String8: _BYTES,
    PropertyType.Binary: _BYTES,
    PropertyType.Object: _BYTES,
    PropertyType.ServerId: _BYTES,
    PropertyType.Guid: _GUID,
}


def _multiple(codec: Codec) -> Codec:
    pack_one, unpack_one = codec

    def pack(value: PropertyValue) -> bytes:
        writer = Writer()
        writer.u32(len(value))
        for element in value:
            raw = pack_one(element)
            writer.u32(len(raw))
            writer += raw
        return bytes(writer)

    def unpack(raw: bytes) -> list[PropertyValue]:
        reader = Reader(raw)
        values = [unpack_one(reader.take(reader.u32())) for _ in range(reader.count(reader.u32(), 4))]
        reader.expect_end()
        return values

    return pack, unpack


_CODECS = _SINGLE | {kind: _multiple(_SINGLE[kind & ~MULTIPLE_FLAG]) for kind in PropertyType if kind & MULTIPLE_FLAG}


@lru_cache(maxsize=1024)
def _index_layout(count: int) -> struct.Struct:
    return struct.Struct(f"<{2 * count}I")


def large_value(tag: PropertyTag, value: PropertyValue) -> bytes | Content | None:
    """The wire form of a value that is too large for a row; None for one that stays there."""
    if tag.type not in _LARGE_TYPES:
        return None
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass") if len(value) * 2 > INLINE_LIMIT else None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value) if len(value) > INLINE_LIMIT else None
    # A value that was read from a store is copied; a small one too, as its bytes are not at hand here.
    return value if hasattr(value, "read") and hasattr(value, "size") else None


def pack(properties: Mapping[PropertyTag, PropertyValue | ContentReference]) -> bytes:
    """Properties as one value of a row; `StoreError` names the one that cannot be kept."""
    tags: list[int] = []
    ends: list[int] = []
    values = Writer()
    for tag in sorted(properties):
        value = properties[tag]
        flag = 0
        if isinstance(value, ContentReference):
            flag = _REFERENCE
            values.u64(value.id)
            values.u64(value.size)
        else:
            values += _pack_value(tag, value)
        tags.append(tag)
        ends.append(len(values) | flag)
    if len(values) > BLOB_LIMIT:
        raise StoreError(f"{len(values)} bytes of properties; an object can have {BLOB_LIMIT}")
    head = Writer((VERSION,))
    head.u32(len(tags))
    head.fixed(_index_layout(len(tags)), *tags, *ends)
    return bytes(head + values)


def _pack_value(tag: PropertyTag, value: PropertyValue) -> bytes:
    codec = _CODECS.get(tag.type)
    if codec is None:
        raise StoreError(f"{tag!r}: the store keeps no properties of type 0x{tag.type:04X}")
    try:
        return codec[0](value)
    except (ValueError, TypeError, EncodeError) as error:
        raise StoreError(f"{tag!r}: {error}") from error


def unpack(
    blob: bytes,
    content: Callable[[ContentReference], Content],
    wanted: Collection[int] | None = None,
) -> PropertyMap:
    """The properties that `pack` packed, or those of them that are wanted; `StoreError` for a damaged value."""
    try:
        return _unpack(Reader(blob), content, wanted)
    except (ValueError, OverflowError, RecursionError) as error:
        raise StoreError(f"damaged properties in the mailbox database: {error}") from error


def _unpack(
    reader: Reader, content: Callable[[ContentReference], Content], wanted: Collection[int] | None
) -> PropertyMap:
    if (version := reader.u8()) != VERSION:
        raise DecodeError(f"properties of unknown format {version}", 0)
    count = reader.count(reader.u32(), 8)
    index = reader.fields(_index_layout(count))
    data, base, size = reader.data, reader.pos, reader.remaining
    result: PropertyMap = {}
    for number in range(count) if wanted is None else _places(index[:count], wanted):
        tag, end = index[number], index[count + number]
        start = index[count + number - 1] & ~_REFERENCE if number else 0
        if not start <= end & ~_REFERENCE <= size:
            raise DecodeError(f"value {start}..{end & ~_REFERENCE} of {size} bytes", base)
        raw = data[base + start : base + (end & ~_REFERENCE)]
        result[PropertyTag(tag)] = content(_reference(raw)) if end & _REFERENCE else _unpack_value(tag, raw)
    return result


def _reference(raw: bytes) -> ContentReference:
    reader = Reader(raw)
    return ContentReference(reader.u64(), reader.u64())


def _places(tags: tuple[int, ...], wanted: Collection[int]) -> list[int]:
    """Where the wanted tags stand. They are few, and a tuple is searched faster than it is walked through."""
    return [tags.index(tag) for tag in wanted if tag in tags]


def _unpack_value(tag: int, raw: bytes) -> Any:
    codec = _CODECS.get(tag & 0xFFFF)
    if codec is None:
        raise DecodeError(f"property 0x{tag:08X} of a type that is not kept")
    return codec[1](raw)
