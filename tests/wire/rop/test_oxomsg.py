"""ROPs of [MS-OXOMSG]. Bytes with a section number are that example of the document, the others follow its layouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.proptags import PidTagImportance
from openchange_py.wire.rop.oxomsg import (
    LockState,
    RopAbortSubmitRequest,
    RopAbortSubmitResponse,
    RopGetAddressTypesRequest,
    RopGetAddressTypesResponse,
    RopGetTransportFolderRequest,
    RopGetTransportFolderResponse,
    RopOptionsDataRequest,
    RopOptionsDataResponse,
    RopSetSpoolerRequest,
    RopSetSpoolerResponse,
    RopSpoolerLockMessageRequest,
    RopSpoolerLockMessageResponse,
    RopSubmitMessageRequest,
    RopSubmitMessageResponse,
    RopTransportNewMailRequest,
    RopTransportNewMailResponse,
    RopTransportSendRequest,
    RopTransportSendResponse,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

FOLDER, FOLDER_HEX = FolderId(make_id(1, 0x0C)), "01 00 00 00 00 00 00 0c"
MESSAGE, MESSAGE_HEX = MessageId(make_id(1, 0x0E8EF148)), "01 00 00 00 0e 8e f1 48"

EXAMPLES: list[Example] = [
    # 4.1.1 and 4.1.2
    ("32 00 02 00", RopSubmitMessageRequest(0, 2, 0)),
    ("32 02 00000000", RopSubmitMessageResponse(2, 0)),
    (f"34 00 01 {FOLDER_HEX} {MESSAGE_HEX}", RopAbortSubmitRequest(0, 1, FOLDER, MESSAGE)),
    ("34 01 00000000", RopAbortSubmitResponse(1, 0)),
    # What gromox 3.10 answers
    ("49 00 00", RopGetAddressTypesRequest(0, 0)),
    ("49 00 00000000 0200 0800 534d545000 455800", RopGetAddressTypesResponse(0, 0, [b"SMTP", b"EX"])),
    ("47 00 00", RopSetSpoolerRequest(0, 0)),
    ("47 00 00000000", RopSetSpoolerResponse(0, 0)),
    (f"48 00 00 {MESSAGE_HEX} 02", RopSpoolerLockMessageRequest(0, 0, MESSAGE, LockState.Finished)),
    # 4.6.6.2
    ("48 00 00000000", RopSpoolerLockMessageResponse(0, 0)),
    ("4a 00 01", RopTransportSendRequest(0, 1)),
    (
        "4a 01 00000000 00 0100 03001700 02000000",
        RopTransportSendResponse(1, 0, 0, [TaggedPropertyValue(PidTagImportance, 2)]),
    ),
    (
        f"51 00 00 {MESSAGE_HEX} {FOLDER_HEX} 49504d2e4e6f746500 01000000",
        RopTransportNewMailRequest(0, 0, MESSAGE, FOLDER, b"IPM.Note", 1),
    ),
    ("51 00 00000000", RopTransportNewMailResponse(0, 0)),
    ("6d 00 00", RopGetTransportFolderRequest(0, 0)),
    (f"6d 00 00000000 {FOLDER_HEX}", RopGetTransportFolderResponse(0, 0, FOLDER)),
    ("6f 00 00 455800 01", RopOptionsDataRequest(0, 0, b"EX", 1)),
    ("6f 00 00000000 01 0200 abcd 0000", RopOptionsDataResponse(0, 0, 1, b"\xab\xcd", b"", None)),
    ("6f 00 00000000 01 0000 0100 ff 612e6800", RopOptionsDataResponse(0, 0, 1, b"", b"\xff", b"a.h")),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxomsg", data)


def test_address_types_must_fill_their_size() -> None:
    with pytest.raises(DecodeError, match="1 bytes left over"):
        RopGetAddressTypesResponse.unpack(bytes.fromhex("49 00 00000000 0100 0400 455800 00"))


@pytest.mark.parametrize(("help_file", "name"), [(b"", b"a.hlp"), (b"?", None)])
def test_a_help_file_and_its_name_come_together(help_file: bytes, name: bytes | None) -> None:
    with pytest.raises(EncodeError, match="come together"):
        RopOptionsDataResponse(0, 0, 1, b"", help_file, name).pack()
