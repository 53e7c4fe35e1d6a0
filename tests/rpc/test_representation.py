"""Big-endian and NDR64 stubs become ours, and responses NDR64."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.events import PresentationContext, RequestReceived
from openchange_py.rpc.representation import (
    StubFormat,
    big_endian_request,
    little_endian,
    little_endian_response,
    ndr20_request,
    ndr20_response,
    ndr64_request,
    ndr64_response,
    request_stub,
    response_stub,
)
from openchange_py.rpc.security import ANONYMOUS
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.epm import EPMAPPER, EPT_INSERT
from openchange_py.wire.mgmt import MGMT, InqPrincNameRequest, InqPrincNameResponse, InqStatsRequest, InqStatsResponse
from openchange_py.wire.ndr import NDR20, BigEndianNdrWriter, RpcInterface, SyntaxId
from openchange_py.wire.ndr64 import Ndr64Writer
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.syntax import NDR64
from tests.conftest import json_lines, shared_path


def test_a_stub_is_made_anew() -> None:
    assert little_endian(MGMT, 4, struct.pack(">II", 10, 300)) == InqPrincNameRequest(10, 300).pack()
    assert (
        little_endian(MGMT, 4, struct.pack(">II", 10, 300) + b"tail") == InqPrincNameRequest(10, 300).pack() + b"tail"
    )


def test_strings_and_numbers_of_a_real_call() -> None:
    """RfrGetNewDSA ([MS-OXABREF] 3.1.4.1): flags, a DN, and two null pointers."""
    dn = b"/o=x/cn=alice\0"
    padding = bytes(-len(dn) % 4)
    stubs = [
        struct.pack(order + "I", 7) + struct.pack(order + "III", len(dn), 0, len(dn)) + dn + padding + bytes(8)
        for order in "><"
    ]
    assert stubs[0] != stubs[1]
    assert little_endian(RFR, 0, stubs[0]) == stubs[1]


def test_what_can_not_be_read_is_refused() -> None:
    with pytest.raises(DecodeError):
        little_endian(MGMT, 4, b"\0\0")
    with pytest.raises(RpcFault) as caught:
        little_endian(EPMAPPER, EPT_INSERT, b"\0\0\0\1")
    assert caught.value.status == FaultStatus.CANNOT_SUPPORT


def test_an_operation_that_is_not_there_is_somebody_else_s_answer() -> None:
    assert little_endian(MGMT, 99, b"\0\1") == b"\0\1"
    assert little_endian(EPMAPPER, EPT_INSERT, b"") == b""


STATISTICS = InqStatsResponse([1, 2, 3, 4], 0)


def test_ndr64_both_ways_in_either_role() -> None:
    wide = struct.pack("<I4xQ5I", 4, 4, 1, 2, 3, 4, 0)
    assert ndr64_response(MGMT, 1, STATISTICS.pack()) == wide
    assert ndr20_response(MGMT, 1, wide) == STATISTICS.pack()
    request = InqPrincNameRequest(10, 300).pack()
    assert ndr64_request(MGMT, 4, request) == ndr20_request(MGMT, 4, request) == request
    assert [convert(MGMT, 0, b"") for convert in (ndr64_request, ndr20_request, ndr64_response, ndr20_response)] == [
        b""
    ] * 4


def test_what_has_no_codec_is_refused_before_it_is_executed() -> None:
    bare = RpcInterface("bare", "60a15ec5-4de8-11d7-a637-005056a2cccc", 1)
    bare.declare(0, "Nothing")
    bare.declare(1, "RequestOnly", InqStatsRequest)
    for opnum, stub in ((0, b""), (0, b"\0\0\0\0"), (1, b"\0\0\0\0")):
        with pytest.raises(RpcFault) as caught:
            ndr20_request(bare, opnum, stub)
        assert caught.value.status == FaultStatus.CANNOT_SUPPORT
    for convert in (ndr64_request, ndr64_response, ndr20_response):
        with pytest.raises(RpcFault):
            convert(bare, 0, b"\0\0\0\0")
    assert ndr20_request(bare, 9, b"\0\1") == b"\0\1", "an operation that is not there is somebody else's answer"


def test_a_count_that_ndr_2_has_no_room_for_is_a_bad_stub() -> None:
    wide = InqPrincNameResponse(b"host", 1 << 40, 0).pack(Ndr64Writer)
    with pytest.raises(DecodeError, match="inq_princ_name"):
        ndr20_response(MGMT, 4, wide)


def received(stub: bytes, syntax: SyntaxId, *, big_endian: bool = False) -> RequestReceived:
    context = PresentationContext(0, MGMT, syntax)
    return RequestReceived(2, context, 1, stub, ANONYMOUS, None, None, big_endian)


def test_what_a_connection_received_and_answers() -> None:
    ours = InqStatsRequest(4).pack()
    assert request_stub(received(ours, NDR20)) is ours
    assert request_stub(received(b"\0\0\0\4", NDR20, big_endian=True)) == ours
    assert request_stub(received(ours, NDR64)) == ours
    with pytest.raises(RpcFault, match="little-endian"):
        request_stub(received(ours, NDR64, big_endian=True))
    reply = STATISTICS.pack()
    assert response_stub(received(ours, NDR20), reply) is reply
    assert response_stub(received(ours, NDR64), reply) == STATISTICS.pack(Ndr64Writer)
    with pytest.raises(RpcFault, match="can't be sent as NDR64") as caught:
        response_stub(received(ours, NDR64), reply[:-1])
    assert caught.value.status == FaultStatus.CALL_FAILED


def fault_of(convert: Callable[..., bytes], *arguments: Any) -> int:
    with pytest.raises(RpcFault) as caught:
        convert(*arguments)
    return caught.value.status


REQUEST, RESPONSE = InqStatsRequest(4).pack(), STATISTICS.pack()


@pytest.mark.parametrize(
    ("stubs", "request_stub", "response_stub", "big_endian"),
    [
        (StubFormat(), REQUEST, RESPONSE, False),
        (StubFormat(), REQUEST, STATISTICS.pack(BigEndianNdrWriter), True),
        (StubFormat(big_endian=True), b"\0\0\0\4", STATISTICS.pack(BigEndianNdrWriter), True),
        (StubFormat(big_endian=True), b"\0\0\0\4", RESPONSE, False),
        (StubFormat(ndr64=True), REQUEST, STATISTICS.pack(Ndr64Writer), False),
        (StubFormat(ndr64=True, padcheck=True, validate=True), REQUEST, STATISTICS.pack(Ndr64Writer), False),
    ],
)
def test_what_an_initiator_sends_and_takes(
    stubs: StubFormat, request_stub: bytes, response_stub: bytes, big_endian: bool
) -> None:
    assert stubs.request(MGMT, 1, REQUEST) == request_stub
    assert stubs.response(MGMT, 1, response_stub, big_endian) == RESPONSE


def test_an_initiators_stubs_that_can_not_be_read() -> None:
    stubs = StubFormat(big_endian=True)
    assert fault_of(stubs.request, MGMT, 1, b"\0") == FaultStatus.BAD_STUB_DATA
    assert fault_of(stubs.request, EPMAPPER, EPT_INSERT, b"\0\0\0\1") == FaultStatus.CANNOT_SUPPORT
    assert fault_of(stubs.response, MGMT, 1, b"\0", True) == FaultStatus.CALL_FAILED


def test_validation_refuses_what_the_codecs_do_not_make_the_same_again() -> None:
    stubs = StubFormat(validate=True)
    # A string in an array that is larger than it: read, and written in one that is not.
    odd = struct.pack("<IIII", 0x20000, 9, 0, 5) + b"host\0" + bytes(3) + struct.pack("<I", 0)
    assert fault_of(stubs.response, RFR, 1, odd, False) == FaultStatus.CALL_FAILED
    assert StubFormat(padcheck=True).response(RFR, 1, odd, False) == odd
    assert fault_of(stubs.request, MGMT, 1, b"\4\0") == FaultStatus.BAD_STUB_DATA
    # Of calls without codec nothing is known.
    assert stubs.request(EPMAPPER, EPT_INSERT, odd) == odd
    assert stubs.response(MGMT, 99, odd, False) == odd


def test_padcheck_says_where_padding_is_not_zero(caplog: pytest.LogCaptureFixture) -> None:
    stubs = StubFormat(padcheck=True)
    name = struct.pack("<III", 5, 0, 5) + b"host\0"
    clean, dirty = (name + padding + struct.pack("<I", 0) for padding in (bytes(3), b"\0x\0"))
    assert stubs.response(MGMT, 4, clean, False) == clean
    assert caplog.messages == []
    assert stubs.response(MGMT, 4, dirty, False) == dirty
    assert caplog.messages == ["inq_princ_name: padding that is not zero in the response, at 17"]


@pytest.mark.parametrize("interface", [NSPI, EMSMDB, RFR, EPMAPPER], ids=lambda interface: interface.name)
def test_recorded_calls_to_big_endian_and_back(interface: RpcInterface) -> None:
    count = 0
    for path in sorted(shared_path("wire").glob("calls-*.jsonl*")):
        for call in json_lines(path):
            method = interface.methods.get(call["opnum"])
            stub = bytes.fromhex(call["request_stub_hex"] or "")
            if call["interface_uuid"] != str(interface.syntax.uuid) or method is None or method.request is None:
                continue
            if method.request.unpack(stub).pack() != stub:
                continue
            big = big_endian_request(interface, call["opnum"], stub)
            assert big != stub
            assert little_endian(interface, call["opnum"], big) == stub, method.name
            if (answer := call.get("response_stub_hex")) and method.response is not None:
                response = method.response.unpack(bytes.fromhex(answer))
                ours = response.pack()
                big = response.pack(BigEndianNdrWriter)
                assert big != ours or not any(ours)
                assert little_endian_response(interface, call["opnum"], big) == ours, method.name
            count += 1
    assert count > 10
