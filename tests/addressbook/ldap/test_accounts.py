"""Accounts on a real slapd, with Exchange's schema and without; tests/interop/test_directory.py has a controller's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openchange_py.addressbook.base import DirectoryError, EntryExists, Kind
from openchange_py.addressbook.ldap.accounts import OpenLdapAccounts, _flags
from openchange_py.addressbook.ldap.connection import LdapServers, close, connect
from openchange_py.addressbook.ldap.session import LdapEntry, Session
from openchange_py.auth.ntlm_crypto import nt_hash
from tests.addressbook.ldap.conftest import servers_of
from tests.slapd import BASE, EXCHANGE_SCHEMA, Slapd, running_slapd

PASSWORD = "Sésame-1"
READ = ("*", "entryUUID")


@pytest.fixture
def session(exchange: Slapd) -> Iterator[Session]:
    opened = Session(connect(servers_of(exchange), 5))
    yield opened
    opened.close()


@pytest.fixture
def plain(slapd: Slapd) -> Iterator[Session]:
    """To a server without Exchange's schema."""
    opened = Session(connect(servers_of(slapd), 5))
    yield opened
    opened.close()


@pytest.fixture
def accounts() -> OpenLdapAccounts:
    return OpenLdapAccounts("")


def there(session: Session, dn: str) -> LdapEntry:
    found = session.read(dn, READ)
    assert found is not None
    return found


def test_people_groups_and_contacts(session: Session, accounts: OpenLdapAccounts) -> None:
    user = there(session, accounts.add(session, Kind.USER, "kinds", {"displayName": ["Ann Kinds"]}, {}))
    assert user.dn == f"uid=kinds,ou=people,{BASE}"
    assert (user.text("cn"), user.text("sn"), user.text("uid")) == ("Ann Kinds", "Kinds", "kinds")
    assert {"inetOrgPerson", "mailRecipient", "msExchMailStorage"} <= set(user.texts("objectClass"))
    group = there(session, accounts.add(session, Kind.GROUP, "", {"mailNickname": ["team"], "displayName": ["A"]}, {}))
    assert (group.dn, group.texts("member")) == (f"cn=team,ou=people,{BASE}", [f"cn=team,ou=people,{BASE}"])
    contact = there(session, accounts.add(session, Kind.CONTACT, "", {"displayName": ["Cora, Inc. *"]}, {}))
    assert contact.text("cn") == "Cora, Inc. *"
    with pytest.raises(EntryExists):
        accounts.add(session, Kind.CONTACT, "", {"displayName": ["Cora, Inc. *"]}, {})


@pytest.mark.parametrize("shown", ["Namesakes", "NAMESAKES", " namesakes "])
def test_a_group_whose_display_name_is_its_name(session: Session, accounts: OpenLdapAccounts, shown: str) -> None:
    dn = accounts.add(session, Kind.GROUP, "namesakes", {"displayName": [shown]}, {})
    assert there(session, dn).texts("cn") == ["namesakes"]
    session.delete(dn)


def test_a_place_of_one_s_own(session: Session) -> None:
    accounts = OpenLdapAccounts(f"ou=Users,{BASE}")
    assert accounts.add(session, Kind.USER, "placed", {}, {}) == f"uid=placed,ou=Users,{BASE}"
    with pytest.raises(DirectoryError, match="noSuchObject"):
        OpenLdapAccounts(f"ou=Nowhere,{BASE}").add(session, Kind.USER, "placed", {}, {})


def test_a_password_logs_on_with_ntlm_and_with_a_bind(
    exchange: Slapd, session: Session, accounts: OpenLdapAccounts
) -> None:
    dn = accounts.add(session, Kind.USER, "password", {}, {})
    for password in (PASSWORD, PASSWORD + "2"):
        accounts.set_password(session, there(session, dn), password)
        entry = there(session, dn)
        assert bytes.fromhex(entry.text("sambaNTPassword")) == nt_hash(password)
        assert password.encode() not in b"".join(entry.attributes["userpassword"])
        close(connect(LdapServers([exchange.ldaps], BASE, dn, password, ca_file=exchange.ca_file), 5))
    assert entry.text("sambaAcctFlags") == "[U          ]"
    assert entry.text("sambaSID").startswith("S-1-5-21-")


def test_who_is_disabled_is_so_for_samba_and_for_exchange(session: Session, accounts: OpenLdapAccounts) -> None:
    dn = accounts.add(session, Kind.USER, "disabled", {}, {})
    for flagged in (False, True):
        if flagged:
            accounts.set_password(session, there(session, dn), PASSWORD)
        accounts.set_enabled(session, there(session, dn), False)
        entry = there(session, dn)
        assert (entry.text("msExchUserAccountControl"), entry.text("sambaAcctFlags")) == (
            "2",
            "[UD         ]" if flagged else "",
        )
        accounts.set_enabled(session, there(session, dn), True)
        entry = there(session, dn)
        assert (entry.text("msExchUserAccountControl"), "D" in entry.text("sambaAcctFlags")) == ("0", False)


def test_somebody_else_s_person_gets_the_classes_that_it_lacks(
    exchange: Slapd, session: Session, accounts: OpenLdapAccounts
) -> None:
    exchange.change(f"dn: uid=theirs,ou=Users,{BASE}\nobjectClass: inetOrgPerson\nuid: theirs\ncn: t\nsn: t\n\n")
    entry = there(session, f"uid=theirs,ou=Users,{BASE}")
    assert "mailRecipient" in accounts.prepare(session, entry, Kind.USER)["objectClass"]
    accounts.set_enabled(session, entry, False)
    changed = there(session, entry.dn)
    assert "mailRecipient" in changed.texts("objectClass")
    assert accounts.prepare(session, changed, Kind.USER) == {}


def test_a_server_without_exchange_s_schema(plain: Session, accounts: OpenLdapAccounts) -> None:
    entry = there(plain, accounts.add(plain, Kind.USER, "bare", {}, {}))
    assert entry.texts("objectClass") == ["inetOrgPerson"]
    with pytest.raises(DirectoryError, match="ocpy provision"):
        accounts.set_enabled(plain, entry, False)
    accounts.set_password(plain, entry, PASSWORD)
    accounts.set_enabled(plain, there(plain, entry.dn), False)
    assert there(plain, entry.dn).text("sambaAcctFlags") == "[UD         ]"


def test_a_server_without_samba_s_schema_says_what_is_missing(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_slapd(tmp_path_factory.mktemp("slapd"), schemas=[EXCHANGE_SCHEMA], samba=False) as server:
        session, accounts = Session(connect(servers_of(server), 5)), OpenLdapAccounts("")
        entry = there(session, accounts.add(session, Kind.USER, "alice", {}, {}))
        with pytest.raises(DirectoryError, match=r"samba\.ldif"):
            accounts.set_password(session, entry, PASSWORD)
        session.close()


@pytest.mark.parametrize(
    ("before", "enabled", "after"),
    [
        ("[U          ]", False, "[UD         ]"),
        ("[UD         ]", True, "[U          ]"),
        ("[DUX]", False, "[UXD        ]"),
        ("", True, "[           ]"),
    ],
)
def test_flags(before: str, enabled: bool, after: str) -> None:
    assert _flags(before, enabled) == after
