"""Sort orders."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, Reader
from openchange_py.wire.oxcdata.sorting import Order, SortOrder, SortOrderSet
from openchange_py.wire.proptags import PidTagMessageDeliveryTime, PidTagSubject
from tests.wire.oxcdata.strategies import bytes_or_decode_error, garbage, tags, u8, u16


def test_wire_form() -> None:
    """The layout of [MS-OXCDATA] 2.13.2, written out by hand."""
    orders = [SortOrder(PidTagSubject, Order.Ascending), SortOrder(PidTagMessageDeliveryTime, Order.Descending)]
    value = SortOrderSet(orders, 1, 0)
    raw = "02 00 01 00 00 00 1f 00 37 00 00 40 00 06 0e 01"
    assert value.pack().hex(" ") == raw
    read = SortOrderSet.unpack(bytes.fromhex(raw))
    assert read == value
    assert read.sort_orders[0].property_tag.name == "PidTagSubject"


@settings(max_examples=100, deadline=None)
@given(st.builds(SortOrderSet, st.lists(st.builds(SortOrder, tags, u8), max_size=5), u16, u16))
def test_sort_orders_come_back(value: SortOrderSet) -> None:
    assert SortOrderSet.unpack(value.pack()) == value


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_garbage_is_a_sort_order_or_a_decode_error(data: bytes) -> None:
    bytes_or_decode_error(data, SortOrderSet.read)


def test_a_count_that_the_bytes_cannot_hold_is_refused() -> None:
    with pytest.raises(DecodeError, match="65535 elements announced"):
        SortOrderSet.read(Reader(b"\xff\xff\0\0\0\0" + bytes(100)))
