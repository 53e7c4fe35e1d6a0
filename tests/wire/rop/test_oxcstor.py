"""ROPs of [MS-OXCSTOR]. Bytes are from the document's section 4 where it says so, the others follow its layouts."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import EncodeError
from openchange_py.wire.oxcdata.ids import FolderId, LongTermId
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcstor import (
    LogonFlags,
    LogonTime,
    RopGetOwningServersRequest,
    RopGetOwningServersResponse,
    RopGetPerUserGuidRequest,
    RopGetPerUserGuidResponse,
    RopGetPerUserLongTermIdsRequest,
    RopGetPerUserLongTermIdsResponse,
    RopGetReceiveFolderRequest,
    RopGetReceiveFolderResponse,
    RopGetReceiveFolderTableRequest,
    RopGetReceiveFolderTableResponse,
    RopGetStoreStateRequest,
    RopGetStoreStateResponse,
    RopIdFromLongTermIdRequest,
    RopIdFromLongTermIdResponse,
    RopLogonPrivateResponse,
    RopLogonPublicResponse,
    RopLogonRedirectResponse,
    RopLogonRequest,
    RopLogonResponse,
    RopLongTermIdFromIdRequest,
    RopLongTermIdFromIdResponse,
    RopPublicFolderIsGhostedRequest,
    RopPublicFolderIsGhostedResponse,
    RopReadPerUserInformationRequest,
    RopReadPerUserInformationResponse,
    RopSetReceiveFolderRequest,
    RopSetReceiveFolderResponse,
    RopWritePerUserInformationRequest,
    RopWritePerUserInformationResponse,
    ServerNames,
    logon_lookalikes,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
GUID_HEX = "33221100554477668899aabbccddeeff"
LONG = LongTermId(GUID, bytes.fromhex("0000000e8edf"))
LONG_HEX = GUID_HEX + "0000000e8edf0000"
FOLDER = FolderId(0x36DF8E0E00000001)
FOLDER_HEX = "010000000e8edf36"
FOLDERS = [FolderId(n) for n in range(1, 14)]
FOLDERS_HEX = "".join(n.to_bytes(8, "little").hex() for n in range(1, 14))
NAMES = ServerNames(1, [b"ex1", b"ex22"])
NAMES_HEX = "0200 0100 65783100 6578323200"
ROW = PropertyRow([1, b"IPM", 0x01D90000])

EXAMPLES: list[Example] = [
    ("fe 00 01 01 0c040001 00000000 0300 2f6f00", RopLogonRequest(0, 1, 1, 0x0100040C, 0, b"/o\0")),
    (
        f"fe 00 00000000 01 {FOLDERS_HEX} 07 {GUID_HEX} 0100 {GUID_HEX}"
        "0a 14 17 05 1f 0c e807 0100000000000000 00000000",
        RopLogonPrivateResponse(0, 0, 1, FOLDERS, 7, GUID, 1, GUID, LogonTime(10, 20, 23, 5, 31, 12, 2024), 1, 0),
    ),
    (
        f"fe 00 00000000 00 {FOLDERS_HEX} 0100 {GUID_HEX} {GUID_HEX}",
        RopLogonPublicResponse(0, 0, 0, FOLDERS, 1, GUID, GUID),
    ),
    ("fe 00 78040000 01 04 65783100", RopLogonRedirectResponse(0, 0x478, 1, b"ex1\0")),
    ("27 00 01 49504d00", RopGetReceiveFolderRequest(0, 1, b"IPM")),
    (f"27 01 00000000 {FOLDER_HEX} 49504d00", RopGetReceiveFolderResponse(1, 0, FOLDER, b"IPM")),
    (f"26 00 01 {FOLDER_HEX} 49504d00", RopSetReceiveFolderRequest(0, 1, FOLDER, b"IPM")),
    ("26 01 00000000", RopSetReceiveFolderResponse(1, 0)),
    ("68 00 01", RopGetReceiveFolderTableRequest(0, 1)),
    (
        "68 01 00000000 01000000 00 0100000000000000 49504d00 0000d90100000000",
        RopGetReceiveFolderTableResponse(1, 0, [ROW]),
    ),
    ("7b 00 01", RopGetStoreStateRequest(0, 1)),
    ("7b 01 00000000 00000001", RopGetStoreStateResponse(1, 0, 0x01000000)),
    (f"42 00 01 {FOLDER_HEX}", RopGetOwningServersRequest(0, 1, FOLDER)),
    (f"42 01 00000000 {NAMES_HEX}", RopGetOwningServersResponse(1, 0, NAMES)),
    (f"45 00 01 {FOLDER_HEX}", RopPublicFolderIsGhostedRequest(0, 1, FOLDER)),
    ("45 01 00000000 00", RopPublicFolderIsGhostedResponse(1, 0, 0)),
    (f"45 01 00000000 01 {NAMES_HEX}", RopPublicFolderIsGhostedResponse(1, 0, 1, NAMES)),
    (f"43 00 01 {FOLDER_HEX}", RopLongTermIdFromIdRequest(0, 1, FOLDER)),
    (f"43 01 00000000 {LONG_HEX}", RopLongTermIdFromIdResponse(1, 0, LONG)),
    (f"44 00 01 {LONG_HEX}", RopIdFromLongTermIdRequest(0, 1, LONG)),
    (f"44 01 00000000 {FOLDER_HEX}", RopIdFromLongTermIdResponse(1, 0, FOLDER)),
    (f"60 00 01 {GUID_HEX}", RopGetPerUserLongTermIdsRequest(0, 1, GUID)),
    (f"60 01 00000000 0200 {LONG_HEX} {LONG_HEX}", RopGetPerUserLongTermIdsResponse(1, 0, [LONG, LONG])),
    (f"61 00 01 {LONG_HEX}", RopGetPerUserGuidRequest(0, 1, LONG)),
    (f"61 01 00000000 {GUID_HEX}", RopGetPerUserGuidResponse(1, 0, GUID)),
    (f"63 00 01 {LONG_HEX} 00 00010000 0010", RopReadPerUserInformationRequest(0, 1, LONG, 0, 256, 4096)),
    ("63 01 00000000 01 0300 aabbcc", RopReadPerUserInformationResponse(1, 0, 1, b"\xaa\xbb\xcc")),
    (
        f"64 00 01 {LONG_HEX} 01 00000000 0200 aabb {GUID_HEX}",
        RopWritePerUserInformationRequest(0, 1, LONG, 1, 0, b"\xaa\xbb", GUID),
    ),
    (
        f"64 00 01 {LONG_HEX} 01 05000000 0200 aabb",
        RopWritePerUserInformationRequest(0, 1, LONG, 1, 5, b"\xaa\xbb"),
    ),
    ("64 01 00000000", RopWritePerUserInformationResponse(1, 0)),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcstor", data)


def test_the_private_flag_of_the_response_decides_which_logon_it_is() -> None:
    private, public = EXAMPLES[1], EXAMPLES[2]
    assert type(RopLogonResponse.unpack(bytes.fromhex(private[0]))) is RopLogonPrivateResponse
    assert type(RopLogonResponse.unpack(bytes.fromhex(public[0]))) is RopLogonPublicResponse


def test_a_redirect_is_told_from_other_failures_of_a_logon() -> None:
    request = RopBuffer([RopLogonRequest(0, 0, LogonFlags.Private, 0, 0, b"")], [0xFFFFFFFF])
    redirect = bytes.fromhex("0e00 fe 00 78040000 01 04 65783100 ffffffff")
    buffer = RopBuffer.unpack_response(redirect, request, HandleStates())
    assert buffer.rops == [RopLogonRedirectResponse(0, 0x478, 1, b"ex1\0")]
    assert buffer.pack() == redirect


def test_per_user_information_of_a_public_logon_has_no_replica_guid() -> None:
    states = HandleStates()
    states.public_logons.add(3)
    text = f"64 03 01 {LONG_HEX} 01 00000000 0200 aabb"
    data = bytes.fromhex(text)
    packed = (len(data) + 2).to_bytes(2, "little") + data
    buffer = RopBuffer.unpack_request(packed, states)
    assert buffer.rops == [RopWritePerUserInformationRequest(3, 1, LONG, 1, 0, b"\xaa\xbb", None)]
    assert buffer.pack() == packed


def test_ghosted_without_servers_is_not_written() -> None:
    with pytest.raises(EncodeError):
        RopPublicFolderIsGhostedResponse(1, 0, 1, None).pack()


def test_what_could_be_read_as_a_logon_is_found_wherever_it_stands() -> None:
    first, second = (RopLogonRequest(1, 2, 1, 4, 5, dn) for dn in (b"/o=A/cn=x\0", b"/O=A/cn=y"))
    assert list(logon_lookalikes(first.pack() + second.pack())) == [first, second]
    assert list(logon_lookalikes(b"\xfe" * 20 + first.pack() + b"\xfe\xfe")) == [first]
    assert list(logon_lookalikes(first.pack()[:-1])) == []  # its DN would pass the end
    for dn in (b"", b"cn=x", b"/o=\x01", b"/o=\xe4", b"/o=\xfe" + b"/o=A"):
        assert list(logon_lookalikes(RopLogonRequest(0, 0, 1, 0, 0, dn).pack())) == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_looking_for_logons_takes_any_bytes(data: bytes) -> None:
    for found in logon_lookalikes(data + b"\xfe" + data + b"/o=" + data):
        assert found.pack() in data + b"\xfe" + data + b"/o=" + data
