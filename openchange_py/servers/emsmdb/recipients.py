"""A message's recipients as rows: [MS-OXCDATA] 2.8.3, [MS-OXCMSG] 2.2.3.1.2 and 3.2.5.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from openchange_py.servers.emsmdb.rows import RowMaker
from openchange_py.servers.emsmdb.values import terminated
from openchange_py.store.base import Recipient
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag
from openchange_py.wire.oxcdata.recipients import RecipientRow
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


def open_rows(recipients: Sequence[Recipient], room: int) -> list[OpenRecipientRow]:
    """The first recipients, as many as `room` bytes hold; the client asks for the rest with RopReadRecipients."""
    return _fitting([OpenRecipientRow(r.kind, _UNICODE, 0, recipient_row(r)) for r in recipients[:_MOST_ROWS]], room)


def read_rows(recipients: Sequence[Recipient], first: int, room: int) -> list[ReadRecipientRow]:
    """Recipients from number `first` on, as many as `room` bytes hold."""
    wanted = list(enumerate(recipients))[first : first + _MOST_ROWS]
    return _fitting([ReadRecipientRow(n, r.kind, _UNICODE, 0, recipient_row(r)) for n, r in wanted], room)


def _fitting(rows: list[R], room: int) -> list[R]:
    scratch = Writer()
    for count, row in enumerate(rows):
        row.write(scratch)
        if len(scratch) > room:
            return rows[:count]
    return rows
