import uuid
from typing import Any

import pytest

from openchange_py.addressbook.base import AttributeValue, DisplayType, Entry, MinimalEntryId
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi.properties import AddressBook, Properties, is_server, known_tags, string_tags
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.properties import PropertyTag
from tests.servers.nspi.conftest import FQDN, ORGANIZATION, book_of

DN = "/o=First/ou=Group/cn=Recipients/cn=alice"
GUID = uuid.UUID("9c6490e5-f001-4c47-ba18-010000009af2")


def entry(display_type: DisplayType = DisplayType.MAILUSER, **attributes: list[AttributeValue]) -> Entry:
    return Entry(GUID, MinimalEntryId(17), display_type, DN, "Alice", "alice", attributes)


SERVER = {"msExchHomeServerName": ["/o=First/cn=SRV"]}


@pytest.mark.parametrize(
    ("tag", "subject", "expected"),
    [
        (p.PidTagInstanceKey, entry(), b"\x11\0\0\0"),
        (p.PidTagMappingSignature, entry(), bytes.fromhex("dca740c8c042101ab4b908002b2fe182")),
        (p.PidTagObjectType, entry(), 6),
        (p.PidTagObjectType, entry(DisplayType.DISTLIST), 8),
        (p.PidTagDisplayType, entry(DisplayType.DISTLIST), 1),
        (p.PidTagAddressType, entry(), "EX"),
        (p.PidTagEmailAddress, entry(), DN),
        (p.PidTagAddressBookObjectDistinguishedName, entry(), DN),
        (p.PidTagSearchKey, entry(), b"EX:/O=FIRST/OU=GROUP/CN=RECIPIENTS/CN=ALICE\0"),
        (p.PidTagSmtpAddress, entry(proxyAddresses=["smtp:a@b", "SMTP:c@d"], mail=["e@f"]), "c@d"),
        (p.PidTagSmtpAddress, entry(mail=["e@f"]), "e@f"),
        (p.PidTagSmtpAddress, entry(), None),
        (p.PidTagAccount, entry(mailNickname=["al"]), "al"),
        (p.PidTagAccount, entry(), "alice"),
        (p.PidTagSendRichInfo, entry(msExchMailboxGuid=[bytes(16)]), 1),
        (p.PidTagSendRichInfo, entry(), None),
        (p.PidTagAddressBookHomeMessageDatabase, entry(**SERVER), "/o=First/cn=SRV/cn=Microsoft Private MDB"),
        (p.PidTagAddressBookObjectGuid, entry(), GUID.bytes_le),
        (p.PidTagTransmittableDisplayName, entry(), "Alice"),
        (p.PidTagAddressBookMember, entry(), None),
        (p.PidTagTitle, entry(title=["Boss"]), "Boss"),
    ],
)
def test_properties(book: AddressBook, tag: PropertyTag, subject: Entry, expected: Any) -> None:
    found = Properties(book).getter(tag.id)
    assert found
    assert found[0] == tag
    assert found[1](subject) == expected


def test_a_name_for_clients_that_read_ascii_only(book: AddressBook) -> None:
    found = Properties(book).getter(p.PidTagAddressBookDisplayNamePrintable.id)
    assert found
    umlaut = Entry(GUID, MinimalEntryId(17), DisplayType.MAILUSER, DN, "Ägypten", None, {})
    assert found[1](entry()) == "Alice"
    assert found[1](umlaut) == "?gypten"


def test_links_are_distinguished_names(directory: EmbeddedDirectory, book: AddressBook) -> None:
    found = Properties(book).getter(p.PidTagAddressBookMember.id)
    staff = directory.by_account("staff")
    assert found
    assert staff
    assert found[1](staff) == [ORGANIZATION.recipient_dn(name) for name in ("alice", "bob")]


def test_a_server_has_a_binding_for_each_protocol_that_is_served(directory: EmbeddedDirectory) -> None:
    attributes = {"objectClass": ["top", "msExchExchangeServer"]}
    server = Entry(GUID, MinimalEntryId(17), DisplayType.MAILUSER, DN, "SRV", None, attributes)
    for pipes, more in ((False, []), (True, ["ncacn_np:SRV"])):
        found = Properties(book_of(directory, pipes=pipes)).getter(p.PidTagAddressBookNetworkAddress.id)
        assert found
        assert found[1](server) == ["netbios:SRV", f"ncacn_ip_tcp:{FQDN}", *more]


def test_an_unknown_property(book: AddressBook) -> None:
    assert Properties(book).getter(0x6613) is None


def test_the_server_guid_is_the_directory_s(book: AddressBook, directory: EmbeddedDirectory) -> None:
    other_node = book_of(directory, server="OTHER")
    assert book.server_guid == other_node.server_guid


def test_servers_are_known_by_their_class() -> None:
    assert is_server(entry(objectClass=["top", "MSEXCHExchangeServer"]))
    assert not is_server(entry(objectClass=["user"]))


def test_the_known_tags_are_in_order_and_each_is_there_once() -> None:
    ids = [tag.id for tag in known_tags()]
    assert ids == sorted(set(ids))
    assert string_tags([p.PidTagTitle], unicode=True) == [p.PidTagTitle]
    assert string_tags([p.PidTagTitle, p.PidTagObjectType], unicode=False) == [0x3A17001E, p.PidTagObjectType]
