from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import NspiGetPropListRequest, NspiGetPropsRequest, NspiQueryColumnsRequest
from openchange_py.wire.oxnspi_types import STAT
from tests.servers.nspi.conftest import ORGANIZATION, Client, mid


def test_the_properties_of_an_object(client: Client, directory: EmbeddedDirectory) -> None:
    tags = [p.PidTagDisplayName, p.PidTagTitle.with_type(PropertyType.String8), p.PidTagObjectType]
    response = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=mid(directory, "alice")), tags)
    assert [v.value for v in response.row.values] == ["Alice Liddell", "Königin".encode("cp1252"), 6]
    assert response.return_value == 0


def test_a_missing_value_is_an_error_in_its_place(client: Client, directory: EmbeddedDirectory) -> None:
    tags = [p.PidTagDisplayName, p.PidTagCompanyName, PropertyTag(0x66130003)]
    response = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=mid(directory, "alice")), tags)
    assert response.return_value == ErrorCode.ErrorsReturned
    assert [(v.prop_tag, v.value) for v in response.row.values] == [
        (0x3001001F, "Alice Liddell"),
        (0x3A16000A, ErrorCode.NotFound),
        (0x6613000A, ErrorCode.NotFound),
    ]


def test_all_properties(client: Client, directory: EmbeddedDirectory) -> None:
    stat = STAT(current_rec=mid(directory, "bob"))
    values = {v.prop_tag: v.value for v in client.ask(NspiGetPropsRequest, 0, stat, None).row.values}
    assert values[p.PidTagDisplayName.with_type(PropertyType.String8)] == b"Bob Zorn"
    assert values[p.PidTagAddressBookProxyAddresses.with_type(0x101E)][0] == b"SMTP:bob@example.test"
    assert {tag for tag in values if tag & 0xFFFF in (PropertyType.Object, PropertyType.ErrorCode)} == {
        p.PidTagAddressBookManager,
        p.PidTagAddressBookIsMemberOfDistributionList,
    }
    row = client.ask(NspiGetPropsRequest, 1, stat, None).row  # fSkipObjects
    assert {v.prop_tag for v in row.values} == values.keys() - {
        p.PidTagAddressBookManager,
        p.PidTagAddressBookIsMemberOfDistributionList,
    }
    stat.code_page = 0x4B0
    values = {v.prop_tag: v.value for v in client.ask(NspiGetPropsRequest, 0, stat, None).row.values}
    assert values[p.PidTagDisplayName] == "Bob Zorn"


def test_entry_ids_permanent_and_ephemeral(client: Client, directory: EmbeddedDirectory) -> None:
    stat = STAT(current_rec=mid(directory, "bob"))
    permanent = client.ask(NspiGetPropsRequest, 0, stat, [p.PidTagEntryId]).row.values[0].value
    # [MS-OXNSPI] 2.2.9.3
    head = bytes.fromhex("00000000dca740c8c042101ab4b908002b2fe1820100000000000000")
    assert permanent == head + ORGANIZATION.recipient_dn("bob").encode() + b"\0"
    ephemeral = client.ask(NspiGetPropsRequest, 2, stat, [p.PidTagEntryId]).row.values[0].value
    guid = directory.lists(None).guid.bytes_le
    assert ephemeral == b"\x87\0\0\0" + guid + bytes.fromhex("0100000000000000") + stat.current_rec.to_bytes(
        4, "little"
    )


def test_an_object_that_is_not_there(client: Client) -> None:
    response = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=4711), [p.PidTagDisplayName])
    assert response.return_value == ErrorCode.ErrorsReturned
    assert response.row.values[0].prop_tag == 0x3001000A
    response = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=4711), None)
    assert (response.row, response.return_value) == (None, ErrorCode.GeneralFailure)
    assert client.ask(NspiGetPropsRequest, 0, STAT(container_id=9), None).return_value == ErrorCode.InvalidBookmark


def test_the_object_at_a_place(client: Client) -> None:
    first = client.ask(NspiGetPropsRequest, 0, STAT(), [p.PidTagDisplayName])
    assert first.row.values[0].value == "Alice Liddell"
    last = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=2, delta=-1), [p.PidTagDisplayName])
    assert last.row.values[0].value == "Zoe Contact"
    for nothing in (1, 2, 3, 0xF):
        stat = STAT(current_rec=nothing, num_pos=1, total_recs=2)
        answer = client.ask(NspiGetPropsRequest, 0, stat, [p.PidTagDisplayName])
        assert answer.return_value == ErrorCode.ErrorsReturned
        assert [(v.prop_tag, v.value) for v in answer.row.values] == [(0x3001000A, ErrorCode.NotFound)]


def test_the_way_to_a_server(client: Client, directory: EmbeddedDirectory) -> None:
    server = directory.by_legacy_dn(ORGANIZATION.server_dn("SRV"))
    assert server
    for tag, expected in (
        (p.PidTagAddressBookNetworkAddress, ["netbios:SRV", "ncacn_ip_tcp:srv.example.test"]),
        (p.PidTagAddressBookNetworkAddress.with_type(0x101E), [b"netbios:SRV", b"ncacn_ip_tcp:srv.example.test"]),
    ):
        response = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=int(server.mid)), [tag])
        assert (response.row.values[0].value, response.return_value) == (expected, 0)
    stat = STAT(current_rec=mid(directory, "alice"))
    response = client.ask(NspiGetPropsRequest, 0, stat, [p.PidTagAddressBookNetworkAddress])
    assert response.return_value == ErrorCode.ErrorsReturned


def test_the_list_of_an_object_s_properties(client: Client, directory: EmbeddedDirectory) -> None:
    tags = client.ask(NspiGetPropListRequest, 0, mid(directory, "bob"), 1252).prop_tags
    assert p.PidTagDisplayName.with_type(PropertyType.String8) in tags
    assert p.PidTagAddressBookManager in tags
    assert p.PidTagCompanyName.with_type(PropertyType.String8) not in tags
    skipped = client.ask(NspiGetPropListRequest, 1, mid(directory, "bob"), 1252).prop_tags
    assert set(tags) - set(skipped) == {
        p.PidTagAddressBookManager,
        p.PidTagAddressBookIsMemberOfDistributionList,
    }
    response = client.ask(NspiGetPropListRequest, 0, 4711, 1252)
    assert (response.prop_tags, response.return_value) == (None, ErrorCode.GeneralFailure)


def test_all_that_the_server_knows(client: Client) -> None:
    unicode = client.ask(NspiQueryColumnsRequest, 0, 0x80000000).columns
    assert {p.PidTagDisplayName, p.PidTagEntryId, p.PidTagAddressBookProxyAddresses, p.PidTagAddressBookMember} <= set(
        unicode
    )
    eight = client.ask(NspiQueryColumnsRequest, 0, 0).columns
    assert [tag.id for tag in eight] == [tag.id for tag in unicode]
    assert not [tag for tag in eight if tag.type in (PropertyType.String, PropertyType.MultipleString)]
