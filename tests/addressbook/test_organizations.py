import logging
import uuid
from collections.abc import Iterable

import pytest

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, ContainerKind, ContainerRecord, Organization
from openchange_py.addressbook.followed import AddressBookRecord
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import writing
from openchange_py.addressbook.organizations import address_books, put_address_books
from tests.addressbook.conftest import person, put

FIRST, SECOND = Organization("First", "Group"), Organization("Second", "Group")


def container(name: str, parent: str | None = None, kind: ContainerKind = ContainerKind.LIST) -> ContainerRecord:
    return ContainerRecord(uuid.uuid5(uuid.NAMESPACE_DNS, name), f"cn={name}", name, kind, parent and f"cn={parent}")


GLOBAL = container("The GAL", kind=ContainerKind.GLOBAL)


def put_books(index: IndexedDirectory, *books: AddressBookRecord) -> int:
    """The directory's version then."""
    with writing(index.database, strict=False) as transaction:
        put_address_books(transaction, books)
    return index.snapshot().version


def shown(index: IndexedDirectory, name: str = "first") -> list[tuple[str, int]]:
    return [(one.name, one.depth) for one in index.snapshot().books[name].containers]


def test_containers_stand_behind_their_parents_in_the_order_of_names(index: IndexedDirectory) -> None:
    records = [container("Zoo"), container("b", "Zoo"), container("A", "Zoo"), container("deep", "b"), GLOBAL]
    put_books(index, AddressBookRecord(FIRST, records))
    assert shown(index) == [("The GAL", 0), ("Zoo", 0), ("A", 1), ("b", 1), ("deep", 2)]
    containers = {one.name: one for one in index.lists(None).containers()}
    assert containers["The GAL"].mid == GLOBAL_ADDRESS_LIST
    assert containers["deep"].parent == containers["b"].mid
    assert containers["b"].distinguished_name == "cn=b"
    with index.database.reading() as connection:
        (book,) = address_books(connection)
    assert book.organization == FIRST
    assert {one.name: one for one in book.containers} == {one.name: one for one in records}


def test_an_id_stays_a_container_s_whatever_becomes_of_it(index: IndexedDirectory) -> None:
    put_books(index, AddressBookRecord(FIRST, [GLOBAL, container("A")]))
    mid = index.lists(None).containers()[1].mid
    renamed = ContainerRecord(container("A").guid, "cn=renamed", "Renamed")
    put_books(index, AddressBookRecord(FIRST, [GLOBAL, renamed]))
    assert [(one.mid, one.name) for one in index.lists(None).containers()][1:] == [(mid, "Renamed")]
    put_books(index, AddressBookRecord(FIRST, [GLOBAL]))
    assert len(index.lists(None).containers()) == 1
    put_books(index, AddressBookRecord(FIRST, [GLOBAL, container("B"), container("A")]))
    assert {one.name: one.mid for one in index.lists(None).containers()}["A"] == mid


def test_what_is_so_already_raises_no_version(index: IndexedDirectory) -> None:
    books = [AddressBookRecord(FIRST, [GLOBAL, container("A")]), AddressBookRecord(SECOND, [])]
    assert put_books(index, *books) == put_books(index, *reversed(books))


def test_members_come_with_their_list_and_go_with_it(index: IndexedDirectory) -> None:
    put_books(index, AddressBookRecord(FIRST, [GLOBAL]))
    put(index, person("alice", show=["cn=The GAL", "cn=later"]))
    put_books(index, AddressBookRecord(FIRST, [GLOBAL, container("later")]))
    later = index.lists(None).containers()[1].mid
    assert [entry.account for entry in index.lists(None).page(later, 0, 9)] == ["alice"]
    put_books(index, AddressBookRecord(FIRST, [GLOBAL]))
    assert index.lists(None).count(GLOBAL_ADDRESS_LIST) == 1


def test_entries_belong_to_an_organization_from_when_it_is_there(index: IndexedDirectory) -> None:
    put(index, person("alice", show=["cn=The GAL"]))
    put_books(index, AddressBookRecord(FIRST, [GLOBAL]))
    lists = index.lists(None)
    alice = lists.by_address("alice@example.test")
    assert alice
    assert lists.resolve("alice", GLOBAL_ADDRESS_LIST, 5) == [alice]
    guid = lists.guid
    put_books(index)
    assert index.organizations() == []
    assert index.by_account("alice")
    put_books(index, AddressBookRecord(FIRST, [GLOBAL]))
    assert index.lists(None).by_address("alice@example.test") == alice
    assert index.lists(None).guid != guid  # no promise is made for a time without the organization


def test_a_name_s_spelling_and_the_group_may_change(index: IndexedDirectory) -> None:
    put_books(index, AddressBookRecord(FIRST, [GLOBAL]))
    guid = index.lists(None).guid
    put_books(index, AddressBookRecord(Organization("FIRST", "Other"), [GLOBAL]))
    assert index.organization() == Organization("FIRST", "Other")
    assert index.lists(None).guid == guid


def depths(names: Iterable[str]) -> list[ContainerRecord]:
    chain = list(names)
    return [container(name, parent) for name, parent in zip(chain, [None, *chain], strict=False)]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([container("a", "b"), container("b", "a")], []),  # nobody can reach them
        ([container("a", "a")], []),
        ([container("a", "nowhere")], [("a", 0)]),
        ([container("x\0y"), container("y" * 300), container("")], []),
        ([GLOBAL, container("Another", kind=ContainerKind.GLOBAL)], [("Another", 0), ("The GAL", 0)]),
    ],
)
def test_hostile_containers(
    index: IndexedDirectory, records: list[ContainerRecord], expected: list[tuple[str, int]]
) -> None:
    put_books(index, AddressBookRecord(FIRST, records))
    assert shown(index) == expected
    assert [one.mid for one in index.snapshot().books["first"].containers].count(GLOBAL_ADDRESS_LIST) <= 1


def test_containers_in_one_another_have_an_end(index: IndexedDirectory) -> None:
    put_books(index, AddressBookRecord(FIRST, depths(f"n{number}" for number in range(60))))
    assert max(depth for _, depth in shown(index)) == 32


def test_a_name_that_is_none_is_logged(index: IndexedDirectory, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        put_books(index, AddressBookRecord(Organization("x" * 300, "g"), []), AddressBookRecord(FIRST, []))
    assert [one.name for one in index.organizations()] == ["First"]
    assert "no name" in caplog.text
