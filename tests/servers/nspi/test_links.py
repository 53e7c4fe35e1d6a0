from openchange_py.addressbook.attributes import LINK_BY_ID, LinkProperty, is_group
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi.links import is_linked, linked
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.wire import proptags as p

MEMBER = LINK_BY_ID[p.PidTagAddressBookMember.id]


def test_links_are_in_display_name_order_and_as_many_as_asked_for(
    book: AddressBook, directory: EmbeddedDirectory
) -> None:
    staff = directory.by_account("staff")
    assert staff
    assert [one.account for one in linked(book.lists, staff, MEMBER)] == ["alice", "bob"]
    assert [one.account for one in linked(book.lists, staff, MEMBER, 1)] == ["alice"]
    assert is_linked(book.lists, staff, MEMBER)


def test_links_of_some_objects_and_to_some_objects_only(book: AddressBook, directory: EmbeddedDirectory) -> None:
    staff, alice = directory.by_account("staff"), directory.by_account("alice")
    assert staff
    assert alice
    of_nobody = LinkProperty(MEMBER.tag, "member", sources=lambda _entry: False)
    to_groups = LinkProperty(MEMBER.tag, "member", targets=is_group)
    to_bob = LinkProperty(MEMBER.tag, "member", sources=is_group, targets=lambda entry: entry.account == "bob")
    assert (linked(book.lists, staff, of_nobody), is_linked(book.lists, staff, of_nobody)) == ([], False)
    assert (linked(book.lists, staff, to_groups), is_linked(book.lists, staff, to_groups)) == ([], False)
    assert [one.account for one in linked(book.lists, staff, to_bob)] == ["bob"]
    assert not is_linked(book.lists, alice, to_bob)
