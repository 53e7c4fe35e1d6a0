"""Padding that is not zero is found, in every representation."""

from __future__ import annotations

import pytest

from openchange_py.wire.ndr import NdrReader
from openchange_py.wire.ndr_padding import BigEndianPaddingReader, Ndr64PaddingReader, PaddingReader

#: A byte, what aligns the number behind it, the number 5.
LITTLE, BIG = b"\1abc\5\0\0\0", b"\1abc\0\0\0\5"


@pytest.mark.parametrize(
    ("kind", "stub"), [(PaddingReader, LITTLE), (BigEndianPaddingReader, BIG), (Ndr64PaddingReader, LITTLE)]
)
def test_a_number(kind: type[PaddingReader], stub: bytes) -> None:
    reader = kind(stub)
    assert (reader.u8(), reader.u32(), reader.found) == (1, 5, [1])
    clean = kind(stub.replace(b"abc", bytes(3)))
    assert (clean.u8(), clean.u32(), clean.found) == (1, 5, [])


@pytest.mark.parametrize("read", [NdrReader.size, NdrReader.pointer, NdrReader.guid, NdrReader.context_handle])
def test_everything_that_is_aligned(read: object) -> None:
    reader = PaddingReader(b"\1a" + bytes(40))
    reader.u8()
    getattr(reader, read.__name__ if read is not NdrReader.size else "size")()  # type: ignore[attr-defined]
    assert reader.found == [1]


def test_what_ndr64_alone_aligns() -> None:
    reader = Ndr64PaddingReader(b"\1" + b"abcdefg" + b"\5" + bytes(7))
    reader.u8()
    assert (reader.size(), reader.found) == (5, [1])
