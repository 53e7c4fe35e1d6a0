"""Mail that arrives: what its receiver and the time of delivery add to a message ([MS-OXOMSG] 2.2.1)."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from openchange_py.mime import headers
from openchange_py.mime.envelope import search_key, sender_properties
from openchange_py.mime.headers import Address
from openchange_py.mime.importer import message_draft
from openchange_py.mime.parser import header_block
from openchange_py.store.base import MessageDraft, RecipientType
from openchange_py.store.changes import now
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.entryids import PermanentEntryId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

#: Name, address type, address, SMTP address, entry id and search key of who received it, and for whom.
_RECEIVED_BY: Final = (
    proptags.PidTagReceivedByName,
    proptags.PidTagReceivedByAddressType,
    proptags.PidTagReceivedByEmailAddress,
    proptags.PidTagReceivedBySmtpAddress,
    proptags.PidTagReceivedByEntryId,
    proptags.PidTagReceivedBySearchKey,
)
_RECEIVED_REPRESENTING: Final = (
    proptags.PidTagReceivedRepresentingName,
    proptags.PidTagReceivedRepresentingAddressType,
    proptags.PidTagReceivedRepresentingEmailAddress,
    proptags.PidTagReceivedRepresentingSmtpAddress,
    proptags.PidTagReceivedRepresentingEntryId,
    proptags.PidTagReceivedRepresentingSearchKey,
)

#: The separator line of mbox files, which mail transfer agents put in front: the sender is its second word.
_FROM_LINE = re.compile(rb"From (\S+)[^\r\n]*\r?\n")
_RETURN_PATH = re.compile(rb"^return-path[ \t]*:", re.IGNORECASE | re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Receiver:
    """Whose mailbox it is: a name for people, the legacy distinguished name, all SMTP addresses, the main one first."""

    name: str
    legacy_dn: str
    addresses: tuple[str, ...]


def delivered_draft(
    raw: bytes, receiver: Receiver, sender: str | None = None, *, is_read: bool = False
) -> MessageDraft:
    """The draft of a message that arrives now; `ImportRefused` says why it cannot be one.

    `sender` is the envelope's, empty for a report; None where nobody told, and an mbox separator line may tell.
    """
    line = _FROM_LINE.match(raw)
    if line is not None:
        raw = raw[line.end() :]
        sender = line.group(1).decode("utf-8", "replace") if sender is None else sender
    if sender is not None and not _RETURN_PATH.search(header_block(raw)):
        raw = f"Return-Path: <{sender}>\r\n".encode("utf-8", "replace") + raw
    draft = message_draft(raw, is_read=is_read)
    draft.properties[proptags.PidTagMessageDeliveryTime] = now()
    draft.properties |= _received(receiver) | _addressed(draft, receiver)
    if sender and proptags.PidTagSenderName not in draft.properties:
        draft.properties |= sender_properties(Address("", headers.clean_text(sender)))
    return draft


def _received(receiver: Receiver) -> PropertyMap:
    smtp = receiver.addresses[0] if receiver.addresses else ""
    key = search_key(smtp) if not receiver.legacy_dn else f"EX:{receiver.legacy_dn}".upper().encode("utf-8") + b"\0"
    entry_id = PermanentEntryId(0, receiver.legacy_dn.encode("ascii", "replace")).pack()
    values = (receiver.name, "EX", receiver.legacy_dn, smtp, entry_id, key)
    found: PropertyMap = {}
    for tags in (_RECEIVED_BY, _RECEIVED_REPRESENTING):
        found |= dict(zip(tags, values, strict=True))
    return found


def _addressed(draft: MessageDraft, receiver: Receiver) -> PropertyMap:
    """[MS-OXOMSG] 2.2.1.5 and its neighbours: whether the receiver himself stands in To or Cc."""
    mine = {address.casefold() for address in receiver.addresses}
    kinds = {
        one.kind & 0x0F
        for one in draft.recipients
        if str(one.properties.get(proptags.PidTagSmtpAddress, "")).casefold() in mine
    }
    flags: tuple[tuple[PropertyTag, set[int]], ...] = (
        (proptags.PidTagMessageToMe, {RecipientType.TO}),
        (proptags.PidTagMessageCcMe, {RecipientType.CC}),
        (proptags.PidTagMessageRecipientMe, {RecipientType.TO, RecipientType.CC, RecipientType.BCC}),
    )
    return {tag: bool(kinds & wanted) for tag, wanted in flags}
