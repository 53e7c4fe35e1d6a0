"""Property types and tags: [MS-OXCDATA] 2.9 and 2.11.1.

What a value of each type is in Python:

| types | Python |
|---|---|
| Integer16, Integer32, Currency | int, signed |
| Integer64, ErrorCode | int, unsigned (an Integer64 is mostly an identifier) |
| Floating32, Floating64, FloatingTime | float |
| Boolean | bool; what comes from the wire as neither 0 nor 1 stays that int |
| String | str |
| String8 | bytes, without the terminating zero, in a code page that the value does not tell |
| Time | int: 100 ns since 1601-01-01 UTC |
| Guid | uuid.UUID |
| Binary, ServerId, Object | bytes |
| Null | None |
| Unspecified | `values.TypedPropertyValue` |
| Restriction | a Restriction of `restrictions` |
| RuleAction | a `RuleAction` of `ruleactions` |
| Multiple... | list of the above |
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, TypeAlias

from openchange_py.wire.codecs import Converted, u32

PropertyValue: TypeAlias = Any


class PropertyType(enum.IntEnum):
    """[MS-OXCDATA] 2.11.1."""

    Unspecified = 0x0000
    Null = 0x0001
    Integer16 = 0x0002
    Integer32 = 0x0003
    Floating32 = 0x0004
    Floating64 = 0x0005
    Currency = 0x0006
    FloatingTime = 0x0007
    ErrorCode = 0x000A
    Boolean = 0x000B
    Object = 0x000D
    Integer64 = 0x0014
    String8 = 0x001E
    String = 0x001F
    Time = 0x0040
    Guid = 0x0048
    ServerId = 0x00FB
    Restriction = 0x00FD
    RuleAction = 0x00FE
    Binary = 0x0102
    MultipleInteger16 = 0x1002
    MultipleInteger32 = 0x1003
    MultipleFloating32 = 0x1004
    MultipleFloating64 = 0x1005
    MultipleCurrency = 0x1006
    MultipleFloatingTime = 0x1007
    MultipleInteger64 = 0x1014
    MultipleString8 = 0x101E
    MultipleString = 0x101F
    MultipleTime = 0x1040
    MultipleGuid = 0x1048
    MultipleBinary = 0x1102


MULTIPLE_FLAG = 0x1000
MULTIPLE_INSTANCE_FLAG = 0x2000


class PropertyTag(int):
    """A property's 16-bit id and 16-bit type in one 32-bit number: [MS-OXCDATA] 2.9."""

    __slots__ = ()

    @property
    def id(self) -> int:
        """PropertyId, the high 16 bits."""
        return self >> 16

    @property
    def type(self) -> int:
        """PropertyType, the low 16 bits; compare with `PropertyType`."""
        return self & 0xFFFF

    def with_type(self, kind: int) -> PropertyTag:
        """The same property with another type."""
        return PropertyTag(self & 0xFFFF0000 | kind)

    @property
    def name(self) -> str:
        """`PidTagSubject`, or `0x0037001F` where the tag has no known name."""
        from openchange_py.wire import proptags

        return proptags.TAG_NAMES.get(self) or proptags.NAMES.get(self >> 16) or f"0x{self:08X}"

    def __repr__(self) -> str:
        return f"<{self.name} 0x{self:08X}>"


#: A property tag as a field of a structure.
PropertyTag32 = Annotated[PropertyTag, Converted(u32, PropertyTag)]

#: Properties of one object.
PropertyMap: TypeAlias = dict[PropertyTag, PropertyValue]


@dataclasses.dataclass(slots=True)
class TaggedPropertyValue:
    """[MS-OXCDATA] 2.11.4."""

    tag: PropertyTag
    value: PropertyValue
