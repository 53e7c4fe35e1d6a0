import dataclasses

from openchange_py.addressbook.base import Container, MinimalEntryId
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import hierarchy
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import NspiGetSpecialTableRequest
from openchange_py.wire.oxnspi_types import STAT
from tests.servers.nspi.conftest import Client


def test_the_address_lists(client: Client, directory: EmbeddedDirectory) -> None:
    response = client.ask(NspiGetSpecialTableRequest, 4, STAT(), 0)
    assert response.return_value == 0
    rows = [{v.prop_tag: v.value for v in row.values} for row in response.rows]
    assert [row[p.PidTagDisplayName] for row in rows] == [
        "Global Address List",
        "All Users",
        "All Groups",
        "All Contacts",
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
    assert len(client.ask(NspiGetSpecialTableRequest, 4, STAT(), version ^ 1).rows) == 4


def test_there_are_no_address_creation_templates(client: Client) -> None:
    response = client.ask(NspiGetSpecialTableRequest, 2, STAT(code_page=0x4B0), 3)
    assert (response.rows, response.return_value) == ([], 0)


class Nested:
    """A directory with a list in a list."""

    def __init__(self, directory: EmbeddedDirectory) -> None:
        top = directory.lists(None).containers()[1]
        inner = Container(MinimalEntryId(900), top.guid, "Inner", top.mid, 1)
        self._containers = [top, inner]

    def containers(self) -> list[Container]:
        return self._containers


def test_a_list_in_a_list_names_its_parent(book: AddressBook, directory: EmbeddedDirectory) -> None:
    book = dataclasses.replace(book, lists=Nested(directory))  # type: ignore[arg-type]
    request = NspiGetSpecialTableRequest(None, 4, STAT(), 0)  # type: ignore[arg-type]
    top, inner = (
        {v.prop_tag: v.value for v in row.values} for row in hierarchy.get_special_table(book, request).rows or []
    )
    assert top[p.PidTagContainerFlags] == 0xB
    assert p.PidTagAddressBookParentEntryId not in top
    assert inner[p.PidTagAddressBookParentEntryId] == top[p.PidTagEntryId]
    assert inner[p.PidTagDepth] == 1
