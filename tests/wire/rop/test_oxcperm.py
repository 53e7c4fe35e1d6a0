"""ROPs of [MS-OXCPERM]. Bytes with a section number are that example of the document, the others follow its layouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.proptags import PidTagEntryId, PidTagMemberId, PidTagMemberRights
from openchange_py.wire.rop.oxcperm import (
    ModifyPermissionsFlags,
    PermissionData,
    PermissionDataFlags,
    PermissionsTableFlags,
    RopGetPermissionsTableRequest,
    RopGetPermissionsTableResponse,
    RopModifyPermissionsRequest,
    RopModifyPermissionsResponse,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

ADDED = PermissionData(
    PermissionDataFlags.AddRow,
    [TaggedPropertyValue(PidTagEntryId, b"\x01\x02"), TaggedPropertyValue(PidTagMemberRights, 0x1401)],
)
REMOVED = PermissionData(PermissionDataFlags.RemoveRow, [TaggedPropertyValue(PidTagMemberId, 7)])

EXAMPLES: list[Example] = [
    # 4.1
    ("3e 00 00 01 02", RopGetPermissionsTableRequest(0, 0, 1, PermissionsTableFlags.IncludeFreeBusy)),
    ("3e 01 00000000", RopGetPermissionsTableResponse(1, 0)),
    (
        "40 00 01 02 020001 0200 0201ff0f 0200 0102 03007366 0114000004 0100 14007166 0700000000000000",
        RopModifyPermissionsRequest(0, 1, ModifyPermissionsFlags.IncludeFreeBusy, [ADDED, REMOVED]),
    ),
    ("40 01 00000000", RopModifyPermissionsResponse(1, 0)),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcperm", data)


def test_more_changes_than_bytes_are_refused_before_anything_is_allocated() -> None:
    with pytest.raises(DecodeError, match="65535 elements announced"):
        RopModifyPermissionsRequest.unpack(bytes.fromhex("40 00 00 00 ffff"))
