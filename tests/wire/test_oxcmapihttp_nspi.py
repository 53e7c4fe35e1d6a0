"""The address book's bodies; recorded ones are in test_oxcmapihttp."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcmapihttp_nspi import (
    ADDRESS_BOOK_TYPES,
    SPELLINGS,
    GetMatchesRequest,
    GetUrlRequest,
    ModLinkAttRequest,
    UpdateStatResponse,
)
from openchange_py.wire.oxnspi_restrictions import PropertyRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyValue_r


def test_all_nineteen_request_types() -> None:
    assert len(ADDRESS_BOOK_TYPES) == 19
    assert set(SPELLINGS.values()) <= set(ADDRESS_BOOK_TYPES)


#: A recorded GetMatches whose filter gromox took, up to the value; and the body's end.
BEFORE = (
    "00000000ff"
    + "0000000000000000"
    + "00" * 16
    + "e40400000904000009040000"
    + "00"
    + "00000000"
    + "ff"
    + "0404"
    + "1f000c36"
)
AFTER = "00" + "32000000" + "00" + "00000000"


@pytest.mark.parametrize(
    "value", ["ff1f000c36ff75000000", "1f000c36ff75000000", "1f000c3675000000"], ids=["gromox", "flagged", "plain"]
)
def test_a_filter_in_every_form(value: str) -> None:
    request = GetMatchesRequest.unpack(bytes.fromhex(BEFORE + value + AFTER))
    tag = PropertyTag(0x360C001F)
    assert request.filter == PropertyRestriction_r(4, tag, PropertyValue_r(tag, "u"))
    assert (request.row_count, request.columns) == (50, None)


def test_a_filter_that_is_wrong_in_every_form() -> None:
    with pytest.raises(DecodeError):
        GetMatchesRequest.unpack(bytes.fromhex(BEFORE + "1f000c36ff7500" + AFTER))


def test_a_request_with_everything() -> None:
    tag = PropertyTag(0x3001001F)
    name = PropertyName_r(uuid.UUID(int=5), 7)
    restriction = PropertyRestriction_r(4, tag, PropertyValue_r(tag, "u"))
    request = GetMatchesRequest(0, STAT(), [16, 17], 0, restriction, name, 9, [tag], b"aux")
    assert GetMatchesRequest.unpack(request.pack()) == request


def test_layouts() -> None:
    """[MS-OXCMAPIHTTP] 2.2.5.10.1, 2.2.5.17.2, 2.2.5.18.1."""
    assert ModLinkAttRequest(1, 2, 3, [b"ab"]).pack().hex() == (
        "010000000200000003000000ff01000000020000006162" + "00000000"
    )
    assert UpdateStatResponse(0, 0, None, 7).pack().hex() == "0000000000000000" + "00" + "ff07000000" + "00000000"
    assert GetUrlRequest(0, "a").pack().hex() == "00000000" + "61000000" + "00000000"
