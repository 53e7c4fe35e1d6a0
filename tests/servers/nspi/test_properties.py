from typing import Any

from openchange_py.addressbook.attributes import ATTRIBUTES
from openchange_py.addressbook.base import AttributeValue, Entry
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi.properties import AddressBook, Properties, known_tags, string_tags
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import NspiGetPropsRequest
from openchange_py.wire.oxnspi_types import STAT
from tests.servers.nspi.conftest import ORGANIZATION, Client, book_of

#: A value of each type that an attribute's text or bytes can show, and what it is as a property.
SAMPLES: dict[int, tuple[list[AttributeValue], Any]] = {
    PropertyType.String: (["Text"], "Text"),
    PropertyType.MultipleString: (["SMTP:one@example.test", "two"], ["SMTP:one@example.test", "two"]),
    PropertyType.Integer32: (["42"], 42),
    PropertyType.Boolean: (["TRUE"], 1),
    PropertyType.Time: (["20240229120000.0Z"], 133_536_816_000_000_000),
    PropertyType.Binary: ([b"\xff\xd8"], b"\xff\xd8"),
    PropertyType.MultipleBinary: ([b"a", b"b"], [b"a", b"b"]),
}


def ask(client: Client, entry: Entry, tags: list[PropertyTag]) -> dict[int, Any]:
    """By tag the values that NspiGetProps gives."""
    answer = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=int(entry.mid)), tags)
    assert answer.return_value in (ErrorCode.Success, ErrorCode.ErrorsReturned)
    return {v.prop_tag: v.value for v in answer.row.values if v.prop_tag & 0xFFFF != PropertyType.ErrorCode}


def test_every_attribute_of_an_object_reaches_a_client(client: Client, directory: EmbeddedDirectory) -> None:
    alice = directory.by_account("alice")
    assert alice
    changes = {attribute: SAMPLES[tag.type][0] for tag, attribute in ATTRIBUTES if not attribute.startswith("when")}
    # Several properties show telephoneNumber and facsimileTelephoneNumber: all of them as strings.
    alice = directory.modify(alice, changes)
    values = ask(client, alice, [tag for tag, _ in ATTRIBUTES])
    for tag, attribute in ATTRIBUTES:
        assert tag in values, attribute
        if not attribute.startswith("when"):
            assert values[tag] == SAMPLES[tag.type][1], attribute


def test_at_least_ninety_properties_have_values(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob, staff = (directory.by_account(name) for name in ("alice", "bob", "staff"))
    server = directory.by_legacy_dn(ORGANIZATION.server_dn("SRV"))
    assert alice
    assert bob
    assert staff
    assert server
    directory.modify(alice, {attribute: SAMPLES[tag.type][0] for tag, attribute in ATTRIBUTES})
    for source, attribute in ((staff, "managedBy"), (alice, "publicDelegates"), (staff, "authOrig")):
        directory.change_links(source, attribute, [bob])
    seen: set[int] = set()
    for entry in (alice, bob, staff, server):
        seen |= {tag >> 16 for tag in ask(client, entry, known_tags())}
    assert len(seen) >= 90
    for tag in (
        p.PidTagAddressBookMember, p.PidTagAddressBookManager, p.PidTagManagerName,
        p.PidTagAddressBookPublicDelegates, p.PidTagAddressBookOwner, p.PidTagAddressBookAuthorizedSenders,
        p.PidTagAddressBookReports, p.PidTagAddressBookIsMemberOfDistributionList, p.PidTagAddressBookOwnerBackLink,
        p.PidTagThumbnailPhoto,
        p.PidTagUserX509Certificate, p.PidTagAddressBookX509Certificate, p.PidTagAddressBookPhoneticDisplayName,
        p.PidTagAddressBookPhoneticGivenName, p.PidTagAddressBookPhoneticSurname, p.PidTagMobileTelephoneNumber,
        p.PidTagBusiness2TelephoneNumbers, p.PidTagHome2TelephoneNumbers, p.PidTagPagerTelephoneNumber,
        p.PidTagPrimaryFaxNumber, p.PidTagAssistantTelephoneNumber, p.PidTagAddressBookExtensionAttribute15,
        p.PidTagAddressBookRoomCapacity, p.PidTagDisplayTypeEx, p.PidTagSendRichInfo, p.PidTagContainerContents,
        p.PidTagAddressBookManageDistributionList, p.PidTagAddressBookDistributionListMemberCount,
        p.PidTagAddressBookSeniorityIndex, p.PidTagAddressBookNetworkAddress,
    ):  # fmt: skip
        assert tag.id in seen, repr(tag)


def test_a_department_has_its_place_in_the_hierarchy(client: Client, directory: EmbeddedDirectory) -> None:
    staff, bob = directory.by_account("staff"), directory.by_account("bob")
    assert staff
    assert bob
    root = directory.create(
        staff.kind,
        "root",
        {"displayName": ["Root"], "legacyExchangeDN": [ORGANIZATION.recipient_dn("root")]},
        {"member": [staff.legacy_exchange_dn, bob.legacy_exchange_dn]},
    )
    tags = [
        tag.with_type(PropertyType.MultipleString)
        for tag in (
            p.PidTagAddressBookHierarchicalChildDepartments,
            p.PidTagAddressBookHierarchicalParentDepartment,
            p.PidTagAddressBookHierarchicalDepartmentMembers,
            p.PidTagAddressBookHierarchicalShowInDepartments,
        )
    ]
    assert [ask(client, entry, tags) for entry in (root, staff, bob)] == [{}, {}, {}]
    for group in (root, staff):
        directory.modify(group, {"msOrg-IsOrganizational": ["TRUE"]})
    dn = ORGANIZATION.recipient_dn
    assert ask(client, root, tags) == {tags[0]: [dn("staff")], tags[2]: [dn("bob"), dn("staff")]}
    assert ask(client, staff, tags) == {
        tags[1]: [dn("root")],
        tags[2]: [dn("alice"), dn("bob")],
        tags[3]: [dn("root")],
    }
    assert ask(client, bob, tags) == {tags[3]: [dn("root"), dn("staff")]}


def test_links_are_distinguished_names(directory: EmbeddedDirectory, book: AddressBook) -> None:
    found = Properties(book).getter(p.PidTagAddressBookMember.id)
    staff = directory.by_account("staff")
    assert found
    assert staff
    assert found[1](staff) == [ORGANIZATION.recipient_dn(name) for name in ("alice", "bob")]


def test_an_unknown_property(book: AddressBook) -> None:
    assert Properties(book).getter(0x6613) is None


def test_the_server_guid_is_the_directory_s(book: AddressBook, directory: EmbeddedDirectory) -> None:
    other_node = book_of(directory, server="OTHER")
    assert book.server_guid == other_node.server_guid


def test_the_known_tags_are_in_order_and_each_is_there_once() -> None:
    ids = [tag.id for tag in known_tags()]
    assert ids == sorted(set(ids))
    assert string_tags([p.PidTagTitle], unicode=True) == [p.PidTagTitle]
    assert string_tags([p.PidTagTitle, p.PidTagObjectType], unicode=False) == [0x3A17001E, p.PidTagObjectType]
