"""What is recorded of real clients and a real server decodes, and packs to the same bytes.

Of each recorded ROP buffer the first ROP is looked at (behind leading RopRelease, which have no response), where it has
structures of [MS-OXCDATA]; the fields around them are those of [MS-OXCROPS] 2.2.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from openchange_py.wire.buffer import Reader, Writer
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcdata.restrictions import SizedRestriction
from openchange_py.wire.oxcdata.rows import PropertyRow, read_row, write_row
from openchange_py.wire.oxcdata.sorting import SortOrderSet
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.oxcdata.values import read_tagged, write_tagged
from tests.conftest import json_lines, shared_path

RELEASE = 0x01
#: May follow the responses.
NOTIFY = 0x2A
#: ROPs whose responses are read to their end.
WHOLE = {0x03, 0x07, 0x08, 0x55}


def same_bytes(reader: Reader, read: Callable[[Reader], Any], write: Callable[[Writer, Any], None]) -> Any:
    """Read a value, and assert that it is written as the bytes that it was read from."""
    start = reader.pos
    value = read(reader)
    writer = Writer()
    write(writer, value)
    assert bytes(writer) == reader.data[start : reader.pos], value
    return value


def read_tags(reader: Reader) -> list[PropertyTag]:
    return [PropertyTag(reader.u32()) for _ in range(reader.u16())]


class Walk:
    """What is remembered of a recording's session, and how often each structure was seen."""

    def __init__(self) -> None:
        self.columns: dict[int, Sequence[PropertyTag]] = {}
        self.seen: collections.Counter[str] = collections.Counter()

    def row(self, reader: Reader, tags: Sequence[PropertyTag]) -> None:
        def write(writer: Writer, row: PropertyRow) -> None:
            write_row(writer, tags, row)

        row = same_bytes(reader, lambda reader: read_row(reader, tags), write)
        self.seen["FlaggedPropertyRow" if row.flagged else "StandardPropertyRow"] += 1

    def tagged_values(self, reader: Reader, count: int) -> None:
        for _ in range(count):
            same_bytes(reader, read_tagged, write_tagged)
            self.seen["TaggedPropertyValue"] += 1

    def recipient(self, reader: Reader, columns: Sequence[PropertyTag]) -> None:
        inner = reader.sub(reader.u16())
        same_bytes(inner, lambda reader: RecipientRow.read_with(reader, columns), lambda w, row: row.write(w))
        inner.expect_end()
        self.seen["RecipientRow"] += 1

    def structure(self, reader: Reader, kind: Any) -> None:
        same_bytes(reader, kind.read, lambda writer, value: value.write(writer))
        self.seen[kind.__name__] += 1

    def restriction(self, reader: Reader) -> None:
        codec = SizedRestriction()
        if same_bytes(reader, codec.read, codec.write) is not None:
            self.seen["Restriction"] += 1

    def request(self, rop: int, handle: int, reader: Reader) -> Sequence[PropertyTag]:
        """Check a request's structures. The tags of the response's rows, where the request tells them."""
        if rop == 0x07:  # GetPropertiesSpecific
            reader.skip(4)
            return read_tags(reader)
        if rop == 0x12:  # SetColumns
            reader.skip(1)
            self.columns[handle] = read_tags(reader)
        elif rop == 0x0A:  # SetProperties
            inner = reader.sub(reader.u16())
            self.tagged_values(inner, inner.u16())
            inner.expect_end()
        elif rop == 0x0E:  # ModifyRecipients
            columns = read_tags(reader)
            for _ in range(reader.u16()):
                reader.skip(5)
                self.recipient(reader, columns)
        elif rop == 0x13:  # SortTable
            reader.skip(1)
            self.structure(reader, SortOrderSet)
        elif rop in (0x14, 0x4F):  # Restrict, FindRow
            reader.skip(1)
            self.restriction(reader)
        elif rop == 0x41:  # ModifyRules
            reader.skip(1)
            for _ in range(reader.u16()):
                reader.skip(1)
                self.tagged_values(reader, reader.u16())
        elif rop == 0x56:  # GetPropertyIdsFromNames
            reader.skip(1)
            for _ in range(reader.u16()):
                self.structure(reader, PropertyName)
        return self.columns.get(handle, ())

    def response(self, rop: int, tags: Sequence[PropertyTag], reader: Reader) -> None:
        """Check the structures of a successful response."""
        if rop == 0x07:  # GetPropertiesSpecific
            self.row(reader, tags)
        elif rop == 0x08:  # GetPropertiesAll
            self.tagged_values(reader, reader.u16())
        elif rop == 0x15 and tags:  # QueryRows
            reader.skip(1)
            for _ in range(reader.u16()):
                self.row(reader, tags)
        elif rop == 0x55:  # GetNamesFromPropertyIds
            for _ in range(reader.u16()):
                self.structure(reader, PropertyName)
        elif rop == 0x03:  # OpenMessage
            reader.skip(1)
            self.structure(reader, TypedString)
            self.structure(reader, TypedString)
            reader.skip(2)
            columns = read_tags(reader)
            for _ in range(reader.u8()):
                reader.skip(5)
                self.recipient(reader, columns)

    def exchange(self, request: bytes, response: bytes) -> None:
        size = int.from_bytes(request[:2], "little")
        reader = Reader(request, 2, size)
        while reader.remaining and request[reader.pos] == RELEASE:
            reader.skip(3)
        if not reader.remaining:
            return
        rop, _, index = reader.u8(), reader.u8(), reader.u8()
        handle = int.from_bytes(request[size + 4 * index : size + 4 * index + 4], "little")
        tags = self.request(rop, handle, reader)
        answer = Reader(response, 2, int.from_bytes(response[:2], "little")) if response else Reader(b"")
        if answer.remaining >= 6 and answer.u8() == rop:
            answer.skip(1)
            if answer.u32() == 0:
                self.response(rop, tags, answer)
                if rop in WHOLE and not reader.remaining:
                    assert not answer.remaining or answer.u8() == NOTIFY


def test_structures_of_recorded_traffic_pack_to_the_same_bytes() -> None:
    seen: collections.Counter[str] = collections.Counter()
    for path in sorted(shared_path("wire").glob("*.jsonl*")):
        walk = Walk()
        for call in json_lines(path):
            responses = call.get("rop_response_hex") or [""]
            for request, response in zip(call.get("rop_request_hex") or (), responses, strict=False):
                try:
                    walk.exchange(bytes.fromhex(request), bytes.fromhex(response))
                except Exception as error:
                    pytest.fail(f"{path.name}: {error!r}\nrequest  {request}\nresponse {response}")
        seen += walk.seen
    least = {
        "StandardPropertyRow": 300,
        "FlaggedPropertyRow": 150,
        "TaggedPropertyValue": 500,
        "RecipientRow": 50,
        "PropertyName": 100,
        "TypedString": 100,
        "SortOrderSet": 4,
        "Restriction": 4,
    }
    assert {name: seen[name] for name in least if seen[name] < least[name]} == {}, seen
