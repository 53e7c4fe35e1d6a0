"""RopIds."""

from __future__ import annotations

import pytest

from openchange_py.wire.rop.ids import RopId


@pytest.mark.parametrize(
    ("rop_id", "name"),
    [
        (0x01, "Release"),
        (0x02, "OpenFolder"),
        (0x15, "QueryRows"),
        (0x6E, "Pending"),
        (0x9D, "FastTransferDestinationPutBufferExtended"),
        (0xF9, "Backoff"),
        (0xFE, "Logon"),
        (0xFF, "BufferTooSmall"),
    ],
)
def test_names(rop_id: int, name: str) -> None:
    assert RopId(rop_id).name == name


@pytest.mark.parametrize("reserved", [0x00, 0x28, 0x3C, 0x3D, 0x62, 0x65, 0x6A, 0x71, 0x7C, 0x7D, 0xF0, 0xFD])
def test_reserved_ids_have_no_name(reserved: int) -> None:
    with pytest.raises(ValueError, match="not a valid RopId"):
        RopId(reserved)
