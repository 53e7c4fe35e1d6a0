from collections.abc import Callable

import pytest

from openchange_py.addressbook import follower_state
from openchange_py.addressbook.follower_state import BUSY_SECONDS, FollowerRow, LeaseLost
from openchange_py.addressbook.indexed import IndexedDirectory


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1_000_000.0]
    monkeypatch.setattr(follower_state.time, "time", lambda: now[0])

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    return pass_time


@pytest.mark.usefixtures("pass_time")
def test_what_is_remembered(index: IndexedDirectory) -> None:
    row = FollowerRow(index.database, "a")
    assert (row.read().cookie, row.read().as_of) == (None, None)
    state = row.begin(10)
    assert state
    assert (state.source, state.now) == ("a", 1_000_000.0)
    row.go_on(cookie="7", contact=5.0)
    row.end(10, as_of=4.0, error="x")
    again = FollowerRow(index.database, "a").read()
    assert (again.cookie, again.contact, again.as_of, again.error) == ("7", 5.0, 4.0, "x")


def test_another_source_has_no_cookie(index: IndexedDirectory) -> None:
    row = FollowerRow(index.database, "a")
    row.begin(10)
    row.go_on(cookie="7", compared=3.0)
    row.end(0)
    other = FollowerRow(index.database, "b").begin(10, take_over=True)
    assert other
    assert (other.source, other.cookie, other.compared) == ("b", None, None)


def test_one_follows_until_he_does_not_any_more(index: IndexedDirectory, pass_time: Callable[[float], None]) -> None:
    one, other = FollowerRow(index.database, "a"), FollowerRow(index.database, "a")
    assert one.begin(10)
    one.end(10)
    assert other.begin(10) is None
    assert one.begin(10)
    one.end(10)
    pass_time(11)
    assert other.begin(10)
    assert one.begin(10) is None
    other.end(10)
    assert one.begin(10) is None
    other.retire()
    assert one.begin(10)


def test_one_reads_at_a_time_whoever_follows(index: IndexedDirectory) -> None:
    follower, command = FollowerRow(index.database, "a"), FollowerRow(index.database, "a")
    assert follower.begin(10)
    assert command.begin(0, take_over=True) is None
    follower.end(10)
    assert command.begin(0, take_over=True)
    assert follower.begin(10) is None
    command.end(0)
    assert follower.begin(10)  # it stayed the follower


def test_who_dies_loses_his_turn_and_may_not_write_then(
    index: IndexedDirectory, pass_time: Callable[[float], None]
) -> None:
    slow, other = FollowerRow(index.database, "a"), FollowerRow(index.database, "a")
    assert slow.begin(10)
    pass_time(BUSY_SECONDS - 1)
    slow.go_on()
    pass_time(BUSY_SECONDS + 11)
    assert other.begin(10)
    other.go_on(cookie="9")
    with pytest.raises(LeaseLost):
        slow.go_on(cookie="3")
    slow.end(10, cookie="3")
    assert other.read().cookie == "9"
