import pytest

from openchange_py.addressbook.base import Kind, Organization
from openchange_py.addressbook.recipients import (
    DISTRIBUTION_GROUP,
    EXCHANGE_ATTRIBUTES,
    MAIL_CONTACT,
    MAILBOX_TYPES,
    ROOM_MAILBOX,
    SECURITY_GROUP,
    SHARED_MAILBOX,
    USER_MAILBOX,
    RecipientType,
    home_mdb,
    recipient_attributes,
    recipient_type,
    typed_address,
    with_primary_address,
    without_addresses,
    x400_address,
)

ORGANIZATION = Organization("First", "Group")


def test_the_attributes_of_a_mailbox_user() -> None:
    attributes = recipient_attributes(ORGANIZATION, USER_MAILBOX, "alice", "alice@example.test", "Alice", server="SRV")
    (guid,) = attributes.pop("msExchMailboxGuid")
    assert isinstance(guid, bytes)
    assert len(guid) == 16
    assert attributes == {
        "displayName": ["Alice"],
        "mail": ["alice@example.test"],
        "mailNickname": ["alice"],
        "legacyExchangeDN": ["/o=First/ou=Group/cn=Recipients/cn=alice"],
        "homeMDB": ["/o=First/ou=Group/cn=Configuration/cn=Servers/cn=SRV/cn=Microsoft Private MDB"],
        "homeMTA": ["/o=First/ou=Group/cn=Configuration/cn=Servers/cn=SRV/cn=Microsoft MTA"],
        "msExchHomeServerName": ["/o=First/ou=Group/cn=Configuration/cn=Servers/cn=SRV"],
        "msExchUserAccountControl": ["0"],
        "msExchRecipientTypeDetails": ["1"],
        "msExchRecipientDisplayType": ["1073741824"],
        "proxyAddresses": ["SMTP:alice@example.test", "X400:C=US;A= ;P=First;O=Group;S=alice;"],
    }
    assert set(attributes) - {"displayName", "mail"} <= set(EXCHANGE_ATTRIBUTES)


def test_every_mailbox_has_its_own_guid() -> None:
    guids = [
        recipient_attributes(ORGANIZATION, USER_MAILBOX, "a", "a@b", "A", server="S")["msExchMailboxGuid"]
        for _ in range(2)
    ]
    assert guids[0] != guids[1]


@pytest.mark.parametrize("kind", [SHARED_MAILBOX, ROOM_MAILBOX])
def test_nobody_logs_on_as_a_room_or_a_shared_mailbox(kind: RecipientType) -> None:
    attributes = recipient_attributes(ORGANIZATION, kind, "blue", "blue@example.test", "Blue", server="SRV")
    assert attributes["msExchUserAccountControl"] == ["2"]
    assert "msExchMailboxGuid" in attributes
    assert not kind.logs_on


def test_a_room_is_found_as_one() -> None:
    attributes = recipient_attributes(ORGANIZATION, ROOM_MAILBOX, "blue", "blue@example.test", "Blue", server="SRV")
    assert attributes["msExchResourceMetaData"] == ["ResourceType:Room"]
    assert attributes["msExchRecipientDisplayType"] == ["7"]


def test_a_contact_s_mail_goes_elsewhere_and_it_has_no_mailbox() -> None:
    attributes = recipient_attributes(ORGANIZATION, MAIL_CONTACT, "carol", "carol@else.test", "Carol")
    assert attributes["targetAddress"] == ["SMTP:carol@else.test"]
    assert "msExchMailboxGuid" not in attributes


@pytest.mark.parametrize(("kind", "number"), [(DISTRIBUTION_GROUP, "8"), (SECURITY_GROUP, "-2147483640")])
def test_groups_are_universal_ones(kind: RecipientType, number: str) -> None:
    assert recipient_attributes(ORGANIZATION, kind, "staff", "staff@b.test", "Staff")["groupType"] == [number]


def test_what_an_entry_is_can_be_told_from_its_attributes() -> None:
    for kind in (*MAILBOX_TYPES.values(), MAIL_CONTACT, DISTRIBUTION_GROUP, SECURITY_GROUP):
        made = recipient_attributes(ORGANIZATION, kind, "x", "x@b.test", "X", server="SRV")
        assert recipient_type(made) is kind
        assert kind.has_mailbox is (kind.kind is Kind.USER)
    assert recipient_type({}) is None
    assert recipient_type({"msExchRecipientTypeDetails": ["many"]}) is None


def test_an_x400_address_is_made_of_printable_strings_of_their_length() -> None:
    organization = Organization("Müller; Söhne = & Partner GmbH", "Group")
    assert x400_address(organization, "a_b" + "c" * 60) == (
        "X400:C=US;A= ;P=Muller Sohne   P;O=Group;S=ab" + "c" * 38 + ";"
    )


def test_a_new_primary_address_keeps_the_old_one() -> None:
    before = ["SMTP:a@b.test", "X400:C=US;", "smtp:c@d.test"]
    assert with_primary_address(before, "C@d.test") == ["SMTP:C@d.test", "smtp:a@b.test", "X400:C=US;"]
    assert with_primary_address([], "a@b.test") == ["SMTP:a@b.test"]


def test_addresses_are_removed_whatever_their_case() -> None:
    assert without_addresses(["SMTP:a@b.test", "smtp:C@d.test"], ["c@D.test"]) == ["SMTP:a@b.test"]


def test_addresses_say_their_type() -> None:
    assert typed_address("a@b.test") == "smtp:a@b.test"
    assert typed_address("x500:/o=F/cn=a") == "x500:/o=F/cn=a"
    assert without_addresses(["SMTP:a@b.test", "X500:/o=F/cn=a"], ["x500:/o=f/cn=A"]) == ["SMTP:a@b.test"]


def test_the_database_s_name_is_the_server_s_with_one_more_part() -> None:
    # What libmapi strips to find the server (calls-profile-tcp-connect-2007).
    assert home_mdb("/o=F/cn=SRV") == "/o=F/cn=SRV/cn=Microsoft Private MDB"
