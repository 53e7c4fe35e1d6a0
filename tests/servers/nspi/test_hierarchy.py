import dataclasses

import pytest

from openchange_py.addressbook import departments
from openchange_py.addressbook.base import Container, DisplayType, Kind, MinimalEntryId
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import hierarchy
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi import (
    NspiDNToMIdRequest,
    NspiGetMatchesRequest,
    NspiGetPropsRequest,
    NspiGetSpecialTableRequest,
)
from openchange_py.wire.oxnspi_types import STAT
from tests.servers.nspi.conftest import ORGANIZATION, Client, mid


def test_the_address_lists(client: Client, directory: EmbeddedDirectory) -> None:
    response = client.ask(NspiGetSpecialTableRequest, 4, STAT(), 0)
    assert response.return_value == 0
    rows = [{v.prop_tag: v.value for v in row.values} for row in response.rows]
    assert [row[p.PidTagDisplayName] for row in rows] == [
        "Global Address List",
        "All Contacts",
        "All Groups",
        "All Rooms",
        "All Users",
        "Public Folders",
    ]
    assert [row[p.PidTagAddressBookContainerId] for row in rows] == [c.mid for c in directory.lists(None).containers()]
    assert {row[p.PidTagContainerFlags] for row in rows} == {9}
    assert {row[p.PidTagDepth] for row in rows} == {0}
    # The Global Address List's entry id, as in calls-profile-tcp-connect-2007.
    assert rows[0][p.PidTagEntryId].hex() == "00000000dca740c8c042101ab4b908002b2fe18201000000000100002f00"
    dn = rows[1][p.PidTagEntryId][28:]
    assert dn == b"/guid=" + directory.lists(None).containers()[1].guid.hex.upper().encode() + b"\0"


def test_names_in_8_bits(client: Client) -> None:
    row = client.ask(NspiGetSpecialTableRequest, 0, STAT(), 0).rows[0]
    assert (0x3001001E, b"Global Address List") in [(v.prop_tag, v.value) for v in row.values]
    refused = client.ask(NspiGetSpecialTableRequest, 0, STAT(code_page=0x4B0), 7)
    assert (refused.rows, refused.return_value, refused.version) == (None, ErrorCode.InvalidCodepage, 7)


def test_who_has_this_version_gets_no_rows(client: Client) -> None:
    version = client.ask(NspiGetSpecialTableRequest, 4, STAT(), 0).version
    again = client.ask(NspiGetSpecialTableRequest, 4, STAT(), version)
    assert (again.version, again.rows, again.return_value) == (version, [], 0)
    assert len(client.ask(NspiGetSpecialTableRequest, 4, STAT(), version ^ 1).rows) == 6


def creation_table(client: Client, stat: STAT, flags: int = 2) -> list[dict[int, object]]:
    response = client.ask(NspiGetSpecialTableRequest, flags, stat, 3)
    assert (response.return_value, response.version) == (0, 3)
    return [{v.prop_tag: v.value for v in row.values} for row in response.rows]


def test_an_internet_address_can_be_made(client: Client) -> None:
    """[MS-OXOABKT] 2.2.1: the columns, and an entry id whose DN asks for the template."""
    (row,) = creation_table(client, STAT())
    dn = b"/cn=Configuration/cn=Addressing/cn=Address-Templates/cn=409/cn=SMTP\0"
    entry_id = row.pop(p.PidTagEntryId)
    assert isinstance(entry_id, bytes)
    assert entry_id[:28].hex() == "00000000dca740c8c042101ab4b908002b2fe1820100000002010000"
    assert entry_id.endswith(dn)
    assert row == {
        p.PidTagAddressType.with_type(0x1E): b"SMTP",
        p.PidTagDisplayName.with_type(0x1E): b"Internet address",
        p.PidTagDisplayType: 0,
        p.PidTagDepth: 0,
        p.PidTagSelectable: 1,
        p.PidTagInstanceKey: bytes(4),
    }


def test_creation_templates_are_named_in_the_language_of_the_template_locale(client: Client) -> None:
    """An Austrian gets German, a Greek English; what is no locale has a table without rows, and no error."""
    name = p.PidTagDisplayName.with_type(0x1E)
    names = [creation_table(client, STAT(template_locale=lcid))[0][name] for lcid in (0x0C07, 0x0408, 0)]
    assert names == [b"Internetadresse", b"Internet address", b"Internet address"]
    assert creation_table(client, STAT(template_locale=0xFFFFFFFF)) == []


def test_creation_templates_are_in_8_bits_unless_the_code_page_is_unicode(client: Client) -> None:
    """3.1.4.1.3: NspiUnicodeStrings is ignored; CP_WINUNICODE is no error."""
    assert b"SMTP" in creation_table(client, STAT(), flags=6)[0].values()
    assert "SMTP" in creation_table(client, STAT(code_page=0x4B0))[0].values()
    refused = client.ask(NspiGetSpecialTableRequest, 2, STAT(code_page=4711), 0)
    assert (refused.rows, refused.return_value) == (None, ErrorCode.InvalidCodepage)


class Lists:
    """An organization whose address lists are these."""

    def __init__(self, *containers: Container) -> None:
        self._containers = containers

    def containers(self) -> list[Container]:
        return list(self._containers)


ADDRESS_LISTS = NspiGetSpecialTableRequest(None, 4, STAT(), 0)  # type: ignore[arg-type]


def test_a_list_in_a_list_names_its_parent(book: AddressBook) -> None:
    top = book.lists.containers()[1]
    lists = Lists(top, Container(MinimalEntryId(900), top.guid, "Inner", top.mid, 1))
    book = dataclasses.replace(book, lists=lists)  # type: ignore[arg-type]
    rows = hierarchy.get_special_table(book, ADDRESS_LISTS).rows or []
    outer, inner = ({v.prop_tag: v.value for v in row.values or ()} for row in rows)
    assert outer[p.PidTagContainerFlags] == 0xB
    assert p.PidTagAddressBookParentEntryId not in outer
    assert inner[p.PidTagAddressBookParentEntryId] == outer[p.PidTagEntryId]
    assert inner[p.PidTagDepth] == 1


def test_an_organization_without_address_lists_has_no_table(book: AddressBook) -> None:
    """3.1.4.1.3: OutOfResources."""
    with pytest.raises(MapiError) as error:
        hierarchy.get_special_table(dataclasses.replace(book, lists=Lists()), ADDRESS_LISTS)  # type: ignore[arg-type]
    assert error.value.code == ErrorCode.OutOfResources


# The hierarchical address book


def linked(client: Client, current: int, tag: int) -> list[int]:
    """The table of a property of an object, as a client opens it: 3.1.4.1.10."""
    stat = STAT(sort_type=1000, container_id=tag, current_rec=current)
    response = client.ask(NspiGetMatchesRequest, 0, stat, None, 0, None, None, 100, None)
    assert response.return_value == 0
    found: list[int] = response.out_mids
    return found


def test_a_client_walks_the_departments(client: Client, directory: EmbeddedDirectory) -> None:
    """[MS-OXOABK] 2.2.7.2 and 2.2.8: from the organization to its root, to what is below, to the people in it."""
    groups = {}
    for name, members in (("sales", ["alice"]), ("board", ["sales", "bob"])):
        names = {"displayName": [name], "legacyExchangeDN": [ORGANIZATION.recipient_dn(name)]}
        links = {"member": [ORGANIZATION.recipient_dn(member) for member in members]}
        groups[name] = directory.create(Kind.GROUP, name, names, links)
    departments.mark(directory, groups["sales"], True)
    departments.set_root(directory, groups["board"])
    (organization,) = client.ask(NspiDNToMIdRequest, 0, [f"/o={ORGANIZATION.name}".encode()]).out_mids
    row = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=organization), [p.PidTagDisplayType]).row
    assert row.values[0].value == DisplayType.ORGANIZATION
    root_department = p.PidTagAddressBookHierarchicalRootDepartment.with_type(0x000D)
    (board,) = linked(client, organization, root_department)
    assert board == mid(directory, "board")
    (sales,) = linked(client, board, p.PidTagAddressBookHierarchicalChildDepartments)
    assert linked(client, sales, p.PidTagAddressBookHierarchicalParentDepartment) == [board]
    alice = mid(directory, "alice")
    assert linked(client, sales, p.PidTagAddressBookHierarchicalDepartmentMembers) == [alice]
    assert linked(client, alice, p.PidTagAddressBookHierarchicalShowInDepartments) == [sales]
    departments.set_root(directory, None)
    assert linked(client, organization, root_department) == []


def test_without_departments_there_is_no_organization_object(client: Client) -> None:
    assert client.ask(NspiDNToMIdRequest, 0, [f"/o={ORGANIZATION.name}".encode()]).out_mids == [0]
