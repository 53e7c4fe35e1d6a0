"""A message as a client reads it: [MS-OXCMSG]. Properties, recipients, bodies, attachments, messages in messages.

Not done yet: compressed RTF as a body, OLE attachments, changing anything.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.errors import NoSuchMessage
from openchange_py.client.objects import RemoteObject, RemoteTable, TableView
from openchange_py.client.text import decode, time_of
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientAddressType, RecipientRow
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcmsg import (
    OpenedMessageResponse,
    OpenModeFlags,
    OpenRecipientRow,
    ReadRecipientRow,
    RopGetAttachmentTableRequest,
    RopOpenAttachmentRequest,
    RopOpenEmbeddedMessageRequest,
    RopOpenEmbeddedMessageResponse,
    RopReadRecipientsRequest,
    RopReadRecipientsResponse,
)

#: PidTagAttachMethod: [MS-OXCMSG] 2.2.2.9.
ATTACH_BY_VALUE: Final = 1
ATTACH_EMBEDDED_MESSAGE: Final = 5

#: CodePageId for texts that are Unicode anyway: 0x0FFF is the code page of the logon ([MS-OXCMSG] 2.2.3.1.1).
LOGON_CODE_PAGE: Final = 0x0FFF

_HEADERS: Final[tuple[PropertyTag, ...]] = (
    p.PidTagSubject,
    p.PidTagMessageClass,
    p.PidTagSenderName,
    p.PidTagSenderAddressType,
    p.PidTagSenderEmailAddress,
    p.PidTagSenderSmtpAddress,
    p.PidTagSentRepresentingName,
    p.PidTagSentRepresentingAddressType,
    p.PidTagSentRepresentingEmailAddress,
    p.PidTagSentRepresentingSmtpAddress,
    p.PidTagClientSubmitTime,
    p.PidTagMessageDeliveryTime,
    p.PidTagMessageSize,
    p.PidTagMessageFlags,
    p.PidTagImportance,
    p.PidTagHasAttachments,
    p.PidTagInternetMessageId,
    p.PidTagInternetCodepage,
)

_ATTACHMENT_COLUMNS: Final[tuple[PropertyTag, ...]] = (
    p.PidTagAttachNumber,
    p.PidTagAttachLongFilename,
    p.PidTagAttachFilename,
    p.PidTagDisplayName,
    p.PidTagAttachMimeTag,
    p.PidTagAttachMethod,
    p.PidTagAttachSize,
    p.PidTagAttachContentId,
    p.PidTagAttachmentHidden,
)

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, slots=True)
class RecipientInfo:
    """One recipient. `kind` is 0 originator, 1 to, 2 cc, 3 bcc; `address` SMTP where the server tells it."""

    kind: int
    name: str
    address: str


@dataclasses.dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """One attachment. `number` names it to the server, `size` is about its bytes, `hidden`: shown in the HTML body."""

    number: int
    name: str
    mime_type: str
    size: int
    method: int
    content_id: str
    hidden: bool

    @property
    def is_message(self) -> bool:
        """Whether it is a message in the message."""
        return self.method == ATTACH_EMBEDDED_MESSAGE


@dataclasses.dataclass(frozen=True, slots=True)
class MessageInfo:
    """A message's head. Times are UTC; `sender` is who it is from, `submitter` who sent it for that one."""

    subject: str
    message_class: str
    sender: RecipientInfo
    submitter: RecipientInfo
    submitted: datetime.datetime | None
    delivered: datetime.datetime | None
    size: int
    flags: int
    importance: int
    message_id: str
    recipients: list[RecipientInfo]


class RemoteMessage(RemoteObject):
    """An open message, or one in an attachment; `opened` is what opening it told."""

    def __init__(
        self,
        session: EmsmdbClient,
        handle: int,
        logon_id: int,
        opened: OpenedMessageResponse | RopOpenEmbeddedMessageResponse,
    ) -> None:
        super().__init__(session, handle, logon_id)
        self._opened = opened

    async def info(self) -> MessageInfo:
        """Its head, with all recipients."""
        values = await self.properties(_HEADERS)
        opened = self._opened
        subject = opened.subject_prefix.text() + opened.normalized_subject.text()
        submitter = _person(values, p.PidTagSenderName, p.PidTagSenderSmtpAddress, p.PidTagSenderEmailAddress)
        sender = _person(
            values,
            p.PidTagSentRepresentingName,
            p.PidTagSentRepresentingSmtpAddress,
            p.PidTagSentRepresentingEmailAddress,
        )
        return MessageInfo(
            subject=values.get(p.PidTagSubject) or subject,
            message_class=values.get(p.PidTagMessageClass, ""),
            sender=sender if sender.name or sender.address else submitter,
            submitter=submitter,
            submitted=time_of(values.get(p.PidTagClientSubmitTime)),
            delivered=time_of(values.get(p.PidTagMessageDeliveryTime)),
            size=values.get(p.PidTagMessageSize, 0),
            flags=values.get(p.PidTagMessageFlags, 0),
            importance=values.get(p.PidTagImportance, 1),
            message_id=values.get(p.PidTagInternetMessageId, ""),
            recipients=await self.recipients(),
        )

    async def recipients(self) -> list[RecipientInfo]:
        """All of them, in their order: those that opening it told, the rest by RopReadRecipients."""
        rows: list[OpenRecipientRow | ReadRecipientRow] = list(self._opened.recipient_rows)
        while len(rows) < self._opened.recipient_count:
            request = RopReadRecipientsRequest(self.logon_id, 0, len(rows), 0)
            done = await self.session.execute([request], [self.handle])
            more = done.first(RopReadRecipientsResponse).recipient_rows
            if not more:
                break
            rows += more
        return [_recipient(row) for row in rows]

    async def body(self) -> str | None:
        """The plain text; None where it has none."""
        values = await self.properties([p.PidTagBody])
        body: str | None = values.get(p.PidTagBody)
        return body

    async def html(self) -> str | None:
        """The HTML, decoded by its code page; None where it has none."""
        values = await self.properties([p.PidTagHtml, p.PidTagInternetCodepage])
        html = values.get(p.PidTagHtml)
        return None if html is None else decode(html, values.get(p.PidTagInternetCodepage, 65001))

    async def attachments(self) -> list[AttachmentInfo]:
        """All of them, in the order of their numbers: RopGetAttachmentTable."""
        request = RopGetAttachmentTableRequest(self.logon_id, 0, 1, 0)
        done = await self.session.execute([request], [self.handle, NO_HANDLE])
        async with RemoteTable(self.session, done.handles[1], self.logon_id) as table:
            rows = [_attachment(row) async for row in table.rows(TableView(_ATTACHMENT_COLUMNS))]
        return sorted(rows, key=lambda attachment: attachment.number)

    async def save_attachment(self, number: int, file: BinaryIO, progress: Progress | None = None) -> int:
        """Write an attachment's bytes to `file`, in chunks; how many they are.

        `progress` is told the bytes written and the size after each chunk. Raises `NoSuchMessage`, and `MapiError`
        (NotFound) where the attachment has no bytes, being a message.
        """
        async with (
            await self._open_attachment(number) as attachment,
            await attachment.open_stream(p.PidTagAttachDataBinary) as stream,
        ):
            written = 0
            async for chunk in stream.chunks():
                file.write(chunk)
                written += len(chunk)
                if progress is not None:
                    progress(written, stream.size)
            return written

    async def embedded(self, number: int) -> RemoteMessage:
        """The message in an attachment: RopOpenEmbeddedMessage. Raises `NoSuchMessage` where it is none."""
        async with await self._open_attachment(number) as attachment:
            request = RopOpenEmbeddedMessageRequest(self.logon_id, 0, 1, LOGON_CODE_PAGE, OpenModeFlags.ReadOnly)
            try:
                done = await self.session.execute([request], [attachment.handle, NO_HANDLE])
            except MapiError as error:
                if error.code not in (ErrorCode.NotFound, ErrorCode.NotSupported):
                    raise
                raise NoSuchMessage(f"attachment {number} is no message") from error
        opened = done.first(RopOpenEmbeddedMessageResponse)
        return RemoteMessage(self.session, done.handles[1], self.logon_id, opened)

    async def _open_attachment(self, number: int) -> RemoteObject:
        request = RopOpenAttachmentRequest(self.logon_id, 0, 1, OpenModeFlags.ReadOnly, number)
        try:
            done = await self.session.execute([request], [self.handle, NO_HANDLE])
        except MapiError as error:
            if error.code != ErrorCode.NotFound:
                raise
            raise NoSuchMessage(f"the message has no attachment {number}") from error
        return RemoteObject(self.session, done.handles[1], self.logon_id)


def _person(values: PropertyMap, name: PropertyTag, *addresses: PropertyTag) -> RecipientInfo:
    """A sender: the first of the addresses that the message has."""
    address = next((values[tag] for tag in addresses if values.get(tag)), "")
    return RecipientInfo(0, values.get(name) or "", address)


def _recipient(row: OpenRecipientRow | ReadRecipientRow) -> RecipientInfo:
    """[MS-OXCMSG] 2.2.3.1.2: the flags beside the type are left out."""
    found, code_page = row.recipient_row, row.code_page_id
    values: dict[Any, Any] = found.properties.to_map(found.columns)
    name = decode(found.display_name, code_page) or decode(values.get(p.PidTagRecipientDisplayName), code_page)
    return RecipientInfo(row.recipient_type & 0x0F, name, decode(_address(found, values), code_page))


def _address(row: RecipientRow, values: dict[Any, Any]) -> str | bytes:
    smtp = values.get(p.PidTagSmtpAddress) or (row.email_address if row.type == RecipientAddressType.Smtp else None)
    return smtp or row.email_address or values.get(p.PidTagEmailAddress) or row.x500_dn or ""


def _attachment(row: PropertyMap) -> AttachmentInfo:
    name = row.get(p.PidTagAttachLongFilename) or row.get(p.PidTagAttachFilename) or row.get(p.PidTagDisplayName)
    return AttachmentInfo(
        number=row.get(p.PidTagAttachNumber, 0),
        name=name or "",
        mime_type=row.get(p.PidTagAttachMimeTag, ""),
        size=row.get(p.PidTagAttachSize, 0),
        method=row.get(p.PidTagAttachMethod, 0),
        content_id=row.get(p.PidTagAttachContentId, ""),
        hidden=bool(row.get(p.PidTagAttachmentHidden, False)),
    )
