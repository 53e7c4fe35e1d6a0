import uuid
from typing import Any

import pytest

from openchange_py.addressbook.base import AttributeValue, DisplayType, Entry, Kind, MinimalEntryId
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi.properties import AddressBook, Properties
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
        (p.PidTagSendRichInfo, entry(msExchMailboxGuid=[bytes(16)], mAPIRecipient=["FALSE"]), 0),
        (p.PidTagSendRichInfo, entry(DisplayType.REMOTE_MAILUSER, mAPIRecipient=["TRUE"]), 1),
        (p.PidTagDisplayTypeEx, entry(msExchRecipientDisplayType=["7"]), 7),
        (p.PidTagDisplayTypeEx, entry(msExchRecipientDisplayType=["-2147483642"]), -2147483642),
        (p.PidTagDisplayTypeEx, entry(msExchRecipientDisplayType=["much"]), 0),
        (p.PidTagDisplayTypeEx, entry(msExchMailboxGuid=[bytes(16)]), 0x40000000),
        (p.PidTagAddressBookDisplayTypeExtended, entry(DisplayType.DISTLIST), 1),
        (p.PidTagInitialDetailsPane, entry(), 0),
        (p.PidTagContainerFlags, entry(DisplayType.DISTLIST), 9),
        (p.PidTagContainerFlags, entry(), None),
        (p.PidTagContainerContents, entry(DisplayType.DISTLIST), 0),
        (p.PidTagContainerContents, entry(), None),
        (p.PidTagAddressBookContainerId, entry(), None),
        (p.PidTagAddressBookDistributionListMemberCount, entry(), None),
        (p.PidTagAddressBookDistributionListExternalMemberCount, entry(), None),
        (p.PidTagAddressBookRoomContainers, entry(), None),
        (p.PidTagManagerName, entry(), None),
    ],
)
def test_computed_properties(book: AddressBook, tag: PropertyTag, subject: Entry, expected: Any) -> None:
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


def value(book: AddressBook, tag: PropertyTag, account: str) -> Any:
    found = Properties(book).getter(tag.id)
    subject = book.lists.resolve(f"={account}", MinimalEntryId(0), 1)
    assert found
    assert subject
    return found[1](subject[0])


def test_a_group_counts_its_members_and_those_who_are_elsewhere(
    directory: EmbeddedDirectory, book: AddressBook
) -> None:
    staff = directory.by_account("staff")
    contact = directory.by_legacy_dn(ORGANIZATION.recipient_dn("zoe"))
    assert staff
    assert contact
    assert value(book, p.PidTagAddressBookDistributionListMemberCount, "staff") == 2
    assert value(book, p.PidTagAddressBookDistributionListExternalMemberCount, "staff") == 0
    directory.change_links(staff, "member", [contact])
    assert value(book, p.PidTagAddressBookDistributionListMemberCount, "staff") == 3
    assert value(book, p.PidTagAddressBookDistributionListExternalMemberCount, "staff") == 1


def test_a_manager_has_a_name(book: AddressBook) -> None:
    assert value(book, p.PidTagManagerName, "bob") == "Alice Liddell"
    assert value(book, p.PidTagManagerName, "alice") is None


def test_a_server_has_a_binding_for_each_protocol_that_is_served(directory: EmbeddedDirectory) -> None:
    server = Entry(GUID, MinimalEntryId(17), DisplayType.AGENT, DN, "SRV", None, {"cn": ["SRV"]}, Kind.SERVER)
    for pipes, more in ((False, []), (True, ["ncacn_np:SRV"])):
        found = Properties(book_of(directory, pipes=pipes)).getter(p.PidTagAddressBookNetworkAddress.id)
        assert found
        assert found[1](server) == ["netbios:SRV", f"ncacn_ip_tcp:{FQDN}", *more]
