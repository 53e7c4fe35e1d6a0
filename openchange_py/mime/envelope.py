"""Header fields to properties and recipients: [MS-OXCMAIL] 2.2.3.1 (envelope elements).

Not done yet: categories (Keywords), voting, and the list of failed recipients of a delivery report.
"""

from __future__ import annotations

import base64
import binascii

from openchange_py.mime import headers
from openchange_py.mime.headers import Address
from openchange_py.mime.parser import Part
from openchange_py.store.base import Recipient, RecipientType
from openchange_py.wire import proptags
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.entryids import OneOffEntryId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

#: Characters of one address or name; what is longer is cut, and stays whole in PidTagTransportMessageHeaders.
NAME_LIMIT = 1024

_SENSITIVITY = {"personal": 1, "private": 2, "company-confidential": 3}
_IMPORTANCE = {"low": 0, "normal": 1, "high": 2}
_PRIORITY = {"non-urgent": 0, "normal": 1, "urgent": 2}

_SENDER = (
    proptags.PidTagSenderName,
    proptags.PidTagSenderAddressType,
    proptags.PidTagSenderEmailAddress,
    proptags.PidTagSenderSmtpAddress,
    proptags.PidTagSenderEntryId,
    proptags.PidTagSenderSearchKey,
)
_SENT_REPRESENTING = (
    proptags.PidTagSentRepresentingName,
    proptags.PidTagSentRepresentingAddressType,
    proptags.PidTagSentRepresentingEmailAddress,
    proptags.PidTagSentRepresentingSmtpAddress,
    proptags.PidTagSentRepresentingEntryId,
    proptags.PidTagSentRepresentingSearchKey,
)
_TEXTS = (
    ("List-Help", proptags.PidTagListHelp),
    ("List-Subscribe", proptags.PidTagListSubscribe),
    ("List-Unsubscribe", proptags.PidTagListUnsubscribe),
    ("Thread-Topic", proptags.PidTagConversationTopic),
)


def recipients(message: Part) -> list[Recipient]:
    """[MS-OXCMAIL] 2.2.3.1.3: To, Cc and Bcc, in that order."""
    return [
        Recipient(kind, recipient_properties(address, kind))
        for field, kind in (("To", RecipientType.TO), ("Cc", RecipientType.CC), ("Bcc", RecipientType.BCC))
        for address in headers.addresses(message, field)
    ]


def recipient_properties(address: Address, kind: RecipientType) -> PropertyMap:
    """A recipient that stands in no directory."""
    name, smtp = _cut(address.display_name), _cut(address.address)
    return {
        proptags.PidTagRecipientType: int(kind),
        proptags.PidTagDisplayName: name,
        proptags.PidTagRecipientDisplayName: name,
        proptags.PidTagTransmittableDisplayName: name,
        proptags.PidTagAddressType: "SMTP",
        proptags.PidTagEmailAddress: smtp,
        proptags.PidTagSmtpAddress: smtp,
        proptags.PidTagEntryId: one_off(name, smtp),
        proptags.PidTagRecipientEntryId: one_off(name, smtp),
        proptags.PidTagSearchKey: search_key(smtp),
        proptags.PidTagSendRichInfo: False,
        # [MS-OXCPRPT] 2.2.1.7: a mail user; [MS-OXOABK] 2.2.3.11: shown as one.
        proptags.PidTagObjectType: 6,
        proptags.PidTagDisplayType: 0,
    }


def one_off(name: str, smtp: str) -> bytes:
    """The entry id of an SMTP address that stands in no directory."""
    return OneOffEntryId(name, "SMTP", smtp).pack()


def search_key(smtp: str) -> bytes:
    """[MS-OXCMAIL] 2.2.3.1.1.2: type and address in upper case, with a terminating zero."""
    return f"SMTP:{smtp}".upper().encode("utf-8", "replace") + b"\0"


def envelope_properties(message: Part) -> PropertyMap:
    """What a message's header says of it; the recipients are apart."""
    properties = _addresses(message) | _identification(message) | _times(message) | _handling(message)
    for field, tag in _TEXTS:
        if text := headers.text_field(message, field):
            properties[tag] = text
    return properties


def _addresses(message: Part) -> PropertyMap:
    properties: PropertyMap = {}
    authors, senders = headers.addresses(message, "From"), headers.addresses(message, "Sender")
    for tags, found in ((_SENT_REPRESENTING, authors or senders), (_SENDER, senders or authors)):
        if found:
            properties |= _person(tags, found[0])
    if reply_to := headers.addresses(message, "Reply-To"):
        properties[proptags.PidTagReplyRecipientNames] = "; ".join(_cut(one.display_name) for one in reply_to)
        properties[proptags.PidTagReplyRecipientEntries] = _flat_entry_list(reply_to)
    return properties


def sender_properties(sender: Address) -> PropertyMap:
    """Of a message that does not say who sent it."""
    return _person(_SENT_REPRESENTING, sender) | _person(_SENDER, sender)


def _person(tags: tuple[PropertyTag, ...], address: Address) -> PropertyMap:
    name, smtp = _cut(address.display_name), _cut(address.address)
    return dict(zip(tags, (name, "SMTP", smtp, smtp, one_off(name, smtp), search_key(smtp)), strict=True))


def _flat_entry_list(addresses: list[Address]) -> bytes:
    """[MS-OXCDATA] 2.3.3 (FlatEntryList): each entry id behind its size, padded to four bytes."""
    entries = Writer()
    for address in addresses:
        entry = one_off(_cut(address.display_name), _cut(address.address))
        entries.u32(len(entry))
        entries += entry
        entries += bytes(-len(entries) % 4)
    result = Writer()
    result.u32(len(addresses))
    result.u32(len(entries))
    return bytes(result + entries)


def _identification(message: Part) -> PropertyMap:
    properties: PropertyMap = {proptags.PidTagSubject: headers.text_field(message, "Subject") or ""}
    for field, tag in (
        ("Message-ID", proptags.PidTagInternetMessageId),
        ("In-Reply-To", proptags.PidTagInReplyToId),
        ("References", proptags.PidTagInternetReferences),
    ):
        if ids := headers.message_ids(headers.raw_field(message, field)):
            properties[tag] = ids
    if index := _base64(headers.raw_field(message, "Thread-Index")):
        properties[proptags.PidTagConversationIndex] = index
    return properties


def _times(message: Part) -> PropertyMap:
    properties: PropertyMap = {}
    sent = headers.parse_time(headers.raw_field(message, "Date"))
    delivered = headers.received_time(message) or sent
    if sent is not None or delivered is not None:
        properties[proptags.PidTagClientSubmitTime] = sent or delivered
        properties[proptags.PidTagMessageDeliveryTime] = delivered
    return properties


def _handling(message: Part) -> PropertyMap:
    """[MS-OXCMAIL] 2.2.3.1.6 and its neighbours: importance, sensitivity, receipts."""
    properties: PropertyMap = {proptags.PidTagImportance: _importance(message)}
    sensitivity = (headers.text_field(message, "Sensitivity") or "").lower()
    properties[proptags.PidTagSensitivity] = _SENSITIVITY.get(sensitivity, 0)
    if headers.addresses(message, "Disposition-Notification-To"):
        properties[proptags.PidTagReadReceiptRequested] = True
    if headers.addresses(message, "Return-Receipt-To"):
        properties[proptags.PidTagOriginatorDeliveryReportRequested] = True
    return properties


def _importance(message: Part) -> int:
    for field, meaning in (("Importance", _IMPORTANCE), ("X-MSMail-Priority", _IMPORTANCE), ("Priority", _PRIORITY)):
        word = (headers.text_field(message, field) or "").lower()
        if word in meaning:
            return meaning[word]
    number = (headers.text_field(message, "X-Priority") or "3")[:1]
    return {"1": 2, "2": 2, "4": 0, "5": 0}.get(number, 1)


def _base64(value: str | None) -> bytes | None:
    try:
        return base64.b64decode(value or "", validate=False) or None
    except (binascii.Error, ValueError):
        return None


def _cut(text: str) -> str:
    return text[:NAME_LIMIT]
