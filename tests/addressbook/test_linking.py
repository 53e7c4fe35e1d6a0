import pytest
from sqlalchemy import func, select

from openchange_py.addressbook import linking
from openchange_py.addressbook.base import Kind, Record
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import IndexWriter
from openchange_py.addressbook.schema import link, pending_link
from tests.addressbook.conftest import identity, person, put


def group(name: str, *members: str) -> Record:
    return person(name, kind=Kind.GROUP, links={"member": [f"cn={member}" for member in members]})


def members(index: IndexedDirectory, name: str) -> list[int]:
    entry = index.by_account(name)
    assert entry
    with index.database.reading() as connection:
        return sorted(linking.links_of(connection, entry.mid, "member"))


def mids(index: IndexedDirectory, *names: str) -> list[int]:
    return sorted(int(entry.mid) for name in names if (entry := index.by_account(name)))


def pending(index: IndexedDirectory) -> int:
    with index.database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(pending_link)).scalar_one())


def test_members_may_come_later_and_names_compare_without_case(index: IndexedDirectory) -> None:
    put(index, group("staff", "ALICE", "bob"))
    assert (members(index, "staff"), pending(index)) == ([], 2)
    put(index, person("alice"))
    put(index, person("bob"))
    assert (members(index, "staff"), pending(index)) == (mids(index, "alice", "bob"), 0)


def test_a_group_and_its_members_come_together(index: IndexedDirectory) -> None:
    put(index, group("staff", "alice", "staff"), person("alice"))
    assert members(index, "staff") == mids(index, "alice", "staff")


def test_a_member_may_be_renamed(index: IndexedDirectory) -> None:
    put(index, group("staff", "alice"), person("alice"))
    moved = Record(identity("alice"), "cn=alice,ou=elsewhere", Kind.USER, True, person("alice").attributes, {})
    put(index, moved)
    assert members(index, "staff") == mids(index, "alice")
    # The server says it of the group too, sooner or later; and somebody else may have the old name.
    put(index, person("bob").__class__(identity("bob"), "cn=alice", Kind.USER, True, person("bob").attributes, {}))
    put(index, person("staff", kind=Kind.GROUP, links={"member": ["CN=Alice,OU=elsewhere"]}))
    assert members(index, "staff") == mids(index, "alice")


def test_who_comes_back_is_a_member_again_and_who_gets_the_name_is_not(index: IndexedDirectory) -> None:
    put(index, group("staff", "alice"), person("alice"))
    staff = index.by_account("staff")
    assert staff
    mid = mids(index, "alice")
    IndexWriter(index.database).remove([identity("alice")])
    other = Record(identity("other"), "cn=alice", Kind.USER, True, person("other").attributes, {})
    put(index, other)
    with index.database.reading() as connection:
        assert linking.links_of(connection, staff.mid, "member") == mid
    put(index, person("alice"))
    assert (members(index, "staff"), mids(index, "alice")) == (mid, mid)


def test_a_large_group_of_which_one_member_changes_writes_two_rows(index: IndexedDirectory) -> None:
    everybody = [f"user{number}" for number in range(300)]
    put(index, *(person(name) for name in everybody), group("staff", *everybody[:-1]))
    with index.database.writing() as connection:
        raw = connection.connection.dbapi_connection
        assert raw
        before = raw.total_changes
        changed = linking.put(
            connection,
            {mids(index, "staff")[0]: {"member": [f"cn={name}" for name in everybody[1:]]}},
            others_stay=False,
        )
        assert raw.total_changes - before == 2
    assert changed == set(mids(index, "staff"))
    assert len(members(index, "staff")) == 299


def test_more_links_than_are_looked_at_at_once(index: IndexedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "_LINKS_AT_ONCE", 3)
    put(index, *(person(name) for name in "abcdef"), group("one", *"abcd"), group("two", *"cdef"), group("three"))
    assert members(index, "one") == mids(index, *"abcd")
    assert members(index, "two") == mids(index, *"cdef")


def test_other_links_stay_where_only_some_are_told(index: IndexedDirectory) -> None:
    put(index, person("alice"), person("bob", links={"member": ["cn=alice"], "manager": ["cn=alice"]}))
    (bob,) = mids(index, "bob")
    with index.database.writing() as connection:
        linking.put(connection, {bob: {"manager": []}}, others_stay=True)
        assert linking.links_of(connection, bob, "manager") == []
        assert linking.links_of(connection, bob, "member") == mids(index, "alice")


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b", "\ud800"])
def test_a_hostile_target_is_nobody(index: IndexedDirectory, name: str) -> None:
    put(index, person("alice"), person("staff", kind=Kind.GROUP, links={"member": [name, "cn=alice"]}))
    assert members(index, "staff") == mids(index, "alice")


def test_what_is_gone_has_no_links(index: IndexedDirectory) -> None:
    put(index, group("staff", "alice", "nobody"), person("alice"))
    IndexWriter(index.database).remove([identity("staff")])
    with index.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(link)).scalar_one() == 0
    assert pending(index) == 0
