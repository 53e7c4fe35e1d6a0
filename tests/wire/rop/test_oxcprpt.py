"""ROPs of [MS-OXCPRPT]. Bytes with a section number are that example of the document, the others follow its layouts."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.named import Kind, PropertyName
from openchange_py.wire.oxcdata.problems import PropertyProblem
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import NOT_FOUND, PropertyRow
from openchange_py.wire.proptags import (
    PidTagChangeKey,
    PidTagNormalizedSubject,
    PidTagSubject,
    PidTagSubjectPrefix,
)
from openchange_py.wire.rop.base import RopFailure
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcprpt import (
    NameFlags,
    RopCopyPropertiesNullDestinationResponse,
    RopCopyPropertiesRequest,
    RopCopyPropertiesResponse,
    RopCopyToNullDestinationResponse,
    RopCopyToRequest,
    RopCopyToResponse,
    RopDeletePropertiesNoReplicateRequest,
    RopDeletePropertiesNoReplicateResponse,
    RopDeletePropertiesRequest,
    RopDeletePropertiesResponse,
    RopGetNamesFromPropertyIdsRequest,
    RopGetNamesFromPropertyIdsResponse,
    RopGetPropertiesAllRequest,
    RopGetPropertiesAllResponse,
    RopGetPropertiesListRequest,
    RopGetPropertiesListResponse,
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesSpecificResponse,
    RopGetPropertyIdsFromNamesRequest,
    RopGetPropertyIdsFromNamesResponse,
    RopProgressRequest,
    RopProgressResponse,
    RopQueryNamedPropertiesRequest,
    RopQueryNamedPropertiesResponse,
    RopSetPropertiesNoReplicateRequest,
    RopSetPropertiesNoReplicateResponse,
    RopSetPropertiesRequest,
    RopSetPropertiesResponse,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

PSETID_COMMON = uuid.UUID("00062008-0000-0000-c000-000000000046")
COMMON_HEX = "0820060000000000c000000000000046"
LID = PropertyName.of_lid(PSETID_COMMON, 0x8503)
LID_HEX = f"00 {COMMON_HEX} 03850000"
NAMED = PropertyName.of_name(PSETID_COMMON, "x-wire")
NAMED_HEX = f"01 {COMMON_HEX} 0e 78002d007700690072006500 0000"
TEST_PROP1, TEST_PROP2 = PropertyTag(0x863E000B), PropertyTag(0x863F0003)
COLUMNS = [TEST_PROP1, TEST_PROP2, PidTagChangeKey]
PROBLEM = PropertyProblem(1, PidTagSubject, ErrorCode.AccessDenied)
PROBLEM_HEX = "0100 0100 1f003700 05000780"

EXAMPLES: list[Example] = [
    # What the probe sends, and gromox 3.10 answers
    (
        f"56 00 00 02 0200 {LID_HEX} {NAMED_HEX}",
        RopGetPropertyIdsFromNamesRequest(0, 0, NameFlags.Create, [LID, NAMED]),
    ),
    # 4.1.2
    ("56 00 00000000 0200 3e86 3f86", RopGetPropertyIdsFromNamesResponse(0, 0, [0x863E, 0x863F])),
    ("55 00 00 0200 0180 0280", RopGetNamesFromPropertyIdsRequest(0, 0, [0x8001, 0x8002])),
    (
        f"55 00 00000000 0300 {LID_HEX} {NAMED_HEX} ff {COMMON_HEX}",
        RopGetNamesFromPropertyIdsResponse(0, 0, [LID, NAMED, PropertyName(Kind.NoName, PSETID_COMMON)]),
    ),
    # 4.3.1
    (
        "07 00 00 0000 0100 0300 0b003e86 03003f86 0201e265",
        RopGetPropertiesSpecificRequest(0, 0, 0, 1, COLUMNS),
    ),
    ("08 00 01 0000 0100", RopGetPropertiesAllRequest(0, 1, 0, 1)),
    (
        "08 01 00000000 0100 1f003d00 610000 00",
        RopGetPropertiesAllResponse(1, 0, [TaggedPropertyValue(PidTagSubjectPrefix, "a")]),
    ),
    ("09 00 01", RopGetPropertiesListRequest(0, 1)),
    ("09 01 00000000 0100 1f003700", RopGetPropertiesListResponse(1, 0, [PidTagSubject])),
    # 4.2.1 and 4.2.2
    (
        "0A 00 00 24 00 02 00 1F 00 3D 00 00 00 1F 00 1D 0E 48 00 65 00 6C 00 6C 00 6F 00 20 00 57 00 6F 00 72 00"
        "6C 00 64 00 00 00",
        RopSetPropertiesRequest(
            0,
            0,
            [TaggedPropertyValue(PidTagSubjectPrefix, ""), TaggedPropertyValue(PidTagNormalizedSubject, "Hello World")],
        ),
    ),
    ("0a 00 00000000 0000", RopSetPropertiesResponse(0, 0, [])),
    (f"0a 00 00000000 {PROBLEM_HEX}", RopSetPropertiesResponse(0, 0, [PROBLEM])),
    ("79 00 01 0200 0000", RopSetPropertiesNoReplicateRequest(0, 1, [])),
    ("79 01 00000000 0000", RopSetPropertiesNoReplicateResponse(1, 0, [])),
    ("0b 00 01 0100 1f003700", RopDeletePropertiesRequest(0, 1, [PidTagSubject])),
    (f"0b 01 00000000 {PROBLEM_HEX}", RopDeletePropertiesResponse(1, 0, [PROBLEM])),
    ("7a 00 01 0100 1f003700", RopDeletePropertiesNoReplicateRequest(0, 1, [PidTagSubject])),
    ("7a 01 00000000 0000", RopDeletePropertiesNoReplicateResponse(1, 0, [])),
    ("5f 00 00 01 00", RopQueryNamedPropertiesRequest(0, 0, 1)),
    (f"5f 00 00 00 01 {COMMON_HEX}", RopQueryNamedPropertiesRequest(0, 0, 0, 1, PSETID_COMMON)),
    (
        f"5f 00 00000000 0200 0180 0280 {LID_HEX} {NAMED_HEX}",
        RopQueryNamedPropertiesResponse(0, 0, [0x8001, 0x8002], [LID, NAMED]),
    ),
    ("67 00 02 03 01 02 0100 1f003700", RopCopyPropertiesRequest(0, 2, 3, 1, 2, [PidTagSubject])),
    (f"67 02 00000000 {PROBLEM_HEX}", RopCopyPropertiesResponse(2, 0, [PROBLEM])),
    ("67 02 03050000 03000000", RopCopyPropertiesNullDestinationResponse(2, 0x503, 3)),
    ("39 00 02 03 00 01 02 0100 1f003700", RopCopyToRequest(0, 2, 3, 0, 1, 2, [PidTagSubject])),
    ("39 02 00000000 0000", RopCopyToResponse(2, 0, [])),
    ("39 02 03050000 03000000", RopCopyToNullDestinationResponse(2, 0x503, 3)),
    ("50 00 01 00", RopProgressRequest(0, 1, 0)),
    ("50 01 00000000 00 05000000 0a000000", RopProgressResponse(1, 0, 0, 5, 10)),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcprpt", data)


SPECIFIC = RopBuffer([RopGetPropertiesSpecificRequest(0, 0, 0, 1, COLUMNS)], [5])


def test_a_row_of_properties_is_read_by_the_tags_of_its_request() -> None:
    data = bytes.fromhex("1300 07 00 00000000 00 01 2a000000 0300 aabbcc 05000000")
    buffer = RopBuffer.unpack_response(data, SPECIFIC, HandleStates())
    [rop] = buffer.rops
    assert isinstance(rop, RopGetPropertiesSpecificResponse)
    assert rop.row_data == PropertyRow([True, 42, b"\xaa\xbb\xcc"])
    assert rop.properties == {TEST_PROP1: True, TEST_PROP2: 42, PidTagChangeKey: b"\xaa\xbb\xcc"}
    assert buffer.pack() == data


def test_a_row_with_errors_has_flags() -> None:
    data = bytes.fromhex("1900 07 00 00000000 01 0a0f010480 002a000000 000300aabbcc 05000000")
    buffer = RopBuffer.unpack_response(data, SPECIFIC, HandleStates())
    [rop] = buffer.rops
    assert isinstance(rop, RopGetPropertiesSpecificResponse)
    assert rop.row_data.values == [NOT_FOUND, 42, b"\xaa\xbb\xcc"]
    assert rop.properties == {TEST_PROP2: 42, PidTagChangeKey: b"\xaa\xbb\xcc"}
    assert RopGetPropertiesSpecificResponse(0, 0, PropertyRow.of(rop.row_data.values), COLUMNS) == rop
    assert buffer.pack() == data


def test_a_row_without_its_request_stays_bytes() -> None:
    data = bytes.fromhex("0d00 07 00 00000000 00 01 000000 05000000")
    buffer = RopBuffer.unpack_response(data, RopBuffer([], [5]), HandleStates())
    assert (buffer.rops, buffer.tail) == ([], data[2:13])
    assert buffer.pack() == data


def test_a_failure_ends_after_its_return_value() -> None:
    data = bytes.fromhex("0800 07 00 05000780 05000000")
    buffer = RopBuffer.unpack_response(data, SPECIFIC, HandleStates())
    assert buffer.rops == [RopFailure(0, ErrorCode.AccessDenied, RopId.GetPropertiesSpecific)]


def test_names_that_are_not_known_are_a_warning_with_a_result() -> None:
    """ErrorsReturned is no failure: the ids follow, 0 for the names that have none."""
    request = RopBuffer([RopGetPropertyIdsFromNamesRequest(0, 0, NameFlags.GetOnly, [LID, NAMED])], [5])
    data = bytes.fromhex("0e00 56 00 80030400 0200 3e86 0000 05000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopGetPropertyIdsFromNamesResponse(0, ErrorCode.ErrorsReturned, [0x863E, 0])]
    assert buffer.pack() == data


def test_progress_may_be_answered_by_the_rop_that_is_finished() -> None:
    request = RopBuffer([RopProgressRequest(0, 0, 0)], [5])
    data = bytes.fromhex("0a00 39 00 00000000 0000 05000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopCopyToResponse(0, 0, [])]


def test_the_source_is_the_object_that_a_copy_acts_on() -> None:
    assert RopCopyToRequest(0, 3, 1, 0, 1, 0, []).input_handle_index == 3


@pytest.mark.parametrize("size", ["2300", "2500", "0100"])
def test_values_must_fill_their_size(size: str) -> None:
    text = f"0a 00 00 {size} 0200 1f003d000000 1f001d0e480065006c006c006f00200057006f0072006c0064000000 00"
    with pytest.raises(DecodeError):
        RopSetPropertiesRequest.unpack(bytes.fromhex(text))


def test_fields_that_contradict_each_other_are_not_written() -> None:
    with pytest.raises(EncodeError, match="1 names for 2"):
        RopQueryNamedPropertiesResponse(0, 0, [1, 2], [LID]).pack()
    with pytest.raises(EncodeError, match="do not agree"):
        RopQueryNamedPropertiesRequest(0, 0, 0, 1).pack()
    with pytest.raises(EncodeError, match="1 values for 0 columns"):
        RopGetPropertiesSpecificResponse(0, 0, PropertyRow.of([1])).pack()


def test_properties_too_large_for_their_size_field() -> None:
    values = [TaggedPropertyValue(PidTagChangeKey, bytes(40000))] * 2
    with pytest.raises(EncodeError):
        RopSetPropertiesRequest(0, 0, values).pack()
