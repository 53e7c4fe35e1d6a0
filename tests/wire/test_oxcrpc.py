"""EMSMDB and AsyncEMSMDB stubs: bytes of real clients and servers, wrong counts, garbage."""

from __future__ import annotations

import dataclasses
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.auxbuffer import pack_aux, unpack_aux
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcInterface
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EMSMDB,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    EcDummyRpcRequest,
    EcDummyRpcResponse,
    EcRRegisterPushNotificationRequest,
    EcRRegisterPushNotificationResponse,
    RpcFlags,
    normalized_version,
    wire_version,
)
from openchange_py.wire.rpcheaderext import extended_buffers, pack_payload, unpack_payloads
from tests.conftest import SHARED, json_lines

HANDLE = ContextHandle(2, uuid.UUID("d9be43c1-f8c4-43b7-9bf2-ded3fb8775c9"))
HANDLE_HEX = "02000000c143bed9c4f8b7439bf2ded3fb8775c9"
DN = b"/o=Gromox default/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=010000000100000000-user1"

# What OpenChange's libmapi 2.3 sends, and gromox 3.10 answers.
CONNECT_PART = (
    "6d000000000000006d000000" + DN[:108].hex() + "00" + "000000"
    "0000000099904c8a00000000e40400000904000009040000ffffffff01000c003e18e80300000000"
)
ANSWER_AUX = "0000040010001000" + "08000117030000000800014801000000"
CONNECT_ANSWER_PART = (
    HANDLE_HEX + "60ea0000060000001027000000000000"
    "000002000100000000000000010000000000000004000200"
    "090000000000000009000000" + b"User One".hex() + "0000000f4f83c80f0c003e18e8030000a3705549"
)

GOLDEN = [
    (
        EcDoConnectRequest(DN[:108], 0, 0x8A4C9099, 0, 1252, 0x409, 0x409, 0xFFFFFFFF, 1, (12, 6206, 1000), 0),
        CONNECT_PART,
    ),
    (
        EcDoConnectExRequest(
            DN[:108], 0, 0x8A4C9099, 0, 1252, 0x409, 0x409, 0xFFFFFFFF, 1, (12, 6206, 1000), 0, b"", 0x1008
        ),
        CONNECT_PART + "000000000000000008100000",
    ),
    (
        EcDoConnectResponse(
            HANDLE, 60000, 6, 10000, 0, b"", b"User One", (0xF00, 0x834F, 4040), (12, 6206, 1000), 0x495570A3, 0
        ),
        CONNECT_ANSWER_PART + "00000000",
    ),
    (
        EcDoConnectExResponse(
            HANDLE,
            *(60000, 6, 10000, 0),
            *(b"", b"User One", (0xF00, 0x834F, 4040), (12, 6206, 1000), 0x495570A3),
            bytes.fromhex(ANSWER_AUX),
            0,
        ),
        CONNECT_ANSWER_PART + "180000000000000018000000" + ANSWER_AUX + "1800000000000000",
    ),
    (EcDoDisconnectRequest(HANDLE), HANDLE_HEX),
    (EcDoDisconnectResponse(NULL_HANDLE, 0), "00" * 24),
    (
        EcDoRpcExt2Request(HANDLE, 0, bytes.fromhex("000006000f000f00a2a5a9a4a5a4acb4a5a5a5b6a5a5a5"), 0x8007),
        HANDLE_HEX + "0000000017000000000006000f000f00a2a5a9a4a5a4acb4a5a5a5b6a5a5a500"
        "1700000007800000000000000000000008100000",
    ),
    (
        EcDoRpcExt2Response(HANDLE, 0, bytes.fromhex("000004000c000c000800fe00eb030000ffffffff"), b"", 0, 0),
        HANDLE_HEX + "00000000140000000000000014000000000004000c000c000800fe00eb030000ffffffff"
        "14000000000000000000000000000000000000000000000000000000",
    ),
    (
        EcRRegisterPushNotificationRequest(
            HANDLE, 0, b"libmapi\0", 0xFFFFFFFF, bytes.fromhex("020009c40a6300010000000000000000")
        ),
        HANDLE_HEX + "00000000080000006c69626d6170690008000000ffffffff10000000020009c40a63000100000000000000001000",
    ),
    (EcRRegisterPushNotificationResponse(HANDLE, 0, 0x80040102), HANDLE_HEX + "0000000002010480"),
    (EcDummyRpcRequest(), ""),
    (EcDummyRpcResponse(0), "00000000"),
    (EcDoAsyncConnectExRequest(HANDLE), HANDLE_HEX),
    (EcDoAsyncConnectExResponse(dataclasses.replace(HANDLE, attributes=3), 0), "03" + HANDLE_HEX[2:] + "00000000"),
    (EcDoAsyncWaitExRequest(HANDLE), HANDLE_HEX + "00000000"),
    (EcDoAsyncWaitExResponse(1, 0), "0100000000000000"),
]


@pytest.mark.parametrize(("message", "stub"), GOLDEN, ids=lambda value: type(value).__name__)
def test_golden_bytes(message: object, stub: str) -> None:
    raw = bytes.fromhex(stub)
    assert type(message).unpack(raw) == message  # type: ignore[attr-defined]
    assert message.pack() == raw  # type: ignore[attr-defined]


@pytest.mark.parametrize(("message", "stub"), GOLDEN, ids=lambda value: type(value).__name__)
def test_every_truncation_is_a_decode_error(message: object, stub: str) -> None:
    raw = bytes.fromhex(stub)
    for length in range(len(raw)):
        with pytest.raises(DecodeError):
            type(message).unpack(raw[:length])  # type: ignore[attr-defined]


@pytest.mark.parametrize(("message", "stub"), GOLDEN, ids=lambda value: type(value).__name__)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_garbage_gives_a_value_or_decode_error(message: object, stub: str, data: st.DataObject) -> None:
    """Random stubs, and good ones with bytes overwritten."""
    raw = bytearray.fromhex(stub)
    for _ in range(min(4, len(raw))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    for candidate in (bytes(raw), data.draw(st.binary(max_size=80))):
        try:
            value = type(message).unpack(candidate)  # type: ignore[attr-defined]
        except DecodeError:
            continue
        try:
            again = value.pack()
        except EncodeError:
            continue  # zeros inside a string: readable, as NDR bounds it by its count
        assert len(again) == len(candidate)


def request_stub(rgb_count: int = 1, count: int = 1, out: int = 8, aux: int = 0, aux_out: int = 8) -> bytes:
    numbers = (rgb_count, 0xFF, count, out, aux, aux, aux_out)
    return bytes.fromhex(HANDLE_HEX) + bytes(4) + b"".join(number.to_bytes(4, "little") for number in numbers)


def test_counts_of_a_request_must_agree_and_keep_their_ranges() -> None:
    assert EcDoRpcExt2Request.unpack(request_stub()).rgb_in == b"\xff"
    assert EcDoRpcExt2Request.unpack(request_stub(out=0x40000, aux_out=0x1008)).out_size == 0x40000
    for wrong in (
        request_stub(count=2),
        request_stub(rgb_count=0xFFFFFFFF, count=0xFFFFFFFF),
        request_stub(out=0x40001),
        request_stub(aux_out=0x1009),
        request_stub(aux=0x1009),
    ):
        with pytest.raises(DecodeError):
            EcDoRpcExt2Request.unpack(wrong)


def test_failures_carry_no_buffers() -> None:
    old = EcDoConnectResponse.unpack(EcDoConnectResponse.failed(0x3F2).pack())
    assert (old.cxh.is_null, old.dn_prefix, old.return_value) == (True, None, 0x3F2)
    refused = EcDoConnectExResponse.unpack(EcDoConnectExResponse.failed(0x3F2).pack())
    assert (refused.cxh.is_null, refused.dn_prefix, refused.aux_out, refused.return_value) == (True, None, b"", 0x3F2)
    failed = EcDoRpcExt2Response.unpack(EcDoRpcExt2Response.failed(NULL_HANDLE, 0x4B6).pack())
    assert (failed.rgb_out, failed.return_value) == (b"", 0x4B6)


def test_the_same_connection_by_the_old_call() -> None:
    extended, old = GOLDEN[1][0], GOLDEN[0][0]
    assert isinstance(extended, EcDoConnectExRequest)
    assert extended.old() == old


def test_referent_ids_are_kept() -> None:
    stub = bytes.fromhex(GOLDEN[3][1]).replace(bytes.fromhex("00000200"), bytes.fromhex("efbeadde"), 1)
    message = EcDoConnectExResponse.unpack(stub)
    assert message.pack() == stub
    message.display_name = b"Somebody"
    assert EcDoConnectExResponse.unpack(message.pack()).referents == message.referents


def test_versions() -> None:
    """[MS-OXCRPC] 3.1.9: Outlook 2007 without, Exchange 2013 with the flag of the new format."""
    assert normalized_version((12, 6206, 1000)) == (12, 0, 6206, 1000)
    assert normalized_version((0x0F00, 0x834F, 4040)) == (15, 0, 847, 4040)
    assert wire_version(15, 0, 847, 4040) == (0x0F00, 0x834F, 4040)


def test_interfaces() -> None:
    assert RpcInterface.known[uuid.UUID("a4f1db00-ca47-1067-b31f-00dd010662da")] is EMSMDB
    assert RpcInterface.known[uuid.UUID("5261574a-4572-206e-b268-6b199213b4e4")] is ASYNCEMSMDB
    assert sorted(EMSMDB.methods) == list(range(15))
    assert EMSMDB.method_name(11) == "EcDoRpcExt2"
    assert RpcFlags(7) == RpcFlags.NoCompression | RpcFlags.NoXorMagic | RpcFlags.Chain


@pytest.mark.parametrize("path", sorted((SHARED / "wire").glob("calls-*")), ids=lambda path: path.name)
def test_recorded_calls(path: Path) -> None:
    """Every stub of a recording packs to its own bytes, and holds the payloads that another decoder found there."""
    for call in json_lines(path):
        interface = {"emsmdb": EMSMDB, "asyncemsmdb": ASYNCEMSMDB}.get(call["interface"])
        if interface is None:
            continue
        method = interface.methods[call["opnum"]]
        assert method.request is not None
        assert method.response is not None
        for side, kind in (("request", method.request), ("response", method.response)):
            if not call[f"{side}_stub_hex"]:
                continue
            stub = bytes.fromhex(call[f"{side}_stub_hex"])
            message = kind.unpack(stub)
            assert message.pack() == stub
            if isinstance(message, EcDoRpcExt2Request | EcDoRpcExt2Response):
                rgb = message.rgb_in if isinstance(message, EcDoRpcExt2Request) else message.rgb_out
                recorded = call[f"rop_{side}_hex"]
                assert [payload.hex() for payload in unpack_payloads(rgb)] == recorded
                check_buffers_pack_again(rgb)
            if isinstance(message, EcDoConnectExResponse | EcDoRpcExt2Response):
                for payload in unpack_payloads(message.aux_out):
                    assert pack_aux(unpack_aux(payload)) == payload


def check_buffers_pack_again(rgb: bytes) -> None:
    """Uncompressed buffers to the same bytes; compressed ones to what decompresses to the same (encoders differ)."""
    packed, compressed = b"", False
    for buffer in extended_buffers(rgb):
        compressed = compressed or bool(buffer.flags & 1)
        packed += pack_payload(
            buffer.payload, compress=bool(buffer.flags & 1), xor=bool(buffer.flags & 2), last=bool(buffer.flags & 4)
        )
    if compressed:
        assert unpack_payloads(packed) == unpack_payloads(rgb)
    else:
        assert packed == rgb


@pytest.mark.parametrize("rgb_out", [b"", b"\1", b"\1\2\3\4\5"])
def test_auxiliary_blocks_of_an_answer_are_noticed_without_decoding_the_rest(rgb_out: bytes) -> None:
    handle = ContextHandle(0, uuid.UUID(int=7))
    for aux_out in (b"", b"aux"):
        stub = EcDoRpcExt2Response(handle, 3, rgb_out, aux_out, 0, 0).pack()
        assert EcDoRpcExt2Response.has_aux_out(stub) is bool(aux_out)
    for end in range(20 + 4 + 12 + len(rgb_out) + 4):
        with pytest.raises(DecodeError):
            EcDoRpcExt2Response.has_aux_out(stub[:end])


def test_rgb_in_is_found_without_decoding_the_rest() -> None:
    request = EcDoRpcExt2Request(ContextHandle(0, uuid.UUID(int=7)), 3, b"\1\2\3\4\5", 0x8000, b"aux")
    stub = request.pack()
    assert EcDoRpcExt2Request.rgb_in_of(stub) == b"\1\2\3\4\5"
    for end in range(40):
        with pytest.raises(DecodeError):
            EcDoRpcExt2Request.rgb_in_of(stub[:end])
