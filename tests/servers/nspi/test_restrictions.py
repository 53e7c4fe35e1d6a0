import uuid

import pytest

from openchange_py.addressbook.base import DisplayType, Entry, MinimalEntryId
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.restrictions import MAXIMUM_TERMS, Filter, resolution_name
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi_restrictions import (
    AndRestriction_r,
    BitMaskRestriction_r,
    ComparePropsRestriction_r,
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
    SizeRestriction_r,
    SubRestriction_r,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r

ALICE = Entry(
    uuid.uuid4(),
    MinimalEntryId(17),
    DisplayType.MAILUSER,
    "/o=x",
    "Älice Liddell",
    "alice",
    {"title": ["Boss"], "company": ["Boss"], "proxyAddresses": ["SMTP:a@b", "smtp:c@d"]},
)
YES, NO = ExistRestriction_r(0, p.PidTagTitle, 0), ExistRestriction_r(0, p.PidTagDepartmentName, 0)


def content(level: int, text: object, tag: int = p.PidTagDisplayName) -> ContentRestriction_r:
    return ContentRestriction_r(level, tag, PropertyValue_r(tag, text))


def compare(relop: int, tag: int, value: object) -> PropertyRestriction_r:
    return PropertyRestriction_r(relop, tag, PropertyValue_r(tag, value))


@pytest.mark.parametrize(
    ("restriction", "passes"),
    [
        (YES, True),
        (NO, False),
        (AndRestriction_r([YES, NO]), False),
        (AndRestriction_r([YES, YES]), True),
        (AndRestriction_r([]), True),
        (OrRestriction_r([NO, YES]), True),
        (OrRestriction_r(None), False),
        (NotRestriction_r(NO), True),
        (content(0, "alice liddell"), True),
        (content(0, "alice"), False),
        (content(1, "LIDD"), True),
        (content(2, "alic"), True),
        (content(2, "lidd"), False),
        (content(0x10002, b"al", 0x3001001E), True),
        (content(1, "c@d", p.PidTagAddressBookProxyAddresses.with_type(0x1F)), True),
        (compare(4, p.PidTagTitle, "BOSS"), True),
        (compare(5, p.PidTagTitle, "boss"), False),
        (compare(0, p.PidTagTitle, "c"), True),
        (compare(3, p.PidTagTitle, "c"), False),
        (compare(4, p.PidTagObjectType, 6), True),
        (compare(2, p.PidTagObjectType, 6), False),
        (compare(4, p.PidTagObjectType.with_type(0x1F), "6"), False),
        (compare(4, p.PidTagDepartmentName, "x"), False),
        (ComparePropsRestriction_r(4, p.PidTagTitle, p.PidTagCompanyName), True),
        (ComparePropsRestriction_r(4, p.PidTagTitle, p.PidTagDepartmentName), False),
        (BitMaskRestriction_r(1, p.PidTagObjectType, 2), True),
        (BitMaskRestriction_r(0, p.PidTagObjectType, 1), True),
        (BitMaskRestriction_r(0, p.PidTagTitle, 1), False),
        (SizeRestriction_r(4, p.PidTagTitle, 10), True),
        (SizeRestriction_r(2, p.PidTagTitle, 10), False),
        (SizeRestriction_r(4, p.PidTagObjectType, 4), True),
        (SizeRestriction_r(4, p.PidTagDepartmentName, 0), False),
        (ExistRestriction_r(0, 0x66130003, 0), False),
    ],
)
def test_restrictions(book: AddressBook, restriction: Restriction_r, passes: bool) -> None:
    assert Filter(Properties(book), 1252).compile(restriction)(ALICE) is passes


@pytest.mark.parametrize(
    "restriction",
    [
        SubRestriction_r(p.PidTagAddressBookMember, YES),
        NotRestriction_r(None),
        compare(6, p.PidTagTitle, "x"),
        PropertyRestriction_r(4, p.PidTagTitle, None),
        ComparePropsRestriction_r(9, p.PidTagTitle, p.PidTagTitle),
        content(1, 5, p.PidTagObjectType),
        AndRestriction_r([YES, compare(4, p.PidTagAnr, "alice")]),
    ],
)
def test_what_is_too_complex(book: AddressBook, restriction: Restriction_r) -> None:
    with pytest.raises(MapiError) as error:
        Filter(Properties(book), 1252).compile(restriction)
    assert error.value.code == ErrorCode.TooComplex


def test_name_resolution_is_recognized() -> None:
    assert resolution_name(compare(4, p.PidTagAnr, "al"), 1252) == "al"
    assert resolution_name(compare(4, 0x360C001E, b"\xe4"), 1252) == "ä"
    assert resolution_name(content(2, "al", p.PidTagAnr), 1252) == "al"
    assert resolution_name(compare(4, p.PidTagTitle, "al"), 1252) is None
    assert resolution_name(YES, 1252) is None
    assert resolution_name(compare(4, 0x360C0003, 5), 1252) == ""


def test_more_terms_than_any_client_has_are_too_complex(book: AddressBook) -> None:
    compile_ = Filter(Properties(book), 1252).compile
    assert compile_(OrRestriction_r([NO] * (MAXIMUM_TERMS - 2) + [YES]))(ALICE)
    for many in (
        OrRestriction_r([NO] * MAXIMUM_TERMS),
        AndRestriction_r([AndRestriction_r([YES] * (MAXIMUM_TERMS // 2))] * 2),
    ):
        with pytest.raises(MapiError) as error:
            Filter(Properties(book), 1252).compile(many)
        assert error.value.code == ErrorCode.TooComplex
