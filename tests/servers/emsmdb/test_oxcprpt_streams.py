"""[MS-OXCPRPT] as a client sees it: streams."""

from __future__ import annotations

import tracemalloc

import pytest
from sqlalchemy import create_engine, text

from openchange_py.store.base import SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.rop.base import RopFailure, RopRequest
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcmsg import (
    RopCreateAttachmentRequest,
    RopOpenAttachmentRequest,
    RopSaveChangesAttachmentRequest,
    SaveFlags,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    OpenModeFlags,
    Origin,
    RopCommitStreamRequest,
    RopGetStreamSizeRequest,
    RopOpenStreamRequest,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSetStreamSizeRequest,
    RopWriteAndCommitStreamRequest,
    RopWriteStreamExtendedRequest,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)
from tests.servers.emsmdb.parties import DATA, LONG_BODY, NONE, Client, World

BODY8 = p.PidTagBody.with_type(PropertyType.String8)
WORDS = PropertyTag(0x8001101F)


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
    [
        RopReadStreamRequest(0, 0, 10),
        RopSeekStreamRequest(0, 0, 0, 0),
        RopGetStreamSizeRequest(0, 0),
        RopWriteStreamRequest(0, 0, b"x"),
        RopWriteStreamExtendedRequest(0, 0, b"x"),
        RopWriteAndCommitStreamRequest(0, 0, b"x"),
        RopCommitStreamRequest(0, 0),
        RopSetStreamSizeRequest(0, 0, 5),
    ],
)
def test_a_stream_is_needed(client: Client, request_: RopRequest) -> None:
    assert client.ask(request_, client.folder(SpecialFolder.INBOX)).return_value == ErrorCode.NotSupported
    assert client.ask(request_, NONE).return_value == ErrorCode.NullObject


#: What one RopWriteStream brings in a buffer of 32 KiB.
PIECE = 0x7F00


def create_stream(client: Client, handle: int, tag: PropertyTag, mode: int = OpenModeFlags.Create) -> int:
    response, stream = open_stream(client, handle, tag, mode)
    assert response.return_value == 0, response  # type: ignore[attr-defined]
    return stream


def write(client: Client, stream: int, data: bytes) -> None:
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        assert client.ask(RopWriteStreamRequest(0, 0, piece), stream) == RopWriteStreamResponse(0, 0, len(piece))


def everything(client: Client, handle: int, tag: PropertyTag) -> bytes:
    return read_all(client, create_stream(client, handle, tag, 0), RopReadStreamRequest(0, 0, 0xBABE, 1 << 20))


@pytest.mark.parametrize("size", [0, 3, 8192, 8193, 70_001, 3_000_001])
def test_what_a_stream_wrote_is_the_property_at_once_and_the_mailboxs_when_saved(own_world: World, size: int) -> None:
    client, other = Client(own_world), Client(own_world)
    data = (DATA * (size // len(DATA) + 1))[:size]
    message = client.new_message()
    stream = create_stream(client, message, p.PidTagHtml)
    write(client, stream, data)
    assert client.ask(RopGetStreamSizeRequest(0, 0), stream).stream_size == size
    assert everything(client, message, p.PidTagHtml) == data
    assert client.ask(RopCommitStreamRequest(0, 0), stream).return_value == 0
    identifier = client.save(message).message_id
    assert everything(other, other.message(identifier), p.PidTagHtml) == data
    assert client.get(client.message(identifier), p.PidTagMessageSize)[0] > size
    if size <= 8192:
        assert other.get(other.message(identifier), p.PidTagHtml) == [data]


def test_a_value_is_changed_in_place(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.message(own_world.rich, mode=3)
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 3, 0), message)
    stream = create_stream(client, attachment, p.PidTagAttachDataBinary, OpenModeFlags.ReadWrite)
    model = bytearray(DATA)
    for offset, piece in ((10, b"ten"), (len(DATA) - 1, b"end and more"), (60_000, b"behind")):
        client.ask(RopSeekStreamRequest(0, 0, Origin.Beginning, offset), stream)
        write(client, stream, piece)
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + len(piece)] = piece
    assert everything(client, attachment, p.PidTagAttachDataBinary) == model
    there = other.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), other.message(own_world.rich))
    assert everything(other, there, p.PidTagAttachDataBinary) == DATA
    client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, 0), attachment)
    client.save(message)
    there = other.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), other.message(own_world.rich))
    assert everything(other, there, p.PidTagAttachDataBinary) == model
    # The stream goes on, on a copy: what is saved does not change before the next save.
    client.ask(RopSeekStreamRequest(0, 0, Origin.Beginning, 0), stream)
    write(client, stream, b"later")
    assert everything(client, attachment, p.PidTagAttachDataBinary)[:6] == b"later" + DATA[5:6]
    assert everything(other, there, p.PidTagAttachDataBinary) == model


def test_setting_the_size(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    stream = create_stream(client, message, p.PidTagBody, OpenModeFlags.BestAccess)
    for size in (10, 100_000, 20):
        assert client.ask(RopSetStreamSizeRequest(0, 0, size), stream).return_value == 0
        assert client.ask(RopGetStreamSizeRequest(0, 0), stream).stream_size == size
    client.save(message)
    raw = LONG_BODY[:5].encode("utf-16-le") + bytes(10)
    assert everything(client, client.message(own_world.rich), p.PidTagBody) == raw
    assert client.get(client.message(own_world.rich), p.PidTagBody) == [LONG_BODY[:5]]


def test_an_8_bit_stream_writes_a_text(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, 932, mode=1)
    stream = create_stream(client, message, BODY8)
    write(client, stream, "東京 ".encode("cp932") * 9000)
    assert everything(client, message, p.PidTagBody) == ("東京 " * 9000).encode("utf-16-le")
    client.save(message)
    assert everything(client, client.message(own_world.rich), p.PidTagBody) == ("東京 " * 9000).encode("utf-16-le")


def test_a_text_is_written_in_turn_as_8_bit_and_as_unicode(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    write(client, create_stream(client, message, BODY8), "Grüße".encode("cp1252"))
    stream = create_stream(client, message, p.PidTagBody, OpenModeFlags.ReadWrite)
    client.ask(RopSeekStreamRequest(0, 0, Origin.End, 0), stream)
    write(client, stream, " 東京".encode("utf-16-le"))
    assert client.get(message, p.PidTagBody) == ["Grüße 東京"]
    client.save(message)
    assert client.get(client.message(own_world.rich), p.PidTagBody) == ["Grüße 東京"]


def test_nothing_is_written_of_a_message_that_was_released(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    attachment = client.open(RopCreateAttachmentRequest(0, 0, 1), message)
    client.release(message)
    response, _ = open_stream(client, attachment, p.PidTagAttachDataBinary, OpenModeFlags.Create)
    assert response == RopFailure(1, ErrorCode.InvalidObject, RopId.OpenStream)


def test_half_a_character_is_left_out_and_a_text_of_a_column_is_short(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    write(client, create_stream(client, message, p.PidTagSubject), "RE: by stream".encode("utf-16-le") + b"x")
    assert client.save(message).return_value == 0
    tags = (p.PidTagSubject, p.PidTagSubjectPrefix, p.PidTagNormalizedSubject)
    assert client.get(client.message(own_world.rich), *tags) == ["RE: by stream", "RE: ", "by stream"]
    stream = create_stream(client, message, p.PidTagSubject)
    assert client.ask(RopSetStreamSizeRequest(0, 0, 70_000), stream).return_value == ErrorCode.StreamSizeError


def test_two_streams_of_one_property_write_the_same_bytes(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    first = create_stream(client, message, p.PidTagHtml)
    second = create_stream(client, message, p.PidTagHtml, OpenModeFlags.ReadWrite)
    write(client, first, b"first")
    assert client.ask(RopReadStreamRequest(0, 0, 9), second).data == b"first"
    write(client, second, b" second")
    assert client.ask(RopReadStreamRequest(0, 0, 9), first).data == b" second"


def test_a_read_only_stream_is_not_written(client: Client, world: World) -> None:
    stream = create_stream(client, client.message(world.rich), p.PidTagBody, OpenModeFlags.BestAccess)
    assert client.ask(RopWriteStreamRequest(0, 0, b"x"), stream).return_value == ErrorCode.StorageAccessDenied
    assert client.ask(RopSetStreamSizeRequest(0, 0, 0), stream).return_value == ErrorCode.StorageAccessDenied
    assert client.ask(RopCommitStreamRequest(0, 0), stream).return_value == 0


def test_a_computed_property_is_not_written(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    for mode in (OpenModeFlags.Create, OpenModeFlags.ReadWrite):
        response, _ = open_stream(client, message, p.PidTagChangeKey, mode)
        assert response == RopFailure(1, ErrorCode.AccessDenied, RopId.OpenStream)


def test_a_stream_that_is_written_while_the_message_becomes_read_only(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    stream = create_stream(client, message, p.PidTagHtml)
    client.save(message, SaveFlags.KeepOpenReadOnly)
    assert client.ask(RopWriteStreamRequest(0, 0, b"x"), stream).return_value == ErrorCode.AccessDenied


def test_a_stream_has_a_largest_size(own_world: World) -> None:
    client = Client(own_world)
    client.session.handles[client.cxh].largest_message = 1000
    stream = create_stream(client, client.new_message(), p.PidTagHtml)
    write(client, stream, b"x" * 990)
    refused = client.ask(RopWriteStreamRequest(0, 0, b"y" * 11), stream)
    assert refused == RopWriteStreamResponse(0, ErrorCode.TooBig, 0)
    write(client, stream, b"y" * 10)
    for size, code in ((1000, 0), (1001, ErrorCode.StreamSizeError), (1 << 63, ErrorCode.StreamSizeError)):
        assert client.ask(RopSetStreamSizeRequest(0, 0, size), stream).return_value == code
    client.ask(RopSeekStreamRequest(0, 0, Origin.Beginning, 1 << 31), stream)
    assert client.ask(RopWriteStreamRequest(0, 0, b"x"), stream).return_value == ErrorCode.TooBig


def test_the_other_ways_to_write(own_world: World) -> None:
    client = Client(own_world)
    message = client.new_message()
    stream = create_stream(client, message, p.PidTagHtml)
    assert client.ask(RopWriteStreamExtendedRequest(0, 0, b"one "), stream).written_size == 4
    assert client.ask(RopWriteAndCommitStreamRequest(0, 0, b"two"), stream).written_size == 3
    assert everything(client, message, p.PidTagHtml) == b"one two"


def count(world: World, table: str) -> int:
    engine = create_engine(world.store._database.url)  # type: ignore[attr-defined]
    with engine.connect() as connection:
        found: int = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    engine.dispose()
    return found


@pytest.mark.parametrize("end", ["release", "disconnect", "end_session"])
def test_what_is_not_saved_leaves_nothing(own_world: World, end: str) -> None:
    before = count(own_world, "messages"), count(own_world, "content_chunks")
    client = Client(own_world)
    message = client.new_message()
    attachment = client.open(RopCreateAttachmentRequest(0, 0, 1), message)
    write(client, create_stream(client, attachment, p.PidTagAttachDataBinary), DATA * 60)
    assert count(own_world, "messages") == before[0] + 1
    if end == "release":
        client.release(message)
    elif end == "disconnect":
        client.disconnect()
    else:
        own_world.server.end_session(client.session)
    assert (count(own_world, "messages"), count(own_world, "content_chunks")) == before


def test_fifty_megabytes_take_little_memory_and_come_back(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.new_message()
    attachment = client.open(RopCreateAttachmentRequest(0, 0, 1), message)
    stream = create_stream(client, attachment, p.PidTagAttachDataBinary)
    pieces = [bytes((number,)) * PIECE for number in range(256)]
    total = 50_000_000 // PIECE
    tracemalloc.start()
    for number in range(total):
        client.ask(RopWriteStreamRequest(0, 0, pieces[number % 256]), stream)
    client.ask(RopSaveChangesAttachmentRequest(0, 0, 0, 0), attachment)
    identifier = client.save(message).message_id
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    there = other.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), other.message(identifier))
    stream = create_stream(other, there, p.PidTagAttachDataBinary, 0)
    for number in range(total):
        assert other.ask(RopReadStreamRequest(0, 0, PIECE), stream).data == pieces[number % 256]
    assert other.ask(RopReadStreamRequest(0, 0, 1), stream).data == b""
