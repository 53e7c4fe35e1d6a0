from openchange_py.addressbook.accounts import EXCHANGE_ATTRIBUTES, exchange_attributes, home_mdb
from openchange_py.addressbook.base import Organization

ORGANIZATION = Organization("First", "Group")


def test_the_attributes_of_a_mailbox_user() -> None:
    attributes = exchange_attributes(ORGANIZATION, "SRV", "alice", "alice@example.test", "Alice")
    (guid,) = attributes.pop("msExchMailboxGuid")
    assert isinstance(guid, bytes)
    assert len(guid) == 16
    server = "/o=First/ou=Group/cn=Configuration/cn=Servers/cn=SRV"
    assert attributes == {
        "displayName": ["Alice"],
        "mail": ["alice@example.test"],
        "mailNickname": ["alice"],
        "legacyExchangeDN": ["/o=First/ou=Group/cn=Recipients/cn=alice"],
        "homeMDB": [f"{server}/cn=Microsoft Private MDB"],
        "homeMTA": [f"{server}/cn=Microsoft MTA"],
        "msExchHomeServerName": [server],
        "msExchUserAccountControl": ["0"],
        "msExchRecipientTypeDetails": ["1"],
        "msExchRecipientDisplayType": ["1073741824"],
        "proxyAddresses": ["SMTP:alice@example.test"],
    }


def test_every_mailbox_has_its_own_guid() -> None:
    guids = [exchange_attributes(ORGANIZATION, "SRV", "a", "a@b", "A")["msExchMailboxGuid"] for _ in range(2)]
    assert guids[0] != guids[1]


def test_the_list_of_exchange_attributes_is_what_is_set_beyond_the_person_s_own() -> None:
    attributes = exchange_attributes(ORGANIZATION, "SRV", "alice", "alice@example.test", "Alice")
    assert set(EXCHANGE_ATTRIBUTES) == set(attributes) - {"displayName", "mail"}


def test_the_database_s_name_is_the_server_s_with_one_more_part() -> None:
    # What libmapi strips to find the server (calls-profile-tcp-connect-2007).
    assert home_mdb("/o=F/cn=SRV") == "/o=F/cn=SRV/cn=Microsoft Private MDB"
