from typing import Any

import pytest

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import browsing, rows
from openchange_py.servers.nspi.rows import DEFAULT_COLUMNS
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi import (
    NspiCompareMIdsRequest,
    NspiQueryRowsRequest,
    NspiResortRestrictionRequest,
    NspiSeekEntriesRequest,
    NspiUpdateStatRequest,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyValue_r
from tests.servers.nspi.conftest import Client, create, mid

NAMES = ["Alice Liddell", "Bob Zorn", "Carl Ωmega", "Staff", "Zoe Contact"]
DISPLAY_NAME = [p.PidTagDisplayName]


def column(response: Any) -> list[Any]:
    return [row.values[0].value for row in response.rows]


def test_a_table_is_read_from_its_beginning_page_by_page(client: Client) -> None:
    stat, seen = STAT(), []
    while stat.current_rec != 2:  # MID_END_OF_TABLE
        response = client.ask(NspiQueryRowsRequest, 0, stat, 0, None, 2, DISPLAY_NAME)
        assert response.return_value == 0
        seen += column(response)
        stat = response.stat
        assert (stat.num_pos, stat.total_recs, stat.delta) == (len(seen), 5, 0)
    assert seen == NAMES
    response = client.ask(NspiQueryRowsRequest, 0, stat, 0, None, 2, DISPLAY_NAME)
    assert (response.rows, response.stat.current_rec, response.return_value) == ([], 2, 0)


def test_rows_without_columns_have_the_default_ones(client: Client) -> None:
    row = client.ask(NspiQueryRowsRequest, 0, STAT(), 0, None, 1, None).rows[0]
    assert [value.prop_tag for value in row.values] == [
        tag if tag.id not in (0xFFFD, 0x3A18, 0x3A19) else tag.with_type(PropertyType.ErrorCode)
        for tag in DEFAULT_COLUMNS
    ]
    assert [value.value for value in row.values[1:5]] == [6, 0, b"Alice Liddell", b"123"]


def test_an_explicit_table_gives_its_rows_in_its_order_and_errors_for_nothing(
    client: Client, directory: EmbeddedDirectory
) -> None:
    table = [mid(directory, "carl"), 4711, mid(directory, "alice"), mid(directory, "dora")]
    stat = STAT(current_rec=17, total_recs=1)
    response = client.ask(NspiQueryRowsRequest, 0, stat, len(table), table, 10, DISPLAY_NAME)
    assert column(response) == ["Carl Ωmega", ErrorCode.NotFound, "Alice Liddell", "Dora Hidden"]
    assert response.rows[1].values[0].prop_tag == 0x3001000A
    assert response.stat == stat  # as in calls-profile-tcp-connect-2007
    assert len(client.ask(NspiQueryRowsRequest, 0, stat, len(table), table, 2, DISPLAY_NAME).rows) == 2
    assert client.ask(NspiQueryRowsRequest, 0, stat, 0, [], 2, DISPLAY_NAME).rows == []


def test_no_rows_asked_for_is_an_invalid_parameter(client: Client) -> None:
    # libmapi's --userlist asks so at the end of the table.
    response = client.ask(NspiQueryRowsRequest, 0, STAT(current_rec=0xFFFFFFFF), 0, None, 0, None)
    assert (response.rows, response.return_value) == (None, ErrorCode.InvalidParameter)


@pytest.mark.parametrize(
    ("stat", "error"),
    [
        (STAT(container_id=4711), ErrorCode.InvalidBookmark),
        (STAT(current_rec=4711), ErrorCode.NotFound),
    ],
)
def test_a_table_or_a_place_that_is_not_there(client: Client, stat: STAT, error: ErrorCode) -> None:
    response = client.ask(NspiQueryRowsRequest, 0, stat, 0, None, 5, DISPLAY_NAME)
    assert (response.rows, response.return_value, response.stat) == (None, error, stat)
    assert client.ask(NspiUpdateStatRequest, 0, stat, None).return_value == error


def test_8_bit_strings_need_a_code_page(client: Client) -> None:
    tags = [p.PidTagDisplayName.with_type(PropertyType.String8)]
    answer = client.ask(NspiQueryRowsRequest, 0, STAT(code_page=0x4B0), 0, None, 5, tags)
    assert (answer.rows, answer.return_value) == (None, ErrorCode.InvalidCodepage)
    assert client.ask(NspiQueryRowsRequest, 0, STAT(code_page=0x4B0), 0, None, 5, DISPLAY_NAME).return_value == 0


def test_more_values_than_an_answer_may_have(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "MAXIMUM_VALUES", 3)
    answer = client.ask(NspiQueryRowsRequest, 0, STAT(), 4, [16, 17, 18, 19], 9, DISPLAY_NAME)
    assert answer.return_value == ErrorCode.TableTooBig
    assert column(client.ask(NspiQueryRowsRequest, 0, STAT(), 0, None, 9, DISPLAY_NAME)) == NAMES[:4]


def test_rows_of_many_bytes_come_in_several_answers(
    client: Client, directory: EmbeddedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAXIMUM_BYTES", 30)
    stat, seen = STAT(), []
    while len(seen) < len(NAMES):
        answer = client.ask(NspiQueryRowsRequest, 0, stat, 0, None, 9, DISPLAY_NAME)
        assert 0 < len(answer.rows) < 4
        seen += column(answer)
        stat = answer.stat
        assert stat.num_pos == len(seen)
    assert seen == NAMES
    mids = [int(entry.mid) for entry in directory.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 9)]
    explicit = client.ask(NspiQueryRowsRequest, 0, STAT(), len(mids), mids, 9, DISPLAY_NAME)
    assert explicit.return_value == ErrorCode.TableTooBig
    name = PropertyValue_r(p.PidTagDisplayName, "")
    assert 0 < len(client.ask(NspiSeekEntriesRequest, 0, STAT(), name, None, DISPLAY_NAME).rows) < 4


@pytest.mark.parametrize(
    ("stat", "position", "delta"),
    [
        (STAT(), 0, 0),
        (STAT(delta=2), 2, 2),
        (STAT(delta=-7), 0, 0),
        (STAT(delta=99), 5, 5),
        (STAT(current_rec=2), 5, 0),
        (STAT(current_rec=2, delta=-1), 4, -1),
        (STAT(current_rec=1, num_pos=50, total_recs=100), 2, 0),
        (STAT(current_rec=1, num_pos=500, total_recs=100), 5, 0),
        (STAT(current_rec=1, num_pos=5, total_recs=0), 0, 0),
        (STAT(current_rec=1, num_pos=50, total_recs=100, delta=-1), 1, -1),
    ],
)
def test_positions(client: Client, directory: EmbeddedDirectory, stat: STAT, position: int, delta: int) -> None:
    response = client.ask(NspiUpdateStatRequest, 0, stat, 0)
    mids = [int(entry.mid) for entry in directory.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 9)] + [2]
    assert response.return_value == 0
    assert (response.stat.num_pos, response.stat.total_recs, response.stat.delta) == (position, 5, 0)
    assert response.stat.current_rec == mids[position]
    assert response.delta == delta
    assert client.ask(NspiUpdateStatRequest, 0, stat, None).delta is None


def test_an_object_is_a_position_in_the_lists_that_it_is_in(client: Client, directory: EmbeddedDirectory) -> None:
    groups = next(int(c.mid) for c in directory.lists(None).containers() if c.name == "All Groups")
    stat = STAT(current_rec=mid(directory, "staff"))
    assert client.ask(NspiUpdateStatRequest, 0, stat, None).stat.num_pos == 3
    stat.container_id = groups
    assert client.ask(NspiUpdateStatRequest, 0, stat, None).stat.num_pos == 0
    stat.current_rec = mid(directory, "alice")
    assert client.ask(NspiUpdateStatRequest, 0, stat, None).return_value == ErrorCode.NotFound


@pytest.mark.parametrize("kind", [p.PidTagDisplayName, p.PidTagDisplayName.with_type(PropertyType.String8)])
def test_seeking_a_name(client: Client, kind: int) -> None:
    name = "car" if kind & 0xFFFF == PropertyType.String else b"car"
    response = client.ask(NspiSeekEntriesRequest, 0, STAT(), PropertyValue_r(kind, name), None, DISPLAY_NAME)
    assert column(response) == NAMES[2:]
    assert (response.stat.num_pos, response.stat.total_recs) == (2, 5)
    response = client.ask(NspiSeekEntriesRequest, 0, STAT(), PropertyValue_r(kind, name), None, None)
    assert (response.rows, response.return_value) == (None, 0)


def test_seeking_in_an_explicit_table(client: Client, directory: EmbeddedDirectory) -> None:
    table = [mid(directory, name) for name in ("alice", "bob", "staff")]
    target = PropertyValue_r(p.PidTagDisplayName, "B")
    response = client.ask(NspiSeekEntriesRequest, 0, STAT(), target, table, DISPLAY_NAME)
    assert column(response) == ["Bob Zorn", "Staff"]
    assert (response.stat.current_rec, response.stat.num_pos, response.stat.total_recs) == (table[1], 1, 3)


@pytest.mark.parametrize(
    ("stat", "target", "error"),
    [
        (STAT(), PropertyValue_r(p.PidTagDisplayName, "zz"), ErrorCode.NotFound),
        (STAT(), PropertyValue_r(p.PidTagTitle, "a"), ErrorCode.GeneralFailure),
        (STAT(sort_type=1000), PropertyValue_r(p.PidTagDisplayName, "a"), ErrorCode.GeneralFailure),
        (STAT(sort_type=3), PropertyValue_r(p.PidTagDisplayName, "a"), ErrorCode.GeneralFailure),
        (STAT(), PropertyValue_r(p.PidTagAddressBookPhoneticDisplayName, "a"), ErrorCode.GeneralFailure),
        (STAT(), PropertyValue_r(p.PidTagDisplayName.with_type(0x102), b"a"), ErrorCode.GeneralFailure),
        (STAT(container_id=9), PropertyValue_r(p.PidTagDisplayName, "a"), ErrorCode.InvalidBookmark),
        (STAT(code_page=0x4B0), PropertyValue_r(p.PidTagDisplayName, "a"), ErrorCode.InvalidCodepage),
    ],
)
def test_seeking_what_is_not_there(client: Client, stat: STAT, target: PropertyValue_r, error: ErrorCode) -> None:
    response = client.ask(NspiSeekEntriesRequest, 0, stat, target, None, DISPLAY_NAME)
    assert (response.return_value, response.rows, response.stat) == (error, None, stat)


def test_resorting(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob, carl = (mid(directory, name) for name in ("alice", "bob", "carl"))
    response = client.ask(NspiResortRestrictionRequest, 0, STAT(current_rec=bob), [carl, 4711, bob, alice], None)
    assert response.out_mids == [alice, bob, carl]
    assert (response.stat.current_rec, response.stat.num_pos, response.stat.total_recs) == (bob, 1, 3)
    response = client.ask(NspiResortRestrictionRequest, 0, STAT(current_rec=4711), [bob], None)
    assert (response.stat.current_rec, response.stat.num_pos) == (0, 0)
    response = client.ask(NspiResortRestrictionRequest, 0, STAT(sort_type=9), [bob], None)
    assert (response.out_mids, response.return_value) == (None, ErrorCode.GeneralFailure)


def test_comparing(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob = mid(directory, "alice"), mid(directory, "bob")
    results = [client.ask(NspiCompareMIdsRequest, 0, STAT(), *pair).result for pair in ((alice, bob), (bob, alice))]
    assert results == [-1, 1]
    assert client.ask(NspiCompareMIdsRequest, 0, STAT(), alice, alice).result == 0


@pytest.mark.parametrize(
    ("stat", "other", "error"),
    [
        (STAT(), 4711, ErrorCode.GeneralFailure),
        (STAT(), 0, ErrorCode.GeneralFailure),
        (STAT(), 2, ErrorCode.GeneralFailure),
        (STAT(container_id=4711), 17, ErrorCode.InvalidBookmark),
        (STAT(code_page=0x4B0), 17, ErrorCode.InvalidCodepage),
    ],
)
def test_errors_of_comparing(
    client: Client, directory: EmbeddedDirectory, stat: STAT, other: int, error: ErrorCode
) -> None:
    alice = mid(directory, "alice")
    for pair in ((alice, other), (other, alice)):
        assert client.ask(NspiCompareMIdsRequest, 0, stat, *pair).return_value == error


def test_an_object_of_another_list_is_not_compared(client: Client, directory: EmbeddedDirectory) -> None:
    groups = next(int(c.mid) for c in directory.lists(None).containers() if c.name == "All Groups")
    pair = mid(directory, "staff"), mid(directory, "alice")
    answer = client.ask(NspiCompareMIdsRequest, 0, STAT(container_id=groups), *pair)
    assert answer.return_value == ErrorCode.GeneralFailure


SWEDISH, HUNGARIAN, JAPANESE = 0x041D, 0x040E, 0x0411


def read_all(client: Client, stat: STAT) -> list[str]:
    """The first words of the names in a table, read two rows at a time."""
    seen: list[str] = []
    while stat.current_rec != 2:
        answer = client.ask(NspiQueryRowsRequest, 0, stat, 0, None, 2, DISPLAY_NAME)
        assert answer.return_value == 0
        seen += [name.split()[0] for name in column(answer)]
        stat = answer.stat
    return seen


def test_a_table_is_sorted_as_the_client_s_language_has_it(client: Client, directory: EmbeddedDirectory) -> None:
    for account, name in (("asa", "Åsa Ek"), ("arla", "Ärla Ek"), ("csaba", "Csaba Ek"), ("cz", "Czes Ek")):
        create(directory, account, name)
    neutral = ["Alice", "Ärla", "Åsa", "Bob", "Carl", "Csaba", "Czes", "Staff", "Zoe"]
    swedish = ["Alice", "Bob", "Carl", "Csaba", "Czes", "Staff", "Zoe", "Åsa", "Ärla"]
    hungarian = ["Alice", "Ärla", "Åsa", "Bob", "Carl", "Czes", "Csaba", "Staff", "Zoe"]
    for locale, expected in ((0x0409, neutral), (0, neutral), (SWEDISH, swedish), (HUNGARIAN, hungarian)):
        assert read_all(client, STAT(sort_locale=locale)) == expected
        arla = STAT(current_rec=mid(directory, "arla"), sort_locale=locale)
        assert client.ask(NspiUpdateStatRequest, 0, arla, None).stat.num_pos == expected.index("Ärla")
        pair = mid(directory, "arla"), mid(directory, "bob")
        result = client.ask(NspiCompareMIdsRequest, 0, STAT(sort_locale=locale), *pair).result
        assert result == (-1 if expected.index("Ärla") < expected.index("Bob") else 1)
    sought = PropertyValue_r(p.PidTagDisplayName, "ä")
    answer = client.ask(NspiSeekEntriesRequest, 0, STAT(sort_locale=SWEDISH), sought, None, DISPLAY_NAME)
    assert (column(answer), answer.stat.num_pos) == (["Ärla Ek"], 8)
    mids = [mid(directory, name) for name in ("arla", "asa", "csaba", "cz", "bob")]
    answer = client.ask(NspiResortRestrictionRequest, 0, STAT(sort_locale=SWEDISH), mids, None)
    assert answer.out_mids == [mid(directory, name) for name in ("bob", "csaba", "cz", "asa", "arla")]
    answer = client.ask(NspiSeekEntriesRequest, 0, STAT(sort_locale=SWEDISH), sought, answer.out_mids, DISPLAY_NAME)
    assert (column(answer), answer.stat.num_pos, answer.stat.total_recs) == (["Ärla Ek"], 4, 5)


@pytest.mark.parametrize("locale", [0x0409, JAPANESE, SWEDISH])
def test_a_table_is_sorted_by_phonetic_names(client: Client, directory: EmbeddedDirectory, locale: int) -> None:
    create(directory, "tanaka", "田中", **{"msDS-PhoneticDisplayName": ["Banaka"]})
    create(directory, "abe", "安倍", **{"msDS-PhoneticDisplayName": ["Abe"]})
    stat = STAT(sort_type=3, sort_locale=locale)
    assert read_all(client, stat) == ["安倍", "Alice", "田中", "Bob", "Carl", "Staff", "Zoe"]
    tag = p.PidTagAddressBookPhoneticDisplayName
    answer = client.ask(NspiSeekEntriesRequest, 0, stat, PropertyValue_r(tag, "ban"), None, DISPLAY_NAME)
    assert (column(answer)[:2], answer.stat.num_pos, answer.return_value) == (["田中", "Bob Zorn"], 2, 0)
    table = [mid(directory, name) for name in ("carl", "tanaka", "alice", "abe")]
    answer = client.ask(NspiResortRestrictionRequest, 0, stat, table, None)
    assert answer.out_mids == [mid(directory, name) for name in ("abe", "alice", "tanaka", "carl")]
    answer = client.ask(NspiSeekEntriesRequest, 0, stat, PropertyValue_r(tag, "ban"), answer.out_mids, DISPLAY_NAME)
    assert (column(answer), answer.stat.num_pos) == (["田中", "Carl Ωmega"], 2)


def test_an_explicit_table_keeps_its_rows_and_those_of_nothing(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob, staff = (mid(directory, name) for name in ("alice", "bob", "staff"))
    target = PropertyValue_r(p.PidTagDisplayName, "B")
    answer = client.ask(NspiSeekEntriesRequest, 0, STAT(delta=4), target, [4711, alice, bob, 4712, staff], DISPLAY_NAME)
    assert column(answer) == ["Bob Zorn", ErrorCode.NotFound, "Staff"]
    assert answer.stat == STAT(current_rec=bob, delta=4, num_pos=2, total_recs=5)
    nobody = client.ask(NspiSeekEntriesRequest, 0, STAT(), target, [4711, alice], DISPLAY_NAME)
    assert (nobody.return_value, nobody.rows) == (ErrorCode.NotFound, None)
    assert client.ask(NspiSeekEntriesRequest, 0, STAT(), target, [], None).return_value == ErrorCode.NotFound


@pytest.mark.parametrize("missing", [[], [4711], [4711] * 200])
def test_seeking_each_row_of_a_table(client: Client, directory: EmbeddedDirectory, missing: list[int]) -> None:
    names = [f"Name {number:02}" for number in range(20)]
    for number, name in enumerate(names):
        create(directory, f"name{number}", name)
    table: list[int] = [*missing]
    for number in range(20):
        table += [mid(directory, f"name{number}"), *missing]
    for number, name in enumerate(names):
        target = PropertyValue_r(p.PidTagDisplayName, name)
        answer = client.ask(NspiSeekEntriesRequest, 0, STAT(), target, table, None)
        assert answer.stat.num_pos == len(missing) + number * (1 + len(missing))
        assert (answer.stat.current_rec, answer.stat.total_recs) == (mid(directory, f"name{number}"), len(table))
    behind = PropertyValue_r(p.PidTagDisplayName, "Name 2")
    assert client.ask(NspiSeekEntriesRequest, 0, STAT(), behind, table, None).return_value == ErrorCode.NotFound


def test_a_table_of_no_columns(client: Client, directory: EmbeddedDirectory) -> None:
    target = PropertyValue_r(p.PidTagDisplayName, "b")
    for table in (None, [mid(directory, "alice"), mid(directory, "bob")]):
        answer = client.ask(NspiSeekEntriesRequest, 0, STAT(), target, table, [])
        assert answer.rows[0].values == []


def test_what_is_reserved_in_seeking(client: Client) -> None:
    target = PropertyValue_r(p.PidTagDisplayName, "B")
    answer = client.ask(NspiSeekEntriesRequest, 1, STAT(), target, None, DISPLAY_NAME)
    assert (answer.return_value, answer.rows, answer.stat) == (ErrorCode.InvalidParameter, None, STAT())


def test_resorting_changes_the_position_alone(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob = mid(directory, "alice"), mid(directory, "bob")
    stat = STAT(sort_type=3, container_id=7, current_rec=bob, delta=-4, num_pos=9, total_recs=9, code_page=850)
    answer = client.ask(NspiResortRestrictionRequest, 5, stat, [bob, alice], None)
    stat.num_pos, stat.total_recs = 1, 2
    assert (answer.stat, answer.out_mids) == (stat, [alice, bob])
    assert client.ask(NspiResortRestrictionRequest, 0, STAT(), [], None).out_mids == []


def test_resorting_keeps_what_stands_twice_and_what_no_list_shows(client: Client, directory: EmbeddedDirectory) -> None:
    alice, bob, dora = (mid(directory, name) for name in ("alice", "bob", "dora"))
    answer = client.ask(NspiResortRestrictionRequest, 0, STAT(), [bob, alice, bob], None)
    assert answer.out_mids == [alice, bob, bob]
    answer = client.ask(NspiResortRestrictionRequest, 0, STAT(), [dora, bob, 4711, alice, bob], None)
    assert answer.out_mids == [alice, bob, bob, dora]


def test_the_directory_changes_while_a_client_reads(client: Client, directory: EmbeddedDirectory) -> None:
    first = client.ask(NspiQueryRowsRequest, 0, STAT(), 0, None, 1, DISPLAY_NAME)
    assert column(first) == ["Alice Liddell"]
    bob = directory.by_account("bob")
    assert bob
    assert first.stat.current_rec == bob.mid
    create(directory, "aaron", "Aaron")
    moved = client.ask(NspiUpdateStatRequest, 0, first.stat, 0).stat
    assert (moved.current_rec, moved.num_pos, moved.total_recs) == (bob.mid, 2, 6)
    directory.delete(bob)
    for kind, parameters in (
        (NspiUpdateStatRequest, (first.stat, None)),
        (NspiQueryRowsRequest, (first.stat, 0, None, 5, DISPLAY_NAME)),
    ):
        answer = client.ask(kind, 0, *parameters)
        assert (answer.return_value, answer.stat) == (ErrorCode.NotFound, first.stat)
    # By its fraction a client finds the place again.
    stat = STAT(current_rec=1, num_pos=2, total_recs=6)
    assert column(client.ask(NspiQueryRowsRequest, 0, stat, 0, None, 1, DISPLAY_NAME)) == ["Alice Liddell"]
    # Its row in an explicit table is one of errors; the place of another's id stays empty for ever.
    table = [int(bob.mid), mid(directory, "carl")]
    explicit = client.ask(NspiQueryRowsRequest, 0, STAT(), 2, table, 2, DISPLAY_NAME)
    assert column(explicit) == [ErrorCode.NotFound, "Carl Ωmega"]
    create(directory, "bob", "Bob Zorn")
    explicit = client.ask(NspiQueryRowsRequest, 0, STAT(), 2, table, 2, DISPLAY_NAME)
    assert column(explicit) == [ErrorCode.NotFound, "Carl Ωmega"]
    assert client.ask(NspiResortRestrictionRequest, 0, STAT(), table, None).out_mids == table[1:]
