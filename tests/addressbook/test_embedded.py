"""What only the embedded directory promises; `tests/contract/test_directory.py` has the rest."""

import multiprocessing
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from openchange_py.addressbook import schema
from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, DirectoryError, Entry, EntryExists, Kind, MinimalEntryId
from openchange_py.addressbook.embedded import EmbeddedDirectory
from tests.addressbook.conftest import ORGANIZATION
from tests.mailboxes import exchange_attributes


def create(directory: EmbeddedDirectory, account: str) -> Entry:
    attributes = exchange_attributes(ORGANIZATION, "SRV", account, f"{account}@example.test", f"The {account}")
    return directory.create(Kind.USER, account, attributes)


def test_ids_are_the_same_after_a_restart(directory: EmbeddedDirectory, url: str) -> None:
    mids = {name: create(directory, name).mid for name in ("alice", "bob")}
    again = EmbeddedDirectory(url)
    assert {name: again.by_account(name).mid for name in mids} == mids  # type: ignore[union-attr]
    assert [c.mid for c in again.lists(None).containers()] == [c.mid for c in directory.lists(None).containers()]
    again.close()


def test_another_s_changes_are_seen_at_once(directory: EmbeddedDirectory, url: str) -> None:
    other = EmbeddedDirectory(url)
    assert directory.lists(None).count(GLOBAL_ADDRESS_LIST) == other.lists(None).count(GLOBAL_ADDRESS_LIST) == 0
    alice = create(other, "alice")
    assert [entry.mid for entry in directory.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 9)] == [alice.mid]
    directory.modify(alice, {"displayName": ["Zoe"]})
    assert other.lists(None).seek(GLOBAL_ADDRESS_LIST, "u") == 0
    assert other.lists(None).position(GLOBAL_ADDRESS_LIST, alice) == 0
    directory.delete(alice)
    assert other.lists(None).count(GLOBAL_ADDRESS_LIST) == 0
    other.close()


def write_entries(url: str, first: int, barrier: object, results: object) -> None:
    directory = EmbeddedDirectory(url)
    barrier.wait()  # type: ignore[attr-defined]
    mids, taken = [], 0
    for number in range(first, first + 12):
        mids.append(int(create(directory, f"user{number}").mid))
        try:
            create(directory, f"shared{number % 12}")
        except EntryExists:
            taken += 1
        assert directory.lists(None).count(GLOBAL_ADDRESS_LIST) >= len(mids)
    directory.close()
    results.put((mids, taken))  # type: ignore[attr-defined]


def test_processes_write_at_the_same_time(directory: EmbeddedDirectory, url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=write_entries, args=(url, 12 * n, barrier, results)) for n in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    mids = [mid for part, _ in found for mid in part]
    assert len(set(mids)) == 36
    assert sum(taken for _, taken in found) == 24  # each shared name was one process's
    assert directory.lists(None).count(GLOBAL_ADDRESS_LIST) == 48


def test_threads_read_while_one_writes(directory: EmbeddedDirectory) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                entries = directory.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 100)
                assert [e.display_name for e in entries] == sorted(e.display_name for e in entries)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(30):
        create(directory, f"user{number:02}")
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_database_that_was_not_provisioned_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="ocpy provision"):
        EmbeddedDirectory(f"sqlite:///{tmp_path}/missing.db")
    (tmp_path / "empty.db").touch()
    directory = EmbeddedDirectory(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(DirectoryError, match="ocpy provision"):
        directory.organization()
    with pytest.raises(DirectoryError, match="ocpy provision"):
        directory.lists(None).count(GLOBAL_ADDRESS_LIST)
    directory.close()


def test_a_file_that_is_no_database_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"not a database, but long enough to be taken for one" * 40)
    directory = EmbeddedDirectory(f"sqlite:///{tmp_path}/d.db")
    with pytest.raises(DirectoryError, match=r"d\.db"):
        directory.organization()
    directory.close()


def test_the_hash_of_a_password_stands_apart_from_the_entries(directory: EmbeddedDirectory) -> None:
    alice = create(directory, "alice")
    directory.set_password(alice, "Password")
    with directory.database.reading() as connection:
        row = connection.execute(select(schema.entry).where(schema.entry.c.mid == alice.mid)).one()
    assert "a4f49c40" not in repr(row)
    assert bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852") not in [v for v in row if isinstance(v, bytes)]


def test_an_old_dn_finds_its_entry_as_an_x500_address(directory: EmbeddedDirectory) -> None:
    alice = create(directory, "alice")
    old = alice.legacy_exchange_dn
    new = ORGANIZATION.recipient_dn("alice.liddell")
    addresses = ["SMTP:alice@example.test", f"X500:{old}"]
    directory.modify(alice, {"legacyExchangeDN": [new], "proxyAddresses": addresses})
    for dn in (old, new):
        found = directory.by_legacy_dn(dn)
        assert found
        assert found.mid == alice.mid


def test_more_ids_than_one_select_takes(directory: EmbeddedDirectory) -> None:
    alice = create(directory, "alice")
    mids = [MinimalEntryId(number) for number in range(5000)]
    assert alice.mid in directory.lists(None).by_mid(mids)
