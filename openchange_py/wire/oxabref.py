"""[MS-OXABREF]: the Address Book Name Service Provider Interface Referral protocol (RFR)."""

from __future__ import annotations

from typing import Annotated

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter, RpcInterface, RpcMessage, rpc_message
from openchange_py.wire.ndr_message import CharString, Dword, TailedMessage, Unique, char_string, ndr_message

RFR = RpcInterface("exchange_ds_rfr", "1544f5e0-613c-11d1-93df-00c04fd7bd09", 1, 0)

#: The least and largest RfrGetFQDNFromServerDN size ([MS-OXABREF] 3.1.4.2, range(10,1024)).
SERVER_DN_SIZES = (10, 1024)


class Name:
    """What a `[unique, string] unsigned char **` points at: a string that may be null."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | None) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Name({self.value!r})"


class _NameParameter(Unique):
    """A pointer to a pointer to a string: None, or a `Name`."""

    def __init__(self) -> None:
        super().__init__(Unique(char_string))

    def read(self, reader: NdrReader) -> Name | None:
        return Name(self._target.read(reader)) if reader.pointer() else None

    def write(self, writer: NdrWriter, value: Name | None) -> None:
        if writer.pointer(value is not None):
            self._target.write(writer, value.value if value else None)


UniqueName = Annotated[Name | None, _NameParameter()]


@ndr_message
class RfrGetNewDSARequest(TailedMessage):
    """3.1.4.1 RfrGetNewDSA (opnum 0)."""

    flags: Dword
    user_dn: CharString
    unused: UniqueName = None
    server: UniqueName = None


@ndr_message
class RfrGetNewDSAResponse(RpcMessage):
    """3.1.4.1 RfrGetNewDSA (opnum 0)."""

    unused: UniqueName
    server: UniqueName
    return_value: Dword


@rpc_message
class RfrGetFQDNFromServerDNRequest(TailedMessage):
    """3.1.4.2 RfrGetFQDNFromServerDN (opnum 1). `cb_mailbox_server_dn` counts the terminating zero."""

    flags: int
    cb_mailbox_server_dn: int
    mailbox_server_dn: bytes

    @classmethod
    def read(cls, reader: NdrReader) -> RfrGetFQDNFromServerDNRequest:
        flags, size = reader.u32(), reader.u32()
        if not SERVER_DN_SIZES[0] <= size <= SERVER_DN_SIZES[1]:
            raise DecodeError(f"size {size} is out of range", reader.pos - 4, ("cb_mailbox_server_dn",))
        return cls(flags, size, _sized_string(reader, size))

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.flags)
        writer.u32(self.cb_mailbox_server_dn)
        writer.size(self.cb_mailbox_server_dn)
        writer.size(0)
        writer.size(len(self.mailbox_server_dn) + 1)
        writer += self.mailbox_server_dn + b"\0"


def _sized_string(reader: NdrReader, size: int) -> bytes:
    """[string, size_is(size)]: the maximum count is the size, the string may be shorter."""
    start = reader.pos
    if reader.size() != size:
        raise DecodeError("the string's maximum count is not its size", start, ("mailbox_server_dn",))
    raw = reader.take(reader.varying(size, 1))
    if not raw.endswith(b"\0"):
        raise DecodeError("string without terminating zero", reader.pos, ("mailbox_server_dn",))
    return raw[:-1]


@ndr_message
class RfrGetFQDNFromServerDNResponse(RpcMessage):
    """3.1.4.2 RfrGetFQDNFromServerDN (opnum 1)."""

    server_fqdn: Annotated[bytes | None, Unique(char_string)]
    return_value: Dword


RFR.declare(0, "RfrGetNewDSA", RfrGetNewDSARequest, RfrGetNewDSAResponse)
RFR.declare(1, "RfrGetFQDNFromServerDN", RfrGetFQDNFromServerDNRequest, RfrGetFQDNFromServerDNResponse)
