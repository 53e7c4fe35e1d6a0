import uuid

import pytest

from openchange_py.addressbook.base import DisplayType, Entry, MinimalEntryId
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.restrictions import MAXIMUM_TERMS, Comparison, Filter, Test, check_size, is_anr
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

PHOTO = b"\xff\xd8\xff\xe0"
ALICE = Entry(
    uuid.uuid4(),
    MinimalEntryId(17),
    DisplayType.MAILUSER,
    "/o=x",
    "Älice Liddell",
    "alice",
    {
        "title": ["Boss"],
        "company": ["Boss"],
        "proxyAddresses": ["SMTP:a@b", "smtp:c@d"],
        "thumbnailPhoto": [PHOTO],
        "msExchEnableModeration": ["TRUE"],
        "whenCreated": ["16010101000001.0Z"],
    },
)
YES, NO = ExistRestriction_r(0, p.PidTagTitle, 0), ExistRestriction_r(0, p.PidTagDepartmentName, 0)


class Nothing:
    """Nothing is looked up but what a test wants."""

    def __init__(self, known: dict[int, frozenset[int]] | None = None) -> None:
        self._known = known or {}

    def mids(self, restriction: Restriction_r) -> frozenset[int] | None:
        return self._known.get(id(restriction))


def compiled(book: AddressBook, restriction: Restriction_r) -> Test:
    return Filter(Properties(book), Comparison(1252), Nothing()).compile(restriction)


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
        (compare(4, p.PidTagTitle, None), False),
        # The kind of value that a tag names makes no difference, the kind that is compared with does.
        (content(2, "al", 0x3001301F), True),
        (ContentRestriction_r(0, 0x800F301F, PropertyValue_r(0x800F001F, "smtp:c@d")), True),
        (compare(4, 0x800F101F, ["SMTP:A@B", "smtp:c@d"]), True),
        (compare(4, 0x800F101E, [b"smtp:a@b", b"smtp:c@d"]), True),
        (compare(4, 0x800F101F, ["smtp:a@b"]), False),
        (compare(5, 0x800F101F, ["smtp:a@b"]), True),
        (compare(4, 0x800F001F, "smtp:c@d"), True),
        (compare(5, 0x800F001F, "smtp:c@d"), True),
        (compare(4, 0x8C9E0102, PHOTO), True),
        (compare(4, 0x8C9E0102, b"x"), False),
        (content(2, PHOTO[:2], 0x8C9E0102), True),
        (content(1, PHOTO[1:3], 0x8C9E0102), True),
        (content(1, b"boss", p.PidTagTitle.with_type(0x102)), False),
        (compare(4, p.PidTagAddressBookModerationEnabled, True), True),
        (compare(4, p.PidTagAddressBookModerationEnabled, 1), True),
        (compare(3, p.PidTagCreationTime, 10_000_000), True),
        (compare(0, p.PidTagCreationTime, 10_000_000), False),
        (ComparePropsRestriction_r(4, p.PidTagTitle, p.PidTagObjectType), False),
        (ComparePropsRestriction_r(0, p.PidTagDisplayName, p.PidTagTitle), True),
        (ComparePropsRestriction_r(5, p.PidTagDisplayName, p.PidTagTitle), True),
        (BitMaskRestriction_r(0, p.PidTagObjectType, 2), False),
        (SizeRestriction_r(4, p.PidTagTitle.with_type(0x1E), 5), True),
        (SizeRestriction_r(4, p.PidTagThumbnailPhoto, 4), True),
        (SizeRestriction_r(4, p.PidTagAddressBookProxyAddresses, 2 * (8 + 8) + 4), True),
        (ExistRestriction_r(0, p.PidTagAddressBookMember, 0), False),
    ],
)
def test_restrictions(book: AddressBook, restriction: Restriction_r, passes: bool) -> None:
    assert compiled(book, restriction)(ALICE) is passes


def test_what_a_look_up_answers_is_not_tested(book: AddressBook) -> None:
    anr, other = compare(4, p.PidTagAnr, "al"), compare(4, p.PidTagAnr, "bo")
    looked_up = Nothing({id(anr): frozenset((17,)), id(other): frozenset((18,))})
    compile_ = Filter(Properties(book), Comparison(1252), looked_up).compile
    assert compile_(AndRestriction_r([YES, anr]))(ALICE)
    assert not compile_(AndRestriction_r([YES, other]))(ALICE)
    assert compile_(NotRestriction_r(other))(ALICE)


@pytest.mark.parametrize(
    "restriction",
    [
        SubRestriction_r(p.PidTagAddressBookMember, YES),
        NotRestriction_r(None),
        compare(6, p.PidTagTitle, "x"),
        PropertyRestriction_r(4, p.PidTagTitle, None),
        ComparePropsRestriction_r(9, p.PidTagTitle, p.PidTagTitle),
        content(1, 5, p.PidTagObjectType),
        content(3, "x"),
        compare(4, p.PidTagThumbnailPhoto, None),
        compare(0, p.PidTagAddressBookProxyAddresses, ["x"]),
        compare(0x64, p.PidTagTitle, b"x"),
        BitMaskRestriction_r(2, p.PidTagObjectType, 1),
        SizeRestriction_r(6, p.PidTagTitle, 1),
        OrRestriction_r([YES, NotRestriction_r(None)]),
    ],
)
def test_what_is_too_complex(book: AddressBook, restriction: Restriction_r) -> None:
    with pytest.raises(MapiError) as error:
        compiled(book, restriction)
    assert error.value.code == ErrorCode.TooComplex


def test_texts_of_a_client() -> None:
    comparison = Comparison(1252)
    assert comparison.text(PropertyValue_r(0x360C001F, "al")) == "al"
    assert comparison.text(PropertyValue_r(0x360C001E, b"\xe4")) == "ä"
    assert comparison.text(PropertyValue_r(0x360C0003, 5)) == ""
    assert is_anr(0x360C001E)
    assert not is_anr(p.PidTagTitle)


def test_more_terms_than_any_client_has_are_too_complex() -> None:
    check_size(OrRestriction_r([NO] * (MAXIMUM_TERMS - 1)))
    sub = SubRestriction_r(p.PidTagAddressBookMember, OrRestriction_r([NO] * MAXIMUM_TERMS))
    deep: Restriction_r = YES
    for _ in range(MAXIMUM_TERMS):
        deep = NotRestriction_r(deep)
    for many in (
        OrRestriction_r([NO] * MAXIMUM_TERMS),
        AndRestriction_r([AndRestriction_r([YES] * (MAXIMUM_TERMS // 2))] * 2),
        sub,
        deep,
    ):
        with pytest.raises(MapiError) as error:
            check_size(many)
        assert error.value.code == ErrorCode.TooComplex
