"""What every `Directory` promises, on LDAP servers that run: an OpenLDAP, and a Samba domain controller."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, Directory, Kind
from openchange_py.addressbook.ldap.connection import LdapServers, close, connect
from openchange_py.addressbook.ldap.directory import LdapDirectory
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.migrate import upgrade
from openchange_py.auth.ldap_passwords import LdapPasswords
from openchange_py.auth.ntlm_crypto import nt_hash
from tests.contract.test_directory import ORGANIZATION, DirectoryContract, create, names
from tests.exchange_tree import LISTS, add_organization
from tests.interop.exchange_dc import ExchangeDc
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, EXCHANGE_SCHEMA, SESSION_LOG, Slapd, running_slapd

PASSWORD = "Passw0rd!New"


class LdapDirectoryContract(DirectoryContract):
    """Each test has an index and a place in the directory of its own. A class gives the `servers` fixture."""

    @pytest.fixture
    def servers(self) -> LdapServers:
        raise NotImplementedError

    @pytest.fixture
    def directory(self, servers: LdapServers, tmp_path: Path) -> Iterator[LdapDirectory]:
        url = f"sqlite:///{tmp_path}/index.db"
        upgrade(url)
        session = Session(connect(servers, 30))
        place = f"OU=T{uuid.uuid4().hex},{session.root.base}"
        session.add(place, ["organizationalUnit"], {})
        made = LdapDirectory(servers, url, ORGANIZATION.name, place=place)
        made.catch_up()
        yield made
        made.close()
        for entry in list(session.search(place, "(!(objectClass=organizationalUnit))", ["cn"])):
            session.delete(entry.dn)
        session.delete(place)
        session.close()

    @pytest.fixture
    def provisioned(self, directory: LdapDirectory) -> Directory:
        return directory

    # The organization is made by `ocpy provision`: tests/addressbook/test_provisioning_ldap.py.
    test_the_organization_is_there_after_provisioning = None
    test_provisioning_again_changes_nothing = None
    test_another_server_of_the_organization_is_added = None
    test_an_organization_keeps_its_administrative_group = None

    def test_the_global_address_list_has_id_0_and_comes_first(self, provisioned: Directory) -> None:
        containers = provisioned.lists(None).containers()
        assert containers[0].mid == GLOBAL_ADDRESS_LIST == 0
        assert [c.name for c in containers] == ["Default Global Address List", *LISTS]
        assert len({c.guid for c in containers}) == len(containers)
        assert all(c.mid >= 0x10 for c in containers[1:])

    def test_each_list_has_its_kind(self, people: Directory) -> None:
        for kind, name in ((Kind.GROUP, "staff"), (Kind.CONTACT, "dora")):
            dn = ORGANIZATION.recipient_dn(name)
            people.create(kind, "", {"displayName": [name], "mailNickname": [name], "legacyExchangeDN": [dn]})
        lists = people.lists(None)
        counts = {container.name: lists.count(container.mid) for container in lists.containers()}
        counts = {name: count for name, count in counts.items() if count}
        assert counts == {"Default Global Address List": 6, "All Users": 4, "All Groups": 1, "All Contacts": 1}
        by_name = {container.name: container.mid for container in lists.containers()}
        assert names(lists.resolve("d", by_name["All Contacts"], 5)) == ["dora"]
        assert lists.resolve("d", by_name["All Groups"], 5) == []

    def test_entries_are_all_of_them(self, people: Directory) -> None:
        before = {entry.guid for entry in people.entries()}
        create(people, "ghost", "Ghost", msExchHideFromAddressLists=["TRUE"])
        assert [entry.account for entry in people.entries() if entry.guid not in before] == ["ghost"]
        assert {"carl", "anna", "aebby", "bob"} <= {entry.account for entry in people.entries()}

    def test_a_password_is_not_printed(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna is not None
        people.set_password(anna, PASSWORD)
        shown = f"{people.account('anna')!r} {people.by_account('anna')!r} {people!r} {people.status()!r}"
        for secret in (PASSWORD, nt_hash(PASSWORD).hex(), repr(nt_hash(PASSWORD)), ADMIN_PASSWORD):
            assert secret not in shown

    def test_a_deleted_account_s_password_does_not_come_back(self, people: Directory) -> None:
        anna = people.by_account("anna")
        assert anna is not None
        people.set_password(anna, PASSWORD)
        people.delete(anna)
        create(people, "anna", "anna Adams")
        assert not self.logs_on(people, "anna", PASSWORD)

    def test_an_account_logs_on_with_the_hash_of_its_password(self, people: Directory) -> None:
        """Which the server checks, or tells: the index never has it."""
        anna = people.by_account("anna")
        assert anna is not None
        assert not self.logs_on(people, "anna", PASSWORD)
        people.set_password(anna, PASSWORD)
        assert self.logs_on(people, "anna", PASSWORD)
        assert not self.logs_on(people, "anna", "Another-Passw0rd")
        for name in ("anna", "ANNA", "anna@example.test"):
            account = people.account(name)
            assert account is not None
            assert (account.name, account.nt_hash, account.enabled) == ("anna", None, True)
        people.set_enabled(anna, False)
        account = people.account("anna")
        assert account is not None
        assert account.enabled is False
        assert not self.logs_on(people, "anna", PASSWORD)
        people.set_enabled(anna, True)
        assert self.logs_on(people, "anna", PASSWORD)

    def logs_on(self, directory: Directory, account: str, password: str) -> bool:
        raise NotImplementedError


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    place = tmp_path_factory.mktemp("slapd")
    with running_slapd(place, schemas=[EXCHANGE_SCHEMA], syncprov=SESSION_LOG) as server:
        session = Session(connect(_servers(server), 5))
        add_organization(session, ORGANIZATION, "SRV")
        session.close()
        yield server


def _servers(slapd: Slapd) -> LdapServers:
    return LdapServers([slapd.ldaps], BASE, ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file)


class TestOpenLdap(LdapDirectoryContract):
    @pytest.fixture
    def servers(self, slapd: Slapd) -> LdapServers:
        return _servers(slapd)

    def logs_on(self, directory: Directory, account: str, password: str) -> bool:
        """As the server does it that has `ocpy:password directory`."""
        assert isinstance(directory, LdapDirectory)
        known = directory.account(account)
        assert known is not None
        passwords = LdapPasswords(directory.servers, "EXAMPLE")
        found = passwords.complete(known)
        passwords.close()
        return found.enabled and found.nt_hash == nt_hash(password)


@pytest.mark.xdist_group("exchange_dc")
class TestActiveDirectory(LdapDirectoryContract):
    @pytest.fixture
    def servers(self, exchange_dc: ExchangeDc) -> LdapServers:
        return exchange_dc.servers

    def logs_on(self, directory: Directory, account: str, password: str) -> bool:
        """By a bind of its own."""
        assert isinstance(directory, LdapDirectory)
        found = directory.by_account(account)
        assert found is not None
        where = directory.servers
        try:
            close(connect(LdapServers(where.urls, "", found.name, password, ca_file=where.ca_file), 30))
        except Exception:
            return False
        return True
