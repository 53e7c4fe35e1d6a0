import uuid

import pytest

from openchange_py.addressbook.base import Container, Kind, MinimalEntryId, NoSuchEntry
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.index import AddressList, Index, Snapshot

LIST = AddressList([(b"adams", 30), (b"berg", 17), (b"berg", 20), (b"zorn", 16)])


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [(0, 2, [30, 17]), (3, 9, [16]), (4, 1, []), (-5, 1, [30]), (1, 0, []), (1, -1, [])],
)
def test_pages(start: int, limit: int, expected: list[int]) -> None:
    assert LIST.page(start, limit) == expected


def test_positions_of_entries_with_the_same_name() -> None:
    assert [LIST.position(key, mid) for key, mid in LIST.keys] == [0, 1, 2, 3]
    assert LIST.position(b"berg", 18) is None
    assert LIST.position(b"zzz", 16) is None


@pytest.mark.parametrize(("key", "row"), [(b"", 0), (b"berg", 1), (b"bergmann", 3), (b"zz", 4)])
def test_seeking(key: bytes, row: int) -> None:
    assert LIST.seek(key) == row


def test_a_snapshot_knows_its_lists() -> None:
    container = Container(MinimalEntryId(16), uuid.uuid4(), "All Users", None, 0)
    snapshot = Snapshot(1, [container], {0: None, 16: "user"}, {None: LIST})
    assert snapshot.list(0) is LIST
    assert len(snapshot.list(16)) == 0
    with pytest.raises(NoSuchEntry, match="4711"):
        snapshot.list(4711)


def test_a_snapshot_is_read_once_per_version(directory: EmbeddedDirectory) -> None:
    index = Index()
    with directory._database.reading() as connection:
        first = index.snapshot(connection)
        assert index.snapshot(connection) is first
    directory.create(Kind.USER, "alice", {"displayName": ["Alice"]})
    with directory._database.reading() as connection:
        assert index.snapshot(connection).version > first.version
