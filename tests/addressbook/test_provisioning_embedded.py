"""Provisioning the embedded directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import update

from openchange_py.addressbook import migrate
from openchange_py.addressbook.base import DirectoryError, Kind, Organization
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.provisioning import State, Wanted, deprovision, examine, ldif, provision
from openchange_py.addressbook.provisioning_embedded import EmbeddedProvisioner
from openchange_py.addressbook.schema import container, counter

ORGANIZATION = Organization("First Organization", "First Administrative Group")
WANTED = Wanted(ORGANIZATION, "EXCH1", "exch1.example.test")
SECOND = dataclasses.replace(WANTED, server="EXCH2", host="exch2.example.test", additional=True)


@pytest.fixture
def place(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new/directory.db"


def states(provisioner: EmbeddedProvisioner) -> list[str]:
    return [one.finding.state.value for one in examine(provisioner.plan())]


def test_everything_is_made_and_then_there(place: str, tmp_path: Path) -> None:
    provisioner = EmbeddedProvisioner(place, WANTED)
    assert states(provisioner) == ["missing"] * 3
    assert "# Organization: First Organization" in ldif(provisioner.plan())
    assert not (tmp_path / "new").exists()
    provision(provisioner.plan())
    assert states(provisioner) == ["there"] * 3
    assert not any(one.changed for one in provision(provisioner.plan()))
    provisioner.close()
    directory = EmbeddedDirectory(place)
    names = [one.name for one in directory.lists(None).containers()]
    assert names == ["Global Address List", "All Contacts", "All Groups", "All Rooms", "All Users", "Public Folders"]
    server = directory.by_legacy_dn(ORGANIZATION.server_dn("EXCH1"))
    assert server is not None
    assert server.all("networkAddress")[0] == "ncacn_ip_tcp:exch1.example.test"
    directory.close()


def test_rooms_have_a_list_of_their_own(place: str) -> None:
    provisioner = EmbeddedProvisioner(place, WANTED)
    provision(provisioner.plan())
    directory = provisioner.opened()
    for name, kind in (("board", "7"), ("alice", "1073741824")):
        dn = ORGANIZATION.recipient_dn(name)
        directory.create(Kind.USER, name, {"legacyExchangeDN": [dn], "msExchRecipientDisplayType": [kind]})
    lists = directory.lists(None)
    counts = {one.name: lists.count(one.mid) for one in lists.containers()}
    assert (counts["All Rooms"], counts["All Users"], counts["Public Folders"]) == (1, 2, 0)
    provisioner.close()


def test_what_an_older_version_left_is_completed(place: str) -> None:
    provisioner = EmbeddedProvisioner(place, WANTED)
    migrate.upgrade(place)
    provisioner.opened().provision(ORGANIZATION, "EXCH1")  # without networkAddress
    database = DirectoryDatabase(place)
    with database.writing() as connection:
        connection.execute(container.delete().where(container.c.name == "All Rooms"))
        connection.execute(update(counter).where(counter.c.name == "derivation").values(value=0))
    database.close()
    provisioner.close()
    provisioner = EmbeddedProvisioner(place, WANTED)
    found = {one.step.group: one.finding for one in examine(provisioner.plan())}
    assert {one.state for one in found.values()} == {State.DIFFERENT}
    details = [one.detail for one in found.values()]
    assert details == ["keys of an older version", "lacks All Rooms", "networkAddress"]
    provision(provisioner.plan())
    assert states(provisioner) == ["there"] * 3
    provisioner.close()


def test_an_older_revision_is_brought_up_to_date(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provisioner = EmbeddedProvisioner(place, WANTED)
    migrate.upgrade(place)
    revision = migrate.head()
    monkeypatch.setattr(migrate, "head", lambda: "9999")
    (tables, *_) = examine(provisioner.plan())
    assert (tables.finding.state, tables.finding.detail) == (State.DIFFERENT, f"revision {revision}")
    assert tables.step.remove() == "tables stay: remove the database"
    assert provisioner.directory is None


def test_another_administrative_group_of_the_same_organization(place: str) -> None:
    provision(EmbeddedProvisioner(place, WANTED).plan())
    other = dataclasses.replace(WANTED, organization=Organization("First Organization", "Other"))
    with pytest.raises(DirectoryError, match=r"has the organization /o=First Organization/ou=First Adm.* already"):
        list(examine(EmbeddedProvisioner(place, other).plan()))


def test_a_further_server(place: str) -> None:
    with pytest.raises(DirectoryError, match=r"no organization First Organization in the directory \(there: none\)"):
        EmbeddedProvisioner(place, SECOND).plan()
    provision(EmbeddedProvisioner(place, WANTED).plan())
    provisioner = EmbeddedProvisioner(place, SECOND)
    assert [one.changed for one in provision(provisioner.plan())] == [False, False, True]
    found = deprovision(provisioner.removal().steps)
    assert [why for _, why in found] == ["", "EXCH1 belong to it"]
    assert states(EmbeddedProvisioner(place, WANTED)) == ["there"] * 3


def test_it_goes_with_its_last_server_but_not_before_its_mailboxes(place: str) -> None:
    provisioner = EmbeddedProvisioner(place, WANTED)
    with pytest.raises(DirectoryError, match="no organization First Organization"):
        provisioner.removal()
    provision(provisioner.plan())
    directory = provisioner.opened()
    home = {"msExchHomeServerName": [ORGANIZATION.server_dn("EXCH1")]}
    names = [f"user{number}" for number in range(6)]
    people = [
        directory.create(Kind.USER, name, {"legacyExchangeDN": [ORGANIZATION.recipient_dn(name)], **home})
        for name in names
    ]
    with pytest.raises(DirectoryError, match=r"user0, .*, user4 and 1 more have mailboxes on EXCH1"):
        provisioner.removal()
    for entry in people:
        directory.delete(entry)
    removal = provisioner.removal()
    assert removal.stays == ["The database stays, with its tables."]
    assert [why for _, why in deprovision(removal.steps)] == ["", ""]
    assert states(provisioner) == ["there", "missing", "missing"]
    provision(provisioner.plan())
    assert states(provisioner) == ["there"] * 3
    provisioner.close()


def test_in_memory_tables_are_none(tmp_path: Path) -> None:
    assert migrate.current(f"sqlite:///{tmp_path}/none.db") is None
    assert not (tmp_path / "none.db").exists()
