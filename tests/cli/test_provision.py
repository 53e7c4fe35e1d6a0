"""`ocpy provision`."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.ldap.session import Session
from openchange_py.store import migrate as mailbox_tables
from tests.addressbook.slapd_sessions import CONFIGURATION, EXCHANGE_SCHEMA, emptied, session_with
from tests.cli.commands import Installation
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, Slapd, running_slapd


def test_it_makes_directory_organization_and_database_that_nobody_else_may_read(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    assert "/o=First Organization/ou=First Administrative Group: created" in installation.ok("provision")
    for name in ("directory.db", "mailboxes.db"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    directory = installation.directory()
    assert directory.organization().name == "First Organization"
    server = directory.by_legacy_dn(directory.organization().server_dn("EXCH1"))
    assert server is not None
    directory.close()


def test_it_is_safe_to_repeat(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    before = installation.entry("alice")
    assert "there already" in installation.ok("provision")
    assert installation.entry("alice") == before


def test_the_mailbox_database_alone(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    for _ in range(2):
        assert "revision" in installation.ok("provision", "--openchangedb")
    assert mailbox_tables.current(f"sqlite:///{tmp_path}/data/mailboxes.db") is not None
    assert not (tmp_path / "data" / "directory.db").exists()


def test_an_organization_that_cannot_be_in_a_dn_names_option_file_and_line(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    ocpy:organization = Slash/Inc\n")
    error = installation.fails("provision")
    assert "ocpy:organization" in error
    assert f"{installation.conf}:" in error
    assert not (tmp_path / "data" / "directory.db").exists()


def test_without_configuration_it_says_which_file_is_missing(tmp_path: Path) -> None:
    error = Installation(tmp_path).fails("provision")
    assert str(tmp_path / "smb.conf") in error


def test_it_is_checked_before_and_after(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    result = installation.run("provision", "--check")
    assert result.exit_code == 1
    assert "missing: Organization: First Organization" in result.stdout
    assert not (tmp_path / "data").exists()
    installation.ok("provision")
    assert "3 of 3 are there" in installation.ok("provision", "--check")
    told = json.loads(installation.ok("provision", "--check", "--json"))
    assert told["complete"] is True
    assert {one["state"] for one in told["steps"]} == {"there"}
    assert told["organization"] == "/o=First Organization/ou=First Administrative Group"


def test_json_alone_is_on_standard_output(tmp_path: Path) -> None:
    told = json.loads(Installation.make(tmp_path).ok("provision", "--json"))
    assert told["changed"] == 3
    assert (tmp_path / "data" / "mailboxes.db").exists()


def test_a_further_server_needs_an_organization(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    assert "no organization First Organization" in installation.fails("provision", "--additional")
    installation.ok("provision")
    assert "there already" in installation.ok("provision", "--additional")


def test_it_is_taken_away_only_when_that_is_confirmed(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    assert "alice have mailboxes on EXCH1" in installation.fails("provision", "--deprovision", "--yes")
    installation.ok("newuser", "--delete", "alice", "--yes")
    assert installation.run("provision", "--deprovision", stdin="n\n").exit_code == 1
    installation.ok("provision", "--check")
    removed = installation.ok("provision", "--deprovision", stdin="y\n")
    assert "2 of 2 are gone" in removed
    assert "The database stays" in removed
    assert "no organization" in installation.fails("provision", "--deprovision", "--yes")


def test_what_does_not_go_together(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    for options in (("--check", "--dry-run"), ("--additional", "--deprovision"), ("--openchangedb", "--check")):
        assert "do not go together" in installation.fails("provision", *options)
    assert "no LDAP server" in installation.fails("provision", "--bind-dn", "cn=x", stdin="secret\n")


# In a slapd


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd"), schemas=[EXCHANGE_SCHEMA]) as server:
        yield server


@pytest.fixture
def session(slapd: Slapd) -> Iterator[Session]:
    session = emptied(session_with(slapd))
    yield session
    session.close()


def in_ldap(place: Path, slapd: Slapd) -> Installation:
    (place / "secret").write_text(f"{ADMIN_PASSWORD}\n")
    return Installation.make(
        place,
        f"    ocpy:directory = {slapd.ldaps}\n    ocpy:ldap ca file = {slapd.ca_file}\n    ldap suffix = {BASE}\n"
        f"    ldap admin dn = {ADMIN}\n    ocpy:ldap password file = {place}/secret\n",
    )


def test_a_directory_in_ldap_is_provisioned_checked_and_emptied(tmp_path: Path, slapd: Slapd, session: Session) -> None:
    installation = in_ldap(tmp_path, slapd)
    checked = installation.run("provision", "--check")
    assert checked.exit_code == 1
    assert "missing: Organization: First Organization" in checked.stdout
    dry = installation.ok("provision", "--dry-run")
    assert f"dn: CN=Microsoft Exchange,CN=Services,cn=Configuration,{BASE}\nchangetype: add\n" in dry
    assert session.read(CONFIGURATION, ["cn"]) is None
    said = installation.ok("provision")
    assert "Address lists: 11 made, 0 there already" in said
    assert f"created, in {slapd.ldaps}" in said
    again = installation.ok("provision")
    assert "Address lists: 0 made, 11 there already" in again
    assert "there already, in" in again
    assert "# Nothing is to be done" in installation.ok("provision", "--dry-run")
    assert json.loads(installation.ok("provision", "--dry-run", "--json"))["ldif"] == ""
    told = json.loads(installation.ok("provision", "--deprovision", "--yes", "--json"))
    assert (told["left"], "schema stays" in told["stays"][0]) == ([], True)
    assert session.read(CONFIGURATION, ["cn"]) is None


def test_ldapmodify_takes_what_would_be_done(tmp_path: Path, slapd: Slapd, session: Session) -> None:
    installation = in_ldap(tmp_path, slapd)
    slapd.change(installation.ok("provision", "--dry-run"))
    assert "0 made" in installation.ok("provision")
    assert "are there" in installation.ok("provision", "--check")


def test_another_administrator_is_asked_for_a_password(tmp_path: Path, slapd: Slapd, session: Session) -> None:
    installation = in_ldap(tmp_path, slapd)
    (tmp_path / "other").write_text("wrong\n")
    error = installation.fails("provision", "--check", "--bind-dn", ADMIN, "--password-file", str(tmp_path / "other"))
    assert "invalidCredentials" in error
    installation.ok("provision", "--bind-dn", ADMIN, stdin=f"{ADMIN_PASSWORD}\n")


def test_what_is_left_alone_and_what_stays_is_told(tmp_path: Path, slapd: Slapd, session: Session) -> None:
    installation = in_ldap(tmp_path, slapd)
    session.add(CONFIGURATION, ["top", "container"], {})
    services = f"cn=Services,{CONFIGURATION}"
    session.add(services, ["top", "container"], {})
    installation.ok("provision")
    lists = f"cn=Address Lists Container,cn=First Organization,cn=Microsoft Exchange,{services}"
    own = f"cn=All Rooms,cn=All Address Lists,{lists}"
    session.delete(own)
    session.add(own, ["top", "container"], {})
    result = installation.run("provision")
    assert "Address lists: All Rooms is left alone: CN=All Rooms" in result.stderr
    checked = installation.run("provision", "--check")
    assert (checked.exit_code, "somebody else's: Address lists: All Rooms" in checked.stdout) == (1, True)
    removed = installation.ok("provision", "--deprovision", "--yes")
    assert "Address lists: All Rooms stays: was not made by ocpy provision" in removed
    assert "Organization: Services stays: was not made by ocpy provision" in removed
