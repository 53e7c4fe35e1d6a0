"""[MS-OXCPRPT] as a client sees it: properties and streams."""

from __future__ import annotations

import pytest

from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import PropertyError
from openchange_py.wire.oxcdata.values import TypedPropertyValue
from openchange_py.wire.rop.base import RopFailure, RopRequest
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcmsg import RopOpenAttachmentRequest
from openchange_py.wire.rop.oxcprpt import (
    RopGetPropertiesAllRequest,
    RopGetPropertiesListRequest,
    RopGetPropertiesSpecificRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    OpenModeFlags,
    Origin,
    RopGetStreamSizeRequest,
    RopOpenStreamRequest,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
)
from tests.servers.emsmdb.parties import DATA, LONG_BODY, NONE, Client, World

NOT_FOUND, TOO_LARGE = PropertyError(ErrorCode.NotFound), PropertyError(ErrorCode.OutOfMemory)
BODY8 = p.PidTagBody.with_type(PropertyType.String8)
NUMBERS, WORDS = PropertyTag(0x80001003), PropertyTag(0x8001101F)


def ask(
    client: Client, handle: int, *tags: PropertyTag, limit: int = 0, unicode: int = 1, **options: int
) -> list[object]:
    request = RopGetPropertiesSpecificRequest(0, 0, limit, unicode, list(tags))
    response = client.ask(request, handle, **options)
    assert response.return_value == 0
    return list(response.row_data.values)


def test_values_stand_in_the_order_of_the_tags(client: Client, world: World) -> None:
    values = ask(client, client.message(world.rich), p.PidTagImportance, p.PidTagSubject, NUMBERS, WORDS, p.PidTagMid)
    assert values == [2, "AW: Grüße aus 東京", [1, 2, 3], ["eins", "zwölf"], world.rich]


def test_no_tags_give_an_empty_row(client: Client) -> None:
    assert ask(client, client.folder()) == []


def test_what_an_object_has_not_is_an_error_in_the_row(client: Client, world: World) -> None:
    wrong_type = p.PidTagSubject.with_type(PropertyType.Integer32)
    values = ask(
        client, client.message(world.rich), p.PidTagSubject, p.PidTagAttachNumber, wrong_type, PropertyTag(0x12340099)
    )
    assert values == ["AW: Grüße aus 東京", NOT_FOUND, NOT_FOUND, NOT_FOUND]


def test_8_bit_texts(client: Client, world: World) -> None:
    tags = (p.PidTagSubject.with_type(0x1E), WORDS.with_type(0x101E))
    assert ask(client, client.message(world.rich), *tags) == [
        "AW: Grüße aus ??".encode("cp1252"),
        [b"eins", "zwölf".encode("cp1252")],
    ]


@pytest.mark.parametrize(
    ("unicode", "subject"),
    [
        (1, TypedPropertyValue(PropertyType.String, "AW: Grüße aus 東京")),
        (0, TypedPropertyValue(PropertyType.String8, "AW: Grüße aus ??".encode("cp1252"))),
    ],
)
def test_tags_without_a_type(client: Client, world: World, unicode: int, subject: TypedPropertyValue) -> None:
    tags = [tag.with_type(0) for tag in (p.PidTagSubject, NUMBERS, p.PidTagAttachNumber, p.PidTagBody)]
    values = ask(client, client.message(world.rich), *tags, p.PidTagImportance, unicode=unicode)
    assert values == [
        subject,
        TypedPropertyValue(PropertyType.MultipleInteger32, [1, 2, 3]),
        TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND),
        TypedPropertyValue(PropertyType.ErrorCode, TOO_LARGE),
        2,
    ]


def test_a_value_that_no_buffer_holds_is_opened_as_a_stream(client: Client, world: World) -> None:
    assert ask(client, client.message(world.rich), p.PidTagBody, BODY8) == [TOO_LARGE, TOO_LARGE]


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, "RE: letter 0"), (26, "RE: letter 0"), (25, TOO_LARGE), (1, TOO_LARGE)]
)
def test_the_client_s_limit(client: Client, world: World, limit: int, expected: object) -> None:
    assert ask(client, client.message(world.letters[0]), p.PidTagSubject, limit=limit) == [expected]


def test_where_the_values_do_not_fit_together_the_largest_are_errors(client: Client, world: World) -> None:
    message = client.message(world.rich)
    tags = (p.PidTagHtml, p.PidTagSubject, p.PidTagImportance)
    small = ask(client, message, *tags, out_size=8 + 2 + 4 + 62)
    assert small == [b"<p>html</p>", TOO_LARGE, 2]
    assert ask(client, message, *tags) == [b"<p>html</p>", "AW: Grüße aus 東京", 2]


def test_all_properties(client: Client, world: World) -> None:
    message = client.message(world.rich)
    response = client.ask(RopGetPropertiesAllRequest(0, 0, 0, 1), message)
    values = {value.tag: value.value for value in response.property_values}
    assert values[p.PidTagSubject] == "AW: Grüße aus 東京"
    assert values[p.PidTagBody.with_type(PropertyType.ErrorCode)] == ErrorCode.OutOfMemory
    assert p.PidTagBody not in values
    listed = client.ask(RopGetPropertiesListRequest(0, 0), message).property_tags
    assert listed == sorted(listed)
    assert {tag.id for tag in listed} == {tag.id for tag in values}
    narrow = client.ask(RopGetPropertiesAllRequest(0, 0, 0, 0), message)
    assert not [value.tag for value in narrow.property_values if value.tag.type == PropertyType.String]


def test_all_properties_within_a_limit(client: Client, world: World) -> None:
    response = client.ask(RopGetPropertiesAllRequest(0, 0, 20, 1), client.message(world.rich))
    errors = [value.tag.id for value in response.property_values if value.tag.type == PropertyType.ErrorCode]
    assert p.PidTagSubject.id in errors
    assert p.PidTagImportance.id not in errors


@pytest.mark.parametrize("kind", ["logon", "folder", "message", "attachment"])
def test_every_object_lists_what_it_then_answers(client: Client, world: World, kind: str) -> None:
    message = client.message(world.rich)
    handles = {"logon": client.logon, "folder": client.folder(), "message": message}
    handles["attachment"] = client.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), message)
    tags = client.ask(RopGetPropertiesListRequest(0, 0), handles[kind]).property_tags
    assert len(tags) >= 10
    assert [tag for tag, value in zip(tags, ask(client, handles[kind], *tags), strict=True) if value == NOT_FOUND] == []


@pytest.mark.parametrize(
    "request_",
    [
        RopGetPropertiesSpecificRequest(0, 0, 0, 1, [p.PidTagSubject]),
        RopGetPropertiesAllRequest(0, 0, 0, 1),
        RopGetPropertiesListRequest(0, 0),
        RopOpenStreamRequest(0, 0, 1, p.PidTagBody, 0),
    ],
)
def test_a_table_has_no_properties(client: Client, request_: RopRequest) -> None:
    answer = client.execute(request_, handles=[client.contents(p.PidTagSubject), NONE])
    assert answer.rops[0].return_value == ErrorCode.NotSupported  # type: ignore[attr-defined]


def open_stream(client: Client, handle: int, tag: PropertyTag, mode: int = 0) -> tuple[object, int]:
    answer = client.execute(RopOpenStreamRequest(0, 0, 1, tag, mode), handles=[handle, NONE])
    return answer.rops[0], answer.handles[1]


def read_all(client: Client, stream: int, request: RopReadStreamRequest) -> bytes:
    parts = []
    while data := client.ask(request, stream).data:
        parts.append(data)
    return b"".join(parts)


@pytest.mark.parametrize("mode", [OpenModeFlags.ReadOnly, OpenModeFlags.BestAccess])
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (p.PidTagBody, LONG_BODY.encode("utf-16-le")),
        (BODY8, LONG_BODY.encode("cp1252")),
        (p.PidTagSubject, "AW: Grüße aus 東京".encode("utf-16-le")),
        (p.PidTagSubject.with_type(0x1E), "AW: Grüße aus ??".encode("cp1252")),
        (p.PidTagHtml, b"<p>html</p>"),
    ],
)
def test_a_value_as_a_stream(client: Client, world: World, tag: PropertyTag, expected: bytes, mode: int) -> None:
    response, stream = open_stream(client, client.message(world.rich), tag, mode)
    assert response.stream_size == len(expected)  # type: ignore[attr-defined]
    assert client.ask(RopGetStreamSizeRequest(0, 0), stream).stream_size == len(expected)
    assert read_all(client, stream, RopReadStreamRequest(0, 0, 4000)) == expected


def test_an_attachment_s_data_in_the_largest_pieces(client: Client, world: World) -> None:
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), client.message(world.rich))
    _, stream = open_stream(client, attachment, p.PidTagAttachDataBinary)
    first = client.ask(RopReadStreamRequest(0, 0, 0xBABE, 0x80000000), stream).data
    assert 0x7F00 < len(first) < 0x8000
    assert first + read_all(client, stream, RopReadStreamRequest(0, 0, 0xBABE, 100_000)) == DATA


def test_reading_is_bounded_by_the_client_s_buffer(client: Client, world: World) -> None:
    _, stream = open_stream(client, client.message(world.rich), p.PidTagBody)
    request = RopReadStreamRequest(0, 0, 1000)
    assert len(client.ask(request, stream, out_size=8 + 2 + 4 + 8 + 100).data) == 100
    refused = client.ask(request, stream, out_size=8 + 2 + 4 + 8)
    assert refused == RopReadStreamResponse(0, ErrorCode.BufferTooSmall, b"")
    assert client.ask(RopReadStreamRequest(0, 0, 0), stream).data == b""
    assert client.ask(RopSeekStreamRequest(0, 0, Origin.Current, 0), stream).new_position == 100


def test_a_folder_s_and_the_store_s_streams(client: Client) -> None:
    folder = client.folder()
    response, stream = open_stream(client, folder, p.PidTagEntryId)
    assert response.stream_size == 46  # type: ignore[attr-defined]
    assert len(read_all(client, stream, RopReadStreamRequest(0, 0, 100))) == 46
    for handle, tag in ((folder, p.PidTagDisplayName), (client.logon, p.PidTagMailboxOwnerEntryId)):
        assert open_stream(client, handle, tag)[0] == RopFailure(1, ErrorCode.NotSupported, RopId.OpenStream)


@pytest.mark.parametrize(
    ("tag", "mode", "code"),
    [
        (p.PidTagImportance, 0, ErrorCode.NotSupported),
        (WORDS, 0, ErrorCode.NotSupported),
        (p.PidTagBody.with_type(0), 0, ErrorCode.NotSupported),
        (p.PidTagRtfCompressed, 0, ErrorCode.NotFound),
        (p.PidTagRtfCompressed, 1, ErrorCode.NotFound),
        (p.PidTagRtfCompressed, 3, ErrorCode.NotFound),
        (p.PidTagBody, 1, ErrorCode.AccessDenied),
        (p.PidTagBody, 2, ErrorCode.AccessDenied),
        (p.PidTagBody, 4, ErrorCode.InvalidParameter),
    ],
)
def test_a_stream_that_cannot_be_opened(
    client: Client, world: World, tag: PropertyTag, mode: int, code: ErrorCode
) -> None:
    response, handle = open_stream(client, client.message(world.rich), tag, mode)
    assert (response, handle) == (RopFailure(1, code, RopId.OpenStream), NONE)


@pytest.mark.parametrize(
    ("origin", "offset", "position"),
    [
        (Origin.Beginning, 5, 5),
        (Origin.Current, 0, 3),
        (Origin.Current, -3, 0),
        (Origin.End, -1, 10),
        (Origin.End, 0, 11),
        (Origin.Beginning, 1 << 31, 1 << 31),
    ],
)
def test_seeking(client: Client, world: World, origin: int, offset: int, position: int) -> None:
    _, stream = open_stream(client, client.message(world.rich), p.PidTagHtml)
    client.ask(RopReadStreamRequest(0, 0, 3), stream)
    assert client.ask(RopSeekStreamRequest(0, 0, origin, offset), stream).new_position == position
    assert client.ask(RopReadStreamRequest(0, 0, 100), stream).data == b"<p>html</p>"[position:]


@pytest.mark.parametrize(
    ("origin", "offset", "code"),
    [
        (Origin.Beginning, -1, ErrorCode.StreamSeekError),
        (Origin.Current, -4, ErrorCode.StreamSeekError),
        (Origin.End, 1 << 31, ErrorCode.StreamSeekError),
        (Origin.Beginning, (1 << 63) - 1, ErrorCode.StreamSeekError),
        (3, 0, ErrorCode.StorageInvalidParameter),
        (0xFF, 0, ErrorCode.StorageInvalidParameter),
    ],
)
def test_seeking_out_of_range_leaves_the_position(
    client: Client, world: World, origin: int, offset: int, code: ErrorCode
) -> None:
    _, stream = open_stream(client, client.message(world.rich), p.PidTagHtml)
    client.ask(RopReadStreamRequest(0, 0, 3), stream)
    assert client.ask(RopSeekStreamRequest(0, 0, origin, offset), stream).return_value == code
    assert client.ask(RopReadStreamRequest(0, 0, 100), stream).data == b"html</p>"


@pytest.mark.parametrize(
    "request_",
    [RopReadStreamRequest(0, 0, 10), RopSeekStreamRequest(0, 0, 0, 0), RopGetStreamSizeRequest(0, 0)],
)
def test_a_stream_is_needed(client: Client, request_: RopRequest) -> None:
    assert client.ask(request_, client.folder(SpecialFolder.INBOX)).return_value == ErrorCode.NotSupported
    assert client.ask(request_, NONE).return_value == ErrorCode.NullObject
