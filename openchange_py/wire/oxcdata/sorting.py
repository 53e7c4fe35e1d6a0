"""Sort orders: [MS-OXCDATA] 2.13."""

from __future__ import annotations

import enum
import struct
from typing import Final

from openchange_py.wire.buffer import DecodeError, Reader, Writer
from openchange_py.wire.codecs import U8, Structure, structure
from openchange_py.wire.oxcdata.properties import PropertyTag32

_COUNTS: Final = struct.Struct("<HHH")


class Order(enum.IntEnum):
    """[MS-OXCDATA] 2.13.1."""

    Ascending = 0x00
    Descending = 0x01
    #: Of a category: by the greatest value of the column in it.
    MaximumCategory = 0x04


@structure
class SortOrder(Structure):
    """[MS-OXCDATA] 2.13.1: a column and an `Order`."""

    property_tag: PropertyTag32
    order: U8


@structure
class SortOrderSet(Structure):
    """[MS-OXCDATA] 2.13.2: the first `categorized_count` orders make categories, `expanded_count` of them expanded.

    What a server must refuse is not an error here: more expanded than categorized, the same column twice.
    """

    sort_orders: list[SortOrder]
    categorized_count: int = 0
    expanded_count: int = 0

    @classmethod
    def read(cls, reader: Reader) -> SortOrderSet:
        count, categorized, expanded = reader.fields(_COUNTS)
        try:
            orders = [SortOrder.read(reader) for _ in range(reader.count(count, 5))]
        except DecodeError as error:
            raise error.within("sort_orders") from None
        return cls(orders, categorized, expanded)

    def write(self, writer: Writer) -> None:
        writer.fixed(_COUNTS, len(self.sort_orders), self.categorized_count, self.expanded_count)
        for order in self.sort_orders:
            order.write(writer)
