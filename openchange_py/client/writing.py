"""Messages that are created or changed: [MS-OXCMSG] and [MS-OXCPRPT] from the client's side.

    async with await mailbox.create_message(inbox.id) as message:
        await message.set_properties({PidTagSubject: "hello", PidTagBody: "..."})
        await message.set_recipients([RecipientInfo(1, "Bob", "bob@example.test")])
        with open("big.iso", "rb") as file:
            await message.attach("big.iso", file)
        message_id = await message.save()

Nothing of it is in the mailbox before the message is saved.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

from openchange_py.client.errors import ClientError
from openchange_py.client.messages import LOGON_CODE_PAGE, RecipientInfo
from openchange_py.client.objects import RemoteObject
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.ids import MessageId
from openchange_py.wire.oxcdata.properties import (
    PropertyMap,
    PropertyTag,
    PropertyType,
    PropertyValue,
    TaggedPropertyValue,
)
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcdata.values import write_tagged
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcmsg import (
    ModifyRecipientRow,
    RopCreateAttachmentRequest,
    RopCreateAttachmentResponse,
    RopDeleteAttachmentRequest,
    RopModifyRecipientsRequest,
    RopOpenEmbeddedMessageRequest,
    RopRemoveAllRecipientsRequest,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesMessageRequest,
    RopSaveChangesMessageResponse,
    SaveFlags,
)
from openchange_py.wire.rop.oxcprpt import (
    ProblemsResponse,
    RopDeletePropertiesRequest,
    RopDeletePropertiesResponse,
    RopSetPropertiesRequest,
    RopSetPropertiesResponse,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    OpenModeFlags,
    RopCommitStreamRequest,
    RopOpenStreamRequest,
    RopSetStreamSizeRequest,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
)

#: Bytes of one RopWriteStream: a buffer of 32 KiB has room for that and for the releases that travel with it.
PIECE: Final = 0x7800
#: Bytes of properties, and recipients, of one ROP.
_VALUES: Final = 0x6000
_RECIPIENTS: Final = 50
#: A text or binary above is written as a stream.
_STREAMED: Final = 0x1000

#: Create, of RopOpenEmbeddedMessage: [MS-OXCMSG] 2.2.3.16.1.
_CREATE: Final = 0x02
#: afByValue and afEmbeddedMessage: [MS-OXCMSG] 2.2.2.9.
_BY_VALUE, _EMBEDDED = 1, 5

#: Told the bytes that were written, after each piece.
Written = Callable[[int], None]


class RemoteWriter(RemoteObject):
    """A message or an attachment that is open for writing."""

    async def set_properties(self, values: PropertyMap) -> None:
        """RopSetProperties, as many as it takes; large texts and binaries as streams.

        Raises `ClientError` for what the server does not set.
        """
        batch: list[TaggedPropertyValue] = []
        size = 0
        for tag, value in values.items():
            large = _stream_bytes(tag, value)
            if large is not None:
                await self.write_stream(tag, io.BytesIO(large))
                continue
            one = TaggedPropertyValue(tag, value)
            needed = _size(one)
            if batch and size + needed > _VALUES:
                await self._set(batch)
                batch, size = [], 0
            batch.append(one)
            size += needed
        if batch:
            await self._set(batch)

    async def _set(self, values: list[TaggedPropertyValue]) -> None:
        done = await self.session.execute([RopSetPropertiesRequest(self.logon_id, 0, values)], [self.handle])
        _check(done.first(RopSetPropertiesResponse))

    async def delete_properties(self, tags: Sequence[PropertyTag]) -> None:
        """RopDeleteProperties."""
        done = await self.session.execute([RopDeletePropertiesRequest(self.logon_id, 0, list(tags))], [self.handle])
        _check(done.first(RopDeletePropertiesResponse))

    async def write_stream(self, tag: PropertyTag, file: BinaryIO, written: Written | None = None) -> int:
        """A property's new value, from where the file stands to its end; how many bytes they were."""
        request = RopOpenStreamRequest(self.logon_id, 0, 1, tag, OpenModeFlags.Create)
        done = await self.session.execute([request], [self.handle, NO_HANDLE])
        async with RemoteObject(self.session, done.handles[1], self.logon_id) as stream:
            total = 0
            while piece := file.read(PIECE):
                total += await _write(stream, piece)
                if written is not None:
                    written(total)
            await self.session.execute([RopCommitStreamRequest(self.logon_id, 0)], [stream.handle])
        return total

    async def resize_stream(self, tag: PropertyTag, size: int) -> None:
        """RopSetStreamSize of a property that there is."""
        rops: list[RopRequest] = [
            RopOpenStreamRequest(self.logon_id, 0, 1, tag, OpenModeFlags.ReadWrite),
            RopSetStreamSizeRequest(self.logon_id, 1, size),
        ]
        done = await self.session.execute(rops, [self.handle, NO_HANDLE])
        self.session.release(done.handles[1], self.logon_id)


class RemoteDraft(RemoteWriter):
    """A message, or one in an attachment, that is open for writing."""

    async def set_recipients(self, recipients: Sequence[RecipientInfo]) -> None:
        """These in the place of all that it has: RopRemoveAllRecipients, RopModifyRecipients."""
        await self.session.execute([RopRemoveAllRecipientsRequest(self.logon_id, 0, 0)], [self.handle])
        rows = [_recipient_row(number, one) for number, one in enumerate(recipients)]
        for start in range(0, len(rows), _RECIPIENTS):
            request = RopModifyRecipientsRequest(self.logon_id, 0, [], rows[start : start + _RECIPIENTS])
            await self.session.execute([request], [self.handle])

    async def new_attachment(self) -> RemoteAttachment:
        """RopCreateAttachment: one that is the message's when it is saved."""
        request = RopCreateAttachmentRequest(self.logon_id, 0, 1)
        done = await self.session.execute([request], [self.handle, NO_HANDLE])
        number = done.first(RopCreateAttachmentResponse).attachment_id
        return RemoteAttachment(self.session, done.handles[1], self.logon_id, number=number)

    async def attach(self, name: str, file: BinaryIO, mime_type: str = "", written: Written | None = None) -> int:
        """A file as an attachment, saved into the message; its number."""
        async with await self.new_attachment() as attachment:
            values: PropertyMap = {
                p.PidTagAttachMethod: _BY_VALUE,
                p.PidTagAttachLongFilename: name,
                p.PidTagDisplayName: name,
            }
            await attachment.set_properties(values | ({p.PidTagAttachMimeTag: mime_type} if mime_type else {}))
            await attachment.write_stream(p.PidTagAttachDataBinary, file, written)
            await attachment.save()
            return attachment.number

    async def delete_attachment(self, number: int) -> None:
        """RopDeleteAttachment. Raises `MapiError` (NotFound)."""
        await self.session.execute([RopDeleteAttachmentRequest(self.logon_id, 0, number)], [self.handle])

    async def save(self, *, force: bool = False) -> MessageId:
        """RopSaveChangesMessage; the message's id, 0 of one in an attachment. It can be changed further.

        Raises `MapiError`: ObjectChanged where somebody else saved it meanwhile and `force` is not set.
        """
        flags = SaveFlags.ForceSave if force else SaveFlags.KeepOpenReadWrite
        request = RopSaveChangesMessageRequest(self.logon_id, 0, 0, flags)
        done = await self.session.execute([request], [self.handle])
        return MessageId(done.first(RopSaveChangesMessageResponse).message_id)


class RemoteAttachment(RemoteWriter):
    """An attachment that is open for writing."""

    def __init__(self, *arguments: object, number: int) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]  # those of every remote object
        self.number = number

    async def new_message(self) -> RemoteDraft:
        """A message in the attachment, which has it when the message is saved: RopOpenEmbeddedMessage."""
        await self.set_properties({p.PidTagAttachMethod: _EMBEDDED})
        request = RopOpenEmbeddedMessageRequest(self.logon_id, 0, 1, LOGON_CODE_PAGE, _CREATE)
        done = await self.session.execute([request], [self.handle, NO_HANDLE])
        return RemoteDraft(self.session, done.handles[1], self.logon_id)

    async def save(self) -> None:
        """RopSaveChangesAttachment: it is the message's from now on."""
        request = RopSaveChangesAttachmentRequest(self.logon_id, 0, 0, SaveFlags.KeepOpenReadWrite)
        await self.session.execute([request], [self.handle])


async def _write(stream: RemoteObject, piece: bytes) -> int:
    request = RopWriteStreamRequest(stream.logon_id, 0, piece)
    done = await stream.session.execute([request], [stream.handle])
    count = done.first(RopWriteStreamResponse).written_size
    if count != len(piece):
        raise ClientError(f"the server wrote {count} of {len(piece)} bytes")
    return count


def _check(response: ProblemsResponse) -> None:
    if response.property_problems:
        named = ", ".join(f"{one.property_tag.name} 0x{one.error_code:08X}" for one in response.property_problems)
        raise ClientError(f"the server does not change {named}")


def _stream_bytes(tag: PropertyTag, value: PropertyValue) -> bytes | None:
    """The bytes of a value that is written as a stream; None for one that RopSetProperties takes."""
    if tag.type == PropertyType.String and isinstance(value, str) and 2 * len(value) > _STREAMED:
        return value.encode("utf-16-le", "surrogatepass")
    if tag.type in (PropertyType.Binary, PropertyType.String8) and len(value) > _STREAMED:
        return bytes(value)
    return None


def _size(value: TaggedPropertyValue) -> int:
    writer = Writer()
    write_tagged(writer, value)
    return len(writer)


def _recipient_row(number: int, one: RecipientInfo) -> ModifyRecipientRow:
    """A distinguished name of the address book, or an address outside of it."""
    if one.address.startswith("/o="):
        row = RecipientRow.exchange(one.address.encode("ascii", "replace"), one.name)
    else:
        row = RecipientRow.smtp(one.address, one.name)
    return ModifyRecipientRow(number, one.kind, row)
