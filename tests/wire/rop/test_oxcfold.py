"""ROPs of [MS-OXCFOLD]. Bytes with a section number are that example of the document, the others follow its layouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import EncodeError
from openchange_py.wire.oxcdata.ids import FolderId, MessageId, make_id
from openchange_py.wire.oxcdata.restrictions import ExistRestriction
from openchange_py.wire.proptags import PidTagSubject
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcfold import (
    RopCopyFolderNullDestinationResponse,
    RopCopyFolderRequest,
    RopCopyFolderResponse,
    RopCreateFolderRequest,
    RopCreateFolderResponse,
    RopDeleteFolderRequest,
    RopDeleteFolderResponse,
    RopDeleteMessagesRequest,
    RopDeleteMessagesResponse,
    RopEmptyFolderRequest,
    RopEmptyFolderResponse,
    RopGetContentsTableRequest,
    RopGetContentsTableResponse,
    RopGetHierarchyTableRequest,
    RopGetHierarchyTableResponse,
    RopGetSearchCriteriaRequest,
    RopGetSearchCriteriaResponse,
    RopHardDeleteMessagesAndSubfoldersRequest,
    RopHardDeleteMessagesAndSubfoldersResponse,
    RopHardDeleteMessagesRequest,
    RopHardDeleteMessagesResponse,
    RopMoveCopyMessagesNullDestinationResponse,
    RopMoveCopyMessagesRequest,
    RopMoveCopyMessagesResponse,
    RopMoveFolderNullDestinationResponse,
    RopMoveFolderRequest,
    RopMoveFolderResponse,
    RopOpenFolderRequest,
    RopOpenFolderResponse,
    RopSetSearchCriteriaRequest,
    RopSetSearchCriteriaResponse,
)
from openchange_py.wire.rop.oxcstor import ServerNames
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

FOLDER = FolderId(make_id(1, 0x0E8EDF36))
FOLDER_HEX = "01 00 00 00 0e 8e df 36"
FOLDER1_HEX = "46 00 6f 00 6c 00 64 00 65 00 72 00 31 00 00 00"
MESSAGES = [MessageId(make_id(1, 0x0E8EF148)), MessageId(make_id(1, 0x0E8EC302))]
MESSAGES_HEX = "02 00 01 00 00 00 0e 8e f1 48 01 00 00 00 0e 8e c3 02"
NAMES = ServerNames(1, [b"ex1", b"ex22"])
NAMES_HEX = "0200 0100 65783100 6578323200"
EXIST = ExistRestriction(PidTagSubject)

EXAMPLES: list[Example] = [
    (f"02 00 00 01 {FOLDER_HEX} 04", RopOpenFolderRequest(0, 0, 1, FOLDER, 4)),
    ("02 01 00000000 01 00", RopOpenFolderResponse(1, 0, 1, 0)),
    (f"02 01 00000000 00 01 {NAMES_HEX}", RopOpenFolderResponse(1, 0, 0, 1, NAMES)),
    (
        f"1c 00 00 01 01 01 00 00 {FOLDER1_HEX} 43 00 00 00",
        RopCreateFolderRequest(0, 0, 1, 1, 1, 0, 0, "Folder1", "C"),
    ),
    ("1c 00 00 01 01 00 01 00 466f00 00", RopCreateFolderRequest(0, 0, 1, 1, 0, 1, 0, b"Fo", b"")),
    # 4.1.2
    (
        "1c 01 00 00 00 00 01 00 00 00 0e 91 52 12 00",
        RopCreateFolderResponse(1, 0, FolderId(make_id(1, 0x0E915212)), 0),
    ),
    (f"1c 01 00000000 {FOLDER_HEX} 01 01 00", RopCreateFolderResponse(1, 0, FOLDER, 1, 1, 0)),
    (f"1c 01 00000000 {FOLDER_HEX} 01 00 01 {NAMES_HEX}", RopCreateFolderResponse(1, 0, FOLDER, 1, 0, 1, NAMES)),
    # 4.2.1
    ("1d 00 01 05 01 00 00 00 0e 8e df 36", RopDeleteFolderRequest(0, 1, 5, FOLDER)),
    ("1d 01 00000000 00", RopDeleteFolderResponse(1, 0, 0)),
    # 4.3.1
    (f"1e 00 00 00 01 {MESSAGES_HEX}", RopDeleteMessagesRequest(0, 0, 0, 1, MESSAGES)),
    ("1e 00 00000000 01", RopDeleteMessagesResponse(0, 0, 1)),
    # 4.4.1
    (
        "33 00 00 01 01 00 01 00 00 00 0e 8e ec 5d 00 00",
        RopMoveCopyMessagesRequest(0, 0, 1, [MessageId(make_id(1, 0x0E8EEC5D))], 0, 0),
    ),
    ("33 00 00000000 00", RopMoveCopyMessagesResponse(0, 0, 0)),
    ("33 00 03050000 02000000 00", RopMoveCopyMessagesNullDestinationResponse(0, 0x503, 2, 0)),
    # 4.5.1
    (f"35 00 01 02 01 01 {FOLDER_HEX} {FOLDER1_HEX}", RopMoveFolderRequest(0, 1, 2, 1, 1, FOLDER, "Folder1")),
    ("35 01 00000000 00", RopMoveFolderResponse(1, 0, 0)),
    ("35 01 03050000 02000000 01", RopMoveFolderNullDestinationResponse(1, 0x503, 2, 1)),
    # 4.6.1
    (f"36 00 00 01 01 01 01 {FOLDER_HEX} {FOLDER1_HEX}", RopCopyFolderRequest(0, 0, 1, 1, 1, 1, FOLDER, "Folder1")),
    ("36 00 00000000 00", RopCopyFolderResponse(0, 0, 0)),
    ("36 00 03050000 02000000 00", RopCopyFolderNullDestinationResponse(0, 0x503, 2, 0)),
    (
        f"30 00 01 0500 08 1f003700 0100 {FOLDER_HEX} 02000000",
        RopSetSearchCriteriaRequest(0, 1, EXIST, [FOLDER], 2),
    ),
    ("30 00 01 0000 0000 01000000", RopSetSearchCriteriaRequest(0, 1, None, [], 1)),
    ("30 01 00000000", RopSetSearchCriteriaResponse(1, 0)),
    ("31 00 01 01 01 00", RopGetSearchCriteriaRequest(0, 1, 1, 1, 0)),
    (
        f"31 01 00000000 0500 08 1f003700 02 0100 {FOLDER_HEX} 01000000",
        RopGetSearchCriteriaResponse(1, 0, EXIST, 2, [FOLDER], 1),
    ),
    ("58 00 01 00 01", RopEmptyFolderRequest(0, 1, 0, 1)),
    ("58 01 00000000 00", RopEmptyFolderResponse(1, 0, 0)),
    ("92 00 01 00 01", RopHardDeleteMessagesAndSubfoldersRequest(0, 1, 0, 1)),
    ("92 01 00000000 00", RopHardDeleteMessagesAndSubfoldersResponse(1, 0, 0)),
    (f"91 00 00 00 01 {MESSAGES_HEX}", RopHardDeleteMessagesRequest(0, 0, 0, 1, MESSAGES)),
    ("91 00 00000000 00", RopHardDeleteMessagesResponse(0, 0, 0)),
    ("04 00 00 01 04", RopGetHierarchyTableRequest(0, 0, 1, 4)),
    ("04 01 00000000 09000000", RopGetHierarchyTableResponse(1, 0, 9)),
    # [MS-OXCTABL] 4.1.1
    ("05 00 00 01 00", RopGetContentsTableRequest(0, 0, 1, 0)),
    ("05 01 00000000 04000000", RopGetContentsTableResponse(1, 0, 4)),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcfold", data)


def test_partial_completion_is_told_in_failures_too() -> None:
    request = RopBuffer([RopDeleteMessagesRequest(0, 0, 0, 0, MESSAGES)], [5])
    data = bytes.fromhex("0900 1e 00 05000780 01 05000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopDeleteMessagesResponse(0, 0x80070005, 1)]


def test_a_missing_destination_has_its_own_layout() -> None:
    request = RopBuffer([RopMoveFolderRequest(0, 0, 1, 0, 1, FOLDER, "x")], [5, 6])
    data = bytes.fromhex("0d00 35 00 03050000 01000000 00 05000000 06000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopMoveFolderNullDestinationResponse(0, 0x503, 1, 0)]
    assert buffer.pack() == data


def test_the_source_is_the_object_that_a_copy_acts_on() -> None:
    assert RopCopyFolderRequest(0, 3, 1, 0, 0, 1, FOLDER, "x").input_handle_index == 3


@pytest.mark.parametrize(("unicode", "name"), [(0, "text"), (1, b"bytes")])
def test_a_name_that_does_not_agree_with_its_flag_is_not_written(unicode: int, name: str | bytes) -> None:
    with pytest.raises(EncodeError, match="does not agree"):
        RopMoveFolderRequest(0, 0, 1, 0, unicode, FOLDER, name).pack()


def test_more_identifiers_than_bytes_are_refused_before_anything_is_allocated() -> None:
    data = bytes.fromhex("0900 1e 00 00 00 01 ffff")
    with pytest.raises(ValueError, match="65535 elements announced"):
        RopBuffer.unpack_request(data)
