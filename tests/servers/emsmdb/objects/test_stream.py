"""The stream object."""

from __future__ import annotations

import pytest

from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.stream import BytesContent, StreamObject
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from tests.servers.emsmdb.parties import World


@pytest.fixture
def stream(world: World) -> StreamObject:
    logon = Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])
    return StreamObject(logon, BytesContent(b"0123456789"))


def test_reading_moves(stream: StreamObject) -> None:
    assert [stream.read(4) for _ in range(4)] == [b"0123", b"4567", b"89", b""]
    assert stream.position == 10


def test_behind_the_end_is_nothing(stream: StreamObject) -> None:
    assert stream.seek(2, 5) == 15
    assert stream.read(10) == b""
    assert stream.position == 15
    assert stream.seek(1, -10) == 5
    assert stream.read(2) == b"56"


def test_a_bad_seek_moves_nothing(stream: StreamObject) -> None:
    stream.seek(0, 3)
    for origin, offset, code in ((0, -1, ErrorCode.StreamSeekError), (9, 0, ErrorCode.StorageInvalidParameter)):
        with pytest.raises(MapiError) as raised:
            stream.seek(origin, offset)
        assert raised.value.code == code
    assert stream.position == 3


def test_what_is_read_piecewise_weighs_nothing(stream: StreamObject) -> None:
    assert stream.weight == 10
    assert StreamObject(stream.mailbox_logon, Elsewhere()).weight == 0


class Elsewhere:
    """A value that is not in memory."""

    size = 1 << 30

    def read(self, offset: int, count: int) -> bytes:
        return bytes(count)
