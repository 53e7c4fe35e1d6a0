import pytest

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi import tables
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi_types import STAT
from tests.servers.nspi.conftest import mid


def test_where_a_stat_points(directory: EmbeddedDirectory) -> None:
    assert tables.locate(directory.lists(None), STAT(current_rec=mid(directory, "carl"), delta=-1)) == (2, 1, 5)
    assert tables.locate(directory.lists(None), STAT(current_rec=tables.MID_END_OF_TABLE, delta=3)) == (5, 5, 5)


def test_fractions_are_of_the_rows_that_there_are(directory: EmbeddedDirectory) -> None:
    fractions = [(0, 4), (1, 4), (2, 4), (4, 4), (0xFFFFFFFF, 1)]
    stats = [STAT(current_rec=tables.MID_CURRENT, num_pos=pos, total_recs=of) for pos, of in fractions]
    assert [tables.locate(directory.lists(None), stat)[0] for stat in stats] == [0, 1, 2, 5, 5]


def test_a_hidden_object_is_no_place(directory: EmbeddedDirectory) -> None:
    with pytest.raises(MapiError) as error:
        tables.locate(directory.lists(None), STAT(current_rec=mid(directory, "dora")))
    assert error.value.code == ErrorCode.NotFound


def test_a_stat_after_moving(directory: EmbeddedDirectory) -> None:
    third = directory.lists(None).page(GLOBAL_ADDRESS_LIST, 2, 1)[0]
    stat = STAT(sort_type=3, current_rec=1, delta=9, code_page=850)
    moved = tables.moved(directory.lists(None), stat, 2, 5)
    assert moved == STAT(sort_type=3, current_rec=int(third.mid), num_pos=2, total_recs=5, code_page=850)
    assert tables.moved(directory.lists(None), stat, 5, 5).current_rec == tables.MID_END_OF_TABLE


def test_explicit_tables_keep_order_and_repetition(directory: EmbeddedDirectory) -> None:
    alice, bob = mid(directory, "alice"), mid(directory, "bob")
    found = tables.explicit(directory.lists(None), [bob, 0, alice, bob, 0xFFFFFFFF])
    assert [entry and entry.account for entry in found] == ["bob", None, "alice", "bob", None]
