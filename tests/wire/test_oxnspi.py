"""The recorded calls of real clients and a real server; what impacket writes and reads."""

import contextlib
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket.dcerpc.v5 import nspi as impacket_nspi

from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiGetIDsFromNamesRequest,
    NspiGetNamesFromIDsResponse,
    NspiGetSpecialTableRequest,
    NspiModLinkAttRequest,
    NspiModPropsRequest,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesRequest,
    NspiSeekEntriesRequest,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyRow_r, PropertyValue_r
from tests.conftest import json_lines, shared_path

#: Recorded calls that do not pack to the same bytes: (call, "request" or "response"), with the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}

HANDLE = ContextHandle(1, uuid.UUID("9c6490e5-f001-4c47-ba18-010000009af2"))
MESSAGES = [kind for m in NSPI.methods.values() for kind in (m.request, m.response) if kind is not None]


def recordings() -> list[Path]:
    return sorted(shared_path("wire").glob("calls-*.jsonl*"))


def test_every_recorded_call_is_decoded_and_packed_to_the_same_bytes() -> None:
    different, used, count = [], set(), 0
    for path in recordings():
        for call in json_lines(path):
            if call["interface"] != "nspi":
                continue
            method = NSPI.methods[call["opnum"]]
            assert method.name == call["call"]
            for side, kind in (("request", method.request), ("response", method.response)):
                stub = bytes.fromhex(call[f"{side}_stub_hex"] or "")
                if not stub:
                    assert call["fault"], f"{path.name}: {method.name} without {side}"
                    continue
                count += 1
                if kind.unpack(stub).pack() != stub:
                    used.add((method.name, side))
                    different.append(f"{path.name} {method.name} {side} {stub.hex()}")
    assert used == set(EXCEPTIONS), "\n".join(different)
    assert count > 500


def test_every_opnum_of_the_interface_has_its_name() -> None:
    assert sorted(NSPI.methods) == list(range(21))
    assert [NSPI.method_name(opnum) for opnum in (0, 9, 15, 20)] == [
        "NspiBind",
        "NspiGetProps",
        "NspiDeleteEntries",
        "NspiResolveNamesW",
    ]
    assert str(NSPI.syntax) == "f5cc5a18-4264-101a-8c59-08002b2f8426/56.0"


def test_bind_as_libmapi_sends_it() -> None:
    # calls-attachments-tcp-connect-2007
    stub = bytes.fromhex("00" * 28 + "e404000009040000090400000000020000000000000000000000000000000000" + "00000000")
    request = NspiBindRequest.unpack(stub)
    assert request == NspiBindRequest(0, STAT(code_page=1252), uuid.UUID(int=0))
    assert request.pack() == stub


def test_the_answer_to_a_refused_bind() -> None:
    assert NspiBindResponse(None, NULL_HANDLE, 0x80040111).pack().hex() == "00" * 24 + "11010480"


@pytest.mark.parametrize(
    "message",
    [
        NspiModLinkAttRequest(HANDLE, 1, p.PidTagAddressBookMember, 17, [b"abc", None, b""]),
        NspiModLinkAttRequest(HANDLE, 1, p.PidTagAddressBookMember, 17, None),
        NspiModPropsRequest(HANDLE, 0, STAT(), None, PropertyRow_r([PropertyValue_r(0x0002000B, 1)])),
        NspiModPropsRequest(HANDLE, 0, STAT(), [p.PidTagDisplayName], PropertyRow_r(None)),
        NspiSeekEntriesRequest(HANDLE, 0, STAT(), PropertyValue_r(0x3001001F, "Bär"), [17, 18], None),
        NspiSeekEntriesRequest(HANDLE, 0, STAT(delta=-3), PropertyValue_r(0x0002000B, 1), None, []),
        NspiGetIDsFromNamesRequest(HANDLE, 0, 2, 2, [PropertyName_r(uuid.UUID(int=5), -1), None]),
        NspiGetNamesFromIDsResponse(
            [p.PidTagDisplayName], [PropertyName_r(None, 1), PropertyName_r(HANDLE.uuid, 2)], 0
        ),
        NspiResolveNamesRequest(HANDLE, 0, STAT(), None, [b"al", None]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_calls_that_no_recording_has_come_back_as_they_were(message: object) -> None:
    assert type(message).unpack(message.pack()) == message


def test_the_tag_array_has_room_for_one_more_than_it_holds() -> None:
    # [MS-OXNSPI] 2.2.2.2: size_is(cValues + 1), length_is(cValues)
    stub = NspiQueryRowsRequest(HANDLE, 0, STAT(), 0, None, 5, [p.PidTagDisplayName]).pack()
    assert stub.endswith(bytes.fromhex("02000000" + "01000000" + "00000000" + "01000000" + "1f000130"))


def test_impacket_s_table_request_is_understood_in_spite_of_its_extra_pointer() -> None:
    request = impacket_nspi.NspiGetSpecialTable()
    request["hRpc"]["context_handle_uuid"] = HANDLE.uuid.bytes_le
    request["dwFlags"] = 4
    request["lpVersion"] = 0
    stub = request.getData()
    ours = NspiGetSpecialTableRequest.unpack(stub)
    assert (ours.h_rpc.uuid, ours.flags, ours.version) == (HANDLE.uuid, 4, 0)
    assert ours.pack() == stub


def test_impacket_s_query_is_understood() -> None:
    request = impacket_nspi.NspiQueryRows()
    request["hRpc"]["context_handle_uuid"] = HANDLE.uuid.bytes_le
    request["dwFlags"] = 1
    request["pStat"]["CodePage"] = 20261
    request["pStat"]["CurrentRec"] = 17
    request["dwETableCount"] = 2
    for mid in (17, 18):
        item = impacket_nspi.DWORD()
        item["Data"] = mid
        request["lpETable"].append(item)
    request["Count"] = 50
    request["pPropTags"] = impacket_nspi.NULL
    ours = NspiQueryRowsRequest.unpack(request.getData())
    assert (ours.flags, ours.stat.code_page, ours.stat.current_rec, ours.e_table, ours.count, ours.prop_tags) == (
        1,
        20261,
        17,
        [17, 18],
        50,
        None,
    )


def test_impacket_reads_the_rows() -> None:
    values = [
        PropertyValue_r(p.PidTagDisplayName, "Älice"),
        PropertyValue_r(p.PidTagAccount.with_type(PropertyType.String8), b"alice"),
        PropertyValue_r(p.PidTagObjectType, 6),
        PropertyValue_r(p.PidTagTitle.with_type(PropertyType.ErrorCode), 0x8004010F),
        PropertyValue_r(p.PidTagSendRichInfo, 1),
        PropertyValue_r(p.PidTagInstanceKey, b"\x11\0\0\0"),
        PropertyValue_r(p.PidTagAddressBookProxyAddresses, ["SMTP:alice@example.test", "smtp:a@example.test"]),
        PropertyValue_r(p.PidTagCreationTime, 132_000_000_000_000_001),
    ]
    stub = NspiQueryRowsResponse(STAT(total_recs=2), [PropertyRow_r(values), PropertyRow_r(values[:3])], 0).pack()
    theirs = impacket_nspi.NspiQueryRowsResponse(stub)
    assert theirs["pStat"]["TotalRecs"] == 2
    assert theirs["ErrorCode"] == 0
    assert theirs["ppRows"]["cRows"] == 2
    first = theirs["ppRows"]["aRow"][0]["lpProps"]
    assert [value["ulPropTag"] for value in first] == [int(value.prop_tag) for value in values]
    assert first[0]["Value"]["lpszW"] == "Älice\0"
    assert first[5]["Value"]["bin"]["lpb"] == [b"\x11", b"\0", b"\0", b"\0"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MESSAGES), st.binary(max_size=400))
def test_any_garbage_gives_a_message_or_a_decode_error(kind: type, data: bytes) -> None:
    try:
        message = kind.unpack(data)
    except DecodeError:
        return
    try:
        again = message.pack()
    except EncodeError:
        return  # a string with a zero inside
    assert kind.unpack(again) == message


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_recording_gives_a_message_or_a_decode_error(data: st.DataObject) -> None:
    path = shared_path("wire") / "calls-profile-tcp-connect-2007.jsonl"
    calls = [call for call in json_lines(path) if call["interface"] == "nspi"]
    call = data.draw(st.sampled_from(calls))
    side = data.draw(st.sampled_from(["request", "response"]))
    stub = bytearray.fromhex(call[f"{side}_stub_hex"])
    for _ in range(data.draw(st.integers(1, 4))):
        stub[data.draw(st.integers(0, len(stub) - 1))] = data.draw(st.integers(0, 255))
    del stub[data.draw(st.integers(0, len(stub))) :]
    kind = getattr(NSPI.methods[call["opnum"]], side)
    with contextlib.suppress(DecodeError):
        assert isinstance(kind.unpack(bytes(stub)), kind)


def test_fifty_rows_of_ten_columns_take_about_half_a_millisecond() -> None:
    texts = [PropertyValue_r(0x3001001F + (number << 16), f"text number {number}") for number in range(6)]
    others = [PropertyValue_r(0x0FFF0102, bytes(140)), PropertyValue_r(0x0FFE0003, 6), PropertyValue_r(0x3A40000B, 1)]
    values = [*texts, *others, PropertyValue_r(0x3A08000A, 0x8004010F)]
    response = NspiQueryRowsResponse(STAT(), [PropertyRow_r(values) for _ in range(50)], 0)

    def once() -> float:
        start = time.perf_counter()
        response.pack()
        return time.perf_counter() - start

    # Generous, for machines that do other things as well; interpreting the layout would take 40 times as long.
    assert min(once() for _ in range(30)) < 0.005
