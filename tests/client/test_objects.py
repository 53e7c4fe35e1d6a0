"""Properties, streams and tables where servers differ from the one of this project."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.client.errors import IncompleteStream
from openchange_py.client.objects import RemoteObject, RemoteStream, RemoteTable, TableView
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxcdata.rows import PropertyError, PropertyRow
from openchange_py.wire.oxcdata.sorting import SortOrder
from openchange_py.wire.rop.base import RopBufferTooSmallResponse
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest, RopGetPropertiesSpecificResponse
from openchange_py.wire.rop.oxcprpt_streams import (
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
)
from openchange_py.wire.rop.oxctabl import (
    Bookmark,
    RopQueryRowsRequest,
    RopQueryRowsResponse,
    RopSeekRowRequest,
    RopSeekRowResponse,
    RopSetColumnsRequest,
    RopSetColumnsResponse,
    RopSortTableRequest,
    RopSortTableResponse,
)
from tests.client.scripted import Answer, asked, session

TOO_LARGE = PropertyError(ErrorCode.OutOfMemory)


def values(*cells: object) -> Answer:
    """RopGetPropertiesSpecific answered with these cells."""

    def answer(request: RopBuffer) -> list[RopBuffer]:
        (rop,) = request.rops
        assert isinstance(rop, RopGetPropertiesSpecificRequest)
        response = RopGetPropertiesSpecificResponse(0, 0, PropertyRow.of(cells), rop.property_tags)
        return [RopBuffer([response], request.handles)]

    return answer


def too_small(request: RopBuffer) -> list[RopBuffer]:
    """The server has no room for the first ROP."""
    return [RopBuffer([RopBufferTooSmallResponse(0xFFFF, request.rops[0].pack())], request.handles)]


def stream(size: int) -> Answer:
    return lambda request: [RopBuffer([RopOpenStreamResponse(1, 0, size)], [request.handles[0], 66])]


def read(data: bytes) -> Answer:
    return lambda request: [RopBuffer([RopReadStreamResponse(0, 0, data)], request.handles)]


def test_values_that_are_too_large_for_a_row_are_read_as_streams() -> None:
    async def work() -> None:
        text = "Grüße 🌻"
        raw = text.encode("utf-16-le") + b"\0\0"
        client, channel = await session(
            values("small", TOO_LARGE, PropertyError(ErrorCode.NotFound)),
            stream(len(raw)),
            read(raw[:5]),
            read(raw[5:]),
        )
        tags = [p.PidTagSubject, p.PidTagBody, p.PidTagHtml]
        found = await RemoteObject(client, 9).properties(tags)
        assert found == {p.PidTagSubject: "small", p.PidTagBody: text}
        assert asked(channel, 3).rops == [RopReadStreamRequest(0, 0, 0xBABE, len(raw) - 5)]

    asyncio.run(work())


def test_numbers_that_are_errors_are_no_streams() -> None:
    async def work() -> None:
        client, _ = await session(values(TOO_LARGE))
        assert await RemoteObject(client, 9).properties([p.PidTagMessageSize]) == {}

    asyncio.run(work())


def test_8_bit_texts_and_bytes_as_streams() -> None:
    async def work() -> None:
        narrow = p.PidTagBody.with_type(PropertyType.String8)
        client, _ = await session(stream(4), read(b"abc\0"), stream(3), read(b"ab\0"), stream(0))
        remote = RemoteObject(client, 9)
        assert await remote.value(narrow) == b"abc"
        assert await remote.value(p.PidTagHtml) == b"ab\0"
        assert await remote.value(p.PidTagHtml) == b""

    asyncio.run(work())


def test_properties_that_one_answer_does_not_hold_are_asked_for_in_halves() -> None:
    async def work() -> None:
        client, _ = await session(too_small, values("subject"), too_small, values(7), too_small, stream(2), read(b"hi"))
        tags = [p.PidTagSubject, p.PidTagImportance, p.PidTagHtml]
        found = await RemoteObject(client, 9).properties(tags)
        assert found == {p.PidTagSubject: "subject", p.PidTagImportance: 7, p.PidTagHtml: b"hi"}

    asyncio.run(work())


def test_streams_end_where_the_server_said_whatever_it_sends() -> None:
    async def work() -> None:
        client, _ = await session(read(b"more than was told"), read(b""))
        one = RemoteStream(client, 5, size=4)
        assert [chunk async for chunk in one.chunks()] == [b"more"]
        with pytest.raises(IncompleteStream, match="4 bytes before its 4 bytes"):
            [chunk async for chunk in one.chunks()]

    asyncio.run(work())


def rows(origin: int, *subjects: str) -> Answer:
    """A part of a table, with answers to what prepares it."""

    def answer(request: RopBuffer) -> list[RopBuffer]:
        prepared = {
            RopSetColumnsRequest: RopSetColumnsResponse(0, 0, 0),
            RopSortTableRequest: RopSortTableResponse(0, 0, 0),
            RopSeekRowRequest: RopSeekRowResponse(0, 0, 0, 0),
        }
        found = [PropertyRow([subject]) for subject in subjects]
        last = RopQueryRowsResponse(0, 0, origin, found, [p.PidTagSubject])
        return [
            RopBuffer(
                [*(prepared[type(rop)] for rop in request.rops[:-1] if type(rop) in prepared), last], request.handles
            )
        ]

    return answer


def test_a_table_is_prepared_once_and_read_until_its_end() -> None:
    async def work() -> None:
        client, channel = await session(rows(Bookmark.Current, "a", "b"), rows(Bookmark.End, "c"))
        order = SortOrder(p.PidTagSubject, 0)
        view = TableView([p.PidTagSubject], [order], start=3)
        found = [row async for row in RemoteTable(client, 9).rows(view)]
        assert [row[p.PidTagSubject] for row in found] == ["a", "b", "c"]
        assert [type(rop) for rop in asked(channel, 0).rops] == [
            RopSetColumnsRequest,
            RopSortTableRequest,
            RopSeekRowRequest,
            RopQueryRowsRequest,
        ]
        assert [type(rop) for rop in asked(channel, 1).rops] == [RopQueryRowsRequest]

    asyncio.run(work())


def test_no_more_rows_than_wanted_come_out_of_a_table() -> None:
    async def work() -> None:
        client, channel = await session(rows(Bookmark.Current, "a", "b"), rows(Bookmark.Current, "c", "d", "e"))
        view = TableView([p.PidTagSubject], limit=3)
        found = [row[p.PidTagSubject] async for row in RemoteTable(client, 9).rows(view)]
        assert found == ["a", "b", "c"]
        assert asked(channel, 1).rops == [RopQueryRowsRequest(0, 0, 0, 1, 1)]

    asyncio.run(work())


def test_a_table_that_gives_no_rows_has_ended() -> None:
    async def work() -> None:
        client, _ = await session(rows(Bookmark.Current))
        assert [row async for row in RemoteTable(client, 9).rows(TableView([p.PidTagSubject]))] == []

    asyncio.run(work())


def test_a_released_object_is_released_once() -> None:
    async def work() -> None:
        client, channel = await session(rows(Bookmark.End))
        async with RemoteObject(client, 31) as remote:
            pass
        remote.release()
        assert remote.handle == NO_HANDLE
        [row async for row in RemoteTable(client, 9).rows(TableView([p.PidTagSubject]))]
        assert asked(channel, 0).handles == [9, 31]

    asyncio.run(work())
