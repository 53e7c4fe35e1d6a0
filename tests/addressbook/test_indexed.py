import threading
import time

import pytest

from openchange_py.addressbook import indexed
from openchange_py.addressbook.base import DirectoryError, NoSuchEntry, Organization
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import writing
from openchange_py.addressbook.organizations import put_address_books
from tests.addressbook.conftest import person, put


@pytest.fixture
def two(index: IndexedDirectory) -> str:
    """The URL of an index with two organizations."""
    with writing(index.database, strict=False) as transaction:
        put_address_books(transaction, [AddressBookRecord(Organization(name, "G"), []) for name in ("One", "Two")])
    return index.database.url.render_as_string()


def test_this_server_s_organization_is_the_one_that_is_named(two: str) -> None:
    directory = IndexedDirectory(two, "TWO")
    assert directory.organization() == Organization("Two", "G")
    assert [one.name for one in directory.organizations()] == ["One", "Two"]
    assert directory.lists(None).organization.name == "Two"
    directory.close()


@pytest.mark.parametrize("name", [None, "Three"])
def test_of_several_one_has_to_be_named(two: str, name: str | None) -> None:
    directory = IndexedDirectory(two, name)
    with pytest.raises(NoSuchEntry, match="One, Two: see ocpy:organization"):
        directory.organization()
    directory.close()


def test_accounts_are_known_by_several_names(index: IndexedDirectory) -> None:
    put(index, person("alice", userPrincipalName=["al@example.test"], mail=["m@example.test"]), person("", cn=["x"]))
    for name in ("ALICE", "al@EXAMPLE.test", "m@example.test", "alice@example.test"):
        account = index.account(name)
        assert account
        assert (account.name, account.nt_hash, account.enabled) == ("alice", None, True)
    assert index.account("nobody@example.test") is None


def test_a_server_keeps_the_lists_in_memory(index: IndexedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexed, "_KEEP_SECONDS", 0.01)
    index.start()
    put(index, person("alice"))
    deadline = time.monotonic() + 30
    newest = IndexedDirectory(index.database.url.render_as_string()).snapshot().version
    while index._index._snapshot is None or index._index._snapshot.version < newest:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    index.close()
    assert "directory lists" not in {thread.name for thread in threading.enumerate()}


def test_a_database_that_is_away_is_told_once(
    index: IndexedDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(indexed, "_KEEP_SECONDS", 0.01)
    tries = []

    def away() -> None:
        tries.append(1)
        raise DirectoryError("disk I/O error")

    index.start()
    monkeypatch.setattr(index, "_keep", away)
    while len(tries) < 5:
        threading.Event().wait(0.01)
    index.close()
    assert caplog.text.count("disk I/O error") == 1


def test_a_new_organization_is_there_at_once_for_a_server_too(index: IndexedDirectory) -> None:
    put(index, person("alice"))
    index.start()
    with writing(index.database, strict=False) as transaction:
        put_address_books(transaction, [AddressBookRecord(Organization("First", "G"), [])])
    assert index.lists(index.by_account("alice")).organization.name == "First"
