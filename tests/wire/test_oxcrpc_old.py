"""EcDoRpc's stubs: sizes that agree and sizes that don't, libmapi's among them, and garbage."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import ContextHandle, RpcMessage
from openchange_py.wire.oxcrpc_old import MAXIMUM_OLD_BUFFER, EcDoRpcRequest, EcDoRpcResponse

HANDLE = ContextHandle(2, uuid.UUID("d9be43c1-f8c4-43b7-9bf2-ded3fb8775c9"))
HANDLE_HEX = "02000000c143bed9c4f8b7439bf2ded3fb8775c9"

#: By hand from the IDL of OpenChange's exchange.idl (facts of it): size, offset, length, the bytes, length, max_data.
GOLDEN: list[tuple[RpcMessage, str]] = [
    (EcDoRpcRequest(HANDLE, b"\xa7\xa5\xa4", 0x7FF8), HANDLE_HEX + "f87f00000000000003000000a7a5a400" + "0300f87f"),
    # libmapi with a long request: its array is as large as ever, the answer must not be.
    (EcDoRpcRequest(HANDLE, b"\xa7\xa5", 0x7FFF, 0xFFF0), HANDLE_HEX + "f0ff00000000000002000000a7a5" + "0200ff7f"),
    (
        EcDoRpcResponse(HANDLE, b"\xa7\xa5\xa4", 0x7FF8, 0),
        HANDLE_HEX + "f87f00000000000003000000a7a5a400" + "0300000000000000",
    ),
    (EcDoRpcResponse(HANDLE, b"", 16, 0x4B6), HANDLE_HEX + "10000000000000000000000000000000b6040000"),
]


@pytest.mark.parametrize(("message", "stub"), GOLDEN)
def test_golden_bytes(message: RpcMessage, stub: str) -> None:
    raw = bytes.fromhex(stub)
    assert type(message).unpack(raw) == message
    assert message.pack() == raw
    for length in range(len(raw)):
        with pytest.raises(DecodeError):
            type(message).unpack(raw[:length])


def test_the_rop_buffer_is_obfuscated() -> None:
    request = EcDoRpcRequest.of(HANDLE, b"\2\0\xfe")
    assert (request.rgb, request.payload, request.room) == (b"\xa7\xa5\x5b", b"\2\0\xfe", MAXIMUM_OLD_BUFFER)
    answer = EcDoRpcResponse.answer(request, b"\2\0")
    assert (answer.cxh, answer.payload, answer.maximum, answer.return_value) == (HANDLE, b"\2\0", MAXIMUM_OLD_BUFFER, 0)
    failed = EcDoRpcResponse.failed(request, 0x4B6)
    assert (failed.cxh, failed.rgb, failed.return_value) == (HANDLE, b"", 0x4B6)


def test_an_answer_may_be_as_long_as_both_sizes_allow() -> None:
    assert EcDoRpcRequest(HANDLE, b"", 0x7FFF, 0xFFF0).room == 0x7FFF
    assert EcDoRpcRequest(HANDLE, b"", 0x7FFF, 0x100).room == 0x100
    assert EcDoRpcRequest(HANDLE, b"", 0).room == 0


def test_a_request_that_was_made_longer_has_its_room_in_the_array() -> None:
    request = EcDoRpcRequest(HANDLE, b"\xa7" * 8, 4)
    assert EcDoRpcRequest.unpack(request.pack()) == EcDoRpcRequest(HANDLE, b"\xa7" * 8, 4, 8)
    with pytest.raises(EncodeError):
        EcDoRpcRequest(HANDLE, bytes(0x10000), 4).pack()


def stub(size: int = 3, offset: int = 0, actual: int = 3, length: int = 3) -> bytes:
    numbers = b"".join(number.to_bytes(4, "little") for number in (size, offset, actual))
    return bytes.fromhex(HANDLE_HEX) + numbers + b"abc\0" + length.to_bytes(2, "little") + b"\3\0"


def test_counts_must_agree() -> None:
    assert EcDoRpcRequest.unpack(stub()).rgb == b"abc"
    assert EcDoRpcRequest.unpack(stub(size=0xFFFFFFFF)).size == 0xFFFFFFFF  # nobody allocates it
    for wrong in (
        stub(size=2),
        stub(offset=1),
        stub(actual=4),
        stub(actual=2),
        stub(length=2),
        stub(0xFFFFFFFF, actual=0xFFFFFFFF),
    ):
        with pytest.raises(DecodeError):
            EcDoRpcRequest.unpack(wrong)


def test_rgb_is_found_without_decoding_the_rest() -> None:
    packed = EcDoRpcRequest(HANDLE, b"\1\2\3\4\5", 0x7FFF).pack()
    assert EcDoRpcRequest.rgb_of(packed) == b"\1\2\3\4\5"
    for end in range(37):
        with pytest.raises(DecodeError):
            EcDoRpcRequest.rgb_of(packed[:end])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([EcDoRpcRequest, EcDoRpcResponse]))
def test_any_garbage_gives_a_value_or_decode_error(garbage: bytes, kind: type[RpcMessage]) -> None:
    for candidate in (garbage, bytes.fromhex(HANDLE_HEX) + garbage):
        try:
            value = kind.unpack(candidate)
        except DecodeError:
            continue
        assert len(value.pack()) == len(candidate)
