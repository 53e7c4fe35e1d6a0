"""Entry ids: [MS-OXCDATA] 2.2.4 (mailbox), 2.2.5 (address book, one-off, contact), [MS-OXNSPI] 2.2.9; ServerId.

`EntryId.pack()` gives the bytes of a property such as PidTagEntryId; `parse_entry_id(data)` finds the class.
A provider UID is 16 bytes; here it is the `uuid.UUID` of them in Microsoft's order (`bytes_le`).
"""

from __future__ import annotations

import enum
import uuid
from typing import Annotated, ClassVar, Final, TypeAlias

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import (
    U8,
    U16,
    U32,
    Bytes32,
    Fixed,
    Guid,
    Rest,
    String8,
    Structure,
    structure,
    structure_fields,
)
from openchange_py.wire.oxcdata.ids import FolderId64, MessageId64


def _uid(digits: str) -> uuid.UUID:
    return uuid.UUID(bytes_le=bytes.fromhex(digits))


#: The provider UID of a public folder store's objects: [MS-OXCDATA] 2.2.4.1.
PUBLIC_FOLDER_PROVIDER: Final = _uid("1A447390AA6611CD9BC800AA002FC45A")
#: What wraps a store's entry id: [MS-OXCDATA] 2.2.4.3.
STORE_PROVIDER: Final = _uid("38A1BB1005E5101AA1BB08002B2A56C2")
MAILBOX_STORE_PROVIDER: Final = _uid("1B55FA20AA6611CD9BC800AA002FC45A")
PUBLIC_STORE_PROVIDER: Final = _uid("1C830210AA6611CD9BC800AA002FC45A")
#: The address book, GUID_NSPI: [MS-OXNSPI] 2.2.1.3 and [MS-OXCDATA] 2.2.5.2.
ADDRESS_BOOK_PROVIDER: Final = _uid("DCA740C8C042101AB4B908002B2FE182")
#: [MS-OXCDATA] 2.2.5.1.
ONE_OFF_PROVIDER: Final = _uid("812B1FA4BEA310199D6E00DD010F5402")
#: [MS-OXCDATA] 2.2.5.3 and 2.2.5.4.
CONTACT_PROVIDER: Final = _uid("FE42AA0A18C71A10E8850B651C240000")

_COUNTER = Annotated[bytes, Fixed("6s")]
_PAD = Annotated[bytes, Fixed("2s")]


class EntryIdType(enum.IntEnum):
    """FolderType and MessageType: [MS-OXCDATA] 2.2.4.1 and 2.2.4.2."""

    PrivateFolder = 0x0001
    PublicFolder = 0x0003
    MappedPublicFolder = 0x0005
    PrivateMessage = 0x0007
    PublicMessage = 0x0009
    MappedPublicMessage = 0x000B


@structure
class FolderEntryId(Structure):
    """[MS-OXCDATA] 2.2.4.1, 46 bytes. `provider_uid` is the mailbox's GUID, or `PUBLIC_FOLDER_PROVIDER`."""

    SIZE: ClassVar[int] = 46

    flags: U32
    provider_uid: Guid
    folder_type: U16
    database_guid: Guid
    global_counter: _COUNTER
    pad: _PAD = b"\0\0"

    @classmethod
    def private(cls, mailbox_guid: uuid.UUID, replica_guid: uuid.UUID, counter: int) -> FolderEntryId:
        """A folder of a mailbox."""
        return cls(0, mailbox_guid, EntryIdType.PrivateFolder, replica_guid, counter.to_bytes(6, "big"))


@structure
class MessageEntryId(Structure):
    """[MS-OXCDATA] 2.2.4.2, 70 bytes: the message's folder and the message."""

    SIZE: ClassVar[int] = 70

    flags: U32
    provider_uid: Guid
    message_type: U16
    folder_database_guid: Guid
    folder_global_counter: _COUNTER
    folder_pad: _PAD
    message_database_guid: Guid
    message_global_counter: _COUNTER
    message_pad: _PAD = b"\0\0"

    @classmethod
    def private(cls, mailbox_guid: uuid.UUID, replica_guid: uuid.UUID, folder: int, message: int) -> MessageEntryId:
        """A message of a mailbox, from the GlobalCounters of its folder and its own."""
        counters = folder.to_bytes(6, "big"), message.to_bytes(6, "big")
        kind = EntryIdType.PrivateMessage
        return cls(0, mailbox_guid, kind, replica_guid, counters[0], b"\0\0", replica_guid, counters[1])


@structure
class _StoreHead(Structure):
    flags: U32
    provider_uid: Guid
    version: U8
    flag: U8
    dll_file_name: Annotated[bytes, Fixed("14s")]
    wrapped_flags: U32
    wrapped_provider_uid: Guid
    wrapped_type: U32
    server_shortname: String8


@structure
class StoreEntryId(_StoreHead):
    """[MS-OXCDATA] 2.2.4.3. `mailbox_dn` is None for a public store; `v2` is what newer clients append to it."""

    mailbox_dn: bytes | None = None
    v2: bytes = b""

    @classmethod
    def mailbox(cls, server: str, mailbox_dn: str) -> StoreEntryId:
        """A mailbox by its server's name and its owner's distinguished name; both ASCII."""
        return cls._of(MAILBOX_STORE_PROVIDER, 0x0C, server, mailbox_dn.encode("ascii"))

    @classmethod
    def public(cls, server: str) -> StoreEntryId:
        """The public folder store of a server."""
        return cls._of(PUBLIC_STORE_PROVIDER, 0x06, server, None)

    @classmethod
    def _of(cls, provider: uuid.UUID, kind: int, server: str, mailbox_dn: bytes | None) -> StoreEntryId:
        name = b"EMSMDB.DLL\0\0\0\0"
        return cls(0, STORE_PROVIDER, 0, 0, name, 0, provider, kind, server.encode("ascii"), mailbox_dn)

    @classmethod
    def read(cls, reader: Reader) -> StoreEntryId:
        head = _StoreHead.read(reader)
        entry_id = cls(*(value for _, value in structure_fields(head)))
        if head.wrapped_provider_uid != PUBLIC_STORE_PROVIDER:
            entry_id.mailbox_dn = reader.string8()
        entry_id.v2 = reader.rest()
        return entry_id

    def write(self, writer: Writer) -> None:
        _StoreHead.write(self, writer)
        if (self.mailbox_dn is None) != (self.wrapped_provider_uid == PUBLIC_STORE_PROVIDER):
            raise EncodeError("a mailbox has a MailboxDN, a public store has none")
        if self.mailbox_dn is not None:
            writer.string8(self.mailbox_dn)
        writer += self.v2


@structure
class _AddressBookHead(Structure):
    id_type: U8
    reserved: Annotated[bytes, Fixed("3s")]
    provider_uid: Guid
    version: U32
    display_type: U32


@structure
class PermanentEntryId(Structure):
    """[MS-OXNSPI] 2.2.9.3, the Address Book EntryID of [MS-OXCDATA] 2.2.5.2: an object by its distinguished name."""

    display_type: int
    distinguished_name: bytes
    id_type: int = 0
    reserved: bytes = b"\0\0\0"
    provider_uid: uuid.UUID = ADDRESS_BOOK_PROVIDER
    version: int = 1

    @classmethod
    def read(cls, reader: Reader) -> PermanentEntryId:
        head = _AddressBookHead.read(reader)
        name = reader.string8()
        return cls(head.display_type, name, head.id_type, head.reserved, head.provider_uid, head.version)

    def write(self, writer: Writer) -> None:
        head = _AddressBookHead(self.id_type, self.reserved, self.provider_uid, self.version, self.display_type)
        head.write(writer)
        writer.string8(self.distinguished_name)


@structure
class EphemeralEntryId(Structure):
    """[MS-OXNSPI] 2.2.9.2: an object by its Minimal Entry Id, for the sessions with the server of `provider_uid`."""

    ID_TYPE: ClassVar[int] = 0x87
    SIZE: ClassVar[int] = 32

    provider_uid: uuid.UUID
    display_type: int
    mid: int
    id_type: int = 0x87
    reserved: bytes = b"\0\0\0"
    version: int = 1

    @classmethod
    def read(cls, reader: Reader) -> EphemeralEntryId:
        head = _AddressBookHead.read(reader)
        mid = reader.u32()
        return cls(head.provider_uid, head.display_type, mid, head.id_type, head.reserved, head.version)

    def write(self, writer: Writer) -> None:
        head = _AddressBookHead(self.id_type, self.reserved, self.provider_uid, self.version, self.display_type)
        head.write(writer)
        writer.u32(self.mid)


class OneOffFlag(enum.IntFlag):
    """The 16 bits after Version in [MS-OXCDATA] 2.2.5.1, as the little-endian number that they are on the wire."""

    #: M: the recipient gets MIME, not TNEF.
    Mime = 0x0001
    #: Format and MAE: what the bodies and Macintosh attachments look like.
    Format = 0x001E
    MacintoshEncoding = 0x0060
    #: L: the server shall not look the address up.
    DoNotLookUp = 0x1000
    #: U: the texts are UTF-16.
    Unicode = 0x8000


@structure
class OneOffEntryId(Structure):
    """[MS-OXCDATA] 2.2.5.1: a recipient that stands in no directory.

    The three texts are str where `flags16` has `OneOffFlag.Unicode`, else bytes in a code page that is not told.
    """

    display_name: str | bytes
    address_type: str | bytes
    email_address: str | bytes
    flags16: int = OneOffFlag.Unicode | OneOffFlag.DoNotLookUp | OneOffFlag.Mime
    version: int = 0
    flags: int = 0

    @classmethod
    def read(cls, reader: Reader) -> OneOffEntryId:
        flags, provider = reader.u32(), uuid.UUID(bytes_le=reader.take(16))
        if provider != ONE_OFF_PROVIDER:
            raise DecodeError(f"{provider} is not the provider of one-off entry ids", reader.pos - 16)
        version, flags16 = reader.u16(), reader.u16()
        text = reader.utf16 if flags16 & OneOffFlag.Unicode else reader.string8
        return cls(text(), text(), text(), flags16, version, flags)

    def write(self, writer: Writer) -> None:
        writer.u32(self.flags)
        writer += ONE_OFF_PROVIDER.bytes_le
        writer.u16(self.version)
        writer.u16(self.flags16)
        for text in (self.display_name, self.address_type, self.email_address):
            if isinstance(text, str) != bool(self.flags16 & OneOffFlag.Unicode):
                raise EncodeError(f"{text!r:.60}: the flags say the other kind of text")
            if isinstance(text, str):
                writer.utf16(text)
            else:
                writer.string8(text)


@structure
class ContactAddressEntryId(Structure):
    """[MS-OXCDATA] 2.2.5.3 (type 4: `index` 0-2 is a contact's e-mail address, 3-5 a fax), and 2.2.5.4 (type 5)."""

    flags: U32
    provider_uid: Guid
    version: U32
    type: U32
    index: U32
    entry_id: Bytes32
    #: Some clients pad it.
    rest: Rest = b""


@structure
class ServerId(Structure):
    """[MS-OXCDATA] 2.11.1.4, inside the bytes of a ServerId value with `ours` = 1: an object of the same mailbox."""

    ours: U8
    folder_id: FolderId64
    message_id: MessageId64
    instance: U32


EntryId: TypeAlias = (
    FolderEntryId
    | MessageEntryId
    | StoreEntryId
    | PermanentEntryId
    | EphemeralEntryId
    | OneOffEntryId
    | ContactAddressEntryId
)

_BY_PROVIDER: Final[dict[bytes, type[EntryId]]] = {
    STORE_PROVIDER.bytes_le: StoreEntryId,
    ADDRESS_BOOK_PROVIDER.bytes_le: PermanentEntryId,
    ONE_OFF_PROVIDER.bytes_le: OneOffEntryId,
    CONTACT_PROVIDER.bytes_le: ContactAddressEntryId,
}


def parse_entry_id(data: bytes) -> EntryId:
    """The entry id in `data`, by its provider UID, id type and size; `DecodeError` for one of an unknown kind."""
    kind = _BY_PROVIDER.get(data[4:20])
    if data[:1] == b"\x87" and len(data) == EphemeralEntryId.SIZE:
        kind = EphemeralEntryId
    elif kind is None and len(data) == FolderEntryId.SIZE:
        kind = FolderEntryId
    elif kind is None and len(data) == MessageEntryId.SIZE:
        kind = MessageEntryId
    if kind is None:
        raise DecodeError(f"{len(data)} bytes are no entry id of a known kind: {data[:20].hex()}", 0)
    return kind.unpack(data)
