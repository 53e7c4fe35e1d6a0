"""[MS-OXNSPI] 2.2.5: the Restriction_r structure and its kinds.

A restriction's own fields come first, and behind the whole array of its neighbours what they point at.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import ClassVar

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxnspi_types import MAXIMUM_ELEMENTS, PropertyValue_r, read_value, write_value

#: How deep restrictions may stand in one another. Windows clients stay below ten.
MAXIMUM_DEPTH = 64

_DWORDS = struct.Struct("<III")


@dataclasses.dataclass(slots=True)
class AndRestriction_r:
    """2.2.5.1; None where the pointer is null."""

    kind: ClassVar[int] = 0
    restrictions: list[Restriction_r] | None


@dataclasses.dataclass(slots=True)
class OrRestriction_r:
    """2.2.5.1; None where the pointer is null."""

    kind: ClassVar[int] = 1
    restrictions: list[Restriction_r] | None


@dataclasses.dataclass(slots=True)
class NotRestriction_r:
    """2.2.5.2."""

    kind: ClassVar[int] = 2
    restriction: Restriction_r | None


@dataclasses.dataclass(slots=True)
class ContentRestriction_r:
    """2.2.5.3."""

    kind: ClassVar[int] = 3
    fuzzy_level: int
    prop_tag: int
    prop: PropertyValue_r | None


@dataclasses.dataclass(slots=True)
class PropertyRestriction_r:
    """2.2.5.5; `relop` as in [MS-OXCDATA] 2.12.5.1: 0 <, 1 <=, 2 >, 3 >=, 4 ==, 5 !=, 6 regular expression."""

    kind: ClassVar[int] = 4
    relop: int
    prop_tag: int
    prop: PropertyValue_r | None


@dataclasses.dataclass(slots=True)
class ComparePropsRestriction_r:
    """2.2.5.6."""

    kind: ClassVar[int] = 5
    relop: int
    prop_tag1: int
    prop_tag2: int


@dataclasses.dataclass(slots=True)
class BitMaskRestriction_r:
    """2.2.5.4; `rel_mbr` 0: the masked bits are zero, 1: they are not."""

    kind: ClassVar[int] = 6
    rel_mbr: int
    prop_tag: int
    mask: int


@dataclasses.dataclass(slots=True)
class SizeRestriction_r:
    """2.2.5.8."""

    kind: ClassVar[int] = 7
    relop: int
    prop_tag: int
    cb: int


@dataclasses.dataclass(slots=True)
class ExistRestriction_r:
    """2.2.5.9."""

    kind: ClassVar[int] = 8
    reserved1: int
    prop_tag: int
    reserved2: int


@dataclasses.dataclass(slots=True)
class SubRestriction_r:
    """2.2.5.7."""

    kind: ClassVar[int] = 9
    sub_object: int
    restriction: Restriction_r | None


Restriction_r = (
    AndRestriction_r
    | OrRestriction_r
    | NotRestriction_r
    | ContentRestriction_r
    | PropertyRestriction_r
    | ComparePropsRestriction_r
    | BitMaskRestriction_r
    | SizeRestriction_r
    | ExistRestriction_r
    | SubRestriction_r
)

_Head = tuple[int, tuple[int, ...], bool]


def read_restriction(reader: NdrReader) -> Restriction_r:
    """Restriction_r by reference."""
    return _read_rest(reader, _read_head(reader), 0)


def write_restriction(writer: NdrWriter, restriction: Restriction_r) -> None:
    """Restriction_r by reference."""
    _write_head(writer, restriction)
    _write_rest(writer, restriction, 0)


def _read_head(reader: NdrReader) -> _Head:
    """Kind, numbers and pointer."""
    reader.gap()
    kind = reader.u32()
    reader.gap()
    arm = reader.u32()
    reader.gap()
    if kind != arm or kind > 9:
        raise DecodeError(f"restriction of type {kind} with content of type {arm}", reader.pos - 8)
    if kind in (0, 1, 9):
        return kind, (reader.u32(),), reader.pointer()
    if kind == 2:
        return kind, (), reader.pointer()
    if kind in (3, 4):
        return kind, (reader.u32(), reader.u32()), reader.pointer()
    numbers = reader.fields(_DWORDS)
    reader.gap()
    return kind, numbers, False


def _read_rest(reader: NdrReader, head: _Head, depth: int) -> Restriction_r:
    """What the pointer of `head` points at makes it whole."""
    kind, numbers, present = head
    if depth > MAXIMUM_DEPTH:
        raise DecodeError(f"restrictions stand more than {MAXIMUM_DEPTH} deep in one another", reader.pos)
    if kind in (0, 1):
        return _junction(kind, _read_array(reader, numbers[0], present, depth))
    if kind in (2, 9):
        inner = _read_rest(reader, _read_head(reader), depth + 1) if present else None
        return NotRestriction_r(inner) if kind == 2 else SubRestriction_r(numbers[0], inner)
    if kind in (3, 4):
        value = read_value(reader) if present else None
        first, tag = numbers[0], PropertyTag(numbers[1])
        return ContentRestriction_r(first, tag, value) if kind == 3 else PropertyRestriction_r(first, tag, value)
    first, second, third = numbers
    if kind == 5:
        return ComparePropsRestriction_r(first, PropertyTag(second), PropertyTag(third))
    if kind == 6:
        return BitMaskRestriction_r(first, PropertyTag(second), third)
    if kind == 7:
        return SizeRestriction_r(first, PropertyTag(second), third)
    return ExistRestriction_r(first, PropertyTag(second), third)


def _junction(kind: int, restrictions: list[Restriction_r] | None) -> Restriction_r:
    return AndRestriction_r(restrictions) if kind == 0 else OrRestriction_r(restrictions)


def _read_array(reader: NdrReader, count: int, present: bool, depth: int) -> list[Restriction_r] | None:
    if not present:
        if count:
            raise DecodeError(f"{count} restrictions behind a null pointer", reader.pos)
        return None
    if reader.conformance(12, MAXIMUM_ELEMENTS) != count:
        raise DecodeError(f"{count} restrictions in an array of another size", reader.pos - 4)
    heads = [_read_head(reader) for _ in range(count)]
    return [_read_rest(reader, head, depth + 1) for head in heads]


def _write_head(writer: NdrWriter, restriction: Restriction_r) -> None:
    for _ in range(2):  # rt, and the union's own
        writer.gap()
        writer.u32(restriction.kind)
    writer.gap()
    match restriction:
        case AndRestriction_r() | OrRestriction_r():
            writer.u32(len(restriction.restrictions or ()))
            writer.pointer(restriction.restrictions is not None)
        case NotRestriction_r():
            writer.pointer(restriction.restriction is not None)
        case SubRestriction_r():
            writer.u32(restriction.sub_object)
            writer.pointer(restriction.restriction is not None)
        case ContentRestriction_r(first, tag, prop) | PropertyRestriction_r(first, tag, prop):
            writer.u32(first)
            writer.u32(tag)
            writer.pointer(prop is not None)
        case (
            ComparePropsRestriction_r(first, second, third)
            | BitMaskRestriction_r(first, second, third)
            | SizeRestriction_r(first, second, third)
            | ExistRestriction_r(first, second, third)
        ):
            writer.fixed(_DWORDS, first, second, third)
            writer.gap()


def _write_rest(writer: NdrWriter, restriction: Restriction_r, depth: int) -> None:
    if depth > MAXIMUM_DEPTH:
        raise EncodeError(f"restrictions stand more than {MAXIMUM_DEPTH} deep in one another")
    match restriction:
        case AndRestriction_r(restrictions) | OrRestriction_r(restrictions) if restrictions is not None:
            writer.size(len(restrictions))
            for inner in restrictions:
                _write_head(writer, inner)
            for inner in restrictions:
                _write_rest(writer, inner, depth + 1)
        case NotRestriction_r(restriction=inner) | SubRestriction_r(restriction=inner) if inner is not None:
            _write_head(writer, inner)
            _write_rest(writer, inner, depth + 1)
        case ContentRestriction_r(prop=prop) | PropertyRestriction_r(prop=prop) if prop is not None:
            write_value(writer, prop)
