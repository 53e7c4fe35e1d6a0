"""Entry ids of the address book: [MS-OXNSPI] 2.2.9."""

from __future__ import annotations

import struct
import uuid
from typing import Final

from openchange_py.addressbook.base import Container, DisplayType, Entry
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.entryids import EphemeralEntryId, PermanentEntryId

#: GUID_NSPI, [MS-OXNSPI] 2.2.1.7.
GUID_NSPI: Final = uuid.UUID("c840a7dc-42c0-1a10-b4b9-08002b2fe182")

#: The distinguished name of the Global Address List as a container.
GLOBAL_ADDRESS_LIST_DN: Final = "/"

_HEAD = struct.Struct("<4s16sII")
_MID = struct.Struct("<I")


def permanent_entry_id(display_type: int, dn: str) -> bytes:
    """2.2.9.3: by distinguished name, which no code page changes (it is ASCII; anything else is replaced)."""
    return _HEAD.pack(bytes(4), GUID_NSPI.bytes_le, 1, display_type) + dn.encode("ascii", "replace") + b"\0"


def ephemeral_entry_id(display_type: int, mid: int, server_guid: uuid.UUID) -> bytes:
    """2.2.9.2: by Minimal Entry Id, valid where NspiBind gave this GUID."""
    return _HEAD.pack(b"\x87\0\0\0", server_guid.bytes_le, 1, display_type) + _MID.pack(mid)


def entry_permanent_entry_id(entry: Entry) -> bytes:
    """The permanent entry id of an object."""
    return permanent_entry_id(entry.display_type, entry.legacy_exchange_dn)


def instance_key(mid: int) -> bytes:
    """PidTagInstanceKey: [MS-OXOABK] 2.2.3.6, the Minimal Entry Id."""
    return _MID.pack(mid)


def container_dn(container: Container) -> str:
    """The distinguished name in a container's entry id: [MS-OXOABK] 2.2.2.1."""
    return GLOBAL_ADDRESS_LIST_DN if container.mid == 0 else f"/guid={container.guid.hex.upper()}"


def container_entry_id(container: Container) -> bytes:
    """The permanent entry id of an address list."""
    return permanent_entry_id(DisplayType.CONTAINER, container_dn(container))


def parse_entry_id(raw: bytes, server_guid: uuid.UUID) -> int | str | None:
    """What an entry id of either kind names: a Minimal Entry Id, or a distinguished name.

    None for one that is neither, or that another server's session gave.
    """
    try:
        if raw[:1] == b"\x87":
            ephemeral = EphemeralEntryId.unpack(raw)
            return ephemeral.mid if ephemeral.provider_uid == server_guid else None
        permanent = PermanentEntryId.unpack(raw)
    except DecodeError:
        return None
    if permanent.provider_uid != GUID_NSPI:
        return None
    return permanent.distinguished_name.decode("ascii", "replace")
