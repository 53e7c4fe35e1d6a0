import pytest

from openchange_py.addressbook import index as index_module
from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, Entry, Kind, NoSuchEntry, SortOrder
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.index import AddressList, Index, Snapshot
from tests.addressbook.conftest import ORGANIZATION

SWEDISH = SortOrder(locale=0x041D)
PHONETIC = SortOrder(phonetic=True)
PAIRS = [(b"adams", 30), (b"berg", 17), (b"berg", 20), (b"zorn", 16)]
LIST = AddressList(PAIRS, {("", False): {mid: (key, mid) for key, mid in PAIRS}})


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [(0, 2, [30, 17]), (3, 9, [16]), (4, 1, []), (-5, 1, [30]), (1, 0, []), (1, -1, [])],
)
def test_pages(start: int, limit: int, expected: list[int]) -> None:
    assert LIST.page(start, limit) == expected


def test_positions_of_entries_with_the_same_name() -> None:
    assert [LIST.position(mid) for _, mid in PAIRS] == [0, 1, 2, 3]
    assert LIST.position(18) is None
    assert 17 in LIST
    assert 18 not in LIST
    assert LIST.sorted([16, 20, 17]) == [17, 20, 16]


@pytest.mark.parametrize(("text", "row"), [("", 0), ("BERG", 1), ("bergmann", 3), ("zz", 4)])
def test_seeking(text: str, row: int) -> None:
    assert LIST.seek(text) == row


def create(directory: EmbeddedDirectory, name: str, **more: list[str]) -> Entry:
    dn = ORGANIZATION.recipient_dn(name.replace(" ", "."))
    return directory.create(Kind.USER, "", {"displayName": [name], "legacyExchangeDN": [dn], **more})


def names(directory: EmbeddedDirectory, order: SortOrder = SortOrder()) -> list[str]:  # noqa: B008  frozen
    return [entry.display_name for entry in directory.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 1000, order)]


def lists_of(snapshot: Snapshot) -> dict[str, dict[int, dict[tuple[str, bool], list[tuple[bytes, int]]]]]:
    return {name: {mid: dict(one._sorted) for mid, one in book.lists.items()} for name, book in snapshot.books.items()}


@pytest.fixture(params=[64, 0], ids=["one by one", "all at once"])
def applied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However changes are applied."""
    monkeypatch.setattr(index_module, "_FEW_CHANGES", request.param)


@pytest.mark.usefixtures("applied")
def test_what_changed_is_applied_and_equals_what_is_read_anew(directory: EmbeddedDirectory) -> None:
    people = [create(directory, f"Åke {number}") for number in range(5)] + [create(directory, "Zoe")]
    for order in (SWEDISH, PHONETIC):
        names(directory, order)
    changes = [
        lambda: directory.modify(people[0], {"displayName": ["Zacharias"]}),
        lambda: directory.modify(people[1], {"msExchHideFromAddressLists": ["TRUE"]}),
        lambda: directory.delete(people[2]),
        lambda: create(directory, "Öst", **{"msDS-PhoneticDisplayName": ["Aa"]}),
        lambda: directory.modify(people[1], {"msExchHideFromAddressLists": None, "displayName": ["Arne"]}),
        lambda: directory.modify(people[3], {"legacyExchangeDN": None}),
    ]
    for change in changes:
        change()
        applied = directory.snapshot()
        fresh = EmbeddedDirectory(directory.database.url.render_as_string())
        for order in (SWEDISH, PHONETIC):
            names(fresh, order)
        assert lists_of(fresh.snapshot()) == lists_of(applied)
        fresh.close()
    assert names(directory, SWEDISH) == ["Arne", "Zacharias", "Zoe", "Åke 4", "Öst"]
    assert names(directory) == ["Åke 4", "Arne", "Öst", "Zacharias", "Zoe"]
    assert names(directory, PHONETIC)[0] == "Öst"


def test_one_change_reads_one_entry(directory: EmbeddedDirectory) -> None:
    people = [create(directory, f"Person {number:03}") for number in range(40)]
    directory.snapshot()
    directory.modify(people[7], {"displayName": ["Zoe"]})
    with directory.database.reading() as connection:
        raw = connection.connection.dbapi_connection
        assert raw
        traced: list[str] = []
        raw.set_trace_callback(traced.append)
        directory._index.snapshot(connection)
        raw.set_trace_callback(None)
    entries = [statement for statement in traced if "directory_entry" in statement]
    assert entries
    assert all(f"IN ({int(people[7].mid)})" in statement for statement in entries)


def test_more_changes_than_are_worth_applying(directory: EmbeddedDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_MANY_CHANGES", 3)
    names(directory, SWEDISH)
    for name in ("Öst", "Anna", "Zoe", "Bo"):
        create(directory, name)
    assert names(directory, SWEDISH) == ["Anna", "Bo", "Zoe", "Öst"]


def test_an_order_that_takes_long_is_made_by_who_keeps_the_index(
    directory: EmbeddedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_FEW_TO_SORT", 1)
    for name in ("Zoe", "Åke", "Bo"):
        create(directory, name)
    directory._index.kept = True
    assert names(directory, SWEDISH) == ["Åke", "Bo", "Zoe"]  # the neutral order until the other is there
    with directory.database.reading() as connection:
        directory._index.keep(connection)
    assert names(directory, SWEDISH) == ["Bo", "Zoe", "Åke"]
    assert directory.lists(None).seek(GLOBAL_ADDRESS_LIST, "å", SWEDISH) == 2


def test_a_snapshot_is_read_once_per_version(directory: EmbeddedDirectory) -> None:
    index = Index()
    with directory.database.reading() as connection:
        first = index.snapshot(connection)
        assert index.snapshot(connection) is first
    directory.create(Kind.USER, "alice", {"displayName": ["Alice"]})
    with directory.database.reading() as connection:
        assert index.snapshot(connection).version > first.version


def test_a_list_that_is_not_there(directory: EmbeddedDirectory) -> None:
    (book,) = directory.snapshot().books.values()
    with pytest.raises(NoSuchEntry, match="4711"):
        book.list(4711)
