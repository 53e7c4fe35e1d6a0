"""Rule actions of standard rules: [MS-OXORULE] 2.2.5, the value of PidTagRuleActions.

Not done yet: extended rules, whose counts and sizes take 32 bits and whose move and reply actions have other fields.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U32, Bytes16, Codec, Counted, Guid, Structure, structure, u16
from openchange_py.wire.oxcdata.ids import FolderId64, MessageId64
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.oxcdata.values import read_nested_tagged, write_tagged

_HEADER: Final = struct.Struct("<BII")


class ActionType(enum.IntEnum):
    """[MS-OXORULE] 2.2.5.1."""

    Move = 0x01
    Copy = 0x02
    Reply = 0x03
    OofReply = 0x04
    DeferAction = 0x05
    Bounce = 0x06
    Forward = 0x07
    Delegate = 0x08
    Tag = 0x09
    Delete = 0x0A
    MarkAsRead = 0x0B


class _NestedTagged(Codec):
    """A tagged value, which holds no rule action itself."""

    minimum_size = 4

    def read(self, reader: Reader) -> TaggedPropertyValue:
        return read_nested_tagged(reader)

    def write(self, writer: Writer, value: TaggedPropertyValue) -> None:
        write_tagged(writer, value)


_nested_tagged: Final = _NestedTagged()


@structure
class MoveCopyActionData(Structure):
    """[MS-OXORULE] 2.2.5.1.2.1. `folder_eid` is a ServerId where `folder_in_this_store`, else a folder's entry id."""

    folder_in_this_store: U8
    store_eid: Bytes16
    folder_eid: Bytes16


@structure
class ReplyActionData(Structure):
    """[MS-OXORULE] 2.2.5.1.2.2, of OP_REPLY and OP_OOF_REPLY."""

    reply_template_fid: FolderId64
    reply_template_mid: MessageId64
    reply_template_guid: Guid


@structure
class BounceActionData(Structure):
    """[MS-OXORULE] 2.2.5.1.2.5: why the message is refused (0x0D too large, 0x1F form, 0x26 access)."""

    bounce_code: U32


@structure
class RecipientBlockData(Structure):
    """[MS-OXORULE] 2.2.5.1.2.4.1. Its count takes 16 bits in standard rules, as servers and Outlook have it."""

    reserved: U8
    property_values: Annotated[list[TaggedPropertyValue], Counted(u16, _nested_tagged)]


@structure
class ForwardActionData(Structure):
    """[MS-OXORULE] 2.2.5.1.2.4, of OP_FORWARD and OP_DELEGATE."""

    recipient_blocks: Annotated[list[RecipientBlockData], Counted(u16, RecipientBlockData)]


@structure
class TagActionData(Structure):
    """[MS-OXORULE] 2.2.5.1.2.6: the property that is set."""

    tagged_value: Annotated[TaggedPropertyValue, _nested_tagged]


#: What an action carries: one of the structures, the client's own bytes for DeferAction, or nothing.
ActionData: TypeAlias = (
    MoveCopyActionData | ReplyActionData | BounceActionData | ForwardActionData | TagActionData | bytes
)

_DATA: Final[dict[int, Callable[[Reader], ActionData]]] = {
    ActionType.Move: MoveCopyActionData.read,
    ActionType.Copy: MoveCopyActionData.read,
    ActionType.Reply: ReplyActionData.read,
    ActionType.OofReply: ReplyActionData.read,
    ActionType.DeferAction: Reader.rest,
    ActionType.Bounce: BounceActionData.read,
    ActionType.Forward: ForwardActionData.read,
    ActionType.Delegate: ForwardActionData.read,
    ActionType.Tag: TagActionData.read,
    ActionType.Delete: Reader.rest,
    ActionType.MarkAsRead: Reader.rest,
}


@structure
class ActionBlock(Structure):
    """[MS-OXORULE] 2.2.5.1. The data of an unknown action type are kept as bytes."""

    action_type: int
    action_flavor: int = 0
    action_flags: int = 0
    action_data: ActionData = b""

    @classmethod
    def read(cls, reader: Reader) -> ActionBlock:
        block = reader.sub(reader.u16())
        kind, flavor, flags = block.fields(_HEADER)
        data = _DATA.get(kind, Reader.rest)(block)
        block.expect_end()
        return cls(kind, flavor, flags, data)

    def write(self, writer: Writer) -> None:
        start = len(writer)
        writer.u16(0)
        writer.fixed(_HEADER, self.action_type, self.action_flavor, self.action_flags)
        if isinstance(self.action_data, bytes):
            writer += self.action_data
        else:
            self.action_data.write(writer)
        size = len(writer) - start - 2
        if size > 0xFFFF:
            raise EncodeError(f"a rule action of {size} bytes")
        writer.patch_u16(start, size)


@structure
class RuleAction(Structure):
    """[MS-OXORULE] 2.2.5: the actions of one rule."""

    action_blocks: list[ActionBlock] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, reader: Reader) -> RuleAction:
        count = reader.count(reader.u16(), 2 + _HEADER.size)
        blocks = []
        for index in range(count):
            try:
                blocks.append(ActionBlock.read(reader))
            except DecodeError as error:
                raise error.within(f"action_blocks[{index}]") from None
        return cls(blocks)

    def write(self, writer: Writer) -> None:
        writer.u16(len(self.action_blocks))
        for block in self.action_blocks:
            block.write(writer)
