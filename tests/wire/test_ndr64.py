"""NDR64: bytes made by hand from [MS-RPCE] 2.2.5, and every declared message on its way to NDR 2.0 and back.

Foreign readers of the same bytes are in tests/interop/test_ndr64.py.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.epm import EptEntry, EptLookupResponse, EptMapRequest, Tower
from openchange_py.wire.mgmt import InqIfIdsResponse, InqPrincNameResponse, InqStatsResponse
from openchange_py.wire.ndr import FIRST_REFERENT, NULL_HANDLE, ContextHandle, RpcInterface, RpcMessage, SyntaxId
from openchange_py.wire.ndr64 import Ndr64Reader, Ndr64Writer
from openchange_py.wire.oxabref import Name, RfrGetFQDNFromServerDNRequest, RfrGetNewDSAResponse
from openchange_py.wire.oxcrpc import (
    EcDoConnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    EcRRegisterPushNotificationRequest,
)
from openchange_py.wire.oxnspi import (
    NspiDNToMIdRequest,
    NspiGetIDsFromNamesRequest,
    NspiGetMatchesRequest,
    NspiGetNamesFromIDsResponse,
    NspiGetPropListResponse,
    NspiGetPropsResponse,
    NspiModLinkAttRequest,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiSeekEntriesRequest,
)
from openchange_py.wire.oxnspi_restrictions import AndRestriction_r, ContentRestriction_r, ExistRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyRow_r, PropertyValue_r
from tests.conftest import json_lines, shared_path
from tests.wire.ndr_strategies import MESSAGES, messages

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
GUID_HEX = "33221100554477668899aabbccddeeff"
HANDLE = ContextHandle(1, GUID)
HANDLE_HEX = "01000000" + GUID_HEX
STAT_HEX = "00" * 24 + "e4040000" + "09040000" * 2


def u64(*values: int) -> str:
    return b"".join(value.to_bytes(8, "little") for value in values).hex()


def u32(*values: int) -> str:
    return b"".join(value.to_bytes(4, "little") for value in values).hex()


GAP = "00000000"
P0, P1, P2, P3, P4, P5 = (FIRST_REFERENT + 4 * number for number in range(6))

GOLDEN: dict[str, tuple[RpcMessage, str]] = {
    "pointer to a conformant varying string, null pointer": (
        RfrGetNewDSAResponse(None, Name(b"ab"), 0),
        # ppszUnused; ppszServer, a pointer to a pointer; the string: maximum, offset, actual count; the result
        u64(0) + u64(P0, P1) + u64(3, 0, 3) + "616200" + "00" + u32(0),
    ),
    "string with a size of its own": (
        RfrGetFQDNFromServerDNRequest(0, 10, b"ab"),
        u32(0, 10) + u64(10, 0, 3) + "616200",
    ),
    "conformant arrays of bytes with counts behind them": (
        EcDoRpcExt2Request(HANDLE, 3, b"abc", 4, b"", 5),
        # The handle's 20 bytes and pulFlags are 24: the first count needs no gap. Behind 3 bytes, 1 of padding.
        HANDLE_HEX + u32(3) + u64(3) + "61626300" + u32(3, 4) + GAP + u64(0) + u32(0, 5),
    ),
    "conformant varying arrays of bytes": (
        EcDoRpcExt2Response(HANDLE, 3, b"abc", b"d", 6, 7),
        HANDLE_HEX + u32(3) + u64(3, 0, 3) + "61626300" + u32(3) + u64(1, 0, 1) + "64000000" + u32(1, 6, 7),
    ),
    "16-bit counts": (
        EcRRegisterPushNotificationRequest(HANDLE, 1, b"a", 2, b"bc"),
        HANDLE_HEX + u32(1) + u64(1) + "6100" + "0100" + u32(2) + u64(2) + "6263" + "0200",
    ),
    "strings behind numbers of 16 bits": (
        EcDoConnectResponse(HANDLE, 1, 2, 3, 4, b"", b"x", (5, 6, 7), (8, 9, 10), 11, 0),
        HANDLE_HEX + u32(1, 2, 3) + "0400" + "000000000000"
        + u64(P0) + u64(1, 0, 1) + "00" + "00000000000000" + u64(P1) + u64(2, 0, 2) + "7800"
        + "050006000700" + "080009000a00" + "0000" + u32(11, 0),
    ),
    "structure with a conformant varying array: PropertyTagArray_r": (
        NspiGetPropListResponse([0x3001001F, 0x39FE001F], 0),
        # The maximum count is one more; behind cValues a gap, before the 64-bit offset.
        u64(P0) + u64(3) + u32(2) + GAP + u64(0, 2) + u32(0x3001001F, 0x39FE001F, 0),
    ),
    "conformant array alone": (
        NspiQueryRowsRequest(HANDLE, 0, STAT(), 2, [17, 18], 5, None),
        HANDLE_HEX + u32(0) + STAT_HEX + u32(2) + u64(P0) + u64(2) + u32(17, 18) + u32(5) + GAP + u64(0),
    ),
    "structure with a conformant array of pointers: StringsArray_r": (
        NspiDNToMIdRequest(HANDLE, 0, [b"a", None]),
        HANDLE_HEX + u32(0) + u64(2) + u32(2) + GAP + u64(P0, 0) + u64(2, 0, 2) + "6100",
    ),
    "array of structures with unions and trailing gaps: PropertyRowSet_r": (
        NspiQueryRowsResponse(
            STAT(),
            [
                PropertyRow_r(
                    [
                        PropertyValue_r(0x3A40000B, 1),
                        PropertyValue_r(0x3001001F, "x"),
                        PropertyValue_r(0x0FFF0102, b"abc"),
                        PropertyValue_r(0x30070040, 0x1122334455667788),
                        PropertyValue_r(0x39000003, -1),
                        PropertyValue_r(0x3A58101F, ["y", None]),
                    ]
                ),
                PropertyRow_r(None),
            ],
            0,
        ),
        STAT_HEX + GAP + u64(P0)
        + u64(2) + u32(2) + GAP  # maximum count and cRows
        + u32(0, 6) + u64(P1) + u32(0, 0) + u64(0)  # the rows: Reserved, cValues, lpProps
        + u64(6)
        # tag, reserved, the union's discriminant and the gap before its arm, the arm, the gap behind it
        + u32(0x3A40000B, 0, 0x0B) + GAP + "0100" + "000000000000"
        + u32(0x3001001F, 0, 0x1F) + GAP + u64(P2)
        + u32(0x0FFF0102, 0, 0x102) + GAP + u32(3) + GAP + u64(P3)
        + u32(0x30070040, 0, 0x40) + GAP + u32(0x55667788, 0x11223344)
        + u32(0x39000003, 0, 3) + GAP + "ffffffff" + GAP
        + u32(0x3A58101F, 0, 0x101F) + GAP + u32(2) + GAP + u64(P4)
        + u64(2, 0, 2) + "78000000" + GAP  # what the pointers point at
        + u64(3) + "616263" + "0000000000"
        + u64(2) + u64(P5, 0) + u64(2, 0, 2) + "79000000"
        + u32(0),
    ),
    "structure by reference, aligned to its pointer: PropertyValue_r": (
        NspiSeekEntriesRequest(HANDLE, 0, STAT(), PropertyValue_r(0x3A40000B, 1), None, None),
        HANDLE_HEX + u32(0) + STAT_HEX + GAP + u32(0x3A40000B, 0, 0x0B) + GAP + "0100" + "000000000000" + u64(0, 0),
    ),
    "structure behind a pointer: PropertyRow_r": (
        NspiGetPropsResponse(PropertyRow_r([]), 0),
        u64(P0) + u32(0, 0) + u64(P1) + u64(0) + u32(0),
    ),
    "structures of count and pointer: BinaryArray_r": (
        NspiModLinkAttRequest(HANDLE, 1, 2, 3, [b"abc", None]),
        HANDLE_HEX + u32(1, 2, 3) + u32(2) + GAP + u64(P0) + u64(2) + u32(3) + GAP + u64(P1) + u32(0) + GAP + u64(0)
        + u64(3) + "616263",
    ),
    "structures that begin with a pointer: PropertyNameSet_r": (
        NspiGetNamesFromIDsResponse(None, [PropertyName_r(GUID, -1), PropertyName_r(None, 2)], 0),
        u64(0, P0) + u64(2) + u32(2) + GAP + u64(P1) + u32(0) + "ffffffff" + u64(0) + u32(0, 2) + GUID_HEX + u32(0),
    ),
    "array of pointers alone": (
        NspiGetIDsFromNamesRequest(HANDLE, 0, 0, 2, [None, PropertyName_r(None, 5)]),
        HANDLE_HEX + u32(0, 0, 2) + u64(2) + u64(0, P0) + u64(0) + u32(0, 5),
    ),
    "unions in an array: Restriction_r": (
        NspiGetMatchesRequest(
            HANDLE,
            0,
            STAT(),
            None,
            0,
            AndRestriction_r([ExistRestriction_r(0, 0x3001001F, 0), ContentRestriction_r(1, 0x3001001F, None)]),
            None,
            9,
            None,
        ),
        HANDLE_HEX + u32(0) + STAT_HEX + GAP + u64(0) + u32(0) + GAP
        + u64(P0) + u32(0) + GAP + u32(0) + GAP + u32(2) + GAP + u64(P1)  # rt, discriminant, cRes, lpRes
        + u64(2)
        + u32(8) + GAP + u32(8) + GAP + u32(0, 0x3001001F, 0) + GAP
        + u32(3) + GAP + u32(3) + GAP + u32(1, 0x3001001F) + u64(0)
        + u64(0) + u32(9) + GAP + u64(0),
    ),
    "array of pointers in a structure: rpc_if_id_vector_t": (
        InqIfIdsResponse([SyntaxId(GUID, 1, 2), None], 0),
        u64(P0) + u64(2) + u32(2) + GAP + u64(P1, 0) + GUID_HEX + "01000200" + u32(0),
    ),
    "count before an array": (InqStatsResponse([1, 2], 0), u32(2) + GAP + u64(2) + u32(1, 2, 0)),
    "varying string": (
        InqPrincNameResponse(b"ab", 64, 0),
        u64(64, 0, 3) + "616200" + "00" + u32(0),
    ),
    "conformant structures of bytes: twr_t": (
        EptMapRequest(GUID, Tower(b"abcde"), NULL_HANDLE, 4),
        u64(P0) + GUID_HEX + u64(P1) + u64(5) + u32(5) + "6162636465" + "000000" + "00" * 20 + u32(4),
    ),
    "structures that end in an array: ept_entry_t": (
        EptLookupResponse(HANDLE, 5, [EptEntry(GUID, None, b""), EptEntry(GUID, Tower(b"ab"), b"cd")], 0),
        HANDLE_HEX + u32(2) + u64(5, 0, 2)
        + GUID_HEX + u64(0) + u64(0, 1) + "00" + "00000000000000"
        + GUID_HEX + u64(P0) + u64(0, 3) + "636400" + "0000000000"
        + u64(2) + u32(2) + "6162" + "0000" + u32(0),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("message", "golden"), GOLDEN.values(), ids=GOLDEN)
def test_golden_bytes(message: RpcMessage, golden: str) -> None:
    assert message.pack(Ndr64Writer).hex() == golden
    read = type(message).unpack(bytes.fromhex(golden), Ndr64Reader)
    assert read == message
    assert read.pack(Ndr64Writer).hex() == golden


@pytest.mark.parametrize(("message", "golden"), GOLDEN.values(), ids=GOLDEN)
def test_a_stub_that_is_cut_off_is_an_error(message: RpcMessage, golden: str) -> None:
    for end in range(len(golden) // 2):
        with pytest.raises(DecodeError):
            type(message).unpack(bytes.fromhex(golden)[:end], Ndr64Reader)


def test_every_declared_message_has_a_strategy() -> None:
    assert len(MESSAGES) > 60


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_a_message_is_the_same_in_either_transfer_syntax(kind: type[RpcMessage]) -> None:
    """NDR 2.0, the message, NDR64, the message, NDR 2.0: the bytes that it began with."""

    @settings(max_examples=40, deadline=None)
    @given(messages(kind))
    def check(message: RpcMessage) -> None:
        stub = message.pack()
        wide = kind.unpack(stub).pack(Ndr64Writer)
        read = kind.unpack(wide, Ndr64Reader)
        assert read == message
        assert read.pack() == stub

    check()


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_whatever_the_bytes_are(kind: type[RpcMessage]) -> None:
    """Damaged, cut off, or anything: a message or `DecodeError`, and what was read can be told in NDR64 again."""

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        raw = bytearray(data.draw(messages(kind)).pack(Ndr64Writer) or b"\0")
        for _ in range(data.draw(st.integers(0, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        del raw[data.draw(st.integers(0, len(raw))) :]
        try:
            read = kind.unpack(bytes(raw), Ndr64Reader)
        except DecodeError:
            return
        with contextlib.suppress(EncodeError):  # a zero inside of a string that zero ends
            read.pack(Ndr64Writer)

    check()


def recorded(record: dict[str, Any]) -> list[tuple[type[RpcMessage], bytes]]:
    method = RpcInterface.known[uuid.UUID(record["interface_uuid"])].methods[record["opnum"]]
    stubs = (bytes.fromhex(record[f"{side}_stub_hex"] or "") for side in ("request", "response"))
    return [(kind, stub) for kind, stub in zip((method.request, method.response), stubs, strict=True) if kind and stub]


def test_recorded_traffic_goes_to_ndr64_and_back() -> None:
    count = 0
    for path in sorted(shared_path("wire").glob("calls-*.jsonl*")):
        for record in json_lines(path):
            for kind, stub in recorded(record):
                message = kind.unpack(stub)
                padding, message.padding = getattr(message, "padding", b""), b""
                wide = kind.unpack(message.pack(Ndr64Writer), Ndr64Reader)
                wide.padding = padding
                assert wide.pack() == stub, record["call"]
                count += 1
    assert count > 1000


def test_a_referent_of_64_bits_is_told_as_one_of_32() -> None:
    stub = bytes.fromhex(u64(0, 1 << 32) + u64(0) + u32(5))
    message = RfrGetNewDSAResponse.unpack(stub, Ndr64Reader)
    assert message == RfrGetNewDSAResponse(None, Name(None), 5)
    assert message.referents == (FIRST_REFERENT,)


@pytest.mark.parametrize("left", range(9))
def test_what_may_stand_behind_the_parameters(left: int) -> None:
    """Up to the next multiple of 8: a structure's trailing gap, or padding before a verification trailer."""
    stub = bytes.fromhex(u64(0, 0) + u32(5)) + bytes(left)
    if left <= 4:
        assert RfrGetNewDSAResponse.unpack(stub, Ndr64Reader) == RfrGetNewDSAResponse(None, None, 5)
    else:
        with pytest.raises(DecodeError, match="left over"):
            RfrGetNewDSAResponse.unpack(stub, Ndr64Reader)


def test_enumerations_have_32_bits() -> None:
    writer = Ndr64Writer()
    writer.enum(7)
    assert writer.hex() == "07000000"
    assert Ndr64Reader(bytes(writer)).enum() == 7


@pytest.mark.parametrize("announced", [1 << 16, 1 << 32, (1 << 64) - 1])
def test_a_count_needs_the_bytes_that_justify_it(announced: int) -> None:
    golden = bytearray.fromhex(GOLDEN["conformant arrays of bytes with counts behind them"][1])
    golden[24:32] = announced.to_bytes(8, "little")
    with pytest.raises(DecodeError):
        EcDoRpcExt2Request.unpack(bytes(golden), Ndr64Reader)


def test_what_does_not_fit_is_our_caller_s_mistake() -> None:
    with pytest.raises(EncodeError):
        Ndr64Writer().size(1 << 64)
