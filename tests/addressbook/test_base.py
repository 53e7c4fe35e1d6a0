import uuid

from openchange_py.addressbook.base import (
    Account,
    AttributeValue,
    DisplayType,
    Entry,
    MinimalEntryId,
    Organization,
)


def entry(name: str, **attributes: list[AttributeValue]) -> Entry:
    return Entry(uuid.uuid4(), MinimalEntryId(17), DisplayType.MAILUSER, f"/o=First/cn={name}", name, name, attributes)


def test_the_names_of_an_organization() -> None:
    organization = Organization("First", "Group")
    assert organization.recipient_dn("alice") == "/o=First/ou=Group/cn=Recipients/cn=alice"
    assert organization.server_dn("SRV") == "/o=First/ou=Group/cn=Configuration/cn=Servers/cn=SRV"


def test_the_mailbox_guid_is_read_as_active_directory_writes_it() -> None:
    guid = uuid.uuid4()
    assert entry("a", msExchMailboxGuid=[guid.bytes_le]).mailbox_guid == guid
    assert entry("a", msExchMailboxGuid=[str(guid)]).mailbox_guid == guid
    assert entry("a").mailbox_guid is None


def test_texts_of_an_attribute() -> None:
    both = entry("a", description=[b"\x00", "one", "two"])
    assert both.first("description") == "one"
    assert both.all("description") == ["one", "two"]
    assert both.first("title") is None


def test_a_secret_is_not_in_a_repr() -> None:
    assert "secret" not in repr(Account("a", "", b"secret"))
