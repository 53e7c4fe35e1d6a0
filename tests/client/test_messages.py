"""Reading messages and saving attachments, against the real server."""

from __future__ import annotations

import asyncio
import datetime
import io
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.errors import ClientError, IncompleteStream, NoSuchMessage
from openchange_py.client.messages import RemoteMessage
from openchange_py.client.profile import Profile
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientAddressType, RecipientFlags, RecipientRow
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.oxcdata.typedstring import TypedString
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcmsg import OpenRecipientRow, RopOpenMessageResponse
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificResponse
from tests.client.conftest import ALL_BYTES, LONG_HTML, LONG_TEXT, RECIPIENTS
from tests.client.scripted import session
from tests.node import RunningNode

T = TypeVar("T")


def in_message(node: RunningNode, work: Callable[[RemoteMessage], Awaitable[T]], number: int = 1) -> T:
    """Do something with a message of alice's Inbox; 1 is the rich one."""

    async def opened() -> T:
        async with Profile(node.connector()) as profile:
            mailbox = await profile.mailbox()
            inbox = await mailbox.find_folder("Inbox")
            found = await mailbox.message_at(inbox.id, number)
            async with await mailbox.open_message(inbox.id, found.id) as message:
                return await work(message)

    return asyncio.run(opened())


def test_the_head_of_a_message(node: RunningNode) -> None:
    info = in_message(node, lambda message: message.info())
    assert info.subject == "RE: everything"
    assert (info.sender.name, info.sender.address) == ("Carol Chief", "carol@example.test")
    assert (info.submitter.name, info.submitter.address) == ("Bob Example", "bob@example.test")
    assert info.submitted == datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    assert info.delivered == datetime.datetime(2024, 1, 7, 22, 40, tzinfo=datetime.UTC)
    assert info.message_id == "<everything@example.test>"
    assert info.message_class == "IPM.Note"


def test_recipients_that_one_answer_does_not_hold(node: RunningNode) -> None:
    """RopOpenMessage tells the first ones, RopReadRecipients the others."""

    async def work(message: RemoteMessage) -> None:
        assert len(message._opened.recipient_rows) < RECIPIENTS
        recipients = await message.recipients()
        assert [r.address for r in recipients] == [f"person{n}@example.test" for n in range(RECIPIENTS)]
        assert [r.name for r in recipients[::100]] == [f"Person {n}" for n in range(0, RECIPIENTS, 100)]
        assert [r.kind for r in recipients] == [1] * 600 + [2] * 100

    in_message(node, work)


def test_long_bodies_come_whole(node: RunningNode) -> None:
    assert in_message(node, lambda message: message.body()) == LONG_TEXT
    assert in_message(node, lambda message: message.html()) == LONG_HTML.decode("cp1251")


def test_a_message_without_bodies(node: RunningNode) -> None:
    assert in_message(node, lambda message: message.body(), number=2) is None
    assert in_message(node, lambda message: message.html(), number=2) is None
    assert in_message(node, lambda message: message.attachments(), number=2) == []


def test_the_list_of_attachments(node: RunningNode) -> None:
    big, empty, inner = in_message(node, lambda message: message.attachments())
    assert (big.name, big.mime_type, big.is_message, big.hidden) == (
        "all bytes.bin",
        "application/octet-stream",
        False,
        False,
    )
    assert big.size >= len(ALL_BYTES)
    assert (empty.name, empty.hidden, empty.content_id) == ("empty.txt", True, "empty@example.test")
    assert (inner.name, inner.is_message) == ("Inner", True)


def test_attachments_are_saved_byte_by_byte(node: RunningNode) -> None:
    told: list[tuple[int, int]] = []

    async def work(message: RemoteMessage) -> None:
        file = io.BytesIO()
        big, empty, _ = await message.attachments()
        size = await message.save_attachment(big.number, file, lambda done, total: told.append((done, total)))
        assert size == len(ALL_BYTES)
        assert file.getvalue() == ALL_BYTES
        nothing = io.BytesIO()
        assert await message.save_attachment(empty.number, nothing) == 0
        assert nothing.getvalue() == b""

    in_message(node, work)
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (len(ALL_BYTES), len(ALL_BYTES))


def test_a_message_in_a_message_in_a_message(node: RunningNode) -> None:
    async def work(message: RemoteMessage) -> None:
        inner = await message.embedded((await message.attachments())[2].number)
        async with inner:
            assert (await inner.info()).subject == "Inner"
            assert [r.address for r in await inner.recipients()] == ["alice@example.test"]
            assert await inner.body() == "a shell"
            async with await inner.embedded((await inner.attachments())[0].number) as innermost:
                assert (await innermost.info()).subject == "Innermost"
                file = io.BytesIO()
                await innermost.save_attachment((await innermost.attachments())[0].number, file)
                assert file.getvalue() == b"\0\1\2"

    in_message(node, work)


def test_what_is_not_there(node: RunningNode) -> None:
    async def work(message: RemoteMessage) -> None:
        first, _, inner = await message.attachments()
        with pytest.raises(NoSuchMessage, match="no attachment 99"):
            await message.save_attachment(99, io.BytesIO())
        with pytest.raises(NoSuchMessage, match="is no message"):
            await message.embedded(first.number)
        with pytest.raises(MapiError, match="RopOpenStream"):
            await message.save_attachment(inner.number, io.BytesIO())
        with pytest.raises(MapiError, match="NotFound: RopOpenStream"):
            await message.value(p.PidTagTransportMessageHeaders)
        with pytest.raises(ClientError, match="larger than 100"):
            await message.value(p.PidTagBody, limit=100)
        # The session is as good as before.
        assert (await message.info()).subject == "RE: everything"

    in_message(node, work)


def _opened(*rows: OpenRecipientRow, columns: list[PropertyTag]) -> RopOpenMessageResponse:
    subject = TypedString.of("Hello")
    return RopOpenMessageResponse(1, 0, 0, TypedString.of("Re: "), subject, len(rows), columns, list(rows))


def test_recipients_as_other_servers_send_them() -> None:
    """8-bit texts in a code page, addresses in fields or in columns, an Exchange user by its DN alone."""
    narrow = RecipientFlags.EmailAddress | RecipientFlags.DisplayName | RecipientFlags.SameDisplayName
    columns = [p.PidTagSmtpAddress]
    smtp = RecipientRow(
        int(RecipientAddressType.Smtp | narrow),
        email_address=b"ivan@example.test",
        display_name="Иван".encode("cp1251"),
    )
    exchange = RecipientRow.exchange(b"/o=x/cn=alice", "Alice")
    exchange.columns, exchange.properties = columns, PropertyRow(["alice@example.test"])
    bare = RecipientRow.exchange(b"/o=x/cn=bob", "Bob")
    rows = [
        OpenRecipientRow(0x11, 1251, 0, smtp),
        OpenRecipientRow(2, 1252, 0, exchange),
        OpenRecipientRow(3, 1252, 0, bare),
    ]
    message = RemoteMessage(None, 1, 0, _opened(*rows, columns=columns))  # type: ignore[arg-type]  # it is not asked
    people = asyncio.run(message.recipients())
    assert [(r.kind, r.name, r.address) for r in people] == [
        (1, "Иван", "ivan@example.test"),
        (2, "Alice", "alice@example.test"),
        (3, "Bob", "/o=x/cn=bob"),
    ]


def test_a_message_with_hardly_any_property() -> None:
    """Only what opening it told is known."""

    async def work() -> None:
        client: EmsmdbClient
        client, _ = await session(
            lambda request: [
                RopBuffer(
                    [
                        RopGetPropertiesSpecificResponse(
                            0,
                            0,
                            PropertyRow.from_map(request.rops[0].property_tags, {}),  # type: ignore[attr-defined]
                            request.rops[0].property_tags,  # type: ignore[attr-defined]
                        )
                    ],
                    request.handles,
                )
            ]
        )
        info = await RemoteMessage(client, 5, 0, _opened(columns=[])).info()
        assert info.subject == "Re: Hello"
        assert (info.sender.name, info.submitted, info.recipients) == ("", None, [])

    asyncio.run(work())


def test_a_stream_that_ends_early_is_told(node: RunningNode) -> None:
    async def work(message: RemoteMessage) -> None:
        async with await message.open_stream(p.PidTagBody) as stream:
            stream.size += 1
            with pytest.raises(IncompleteStream, match="1 bytes before"):
                async for _ in stream.chunks():
                    pass

    in_message(node, work)
