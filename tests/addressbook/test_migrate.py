import json
import uuid
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from openchange_py.addressbook import migrate, schema
from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, DirectoryError, Kind, Organization
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.store import migrate as mailbox_migrate


def test_upgrading_is_repeatable_and_says_whether_it_did_anything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/directory.db"
    assert migrate.upgrade(url) is True
    assert migrate.upgrade(url) is False
    assert (tmp_path / "deep/er/directory.db").stat().st_mode & 0o777 == 0o600


def test_the_migrations_make_what_the_schema_says(url: str) -> None:
    database = DirectoryDatabase(url)
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migrate.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == migrate.head()
    database.close()


def test_a_database_may_hold_mailboxes_as_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/both.db"
    assert migrate.upgrade(url)
    mailbox_migrate.upgrade(url)
    assert migrate.upgrade(url) is False
    database = DirectoryDatabase(url)
    with database.reading() as connection:
        tables = inspect(connection).get_table_names()
    assert {"alembic_version_directory", "alembic_version_mailbox", "directory_entry"} <= set(tables)
    database.close()


def old_directory(url: str) -> None:
    """As revision 0001 left it: an organization, its lists, Alice with a password, her report Bob, a group."""
    database = DirectoryDatabase(url, create=True)
    with database.writing() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in _OLD_ROWS:
            connection.exec_driver_sql(statement)
    database.close()


_PREFIX = "/o=First Organization/ou=Exchange Administrative Group"
_ALICE, _BOB, _GROUP, _GAL = (uuid.UUID(int=number) for number in (21, 22, 23, 1))


def _old_entry(
    mid: int, guid: uuid.UUID, kind: str, name: str, attributes: dict[str, list[str]], listed: int = 1
) -> str:
    dn = f"{_PREFIX}/cn=Recipients/cn={name}"
    attributes |= {"displayName": [name.title()], "legacyExchangeDN": [dn], "mail": [f"{name}@example.test"]}
    attributes |= {"sAMAccountName": [name], "showInAddressBook": ["Global Address List", "All Users"]}
    display_type = {"user": 0, "group": 1}[kind]
    return (
        f"INSERT INTO directory_entry VALUES ({mid}, '{guid.hex}', '{kind}', {display_type}, '{name.title()}', x'00', "
        f"'{dn}', '{dn.casefold()}', '{name}', '{name}', NULL, 1, {listed}, '{json.dumps(attributes)}')"
    )


_OLD_ROWS = [
    f"INSERT INTO directory_organization VALUES (1, '{_PREFIX[3:21]}', 'Exchange Administrative Group')",
    f"INSERT INTO directory_container VALUES (0, '{_GAL.hex}', 'Global Address List', NULL, 0, 0, NULL)",
    f"INSERT INTO directory_container VALUES (16, '{uuid.UUID(int=2).hex}', 'All Users', NULL, 0, 1, 'user')",
    f"INSERT INTO directory_container VALUES (17, '{uuid.UUID(int=3).hex}', 'All Groups', NULL, 0, 2, 'group')",
    _old_entry(20, _ALICE, "user", "alice", {"info": ["x"]}),
    _old_entry(
        21,
        _BOB,
        "user",
        "bob",
        {
            "manager": [f"{_PREFIX}/cn=Recipients/cn=ALICE"],
            "ocpyFullAccess": [f"{_PREFIX}/cn=Recipients/cn=alice", "/o=gone"],
        },
    ),
    _old_entry(22, _GROUP, "group", "staff", {"member": [f"{_PREFIX}/cn=Recipients/cn=bob", "/o=gone"]}),
    _old_entry(23, uuid.UUID(int=24), "user", "ghost", {"msExchHideFromAddressLists": ["TRUE"]}, 0),
    "INSERT INTO directory_credential VALUES (20, x'a4f49c406510bdcab6824ee7c30fd852')",
    "INSERT INTO directory_address VALUES ('smtp:alice@example.test', 20)",
    "INSERT INTO directory_token VALUES (x'616c', 20, 1)",
    "UPDATE directory_counter SET value = 23 WHERE name = 'mid'",
    "UPDATE directory_counter SET value = 7 WHERE name = 'version'",
]


def test_what_there_was_survives_the_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/directory.db"
    old_directory(url)
    assert migrate.upgrade(url) is True
    assert migrate.upgrade(url) is False
    directory = EmbeddedDirectory(url)
    lists = directory.lists(None)
    assert directory.organization().dn_prefix == _PREFIX
    # Clients know the address book and everything in it by what they knew it by.
    assert lists.guid == _GAL
    assert [(one.mid, one.name) for one in lists.containers()] == [
        (0, "Global Address List"),
        (16, "All Users"),
        (17, "All Groups"),
    ]
    assert [(int(one.mid), one.guid) for one in directory.entries()][:3] == [(20, _ALICE), (21, _BOB), (22, _GROUP)]
    assert [one.account for one in lists.page(GLOBAL_ADDRESS_LIST, 0, 9)] == ["alice", "bob", "staff"]
    users, groups = lists.containers()[1:]
    assert (lists.count(users.mid), lists.count(groups.mid)) == (2, 1)
    alice, bob, staff = (directory.by_account(name) for name in ("alice", "bob", "staff"))
    assert alice
    assert bob
    assert staff
    assert (alice.kind, staff.kind, alice.first("info")) == (Kind.USER, Kind.GROUP, "x")
    assert alice.name == alice.legacy_exchange_dn
    assert not {"showInAddressBook", "member", "manager", "ocpyFullAccess"} & (
        bob.attributes.keys() | staff.attributes.keys()
    )
    account = directory.account("alice@example.test")
    assert account
    assert account.nt_hash == bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")
    # Links are links now, and keys are derived as they are today.
    assert lists.linked(bob, "manager") == [alice]
    assert directory.full_access(bob) == [alice]
    assert lists.linked(staff, "member") == [bob]
    assert lists.linked(bob, "memberOf") == [staff]
    assert lists.resolve("bob", GLOBAL_ADDRESS_LIST, 5) == [bob]
    # What was hidden comes back where it would have been; who is new gets new ids, and old pending links their target.
    ghost = directory.by_account("ghost")
    assert ghost
    directory.modify(ghost, {"msExchHideFromAddressLists": None})
    assert lists.count(GLOBAL_ADDRESS_LIST) == 4
    gone = directory.create(Kind.USER, "gone", {"displayName": ["Gone"], "legacyExchangeDN": ["/o=gone"]})
    assert gone.mid > 24
    assert directory.provision(directory.organization(), "SRV") is True
    assert "All Contacts" in [one.name for one in lists.containers()]
    directory.close()


def test_an_upgrade_of_a_directory_that_was_not_provisioned(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/directory.db"
    database = DirectoryDatabase(url, create=True)
    with database.writing() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    database.close()
    migrate.upgrade(url)
    directory = EmbeddedDirectory(url)
    assert directory.organizations() == []
    assert directory.provision(Organization("First", "Group"), "SRV")
    directory.close()


def test_an_upgrade_that_fails_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/directory.db"
    database = DirectoryDatabase(url, create=True)
    with database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE directory_token (x)")  # in the way of the last table
    with pytest.raises(DirectoryError):
        migrate.upgrade(url)
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == ["directory_token"]
    database.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match=r"file/directory\.db"):
        migrate.upgrade(f"sqlite:///{tmp_path}/file/directory.db")
