"""Stream ROPs of [MS-OXCPRPT]. Bytes with a section number are that example, the others follow the layouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.base import RopFailure
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcprpt_streams import (
    LockFlags,
    OpenModeFlags,
    Origin,
    RopCloneStreamRequest,
    RopCloneStreamResponse,
    RopCommitStreamRequest,
    RopCommitStreamResponse,
    RopCopyToStreamNullDestinationResponse,
    RopCopyToStreamRequest,
    RopCopyToStreamResponse,
    RopGetStreamSizeRequest,
    RopGetStreamSizeResponse,
    RopLockRegionStreamRequest,
    RopLockRegionStreamResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
    RopSetStreamSizeRequest,
    RopSetStreamSizeResponse,
    RopUnlockRegionStreamRequest,
    RopUnlockRegionStreamResponse,
    RopWriteAndCommitStreamRequest,
    RopWriteAndCommitStreamResponse,
    RopWriteStreamExtendedRequest,
    RopWriteStreamExtendedResponse,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

EXAMPLES: list[Example] = [
    # 4.4.1.1, and [MS-OXCPERM] 4.1
    ("2b 01 00 01 02019a0e 01", RopOpenStreamRequest(1, 0, 1, PropertyTag(0x0E9A0102), OpenModeFlags.ReadWrite)),
    ("2b 00 01 02 1f006a0e 00", RopOpenStreamRequest(0, 1, 2, PropertyTag(0x0E6A001F), OpenModeFlags.ReadOnly)),
    ("2b 01 00000000 34120000", RopOpenStreamResponse(1, 0, 0x1234)),
    ("2c 00 01 0010", RopReadStreamRequest(0, 1, 0x1000)),
    ("2c 00 01 beba 00000100", RopReadStreamRequest(0, 1, 0xBABE, 0x10000)),
    ("2c 01 00000000 0300 aabbcc", RopReadStreamResponse(1, 0, b"\xaa\xbb\xcc")),
    ("2d 00 01 0200 aabb", RopWriteStreamRequest(0, 1, b"\xaa\xbb")),
    ("2d 01 00000000 0200", RopWriteStreamResponse(1, 0, 2)),
    ("a3 00 01 0200 aabb", RopWriteStreamExtendedRequest(0, 1, b"\xaa\xbb")),
    ("a3 01 00000000 00000200", RopWriteStreamExtendedResponse(1, 0, 0x20000)),
    ("5d 00 01", RopCommitStreamRequest(0, 1)),
    ("5d 01 00000000", RopCommitStreamResponse(1, 0)),
    ("5e 00 01", RopGetStreamSizeRequest(0, 1)),
    ("5e 01 00000000 07000000", RopGetStreamSizeResponse(1, 0, 7)),
    ("2f 00 01 0700000000000000", RopSetStreamSizeRequest(0, 1, 7)),
    ("2f 01 00000000", RopSetStreamSizeResponse(1, 0)),
    ("2e 00 01 02 fcffffffffffffff", RopSeekStreamRequest(0, 1, Origin.End, -4)),
    ("2e 01 00000000 0300000000000000", RopSeekStreamResponse(1, 0, 3)),
    ("3a 00 01 02 0001000000000000", RopCopyToStreamRequest(0, 1, 2, 256)),
    ("3a 01 00000000 0001000000000000 ff00000000000000", RopCopyToStreamResponse(1, 0, 256, 255)),
    (
        "3a 01 03050000 02000000 0000000000000000 0000000000000000",
        RopCopyToStreamNullDestinationResponse(1, 0x503, 2, 0, 0),
    ),
    (
        "5b 00 01 0100000000000000 0200000000000000 01000000",
        RopLockRegionStreamRequest(0, 1, 1, 2, LockFlags.OtherUsersCanRead),
    ),
    ("5b 01 00000000", RopLockRegionStreamResponse(1, 0)),
    ("5c 00 01 0100000000000000 0200000000000000 00000000", RopUnlockRegionStreamRequest(0, 1, 1, 2, 0)),
    ("5c 01 00000000", RopUnlockRegionStreamResponse(1, 0)),
    ("90 00 01 0200 aabb", RopWriteAndCommitStreamRequest(0, 1, b"\xaa\xbb")),
    ("90 01 00000000 0200", RopWriteAndCommitStreamResponse(1, 0, 2)),
    ("3b 00 01 02", RopCloneStreamRequest(0, 1, 2)),
    ("3b 02 00000000", RopCloneStreamResponse(2, 0)),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcprpt_streams", data)


def test_a_property_without_value_cannot_be_opened() -> None:
    """[MS-OXCPERM] 4.1: the server's refusal."""
    request = RopBuffer([RopOpenStreamRequest(0, 0, 1, PropertyTag(0x0E6A001F), 0)], [5, 0xFFFFFFFF])
    data = bytes.fromhex("0800 2b 01 02010480 05000000 ffffffff")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopFailure(1, 0x80040102, RopId.OpenStream)]


def test_the_result_of_a_read_and_a_write_follows_in_failures_too() -> None:
    request = RopBuffer([RopReadStreamRequest(0, 0, 16), RopWriteStreamRequest(0, 0, b"x")], [5])
    data = bytes.fromhex("1200 2c 00 05000780 0000 2d 00 05000780 0000 05000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopReadStreamResponse(0, 0x80070005, b""), RopWriteStreamResponse(0, 0x80070005, 0)]
    assert buffer.pack() == data


def test_how_much_to_read() -> None:
    assert RopReadStreamRequest(0, 1, 0x1000).count == 0x1000
    assert RopReadStreamRequest(0, 1, 0xBABE, 0x20000).count == 0x20000


def test_more_than_two_gigabytes_is_a_format_error() -> None:
    assert RopReadStreamRequest.unpack(bytes.fromhex("2c 00 00 beba 00000080")).count == 0x80000000
    with pytest.raises(DecodeError, match="MaximumByteCount"):
        RopReadStreamRequest.unpack(bytes.fromhex("2c 00 00 beba 01000080"))


@pytest.mark.parametrize(("count", "maximum"), [(0xBABE, None), (0x1000, 0x1000)])
def test_a_maximum_goes_with_its_count(count: int, maximum: int | None) -> None:
    with pytest.raises(EncodeError, match="0xBABE"):
        RopReadStreamRequest(0, 0, count, maximum).pack()


def test_data_too_large_for_its_size_field() -> None:
    with pytest.raises(EncodeError):
        RopWriteStreamRequest(0, 0, bytes(0x10000)).pack()
