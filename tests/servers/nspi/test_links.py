import pytest

from openchange_py.addressbook.attributes import LINK_BY_ID, LinkProperty, is_group
from openchange_py.addressbook.base import Entry, Kind, MinimalEntryId
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import links as module
from openchange_py.servers.nspi.links import Links, linked, linked_mids
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.rows import Columns
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.properties import PropertyType
from tests.servers.nspi.conftest import ORGANIZATION

MEMBER = LINK_BY_ID[p.PidTagAddressBookMember.id]
OF_NOBODY = LinkProperty(MEMBER.tag, "member", sources=lambda _entry: False)
TO_GROUPS = LinkProperty(MEMBER.tag, "member", targets=is_group)
TO_BOB = LinkProperty(MEMBER.tag, "member", sources=is_group, targets=lambda entry: entry.account == "bob")


@pytest.fixture
def staff(directory: EmbeddedDirectory) -> Entry:
    found = directory.by_account("staff")
    assert found
    return found


def test_links_are_in_display_name_order_and_as_many_as_asked_for(book: AddressBook, staff: Entry) -> None:
    links = Links(book.lists)
    assert [one.account for one in linked(book.lists, staff, MEMBER)] == ["alice", "bob"]
    assert [one.account for one in linked(book.lists, staff, MEMBER, 1)] == ["alice"]
    assert linked_mids(book.lists, staff, MEMBER) == [one.mid for one in linked(book.lists, staff, MEMBER)]
    assert [name for _, name in links.names(staff, MEMBER)] == ["Alice Liddell", "Bob Zorn"]
    assert links.names(staff, MEMBER, 1) == [(ORGANIZATION.recipient_dn("alice"), "Alice Liddell")]
    assert links.has(staff, MEMBER)
    assert (links.count(staff, "member"), links.count(staff, "member", Kind.CONTACT)) == (2, 0)


def test_links_of_some_objects_and_to_some_objects_only(
    book: AddressBook, directory: EmbeddedDirectory, staff: Entry
) -> None:
    alice, links = directory.by_account("alice"), Links(book.lists)
    assert alice
    for link in (OF_NOBODY, TO_GROUPS):
        assert (linked(book.lists, staff, link), linked_mids(book.lists, staff, link)) == ([], [])
        assert (links.has(staff, link), links.names(staff, link)) == (False, [])
    assert [one.account for one in linked(book.lists, staff, TO_BOB)] == ["bob"]
    assert [name for _, name in links.names(staff, TO_BOB)] == ["Bob Zorn"]
    assert links.has(staff, TO_BOB)
    assert not links.has(alice, TO_BOB)


def statements(directory: EmbeddedDirectory) -> list[str]:
    """The SELECTs that are made from now on."""
    made: list[str] = []
    with directory.database.reading() as connection:
        raw = connection.connection.dbapi_connection
        assert raw
        raw.set_trace_callback(lambda one: made.append(one) if one.lstrip().startswith("SELECT") else None)
    return made


def test_a_page_of_rows_costs_a_few_queries_whatever_its_columns(
    book: AddressBook, directory: EmbeddedDirectory, staff: Entry
) -> None:
    for number in range(30):
        group = {"displayName": [f"Group {number:02}"], "legacyExchangeDN": [ORGANIZATION.recipient_dn(f"g{number}")]}
        directory.create(Kind.GROUP, f"g{number}", group, {"member": [staff.legacy_exchange_dn]})
    tags = [
        p.PidTagAddressBookMember,
        p.PidTagAddressBookMember.with_type(PropertyType.MultipleString8),
        p.PidTagAddressBookMember.with_type(PropertyType.String),
        p.PidTagAddressBookIsMemberOfDistributionList,
        p.PidTagAddressBookManager.with_type(PropertyType.String),
        p.PidTagManagerName,
        p.PidTagAddressBookReports.with_type(PropertyType.MultipleString),
        p.PidTagAddressBookDistributionListMemberCount,
        p.PidTagAddressBookDistributionListExternalMemberCount,
    ]
    columns = Columns(Properties(book), tags, 1252)
    entries = book.lists.page(MinimalEntryId(0), 0, 50)
    made = statements(directory)
    rows = columns.rows(entries)
    assert len(rows) == 35
    assert len(made) <= 2 * len(tags)
    by_name = {entry.display_name: row.values or [] for entry, row in zip(entries, rows, strict=True)}
    assert [v.value for v in by_name["Group 07"]][:3] == [0, [b"/o=" + DN_OF_STAFF], "/o=" + DN_OF_STAFF.decode()]
    assert by_name["Group 07"][7].value == 1
    assert by_name["Bob Zorn"][5].value == "Alice Liddell"
    assert by_name["Alice Liddell"][6].value == [ORGANIZATION.recipient_dn("bob")]


DN_OF_STAFF = ORGANIZATION.recipient_dn("staff").removeprefix("/o=").encode()


def test_many_names_are_read_row_by_row(book: AddressBook, staff: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAXIMUM_NAMES", 1)
    links = Links(book.lists)
    links.prepare([staff])
    assert [name for _, name in links.names(staff, MEMBER)] == ["Alice Liddell", "Bob Zorn"]
    assert [name for _, name in links.names(staff, MEMBER, 1)] == ["Alice Liddell"]
