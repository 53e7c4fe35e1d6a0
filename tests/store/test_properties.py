"""Packed properties: every type, some of them only, and damaged values."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.store.base import Content, StoreError
from openchange_py.store.content import INLINE_LIMIT, ContentReference
from openchange_py.store.properties import large_value, pack, unpack
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType


class Large(Content):
    """A reference that was read again."""

    def __init__(self, reference: ContentReference) -> None:
        self.reference = reference

    @property
    def size(self) -> int:
        return self.reference.size

    def read(self, offset: int, count: int) -> bytes:
        raise AssertionError("not read here")


texts = st.text(st.characters(), max_size=40)
SINGLE: dict[int, st.SearchStrategy[Any]] = {
    PropertyType.Integer16: st.integers(-(1 << 15), (1 << 16) - 1),
    PropertyType.Integer32: st.integers(-(1 << 31), (1 << 32) - 1),
    PropertyType.Integer64: st.integers(-(1 << 63), (1 << 64) - 1),
    PropertyType.Currency: st.integers(-(1 << 63), (1 << 63) - 1),
    PropertyType.ErrorCode: st.integers(0, (1 << 32) - 1),
    PropertyType.Time: st.integers(0, (1 << 63) - 1),
    PropertyType.Floating64: st.floats(allow_nan=False),
    PropertyType.Boolean: st.booleans(),
    PropertyType.String: texts,
    PropertyType.String8: st.binary(max_size=40),
    PropertyType.Binary: st.binary(max_size=40),
    PropertyType.Guid: st.uuids(),
}
values = st.one_of(
    [st.tuples(st.just(kind), value) for kind, value in SINGLE.items()]
    + [
        st.tuples(st.just(kind | 0x1000), st.lists(value, max_size=4))
        for kind, value in SINGLE.items()
        if kind not in (PropertyType.ErrorCode, PropertyType.Boolean)
    ]
)


@given(st.dictionaries(st.integers(1, 0xFFFF), values, max_size=20))
@settings(max_examples=200, deadline=None)
def test_what_was_packed_is_unpacked(drawn: dict[int, tuple[int, Any]]) -> None:
    properties = {PropertyTag(number << 16 | kind): value for number, (kind, value) in drawn.items()}
    assert unpack(pack(properties), Large) == properties
    some = frozenset(list(properties)[::2])
    assert unpack(pack(properties), Large, some) == {tag: properties[tag] for tag in some}


def test_the_bytes_stay_what_they_are() -> None:
    """What is in databases must be read by every later version."""
    packed = pack(
        {PropertyTag(0x0037001F): "hé", PropertyTag(0x00170003): 2, PropertyTag(0x10130102): ContentReference(3, 9)}
    )
    assert packed.hex() == (
        "01" "03000000" "03001700" "1f003700" "02011310" "01000000" "04000000" "14000080"
        "02" "68c3a9" "0300000000000000" "0900000000000000"
    )  # fmt: skip
    read = unpack(packed, Large)
    assert read[PropertyTag(0x0037001F)] == "hé"
    assert read[PropertyTag(0x10130102)].reference == ContentReference(3, 9)


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_garbage_is_a_store_error_or_a_value(raw: bytes) -> None:
    for blob in (raw, b"\1" + raw, b"\1\1\0\0\0" + raw, b"\1\2\0\0\0" + raw):
        with contextlib.suppress(StoreError):
            assert all(isinstance(tag, PropertyTag) for tag in unpack(blob, Large))


@given(st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_flipped_byte_is_a_store_error_or_a_value(position: int, value: int) -> None:
    blob = bytearray(
        pack(
            {
                PropertyTag(0x8001101F): ["one", "two"],
                PropertyTag(0x80020048): uuid.UUID(int=5),
                PropertyTag(0x80030005): 1.5,
                PropertyTag(0x80040003): -7,
                PropertyTag(0x80050102): ContentReference(1, 2),
            }
        )
    )
    blob[position % len(blob)] = value
    with contextlib.suppress(StoreError):
        assert len(unpack(bytes(blob), Large)) <= 5


def test_an_announced_count_beyond_the_value_is_refused() -> None:
    with pytest.raises(StoreError, match="announced"):
        unpack(b"\1\xff\xff\xff\xff", Large)


@pytest.mark.parametrize("kind", [0x0000, 0x0001, 0x00FD, 0x00FE, 0x10FB, 0xFFFF])
def test_types_that_are_not_kept(kind: int) -> None:
    with pytest.raises(StoreError, match="keeps no properties"):
        pack({PropertyTag(0x80010000 | kind): 0})


def test_what_counts_as_large() -> None:
    text, binary, numbers = PropertyTag(0x1000001F), PropertyTag(0x10130102), PropertyTag(0x80011003)
    assert large_value(text, "x" * (INLINE_LIMIT // 2)) is None
    assert large_value(text, "x" * (INLINE_LIMIT // 2 + 1)) == b"x\0" * (INLINE_LIMIT // 2 + 1)
    assert large_value(binary, b"x" * INLINE_LIMIT) is None
    assert large_value(binary, b"x" * (INLINE_LIMIT + 1)) == b"x" * (INLINE_LIMIT + 1)
    assert large_value(numbers, [1] * 10_000) is None


def test_too_much_for_one_object_is_refused() -> None:
    with pytest.raises(StoreError, match="bytes of properties"):
        pack({PropertyTag(0x80011102): [b"x" * (1 << 20)] * 17})
