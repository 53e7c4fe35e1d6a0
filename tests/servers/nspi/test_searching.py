import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openchange_py.addressbook.base import Entry, MinimalEntryId, SortOrder
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import searching
from openchange_py.servers.nspi.entryids import entry_permanent_entry_id, ephemeral_entry_id
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.restrictions import Comparison, Filter
from openchange_py.servers.nspi.searching import MEMBER_OF_DL, Search
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi_restrictions import (
    AndRestriction_r,
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
    SubRestriction_r,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r
from tests.servers.nspi.conftest import ORGANIZATION, create

DN = ORGANIZATION.recipient_dn
TITLED = ExistRestriction_r(0, p.PidTagTitle, 0)
MAILBOXES = ExistRestriction_r(0, p.PidTagSendRichInfo, 0)


def content(level: int, text: object, tag: int = p.PidTagDisplayName) -> ContentRestriction_r:
    return ContentRestriction_r(level, tag, PropertyValue_r(tag, text))


def equal(tag: int, value: object, relop: int = 4) -> PropertyRestriction_r:
    return PropertyRestriction_r(relop, tag, PropertyValue_r(tag, value))


def search(book: AddressBook, order: SortOrder = SortOrder()) -> Search:  # noqa: B008  never changed
    return Search(book, MinimalEntryId(0), order, 1252)


def names(book: AddressBook, restriction: Restriction_r, limit: int = 99) -> list[str]:
    found = search(book).find(restriction, limit)
    entries = book.lists.by_mid(found)
    return [entries[mid].display_name.split()[0] for mid in found]


@pytest.fixture
def reads(book: AddressBook, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries were read, for each page of them."""
    pages: list[int] = []
    by_mid = type(book.lists).by_mid

    def counted(lists: object, mids: list[MinimalEntryId]) -> dict[MinimalEntryId, Entry]:
        pages.append(len(mids))
        return by_mid(lists, mids)  # type: ignore[arg-type]

    monkeypatch.setattr(type(book.lists), "by_mid", counted)
    return pages


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        (content(2, "b"), ["Bob"]),
        (content(2, b"z", 0x3001001E), ["Zoe"]),
        (content(0, "bob zorn"), ["Bob"]),
        (content(0, "bob"), []),
        (content(1, "o"), ["Bob", "Zoe"]),
        (content(2, ""), ["Alice", "Bob", "Carl", "Staff", "Zoe"]),
        (content(1, "LIDD", p.PidTagTransmittableDisplayName), ["Alice"]),
        (equal(p.PidTagDisplayName, "staff"), ["Staff"]),
        (equal(p.PidTagDisplayName, "bob zorn", 2), ["Carl", "Staff", "Zoe"]),
        (equal(p.PidTagDisplayName, "bob zorn", 1), ["Alice", "Bob"]),
        (equal(p.PidTagDisplayName, "staff", 5), ["Alice", "Bob", "Carl", "Zoe"]),
        (AndRestriction_r([content(1, "l"), content(1, "c")]), ["Alice", "Carl"]),
        (AndRestriction_r([content(2, "a"), content(2, "b")]), []),
        (AndRestriction_r([]), ["Alice", "Bob", "Carl", "Staff", "Zoe"]),
        (OrRestriction_r([content(2, "a"), content(2, "z")]), ["Alice", "Zoe"]),
        (OrRestriction_r([]), []),
        (OrRestriction_r(None), []),
        (NotRestriction_r(content(1, "l")), ["Bob", "Staff", "Zoe"]),
    ],
)
def test_display_names_are_found_without_reading_an_entry(
    book: AddressBook, reads: list[int], restriction: Restriction_r, expected: list[str]
) -> None:
    found = search(book).find(restriction, 99)
    assert reads == []
    entries = book.lists.by_mid(found)
    assert [entries[mid].display_name.split()[0] for mid in found] == expected
    assert search(book).find(restriction, 1) == found[:1]


@pytest.mark.parametrize(
    ("restriction", "expected", "read"),
    [
        # By look-ups: of those alone that they give.
        (equal(p.PidTagAnr, "bob"), ["Bob"], 0),
        (content(2, "bob", p.PidTagAnr), ["Bob"], 0),
        (AndRestriction_r([equal(p.PidTagAnr, "al"), TITLED]), ["Alice"], 1),
        (OrRestriction_r([equal(p.PidTagAnr, "al"), equal(p.PidTagAnr, "zoe")]), ["Alice", "Zoe"], 2),
        (NotRestriction_r(equal(p.PidTagAnr, "al")), ["Bob", "Carl", "Staff", "Zoe"], 5),
        (content(2, "bob", p.PidTagAccount), ["Bob"], 1),
        (content(2, "BOB@", p.PidTagSmtpAddress), ["Bob"], 1),
        (equal(p.PidTagEmailAddress, DN("CARL")), ["Carl"], 1),
        (content(0, "SMTP:carl@example.test", 0x800F001F), ["Carl"], 1),
        (content(2, "carl", p.PidTagGivenName), [], 1),
        (content(2, "kön", p.PidTagTitle), ["Alice"], 1),
        (equal(p.PidTagTitle, "koenigin"), [], 0),
        (AndRestriction_r([content(2, "k", p.PidTagTitle), equal(p.PidTagCompanyName, "x")]), [], 0),
        (equal(p.PidTagInstanceKey, b"\xff\xff\0\0"), [], 0),
        (equal(p.PidTagInstanceKey, b"\xff"), [], 0),
        (equal(p.PidTagEntryId, b"nonsense"), [], 0),
        # By the names that the list has: of those alone that may be.
        (AndRestriction_r([content(1, "a"), TITLED]), ["Alice"], 4),
        (AndRestriction_r([content(2, "a"), TITLED]), ["Alice"], 1),
        (AndRestriction_r([TITLED, AndRestriction_r([content(2, "b"), MAILBOXES])]), [], 1),
        (OrRestriction_r([content(2, "z"), AndRestriction_r([content(2, "c"), MAILBOXES])]), ["Carl", "Zoe"], 2),
        # All of them.
        (TITLED, ["Alice"], 5),
        (OrRestriction_r([content(2, "z"), TITLED]), ["Alice", "Zoe"], 5),
        (NotRestriction_r(AndRestriction_r([content(1, "a"), MAILBOXES])), ["Bob", "Staff", "Zoe"], 5),
        (content(1, "lice", p.PidTagAccount), ["Alice"], 5),
        (equal(p.PidTagAccount, "alicf", 0), ["Alice"], 5),
    ],
)
def test_as_few_entries_as_it_takes_are_read(
    book: AddressBook, reads: list[int], restriction: Restriction_r, expected: list[str], read: int
) -> None:
    found = search(book).find(restriction, 99)
    assert sum(reads) == read
    entries = book.lists.by_mid(found)
    assert [entries[mid].display_name.split()[0] for mid in found] == expected


def test_entry_ids_of_both_kinds_name_an_object(book: AddressBook, directory: EmbeddedDirectory) -> None:
    bob = directory.by_account("bob")
    assert bob
    permanent = entry_permanent_entry_id(bob)
    upper = entry_permanent_entry_id(bob).replace(b"/cn=bob", b"/cn=BOB")
    ephemeral = ephemeral_entry_id(5, bob.mid, book.server_guid)
    for tag in (p.PidTagEntryId, p.PidTagRecordKey, p.PidTagOriginalEntryId):
        for entry_id in (permanent, upper, ephemeral):
            assert names(book, equal(tag, entry_id)) == ["Bob"]
    assert names(book, equal(p.PidTagInstanceKey, bob.mid.to_bytes(4, "little"))) == ["Bob"]
    assert names(book, equal(p.PidTagEntryId, ephemeral_entry_id(0, 4711, book.server_guid))) == []


def test_members_of_a_group(book: AddressBook, directory: EmbeddedDirectory) -> None:
    staff = directory.by_account("staff")
    assert staff
    assert names(book, equal(p.PidTagEntryId, entry_permanent_entry_id(staff), MEMBER_OF_DL)) == ["Alice", "Bob"]
    assert names(book, equal(p.PidTagEntryId, b"nobody", MEMBER_OF_DL)) == []


def test_restrictions_on_those_whom_others_refer_to(book: AddressBook, directory: EmbeddedDirectory) -> None:
    def sub(tag: int, inner: Restriction_r | None) -> SubRestriction_r:
        return SubRestriction_r(tag, inner)

    member, manager = p.PidTagAddressBookMember, p.PidTagAddressBookManager
    assert names(book, sub(manager, content(2, "alice"))) == ["Bob"]
    assert names(book, sub(manager, content(2, "bob"))) == []
    assert names(book, AndRestriction_r([content(1, "o"), sub(manager, TITLED)])) == ["Bob"]
    for unsupported in (
        sub(member, None),
        sub(p.PidTagTitle, TITLED),
        sub(p.PidTagAddressBookHierarchicalChildDepartments, TITLED),
        sub(p.PidTagAddressBookAuthorizedSenders, TITLED),
    ):
        with pytest.raises(MapiError) as error:
            search(book).find(unsupported, 9)
        assert error.value.code == ErrorCode.TooComplex


def test_those_that_mention_a_text_are_looked_at(
    book: AddressBook, reads: list[int], directory: EmbeddedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_FEW", 0)
    create(directory, "omega", "Omega", title=["Kilo"])
    create(directory, "wide", "Wide", title=["\uff2b\uff29\uff2c\uff2f"])
    for restriction in (
        content(1, "ilo", p.PidTagTitle),
        equal(p.PidTagTitle, "kíló"),
        AndRestriction_r([content(2, "KIL", p.PidTagTitle), NotRestriction_r(content(2, "x"))]),
    ):
        reads.clear()
        found = search(book).find(restriction, 99)
        assert sum(reads) <= 4  # Alice is a Königin, Carl's name has an omega
        entries = book.lists.by_mid(found)
        assert [entries[mid].display_name for mid in found] == ["Omega", "Wide"]


def test_too_many_that_a_look_up_gives_are_too_complex(book: AddressBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MAXIMUM_LOOKED_UP", 1)
    for many in (
        NotRestriction_r(equal(p.PidTagAnr, "z")),
        SubRestriction_r(p.PidTagAddressBookManager, MAILBOXES),
    ):
        with pytest.raises(MapiError) as error:
            search(book).find(many, 9)
        assert error.value.code == ErrorCode.TooComplex
    assert names(book, content(2, "", p.PidTagAccount)) != []  # no short cut then


def test_a_search_that_takes_too_long_is_too_complex(book: AddressBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "TIME_LIMIT", -1.0)
    with pytest.raises(MapiError) as error:
        search(book).find(TITLED, 9)
    assert error.value.code == ErrorCode.TooComplex
    assert len(search(book).find(content(2, "a"), 9)) == 1


#: Characters that mean something in an LDAP filter, in SQL's LIKE, in a regular expression or in JSON.
META = [
    "*",
    "(",
    ")",
    "\\",
    "\0",
    "%",
    "_",
    "[",
    "]",
    "^",
    "$",
    ".",
    "?",
    "'",
    '"',
    ";--",
    "{",
    "}",
    "|",
    "&",
    "!",
    "=",
]


@pytest.mark.parametrize("meta", META)
def test_no_character_means_anything_but_itself(book: AddressBook, directory: EmbeddedDirectory, meta: str) -> None:
    odd = f"Al{meta}x"
    if meta != "\0":  # no directory holds that
        create(directory, "odd", odd, title=[odd], givenName=[odd])
    for tag in (p.PidTagDisplayName, p.PidTagTitle, p.PidTagGivenName, p.PidTagAccount, p.PidTagSmtpAddress):
        own = 0 if meta == "\0" or tag in (p.PidTagAccount, p.PidTagSmtpAddress) else 1
        for level in (0, 1, 2):
            assert len(search(book).find(content(level, odd, tag), 9)) == own
            assert search(book).find(content(level, f"Al{meta}ce Liddell", tag), 9) == []
        assert len(search(book).find(equal(tag, odd), 9)) == own
    assert search(book).find(equal(p.PidTagAnr, f"b{meta}b"), 9) == []
    assert len(search(book).find(equal(p.PidTagAnr, odd), 9)) == (meta != "\0")


TEXTS = st.sampled_from(["", "a", "b", "al", "Älice", "alice liddell", "bob", "o", "z", "smtp:", "staff", "x"])
TAGS = st.sampled_from([
    p.PidTagDisplayName, p.PidTagTransmittableDisplayName, p.PidTagAccount, p.PidTagSmtpAddress, p.PidTagGivenName,
    p.PidTagAddressBookProxyAddresses.with_type(0x1F), p.PidTagTitle, p.PidTagAnr,
])  # fmt: skip
LEAVES: st.SearchStrategy[Restriction_r] = st.one_of(
    st.builds(content, st.integers(0, 2), TEXTS, TAGS),
    st.builds(equal, TAGS, TEXTS, st.sampled_from([0, 1, 2, 3, 4, 5])),
    st.builds(lambda tag: ExistRestriction_r(0, tag, 0), TAGS),
)
RESTRICTIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(AndRestriction_r, st.lists(inner, max_size=3)),
        st.builds(OrRestriction_r, st.lists(inner, max_size=3)),
        st.builds(NotRestriction_r, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RESTRICTIONS, st.sampled_from([0x0409, 0x041D, 0x0405]), st.integers(1, 6))
@pytest.mark.parametrize("few", [0, 1000])
def test_short_cuts_find_what_looking_at_every_object_finds(
    book: AddressBook, few: int, restriction: Restriction_r, locale: int, limit: int
) -> None:
    order = SortOrder(locale)
    search = Search(book, MinimalEntryId(0), order, 1252)
    try:
        passes = Filter(Properties(book), Comparison(1252), search).compile(restriction)
    except MapiError:
        return
    expected = [entry.mid for entry in book.lists.page(MinimalEntryId(0), 0, 99, order) if passes(entry)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_FEW", few)
        assert search.find(restriction, limit) == expected[:limit]
