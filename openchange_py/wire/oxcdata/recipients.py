"""Recipient rows: [MS-OXCDATA] 2.8.3."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Final, TypeVar

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Structure, structure
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.rows import PropertyRow, read_row, write_row


class RecipientFlags(enum.IntFlag):
    """[MS-OXCDATA] 2.8.3.1: which fields a row has. The low three bits are a `RecipientAddressType`."""

    EmailAddress = 0x0008
    DisplayName = 0x0010
    TransmittableDisplayName = 0x0020
    #: TransmittableDisplayName is the same as DisplayName, and not there.
    SameDisplayName = 0x0040
    OtherTransport = 0x0080
    NoRichText = 0x0100
    #: The texts are UTF-16, else in the code page of the connection.
    Unicode = 0x0200
    SimpleDisplayName = 0x0400
    #: With NoType: AddressType is there.
    NonStandardAddressType = 0x8000


ADDRESS_TYPE_MASK: Final = 0x0007


class RecipientAddressType(enum.IntEnum):
    """Type in [MS-OXCDATA] 2.8.3.1."""

    NoType = 0
    X500DN = 1
    MsMail = 2
    Smtp = 3
    Fax = 4
    ProfessionalOfficeSystem = 5
    PersonalDistributionList1 = 6
    PersonalDistributionList2 = 7


_DISTRIBUTION_LISTS: Final = (
    RecipientAddressType.PersonalDistributionList1,
    RecipientAddressType.PersonalDistributionList2,
)

_UNICODE_SAME: Final = RecipientFlags.Unicode | RecipientFlags.SameDisplayName

T = TypeVar("T")

#: The texts that a flag announces, in wire order.
_TEXTS: Final = (
    ("email_address", RecipientFlags.EmailAddress),
    ("display_name", RecipientFlags.DisplayName),
    ("simple_display_name", RecipientFlags.SimpleDisplayName),
    ("transmittable_display_name", RecipientFlags.TransmittableDisplayName),
)


def _present(value: T | None) -> T:
    if value is None:
        raise EncodeError("a field that the recipient's type needs is None")
    return value


@structure
class RecipientRow(Structure):
    """[MS-OXCDATA] 2.8.3.2. `recipient_flags` decides which fields stand on the wire; the others are None.

    Texts are str where the flags have Unicode, else bytes; `x500_dn` and `address_type` are always bytes.
    `columns` are the tags of `properties`: on the wire there is only how many of the message's columns they are.
    """

    recipient_flags: int
    address_prefix_used: int | None = None
    display_type: int | None = None
    x500_dn: bytes | None = None
    entry_id: bytes | None = None
    search_key: bytes | None = None
    address_type: bytes | None = None
    email_address: str | bytes | None = None
    display_name: str | bytes | None = None
    simple_display_name: str | bytes | None = None
    transmittable_display_name: str | bytes | None = None
    columns: Sequence[PropertyTag] = ()
    properties: PropertyRow = dataclasses.field(default_factory=lambda: PropertyRow([]))

    @property
    def type(self) -> int:
        """The row's `RecipientAddressType`."""
        return self.recipient_flags & ADDRESS_TYPE_MASK

    @classmethod
    def exchange(cls, x500_dn: bytes, display_name: str, display_type: int = 0) -> RecipientRow:
        """A recipient of the address book, with its distinguished name; Unicode."""
        flags = RecipientAddressType.X500DN | RecipientFlags.DisplayName | _UNICODE_SAME
        return cls(flags, 0, display_type, x500_dn, display_name=display_name)

    @classmethod
    def smtp(cls, email_address: str, display_name: str) -> RecipientRow:
        """A recipient outside of it; Unicode."""
        flags = RecipientAddressType.Smtp | RecipientFlags.EmailAddress | RecipientFlags.DisplayName | _UNICODE_SAME
        return cls(flags, email_address=email_address, display_name=display_name)

    @classmethod
    def read_with(cls, reader: Reader, columns: Sequence[PropertyTag]) -> RecipientRow:
        """Read a row of a message with these recipient columns, of which the row has the first few."""
        flags = reader.u16()
        row = cls(flags)
        kind = row.type
        if kind == RecipientAddressType.X500DN:
            row.address_prefix_used, row.display_type = reader.u8(), reader.u8()
            row.x500_dn = reader.string8()
        elif kind in _DISTRIBUTION_LISTS:
            row.entry_id = reader.take(reader.u16())
            row.search_key = reader.take(reader.u16())
        elif kind == RecipientAddressType.NoType and flags & RecipientFlags.NonStandardAddressType:
            row.address_type = reader.string8()
        text = reader.utf16 if flags & RecipientFlags.Unicode else reader.string8
        for name, flag in _TEXTS:
            if flags & flag:
                setattr(row, name, text())
        count = reader.u16()
        if count > len(columns):
            raise DecodeError(
                f"RecipientColumnCount is {count}, the message has {len(columns)} columns", reader.pos - 2
            )
        row.columns = columns[:count]
        row.properties = read_row(reader, row.columns)
        return row

    @classmethod
    def read(cls, reader: Reader) -> RecipientRow:
        """Read a row of a message without recipient columns."""
        return cls.read_with(reader, ())

    def write(self, writer: Writer) -> None:
        flags = self.recipient_flags
        writer.u16(flags)
        self._write_address(writer)
        for name, flag in _TEXTS:
            text = getattr(self, name)
            if (text is not None) != bool(flags & flag):
                raise EncodeError(f"{name} is {text!r:.60}, RecipientFlags 0x{flags:04X}")
            if text is None:
                continue
            if isinstance(text, str) != bool(flags & RecipientFlags.Unicode):
                raise EncodeError(f"{name} is {text!r:.60}: the flags say the other kind of text")
            if isinstance(text, str):
                writer.utf16(text)
            else:
                writer.string8(text)
        writer.u16(len(self.columns))
        write_row(writer, self.columns, self.properties)

    def _write_address(self, writer: Writer) -> None:
        """The fields that the type decides."""
        kind = self.type
        try:
            if kind == RecipientAddressType.X500DN:
                writer.u8(_present(self.address_prefix_used))
                writer.u8(_present(self.display_type))
                writer.string8(_present(self.x500_dn))
            elif kind in _DISTRIBUTION_LISTS:
                for value in (_present(self.entry_id), _present(self.search_key)):
                    writer.u16(len(value))
                    writer += value
            elif kind == RecipientAddressType.NoType and self.recipient_flags & RecipientFlags.NonStandardAddressType:
                writer.string8(_present(self.address_type))
        except TypeError as error:
            raise EncodeError(f"address of a recipient of type {kind}: {error}") from error
