"""Values in the client's form."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.servers.emsmdb.objects.stream import BytesContent
from openchange_py.servers.emsmdb.values import (
    TOO_LARGE,
    ValueReader,
    as_stored,
    is_content,
    terminated,
    value_size,
    whole,
)
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import NOT_FOUND
from openchange_py.wire.oxcdata.values import TypedPropertyValue, write_value

WORDS = PropertyTag(0x8001101F)
PROPERTIES: PropertyMap = {
    p.PidTagSubject: "é\0hidden",
    p.PidTagBody: BytesContent("länger".encode("utf-16-le")),
    p.PidTagImportance: 1,
    WORDS: ["a\0b", "é"],
}


def read(*tags: PropertyTag, limit: int = 1000, unicode: bool = True) -> list[object]:
    return ValueReader("cp1252", unicode=unicode, limit=limit).row(PROPERTIES, tags)


def test_a_text_ends_at_a_zero_character() -> None:
    assert terminated("a\0b\0") == "a"
    assert read(p.PidTagSubject, p.PidTagSubject.with_type(0x1E)) == ["é", b"\xe9"]
    assert read(WORDS, WORDS.with_type(0x101E)) == [["a", "é"], [b"a", b"\xe9"]]


def test_a_large_value_is_read_where_the_limit_allows() -> None:
    assert read(p.PidTagBody, p.PidTagBody.with_type(0x1E)) == ["länger", "länger".encode("cp1252")]
    assert read(p.PidTagBody, p.PidTagImportance, limit=11) == [TOO_LARGE, TOO_LARGE]
    assert whole(BytesContent(b"ab"), PropertyType.Binary) == b"ab"


def test_untyped() -> None:
    tags = [tag.with_type(0) for tag in (p.PidTagSubject, WORDS, p.PidTagImportance, p.PidTagMid)]
    assert read(*tags, unicode=False) == [
        TypedPropertyValue(PropertyType.String8, b"\xe9"),
        TypedPropertyValue(PropertyType.MultipleString8, [b"a", b"\xe9"]),
        TypedPropertyValue(PropertyType.Integer32, 1),
        TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND),
    ]


def test_tags_of_the_store() -> None:
    assert as_stored(p.PidTagSubject.with_type(0x1E)) == p.PidTagSubject
    assert as_stored(WORDS.with_type(0x101E)) == WORDS
    assert as_stored(p.PidTagImportance) is p.PidTagImportance


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (0x1F, "é" * 5),
        (0x1E, b"abc"),
        (0x102, b"abc"),
        (0x03, 1),
        (0x14, 1),
        (0x48, uuid.UUID(int=1)),
        (0x101F, ["a", ""]),
        (0x1102, [b"", b"a"]),
        (0x1003, [1, 2]),
        (0x00, TypedPropertyValue(0x1F, "abc")),
    ],
)
def test_no_value_takes_more_than_its_size(kind: int, value: object) -> None:
    writer = Writer()
    write_value(writer, kind, value)
    assert len(writer) <= value_size(value)


def test_what_is_read_in_pieces() -> None:
    assert is_content(BytesContent(b""))
    assert not any(map(is_content, (b"", "", 1, [], None)))
