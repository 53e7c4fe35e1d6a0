"""Names of servers in property values: what is a server's row, and which values stay."""

from __future__ import annotations

from typing import Any

import pytest

from openchange_py.proxy.names import NameMap, OwnNames, UpstreamNames
from openchange_py.proxy.rewrite_nspi import rewrite_request, rewrite_response
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.entryids import ADDRESS_BOOK_PROVIDER
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import (
    NspiGetIDsFromNamesRequest,
    NspiGetPropsResponse,
    NspiModLinkAttRequest,
    NspiModPropsRequest,
    NspiQueryColumnsResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyRow_r, PropertyValue_r
from tests.proxy.emsmdb_calls import HANDLE

OWN = OwnNames("PROXY", "proxy.example.test", ("netbios:PROXY", "ncacn_ip_tcp:proxy.example.test", "ncacn_np:PROXY"))
UPSTREAM = UpstreamNames(("EX",), ("ex.corp.test",))
NAMES = NameMap(OWN, UPSTREAM, UPSTREAM)
DN = "/o=Org/ou=Group/cn=Configuration/cn=Servers/cn="
ENTRY_ID = bytes(4) + ADDRESS_BOOK_PROVIDER.bytes_le + bytes([1, 0, 0, 0, 0, 0, 0, 0])


def seen(*values: tuple[int, Any]) -> dict[int, Any]:
    """What a client sees of a row; the values in their order, by tag."""
    row = PropertyRow_r([PropertyValue_r(tag, value) for tag, value in values])
    before = [value.value for value in row.values or []]
    changed = rewrite_response(NspiGetPropsResponse(row, 0), NAMES)
    assert changed == ([value.value for value in row.values or []] != before)
    return {value.prop_tag: value.value for value in row.values or []}


def string8(tag: PropertyTag) -> PropertyTag:
    return tag.with_type(PropertyType.MultipleString8 if tag.type & 0x1000 else PropertyType.String8)


@pytest.mark.parametrize(
    "identity",
    [
        (p.PidTagEmailAddress, DN + "EX"),
        (string8(p.PidTagEmailAddress), (DN + "ex").encode()),
        (p.PidTagAddressBookObjectDistinguishedName, DN + "EX"),
        (p.PidTagEntryId, ENTRY_ID + (DN + "EX").encode() + b"\0"),
        (p.PidTagAddressBookNetworkAddress, ["ncacn_vns_spp:EX"]),
    ],
)
def test_a_servers_row_is_known_by_what_it_is_called_in_the_directory(identity: tuple[int, Any]) -> None:
    """Its name alone is replaced there, and nowhere else."""
    row = seen(identity, (p.PidTagDisplayName, "Ex"), (string8(p.PidTagAccount), b"EX"), (p.PidTagAddressType, "EX"))
    assert row[p.PidTagDisplayName] == "PROXY"
    assert row[string8(p.PidTagAccount)] == b"PROXY"
    assert row[p.PidTagAddressType] == "EX"


@pytest.mark.parametrize(
    "identity",
    [
        (p.PidTagEmailAddress, "/o=Org/ou=Group/cn=Recipients/cn=EX"),
        (p.PidTagEmailAddress, DN + "EX/cn=Microsoft System Attendant"),
        (p.PidTagAddressBookHomeMessageDatabase, DN + "EX"),
        (p.PidTagAddressBookNetworkAddress, ["ncacn_ip_tcp:far.corp.test", "netbios:FAR"]),
        (p.PidTagEntryId, b"\x87\0\0\0" + bytes(28)),
    ],
)
def test_a_user_may_be_called_as_a_server_is(identity: tuple[int, Any]) -> None:
    assert seen(identity, (p.PidTagDisplayName, "Ex"))[p.PidTagDisplayName] == "Ex"


def test_a_server_has_the_bindings_of_this_one_as_8_bit_where_they_were() -> None:
    tag = string8(p.PidTagAddressBookNetworkAddress)
    row = seen((p.PidTagEmailAddress, DN + "EX"), (tag, [b"ncacn_vns_spp:EX", b"ncacn_spx:EX"]))
    assert row[tag] == [binding.encode() for binding in OWN.bindings]


def test_the_addresses_of_another_server_stay() -> None:
    addresses = ["ncacn_ip_tcp:far.corp.test", "netbios:FAR"]
    assert seen((p.PidTagAddressBookNetworkAddress, addresses))[p.PidTagAddressBookNetworkAddress] is addresses


def test_binary_values_other_than_distinguished_names_stay() -> None:
    """A certificate is signed, and what is in a template is counted."""
    text = (DN + "EX").encode()
    certificate = PropertyTag(0x8C6A1102)
    row = seen(
        (certificate, [b"\x30\x82" + text, None]),
        (p.PidTagAddressBookObjectGuid, text[:16]),
        (p.PidTagSearchKey, b"ex:" + text + b"\0"),
        (p.PidTagRecordKey, ENTRY_ID + text + b"/cn=Microsoft Private MDB\0"),
    )
    proxy = (DN + "PROXY").encode()
    assert row[certificate] == [b"\x30\x82" + text, None]
    assert row[p.PidTagAddressBookObjectGuid] == text[:16]
    assert row[p.PidTagSearchKey] == b"ex:" + proxy + b"\0"
    assert row[p.PidTagRecordKey] == ENTRY_ID + proxy + b"/cn=Microsoft Private MDB\0"


def test_values_that_are_no_text() -> None:
    error = p.PidTagEmailAddress.with_type(PropertyType.ErrorCode)
    row = seen(
        (error, 0x8004010F), (p.PidTagObjectType, 6), (p.PidTagComment, None), (p.PidTagAddressBookNetworkAddress, [])
    )
    assert list(row.values()) == [0x8004010F, 6, None, []]
    assert not rewrite_response(NspiGetPropsResponse(None, 0), NAMES)
    assert not rewrite_response(NspiGetPropsResponse(PropertyRow_r(None), 0), NAMES)
    assert not rewrite_response(NspiQueryColumnsResponse([p.PidTagComment], 0), NAMES)


def test_what_a_client_changes_reaches_the_server_under_its_own_names() -> None:
    entry_ids = [ENTRY_ID + (DN + "proxy").encode() + b"\0", None]
    link = NspiModLinkAttRequest(HANDLE, 0, 0x8009101E, 16, entry_ids)
    assert rewrite_request(link, NAMES)
    assert link.entry_ids == [ENTRY_ID + (DN + "EX").encode() + b"\0", None]
    row = PropertyRow_r(
        [PropertyValue_r(p.PidTagComment, "see proxy.example.test"), PropertyValue_r(p.PidTagTitle, "")]
    )
    assert rewrite_request(NspiModPropsRequest(HANDLE, 0, STAT(), None, row), NAMES)
    assert [value.value for value in row.values or []] == ["see ex.corp.test", ""]
    assert not rewrite_request(link, NAMES)


def test_names_of_properties_are_no_names_of_servers() -> None:
    request = NspiGetIDsFromNamesRequest(HANDLE, 0, 0, 1, [PropertyName_r(None, 1), None])
    assert not rewrite_request(request, NAMES)
    assert request.names == [PropertyName_r(None, 1), None]
