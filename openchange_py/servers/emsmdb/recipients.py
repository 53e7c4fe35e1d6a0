"""A message's recipients as rows: [MS-OXCDATA] 2.8.3, [MS-OXCMSG] 2.2.3.1.2 and 3.2.5.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from openchange_py.servers.emsmdb.codepages import widen
from openchange_py.servers.emsmdb.rows import RowMaker
from openchange_py.servers.emsmdb.values import KEPT_TYPES, terminated, to_store
from openchange_py.store.base import Recipient
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientAddressType, RecipientFlags, RecipientRow
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.rop.oxcmsg import OpenRecipientRow, ReadRecipientRow

#: The columns that every message's recipients have here, in the order that RopOpenMessage tells.
COLUMNS: Final[tuple[PropertyTag, ...]] = (
    p.PidTagObjectType,
    p.PidTagDisplayType,
    p.PidTagSmtpAddress,
    p.PidTagAddressType,
    p.PidTagEmailAddress,
    p.PidTagEntryId,
    p.PidTagSearchKey,
    p.PidTagRecipientDisplayName,
)

_CELLS: Final = RowMaker(COLUMNS, "utf-8")

#: PidTagAddressBookDisplayNamePrintable, as a recipient's SimpleDisplayName is kept.
_SIMPLE_DISPLAY_NAME: Final = PropertyTag(0x39FF001F)

#: MAPI_MAILUSER, [MS-OXCPRPT] 2.2.1.7.
_MAIL_USER: Final = 6

#: UTF-16, and what the RecipientCount of one response can say.
_UNICODE: Final = 1200
_MOST_ROWS: Final = 255

#: Characters of a name or address: what is longer is neither.
_LONGEST_TEXT: Final = 1024

R = TypeVar("R", OpenRecipientRow, ReadRecipientRow)


def recipient_row(recipient: Recipient) -> RecipientRow:
    """The row of one recipient, in Unicode: an Exchange user by its DN, anyone else by the address."""
    properties = recipient.properties
    name = _text(properties, p.PidTagDisplayName)
    address = _text(properties, p.PidTagEmailAddress) or _text(properties, p.PidTagSmtpAddress)
    if properties.get(p.PidTagAddressType) == "EX":
        row = RecipientRow.exchange(address.encode("ascii", "replace"), name)
    else:
        row = RecipientRow.smtp(address, name)
    row.columns = COLUMNS
    shown = {
        p.PidTagObjectType: _MAIL_USER,
        p.PidTagDisplayType: 0,
        p.PidTagRecipientDisplayName: name,
        **properties,
    }
    row.properties = PropertyRow.of(_CELLS.cells(shown))
    return row


def _text(properties: PropertyMap, tag: PropertyTag) -> str:
    """A text that fits a row."""
    value = properties.get(tag)
    return terminated(value[:_LONGEST_TEXT]) if isinstance(value, str) else ""


def recipient_of(kind: int, row: RecipientRow, codec: str, dn_prefix: str) -> Recipient:
    """The recipient that a client describes: [MS-OXCMSG] 2.2.3.5.1. Its 8-bit texts are in the message's code page.

    `dn_prefix` is EcDoConnectEx's szDNPrefix, of which a row may leave out the beginning ([MS-OXCDATA] 2.8.3.2).
    """
    properties: PropertyMap = {}
    for tag, value in row.properties.to_map(row.columns).items():
        if tag.type in KEPT_TYPES:
            stored, kept = to_store(tag, value, codec)
            properties[stored] = kept
    return Recipient(kind, properties | _addresses(row, codec, dn_prefix) | _names(row, codec))


def _addresses(row: RecipientRow, codec: str, dn_prefix: str) -> dict[PropertyTag, Any]:
    address = _str(row.email_address, codec)
    if row.type == RecipientAddressType.X500DN:
        rest = (row.x500_dn or b"").decode("latin-1")
        return {
            p.PidTagAddressType: "EX",
            p.PidTagEmailAddress: dn_prefix[: row.address_prefix_used or 0] + rest,
            p.PidTagDisplayType: row.display_type or 0,
        }
    found: dict[PropertyTag, Any] = {} if address is None else {p.PidTagEmailAddress: address}
    if row.type == RecipientAddressType.Smtp:
        found[p.PidTagAddressType] = "SMTP"
        found[p.PidTagSmtpAddress] = address or ""
    if row.address_type is not None:
        found[p.PidTagAddressType] = row.address_type.decode("latin-1")
    if row.entry_id is not None:
        found[p.PidTagEntryId] = bytes(row.entry_id)
    if row.search_key is not None:
        found[p.PidTagSearchKey] = bytes(row.search_key)
    return found


def _names(row: RecipientRow, codec: str) -> dict[PropertyTag, Any]:
    same = row.display_name if row.recipient_flags & RecipientFlags.SameDisplayName else None
    texts = {
        p.PidTagDisplayName: row.display_name,
        _SIMPLE_DISPLAY_NAME: row.simple_display_name,
        p.PidTagTransmittableDisplayName: row.transmittable_display_name or same,
    }
    return {tag: text for tag, value in texts.items() if (text := _str(value, codec)) is not None}


def _str(text: str | bytes | None, codec: str) -> str | None:
    return widen(text, codec) if isinstance(text, bytes) else text


def open_rows(recipients: Sequence[tuple[int, Recipient]], room: int) -> list[OpenRecipientRow]:
    """The first recipients, as many as `room` bytes hold; the client asks for the rest with RopReadRecipients."""
    return _fitting([OpenRecipientRow(r.kind, _UNICODE, 0, recipient_row(r)) for _, r in recipients[:_MOST_ROWS]], room)


def read_rows(recipients: Sequence[tuple[int, Recipient]], room: int) -> list[ReadRecipientRow]:
    """Recipients, each behind its PidTagRowid, as many as `room` bytes hold."""
    wanted = recipients[:_MOST_ROWS]
    return _fitting([ReadRecipientRow(n, r.kind, _UNICODE, 0, recipient_row(r)) for n, r in wanted], room)


def _fitting(rows: list[R], room: int) -> list[R]:
    scratch = Writer()
    for count, row in enumerate(rows):
        row.write(scratch)
        if len(scratch) > room:
            return rows[:count]
    return rows
