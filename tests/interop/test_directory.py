"""A server whose directory is a Samba domain controller: what administrators do there, clients see within the lag.

The controller's schema and organization are what `ocpy provision` made of a domain that knew nothing of Exchange
(`exchange_dc.py`). Accounts log on with NTLM, which the controller checks.
"""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import ldap3
import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.followed import CookieExpired
from openchange_py.addressbook.ldap.connection import KerberosBind, LdapServers, connect
from openchange_py.addressbook.ldap.mapping import to_record
from openchange_py.addressbook.ldap.session import Session, escape_filter, escape_name
from openchange_py.addressbook.ldap.source import ActiveDirectorySource, open_source
from tests.interop.exchange_dc import BASE, ORGANIZATION, ExchangeDc, Relay
from tests.interop.nodes import Node, ocpy
from tests.interop.samba_dc import ADMIN_PASSWORD, MACHINE_ACCOUNT, REALM, WORKGROUP

pytestmark = pytest.mark.xdist_group("exchange_dc")

PASSWORD: Final = "Passw0rd!Ann"
#: Seconds within which a change is seen, at a lag of half a second on a machine with much else to do.
WITHIN: Final = 30.0
#: Everything that means something in a filter or a name, with what Active Directory takes in a cn.
STRANGE: Final = ("*", "(", ")", "\\", "x)(cn=*", "a,b", "a+b=c", "#a", '"a"', "<a>", "a;b", "älice", "a/b")

#: Somebody that another tool made.
CONTACT: Final[dict[str, list[str | bytes]]] = {
    "displayName": ["Fred Late"],
    "mailNickname": ["fred"],
    "legacyExchangeDN": [ORGANIZATION.recipient_dn("fred")],
    "showInAddressBook": [
        "CN=Default Global Address List,CN=All Global Address Lists,CN=Address Lists Container,"
        f"CN={ORGANIZATION.name},CN=Microsoft Exchange,CN=Services,CN=Configuration,{BASE}"
    ],
}


class Site:
    """The node, and what is done at the directory."""

    def __init__(self, controller: ExchangeDc, place: Path) -> None:
        self.controller = controller
        self.relay = Relay(controller.dc.address)
        self.config = controller.configure(place, self.relay.url)
        self.password_file = place / "annie.password"
        self.password_file.write_text(PASSWORD + "\n")
        self.node = Node("ldap", self.config)
        self.session = Session(connect(controller.servers, 30))

    def ocpy(self, *arguments: str | Path, check: bool = True) -> str:
        done = ocpy(arguments[0], "-c", self.config, *arguments[1:], check=check)
        return done.stdout + done.stderr

    def client(self, *arguments: str) -> Any:
        account = ["--user", f"{WORKGROUP}\\annie", "--password-file", self.password_file]
        return json.loads(ocpy("client", "--endpoints", self.node.ready_file, *account, *arguments, "--json").stdout)

    def listed(self, name: str = "Default Global Address List") -> set[str]:
        return {entry["display_name"] for entry in self.client("list", "--list", name)}

    def until(self, what: Callable[[], bool]) -> None:
        """Until it is so; a foreign process and another of ours: there is nothing to wait on."""
        end = time.monotonic() + WITHIN
        while not what():
            assert time.monotonic() < end, f"not within {WITHIN:g} s; the address book: {self.listed()}"


@pytest.fixture(scope="module")
def site(exchange_dc: ExchangeDc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(exchange_dc, tmp_path_factory.mktemp("node"))
    made.ocpy("provision")
    account = ("--password-file", made.password_file, "--mailbox", "--display-name", "Annie Adams")
    made.ocpy("newuser", "--create", "annie", *account)
    try:
        made.node.start()
        made.node.wait_until_ready()
        yield made
        assert made.node.stop() == 0
    finally:
        made.node.abandon()
        made.session.close()
        made.relay.close()


def test_the_directory_is_provisioned_and_says_so(site: Site) -> None:
    assert "missing" not in site.ocpy("provision", "--check")
    assert site.ocpy("provision", "--dry-run").strip() == "# Nothing is to be done"


def test_users_groups_and_contacts_are_seen_by_clients(site: Site) -> None:
    site.ocpy("newuser", "--create", "bert", "--no-password", "--display-name", "Bert *() Berg")
    site.ocpy("contact", "--create", "cora", "--mail", "cora@elsewhere.test", "--display-name", "Cora \\, Outside")
    site.ocpy("group", "--create", "team", "--display-name", "The Team", "--member", "annie", "--member", "bert")
    # The commands put it into the index at once: nothing has to be waited for.
    everybody = {"Annie Adams", "Bert *() Berg", "Cora \\, Outside", "The Team"}
    assert everybody <= site.listed()
    assert "The Team" in site.listed("All Groups")
    assert "Cora \\, Outside" in site.listed("All Contacts")
    assert {"Annie Adams", "Bert *() Berg"} <= site.listed("All Users")
    assert site.client("resolve", "bert")["mail"] == "bert@example.test"
    assert {folder["path"] for folder in site.client("folders")} >= {"Inbox"}
    assert "Bert *() Berg" in site.ocpy("group", "team")


def test_what_is_changed_at_the_controller_is_followed(site: Site) -> None:
    """By another tool: changed, renamed, moved into a new place, the place renamed, hidden, and deleted."""
    session = site.session
    site.ocpy("newuser", "--create", "dora", "--no-password", "--display-name", "Dora Drift")
    dn = f"CN=dora,CN=Users,{BASE}"
    session.modify(dn, {"title": [(ldap3.MODIFY_REPLACE, ["Captain"])]})
    site.until(lambda: site.client("resolve", "dora")["title"] == "Captain")
    session.modify(dn, {"displayName": [(ldap3.MODIFY_REPLACE, ["Zora Drift"])]})
    site.until(lambda: "Zora Drift" in site.listed())
    session.add(f"OU=Fleet,{BASE}", ["organizationalUnit"], {})
    session.rename(dn, "CN=zora", f"OU=Fleet,{BASE}")
    session.rename(f"OU=Fleet,{BASE}", "OU=Navy")
    session.modify(f"CN=zora,OU=Navy,{BASE}", {"title": [(ldap3.MODIFY_REPLACE, ["Admiral"])]})
    site.until(lambda: site.client("resolve", "dora")["title"] == "Admiral")
    session.modify(f"CN=zora,OU=Navy,{BASE}", {"msExchHideFromAddressLists": [(ldap3.MODIFY_REPLACE, ["TRUE"])]})
    site.until(lambda: "Zora Drift" not in site.listed())
    session.modify(f"CN=zora,OU=Navy,{BASE}", {"msExchHideFromAddressLists": [(ldap3.MODIFY_DELETE, [])]})
    site.until(lambda: "Zora Drift" in site.listed())
    session.delete(f"CN=zora,OU=Navy,{BASE}")
    session.delete(f"OU=Navy,{BASE}")
    site.until(lambda: "Zora Drift" not in site.listed())


def test_an_account_that_is_disabled_logs_on_no_more(site: Site) -> None:
    site.ocpy("newuser", "--disable", "annie")
    account = ["--user", f"{WORKGROUP}\\annie", "--password-file", site.password_file]
    refused = ocpy("client", "--endpoints", site.node.ready_file, *account, "folders", check=False)
    assert refused.returncode == 1
    assert "refused the logon" in refused.stderr
    site.ocpy("newuser", "--enable", "annie")
    assert site.client("resolve", "annie")["display_name"] == "Annie Adams"


def test_a_directory_that_is_away_is_served_from_the_index_and_followed_again(site: Site) -> None:
    before = site.listed()
    with site.node.log.expect("the directory can't be followed; its index is served as it is", seconds=WITHIN):
        site.relay.cut()
    assert site.listed() == before
    assert site.client("resolve", "annie")["mail"] == "annie@example.test"
    refused = site.ocpy("newuser", "--create", "emil", "--no-password", check=False)
    assert "the directory does not answer" in refused
    assert "LDAPSocketOpenError" in refused
    annie = f"CN=annie,CN=Users,{BASE}"
    site.session.modify(annie, {"displayName": [(ldap3.MODIFY_REPLACE, ["Annie Away"])]})
    with site.node.log.expect("the directory is followed again", seconds=90.0):
        site.relay.mend()
    site.until(lambda: "Annie Away" in site.listed())
    site.session.modify(annie, {"displayName": [(ldap3.MODIFY_REPLACE, ["Annie Adams"])]})
    site.until(lambda: "Annie Adams" in site.listed())
    assert ADMIN_PASSWORD not in "\n".join(site.node.log.lines)


def test_a_restart_goes_on_where_it_was(site: Site) -> None:
    assert site.node.stop() == 0
    start = site.node.log.position
    site.session.add(f"CN=fred,CN=Users,{BASE}", ["contact"], CONTACT)
    site.node.start()
    site.node.wait_until_ready()
    site.until(lambda: "Fred Late" in site.listed())
    assert not any("are in the index" in line for line in site.node.log.lines[start:]), "not all was read again"
    site.session.delete(f"CN=fred,CN=Users,{BASE}")


@pytest.mark.parametrize("text", STRANGE)
def test_values_of_the_directory_do_no_harm(site: Site, text: str) -> None:
    """Written as another tool would, followed, and looked up by clients."""
    name = f"odd{STRANGE.index(text)}"
    dn = f"CN={escape_name(text + name)},CN=Users,{BASE}"
    values = {**CONTACT, "displayName": [f"{text}{name}"], "mailNickname": [name], "title": [text]}
    values["legacyExchangeDN"] = [ORGANIZATION.recipient_dn(name)]
    site.session.add(dn, ["contact"], values)
    site.until(lambda: f"{text}{name}" in site.listed())
    assert site.client("resolve", name)["title"] == text
    site.session.delete(dn)
    site.until(lambda: f"{text}{name}" not in site.listed())
    assert "Annie Adams" in site.listed()


@pytest.mark.parametrize("text", STRANGE)
def test_the_controller_takes_no_value_for_a_pattern(site: Site, text: str) -> None:
    found = site.session.search(BASE, f"(|(cn={escape_filter(text)})(displayName={escape_filter(text)}))", ["cn"])
    assert list(found) == []


def test_members_that_are_told_in_ranges_are_read_whole(site: Site) -> None:
    """As Microsoft's controllers tell more than 1500 of them, and this one where it is asked to."""
    session, place = site.session, f"OU=Crowd,{BASE}"
    session.add(place, ["organizationalUnit"], {})
    members = [f"CN=m{number},{place}" for number in range(25)]
    for dn in members:
        session.add(dn, ["contact"], {})
    session.add(f"CN=crowd,{place}", ["group"], {"groupType": ["8"], "member": list(members)})
    for end in (0, 9, 23, 24, 99):
        found = session.read(f"CN=crowd,{place}", ["objectClass", "objectGUID", f"member;range=0-{end}"])
        assert found is not None
        record = to_record(found, session.root)
        assert record is not None
        assert record.kind is Kind.GROUP
        assert sorted(record.links["member"]) == sorted(members)
    for dn in (f"CN=crowd,{place}", *members, place):
        session.delete(dn)


@pytest.mark.parametrize("who", ["administrator", "annie"])
def test_who_is_deleted_is_told_or_missed(site: Site, who: str) -> None:
    """Who is bound may see tombstones, or compares all."""
    where = site.controller.servers
    annie = LdapServers(where.urls, "", f"annie@{REALM.lower()}", PASSWORD, ca_file=where.ca_file)
    with closing(open_source(annie if who == "annie" else where)) as source:
        assert isinstance(source, ActiveDirectorySource)
        site.session.add(f"CN=gone,CN=Users,{BASE}", ["contact"], {})
        there: dict[uuid.UUID, str] = {}
        cookie = ""
        for part in source.everything():
            there |= {record.guid: record.name for record in part.records}
            cookie = part.cookie or cookie
        site.session.delete(f"CN=gone,CN=Users,{BASE}")
        removed = {guid for part in source.changes(cookie) for guid in part.removed}
        if (present := source.present()) is not None:
            removed |= there.keys() - set(present)
        assert [there[guid] for guid in removed & there.keys()] == [f"CN=gone,CN=Users,{BASE}"]


def test_a_server_that_was_never_asked_is_read_anew(site: Site) -> None:
    """Update sequence numbers are each server's own: another one's, or one from before a backup, say nothing."""
    with closing(open_source(site.controller.servers)) as source:
        cookie = next(part.cookie for part in source.everything() if part.cookie)
        (invocation,) = json.loads(cookie)
        for other in (json.dumps({str(uuid.uuid4()): 1}), json.dumps({invocation: 1 << 40}), "", "x"):
            with pytest.raises(CookieExpired):
                list(source.changes(other))


def test_kerberos_with_the_keys_of_this_server(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """SASL GSSAPI over TLS, as the computer's account, without a password."""
    pytest.importorskip("gssapi", reason="the Python package gssapi is not installed (pip install '.[kerberos]')")
    dc, where = site.controller.dc, site.controller.servers
    for name, value in dc.environment().items():
        monkeypatch.setenv(name, value)
    sasl = KerberosBind(f"{MACHINE_ACCOUNT}@{REALM}", dc.keytab)
    monkeypatch.setattr("socket.getaddrinfo", found_at(dc.address, dc.name))
    session = Session(connect(LdapServers([f"ldaps://{dc.name}"], "", "", "", ca_file=where.ca_file, sasl=sasl), 30))
    assert session.is_active_directory
    assert session.read(BASE, ["objectClass"]) is not None
    session.close()


def found_at(address: str, name: str) -> Callable[..., Any]:
    """The resolver, which knows one name more: nobody else knows the controller's."""
    resolve = socket.getaddrinfo
    return lambda host, *arguments, **more: resolve(address if host == name else host, *arguments, **more)
