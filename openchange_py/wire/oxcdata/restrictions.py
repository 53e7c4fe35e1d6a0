"""Restrictions: [MS-OXCDATA] 2.12, as they stand in ROP buffers (16-bit counts).

    restriction = read_restriction(reader)        # any of the classes below
    AndRestriction([ExistRestriction(PidTagSubject), ...]).pack()

Not done yet: the 32-bit counts of extended rules ([MS-OXORULE] 2.2.4) and search folder definitions.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from typing import Annotated, ClassVar, Final, Self

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Codec, Structure
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.values import read_nested_tagged, write_tagged

#: How deep restrictions may nest in what is read. Outlook's rules and searches stay below ten.
MAXIMUM_DEPTH: Final = 64

_CONTENT: Final = struct.Struct("<HHI")
_OPERATOR_TAG: Final = struct.Struct("<BI")
_OPERATOR_TWO: Final = struct.Struct("<BII")


class RestrictionType(enum.IntEnum):
    """[MS-OXCDATA] 2.12.1 to 2.12.12, the first byte of each."""

    And = 0x00
    Or = 0x01
    Not = 0x02
    Content = 0x03
    Property = 0x04
    CompareProperties = 0x05
    BitMask = 0x06
    Size = 0x07
    Exist = 0x08
    SubObject = 0x09
    Comment = 0x0A
    Count = 0x0B


class RelOp(enum.IntEnum):
    """[MS-OXCDATA] 2.12.5.1: the value of the property stands left of the operator."""

    LessThan = 0x00
    LessThanOrEqual = 0x01
    GreaterThan = 0x02
    GreaterThanOrEqual = 0x03
    Equal = 0x04
    NotEqual = 0x05
    MemberOfDistributionList = 0x64


class BitmapRelOp(enum.IntEnum):
    """[MS-OXCDATA] 2.12.7."""

    EqualToZero = 0x00
    NotEqualToZero = 0x01


class FuzzyLevelLow(enum.IntEnum):
    """[MS-OXCDATA] 2.12.4."""

    FullString = 0x0000
    Substring = 0x0001
    Prefix = 0x0002


class FuzzyLevelHigh(enum.IntFlag):
    """[MS-OXCDATA] 2.12.4."""

    IgnoreCase = 0x0001
    IgnoreNonSpace = 0x0002
    Loose = 0x0004


@dataclasses.dataclass(slots=True)
class Restriction(Structure):
    """What all restrictions have: `read` and `write` cover the type byte too."""

    restriction_type: ClassVar[RestrictionType]

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read a restriction of this class; of the base class, any."""
        value = read_restriction(reader)
        if not isinstance(value, cls):
            raise DecodeError(f"{type(value).__name__} where a {cls.__name__} is expected", reader.pos)
        return value

    def write(self, writer: Writer) -> None:
        writer.u8(self.restriction_type)
        self.write_body(writer)

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        """What stands behind the type byte; `depth` is how many restrictions this one stands in."""
        raise NotImplementedError(f"{cls.__name__} has no layout")

    def write_body(self, writer: Writer) -> None:
        """What stands behind the type byte."""
        raise NotImplementedError(f"{type(self).__name__} has no layout")


@dataclasses.dataclass(slots=True)
class _Several(Restriction):
    restrictions: list[Restriction]

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        count = reader.count(reader.u16(), 3)
        return cls([read_restriction(reader, depth + 1) for _ in range(count)])

    def write_body(self, writer: Writer) -> None:
        writer.u16(len(self.restrictions))
        for restriction in self.restrictions:
            restriction.write(writer)


@dataclasses.dataclass(slots=True)
class AndRestriction(_Several):
    """[MS-OXCDATA] 2.12.1."""

    restriction_type = RestrictionType.And


@dataclasses.dataclass(slots=True)
class OrRestriction(_Several):
    """[MS-OXCDATA] 2.12.2."""

    restriction_type = RestrictionType.Or


@dataclasses.dataclass(slots=True)
class NotRestriction(Restriction):
    """[MS-OXCDATA] 2.12.3."""

    restriction_type = RestrictionType.Not
    restriction: Restriction

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        return cls(read_restriction(reader, depth + 1))

    def write_body(self, writer: Writer) -> None:
        self.restriction.write(writer)


@dataclasses.dataclass(slots=True)
class ContentRestriction(Restriction):
    """[MS-OXCDATA] 2.12.4: a text or binary value contains, or starts with, another one."""

    restriction_type = RestrictionType.Content
    fuzzy_level_low: int
    fuzzy_level_high: int
    property_tag: PropertyTag
    tagged_value: TaggedPropertyValue

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        low, high, tag = reader.fields(_CONTENT)
        return cls(low, high, PropertyTag(tag), read_nested_tagged(reader))

    def write_body(self, writer: Writer) -> None:
        writer.fixed(_CONTENT, self.fuzzy_level_low, self.fuzzy_level_high, self.property_tag)
        write_tagged(writer, self.tagged_value)


@dataclasses.dataclass(slots=True)
class PropertyRestriction(Restriction):
    """[MS-OXCDATA] 2.12.5: a property is compared with a value."""

    restriction_type = RestrictionType.Property
    rel_op: int
    prop_tag: PropertyTag
    tagged_value: TaggedPropertyValue

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        operator, tag = reader.fields(_OPERATOR_TAG)
        return cls(operator, PropertyTag(tag), read_nested_tagged(reader))

    def write_body(self, writer: Writer) -> None:
        writer.fixed(_OPERATOR_TAG, self.rel_op, self.prop_tag)
        write_tagged(writer, self.tagged_value)


@dataclasses.dataclass(slots=True)
class ComparePropertiesRestriction(Restriction):
    """[MS-OXCDATA] 2.12.6: two properties are compared."""

    restriction_type = RestrictionType.CompareProperties
    rel_op: int
    prop_tag1: PropertyTag
    prop_tag2: PropertyTag

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        operator, first, second = reader.fields(_OPERATOR_TWO)
        return cls(operator, PropertyTag(first), PropertyTag(second))

    def write_body(self, writer: Writer) -> None:
        writer.fixed(_OPERATOR_TWO, self.rel_op, self.prop_tag1, self.prop_tag2)


@dataclasses.dataclass(slots=True)
class BitMaskRestriction(Restriction):
    """[MS-OXCDATA] 2.12.7: the bits of `mask` are all zero in an Integer32, or not."""

    restriction_type = RestrictionType.BitMask
    bitmap_rel_op: int
    property_tag: PropertyTag
    mask: int

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        operator, tag, mask = reader.fields(_OPERATOR_TWO)
        return cls(operator, PropertyTag(tag), mask)

    def write_body(self, writer: Writer) -> None:
        writer.fixed(_OPERATOR_TWO, self.bitmap_rel_op, self.property_tag, self.mask)


@dataclasses.dataclass(slots=True)
class SizeRestriction(Restriction):
    """[MS-OXCDATA] 2.12.8: the size of a property's value, in bytes, is compared with `size`."""

    restriction_type = RestrictionType.Size
    rel_op: int
    prop_tag: PropertyTag
    size: int

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        operator, tag, size = reader.fields(_OPERATOR_TWO)
        return cls(operator, PropertyTag(tag), size)

    def write_body(self, writer: Writer) -> None:
        writer.fixed(_OPERATOR_TWO, self.rel_op, self.prop_tag, self.size)


@dataclasses.dataclass(slots=True)
class ExistRestriction(Restriction):
    """[MS-OXCDATA] 2.12.9: the property has a value."""

    restriction_type = RestrictionType.Exist
    prop_tag: PropertyTag

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        return cls(PropertyTag(reader.u32()))

    def write_body(self, writer: Writer) -> None:
        writer.u32(self.prop_tag)


@dataclasses.dataclass(slots=True)
class SubObjectRestriction(Restriction):
    """[MS-OXCDATA] 2.12.10: a recipient (PidTagMessageRecipients) or attachment (PidTagMessageAttachments) fits."""

    restriction_type = RestrictionType.SubObject
    subobject: PropertyTag
    restriction: Restriction

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        return cls(PropertyTag(reader.u32()), read_restriction(reader, depth + 1))

    def write_body(self, writer: Writer) -> None:
        writer.u32(self.subobject)
        self.restriction.write(writer)


@dataclasses.dataclass(slots=True)
class CommentRestriction(Restriction):
    """[MS-OXCDATA] 2.12.11: `restriction`, where there is one, with values that the client keeps with it."""

    restriction_type = RestrictionType.Comment
    tagged_values: list[TaggedPropertyValue]
    restriction: Restriction | None

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        count = reader.count(reader.u8(), 4)
        values = [read_nested_tagged(reader) for _ in range(count)]
        present = reader.u8()
        if present > 1:
            raise DecodeError(f"RestrictionPresent is 0x{present:02X}", reader.pos - 1)
        return cls(values, read_restriction(reader, depth + 1) if present else None)

    def write_body(self, writer: Writer) -> None:
        writer.u8(len(self.tagged_values))
        for value in self.tagged_values:
            write_tagged(writer, value)
        writer.u8(self.restriction is not None)
        if self.restriction is not None:
            self.restriction.write(writer)


@dataclasses.dataclass(slots=True)
class CountRestriction(Restriction):
    """[MS-OXCDATA] 2.12.12: at most `count` rows that fit `restriction`."""

    restriction_type = RestrictionType.Count
    count: int
    restriction: Restriction

    @classmethod
    def read_body(cls, reader: Reader, depth: int) -> Self:
        return cls(reader.u32(), read_restriction(reader, depth + 1))

    def write_body(self, writer: Writer) -> None:
        writer.u32(self.count)
        self.restriction.write(writer)


_CLASSES: Final[dict[int, type[Restriction]]] = {
    int(cls.restriction_type): cls
    for cls in (
        AndRestriction,
        OrRestriction,
        NotRestriction,
        ContentRestriction,
        PropertyRestriction,
        ComparePropertiesRestriction,
        BitMaskRestriction,
        SizeRestriction,
        ExistRestriction,
        SubObjectRestriction,
        CommentRestriction,
        CountRestriction,
    )
}


def read_restriction(reader: Reader, depth: int = 0) -> Restriction:
    """Read any restriction; `DecodeError` where more than `MAXIMUM_DEPTH` of them stand in each other."""
    if depth >= MAXIMUM_DEPTH:
        raise DecodeError(f"restrictions nest deeper than {MAXIMUM_DEPTH}", reader.pos)
    kind = reader.u8()
    cls = _CLASSES.get(kind)
    if cls is None:
        raise DecodeError(f"RestrictType 0x{kind:02X} is unknown", reader.pos - 1)
    try:
        return cls.read_body(reader, depth)
    except DecodeError as error:
        raise error.within(cls.__name__) from None


class SizedRestriction(Codec):
    """A restriction behind its size in bytes (16 bits); None where the size is 0. As RopRestrict has it."""

    minimum_size = 2

    def read(self, reader: Reader) -> Restriction | None:
        size = reader.u16()
        if not size:
            return None
        inner = reader.sub(size)
        restriction = read_restriction(inner)
        inner.expect_end()
        return restriction

    def write(self, writer: Writer, value: Restriction | None) -> None:
        start = len(writer)
        writer.u16(0)
        if value is not None:
            value.write(writer)
        size = len(writer) - start - 2
        if size > 0xFFFF:
            raise EncodeError(f"a restriction of {size} bytes")
        writer.patch_u16(start, size)


#: A restriction, or None, behind its 16-bit size.
RestrictionData16 = Annotated[Restriction | None, SizedRestriction()]
