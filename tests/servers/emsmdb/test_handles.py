"""Server object handles."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from openchange_py.servers.emsmdb.handles import MAXIMUM_WEIGHT, NO_HANDLE, HandleTable
from openchange_py.servers.emsmdb.objects.base import PropertyObject, ServerObject
from openchange_py.servers.emsmdb.objects.stream import BytesContent, StreamObject
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError


def logon(logon_id: int) -> ServerObject:
    """An object that is a logon of that LogonId."""
    value = SimpleNamespace(logon_id=logon_id, weight=0, close=lambda: None)
    value.logon = value
    return value  # type: ignore[return-value]


def test_handles_are_never_zero_nor_that_of_no_object() -> None:
    table = HandleTable()
    table._next = NO_HANDLE - 1
    first, second = table.add(ServerObject()), table.add(ServerObject())
    assert (first, second) == (NO_HANDLE - 1, 1)


def test_a_handle_in_use_is_not_given_again() -> None:
    table = HandleTable()
    used = table.add(ServerObject())
    table._next = NO_HANDLE - 1
    assert used not in (table.add(ServerObject()), table.add(ServerObject()))
    assert len(table) == 3


def test_finding() -> None:
    table = HandleTable()
    value = ServerObject()
    handle = table.add(value)
    assert table.find(handle, ServerObject) is value
    assert table.find(handle, (PropertyObject, ServerObject)) is value
    for wrong in (ErrorCode.NotSupported, ErrorCode.NullObject):
        with pytest.raises(MapiError) as raised:
            table.find(handle, PropertyObject, wrong)
        assert raised.value.code == wrong
    with pytest.raises(MapiError) as raised:
        table.find(handle + 1, ServerObject)
    assert raised.value.code == ErrorCode.NullObject


def test_the_limit() -> None:
    table = HandleTable(2)
    handles = [table.add(ServerObject()) for _ in range(2)]
    with pytest.raises(MapiError) as raised:
        table.add(ServerObject())
    assert raised.value.code == ErrorCode.OutOfResources
    table.release(handles[0])
    assert table.add(ServerObject()) not in handles


def test_releasing_a_logon_releases_what_is_under_it_alone() -> None:
    table = HandleTable()
    one, two = logon(0), logon(1)
    first, second = table.add(one), table.add(two)
    below = [table.add(ServerObject(one)), table.add(ServerObject(two))]  # type: ignore[arg-type]
    table.release(first)
    assert len(table) == 2
    assert table.find(below[1], ServerObject).logon is two
    table.release(second)
    assert len(table) == 0
    table.release(second)


def test_a_logon_replaces_the_other_one_of_its_id() -> None:
    table = HandleTable()
    old, other, new = logon(0), logon(1), logon(0)
    for value in (old, other, ServerObject(old), new):  # type: ignore[arg-type]
        table.add(value)
    table.replace_logon(0, new)
    assert len(table) == 2
    table.clear()
    assert len(table) == 0


def test_heavy_objects_have_a_limit_together() -> None:
    table = HandleTable()

    def stream(size: int) -> StreamObject:
        return StreamObject(logon(0), BytesContent(bytes(size)))  # type: ignore[arg-type]

    first = table.add(stream(MAXIMUM_WEIGHT + 1))
    for _ in range(100):
        table.add(stream(100))
    with pytest.raises(MapiError) as raised:
        table.add(stream(1 << 20))
    assert raised.value.code == ErrorCode.OutOfResources
    table.release(first)
    for _ in range(3):
        table.add(stream(MAXIMUM_WEIGHT // 3))
    with pytest.raises(MapiError):
        table.add(stream(1 << 20))


class Closing(ServerObject):
    """Counts how often it was closed."""

    def __init__(self, logon: ServerObject | None = None) -> None:
        super().__init__(logon)  # type: ignore[arg-type]
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_what_is_released_is_closed_once() -> None:
    table, under = HandleTable(), logon(0)
    top = table.add(under)
    first, second, other = Closing(under), Closing(under), Closing()
    handle = table.add(first)
    table.add(second)
    table.add(other)
    table.release(handle)
    table.release(handle)
    table.release(top)
    assert (first.closed, second.closed, other.closed) == (1, 1, 0)
    table.clear()
    table.clear()
    assert other.closed == 1


def test_objects_that_grew_too_heavy_are_told_before_they_grow_more() -> None:
    table = HandleTable()
    heavy = Closing()
    table.add(heavy)
    table.check_weight()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Closing, "weight", MAXIMUM_WEIGHT + 1)
        with pytest.raises(MapiError) as raised:
            table.check_weight()
    assert raised.value.code == ErrorCode.OutOfResources
