"""The readable form of ROPs."""

from __future__ import annotations

import json

import pytest

from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcdata.restrictions import ExistRestriction
from openchange_py.wire.oxcdata.rows import ABSENT, PropertyError, PropertyRow
from openchange_py.wire.proptags import PidTagContentCount, PidTagDisplayName, PidTagSubject
from openchange_py.wire.rop.base import Rop, RopFailure, RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.dissect import Lengths, describe, describe_buffer, dissect, dissect_buffer, dissect_field
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopDeleteMessagesRequest, RopOpenFolderRequest, RopOpenFolderResponse
from openchange_py.wire.rop.oxcmsg import ModifyRecipientRow, RopModifyRecipientsRequest
from openchange_py.wire.rop.oxcstor import RopLogonRequest
from openchange_py.wire.rop.oxctabl import RopQueryRowsResponse, RopRestrictRequest, RopSetColumnsRequest

ROWS = [PropertyRow(["Inbox", 3]), PropertyRow([PropertyError(ErrorCode.NotFound), ABSENT], flagged=True)]


@pytest.mark.parametrize(
    ("rop", "line"),
    [
        (
            RopOpenFolderRequest(0, 0, 1, FolderId(0x36DF8E0E00000001), 4),
            "RopOpenFolderRequest logon_id=0 input_handle_index=0 output_handle_index=1 "
            "folder_id=0001-00000E8EDF36 open_mode_flags=4",
        ),
        (
            RopOpenFolderResponse(1, 0, 0, 0),
            "RopOpenFolderResponse handle_index=1 return_value=Success has_rules=0 is_ghosted=0",
        ),
        (
            RopFailure(1, ErrorCode.NotFound, RopId.OpenFolder),
            "RopFailure handle_index=1 return_value=NotFound rop_id=OpenFolder",
        ),
        (RopFailure(1, 0x12345678, 0xF0), "RopFailure handle_index=1 return_value=0x12345678 rop_id=0xF0"),
        (
            RopSetColumnsRequest(0, 1, 0, [PidTagSubject, PidTagContentCount]),
            "RopSetColumnsRequest logon_id=0 input_handle_index=1 set_columns_flags=0 "
            "property_tags=[PidTagSubject, PidTagContentCount]",
        ),
        (
            RopQueryRowsResponse(1, 0, 2, ROWS, (PidTagDisplayName, PidTagContentCount)),
            "RopQueryRowsResponse handle_index=1 return_value=Success origin=2 "
            "rows=[{PidTagDisplayName: 'Inbox', PidTagContentCount: 3}, "
            "{PidTagDisplayName: <NotFound>, PidTagContentCount: <absent>}]",
        ),
        (
            RopLogonRequest(0, 0, 1, 12, 0, bytes(range(100))),
            "RopLogonRequest logon_id=0 output_handle_index=0 logon_flags=1 open_flags=12 store_state=0 "
            "essdn=000102030405060708090a0b0c0d0e0f…(100 bytes)",
        ),
        (
            RopRestrictRequest(0, 1, 0, ExistRestriction(PidTagSubject)),
            "RopRestrictRequest logon_id=0 input_handle_index=1 restrict_flags=0 "
            "restriction_data=ExistRestriction(prop_tag=PidTagSubject)",
        ),
    ],
)
def test_lines(rop: Rop, line: str) -> None:
    assert describe(rop) == line


def test_long_lists_are_shortened_and_counted() -> None:
    line = describe(RopDeleteMessagesRequest(0, 0, 0, 0, [MessageId(1)] * 500))
    assert line.endswith("0001-000000000000](of 500)")
    assert len(line) < 400


def test_long_texts_are_shortened() -> None:
    row = RecipientRow.smtp("a" * 1000 + "@example.test", "A")
    line = describe(RopModifyRecipientsRequest(0, 0, [], [ModifyRecipientRow(0, 1, row)]))
    assert "email_address='aaaa" in line
    assert "display_name='A'" in line
    assert len(line) < 400


def test_a_buffer_line_by_line() -> None:
    buffer = RopBuffer([RopReleaseRequest(0, 1)], [5, NO_HANDLE], b"\x86" + bytes(50))
    assert describe_buffer(buffer) == [
        "RopReleaseRequest logon_id=0 input_handle_index=1",
        "not decoded, from RopTellVersion on: 86000000000000000000000000000000…(51 bytes)",
        "handles [0x5, -]",
    ]
    assert "from Rop0xF0 on" in describe_buffer(RopBuffer([], [], b"\xf0"))[0]


def test_the_same_as_plain_values() -> None:
    rows = dissect(RopQueryRowsResponse(1, 0, 2, ROWS, (PidTagDisplayName, PidTagContentCount)))
    assert json.loads(json.dumps(rows)) == {
        "rop": "RopQueryRowsResponse",
        "handle_index": 1,
        "return_value": "Success",
        "origin": 2,
        "rows": [
            {"PidTagDisplayName": "Inbox", "PidTagContentCount": 3},
            {"PidTagDisplayName": {"error": "NotFound"}, "PidTagContentCount": None},
        ],
    }
    buffer = dissect_buffer(RopBuffer([], [5, NO_HANDLE], b"\x86" + bytes(50)), Lengths(bytes=2))
    assert buffer == {
        "rops": [],
        "not_decoded": {"from": "RopTellVersion", "hex": "8600", "size": 51},
        "handles": [5, None],
    }


def test_numbers_that_json_does_not_know() -> None:
    assert dissect_field("value", [1.5, float("nan"), float("-inf")]) == [1.5, "nan", "-inf"]
