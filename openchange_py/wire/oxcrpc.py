"""The EMSMDB and AsyncEMSMDB interfaces: [MS-OXCRPC] section 6 (IDL) and 3.1.4, 3.3.4.

The buffers that the calls carry (rgbIn, rgbOut, rgbAuxIn, rgbAuxOut) stay bytes: `rpcheaderext`, `auxbuffer` and
`rop` read them. The document reserves the calls of clients up to Outlook 2002. EcDoConnect's parameters are those that
Microsoft published in its forum for these documents, EcDoRpc is in `oxcrpc_old`.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from typing import Final, Self

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import (
    NULL_HANDLE,
    ContextHandle,
    NdrReader,
    NdrWriter,
    RpcInterface,
    RpcMessage,
    rpc_message,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse

#: BIG_RANGE_ULONG (2.2.1.3): the most that rgbIn and rgbOut may hold.
MAXIMUM_BUFFER: Final = 0x40000
#: SMALL_RANGE_ULONG (2.2.1.4): the most that rgbAuxIn and rgbAuxOut may hold.
MAXIMUM_AUX_BUFFER: Final = 0x1008


class RpcFlags(enum.IntFlag, boundary=enum.KEEP):
    """pulFlags of EcDoRpcExt2, and Flags of an Execute request."""

    NoCompression = 0x00000001
    NoXorMagic = 0x00000002
    Chain = 0x00000004


Version = tuple[int, int, int]


def normalized_version(version: Version) -> tuple[int, int, int, int]:
    """Product major and minor, build major and minor, of the three words on the wire: 3.1.9."""
    major, build, minor = version
    if build & 0x8000:
        return major >> 8, major & 0xFF, build & 0x7FFF, minor
    return major, 0, build, minor


def wire_version(major: int, minor: int, build: int, revision: int) -> Version:
    """The three words on the wire, 3.1.9: the product's minor version in the first, bit 15 of the second set."""
    return major << 8 | minor, build | 0x8000, revision


def _read_version(reader: NdrReader) -> Version:
    return reader.u16(), reader.u16(), reader.u16()


def _write_version(writer: NdrWriter, version: Version) -> None:
    for word in version:
        writer.u16(word)


def _range(reader: NdrReader, value: int, maximum: int) -> int:
    """A count whose IDL gives it a [range]; outside, the stub is bad (RPC_X_BAD_STUB_DATA)."""
    if value > maximum:
        raise DecodeError(f"count {value} exceeds its range of {maximum}", reader.pos)
    return value


def _read_sized(reader: NdrReader, name: str, maximum: int) -> bytes:
    """[in, size_is(cb)] unsigned char rgb[], and cb behind it, which must say the same."""
    size = reader.conformance(1, maximum)
    data = reader.take(size)
    if reader.u32() != size:
        raise DecodeError(f"{name}: its count and its array's size differ", reader.pos - 4)
    return data


def _write_sized(writer: NdrWriter, data: bytes) -> None:
    writer.size(len(data))
    writer += data
    writer.u32(len(data))


def _read_out(reader: NdrReader, name: str, maximum: int) -> bytes:
    """[out, length_is(*pcb), size_is(*pcb)] unsigned char rgb[], and *pcb behind it."""
    size = reader.conformance(1, maximum)
    actual = reader.varying(size, 1)
    data = reader.take(actual)
    if size != actual or reader.u32() != actual:
        raise DecodeError(f"{name}: its count and its array's sizes differ", reader.pos - 4)
    return data


def _write_out(writer: NdrWriter, data: bytes) -> None:
    writer.fixed_counts(len(data))
    writer += data
    writer.u32(len(data))


def _read_out_string(reader: NdrReader) -> bytes | None:
    """[out, string] unsigned char **: a unique pointer to a string."""
    return reader.char_string() if reader.pointer() else None


def _write_out_string(writer: NdrWriter, value: bytes | None) -> None:
    if writer.pointer(value is not None) and value is not None:
        writer.char_string(value)


_Connect = tuple[bytes, int, int, int, int, int, int, int, int, Version, int]


def _read_connect(reader: NdrReader) -> _Connect:
    dn, flags, con_mod, limit = reader.char_string(), reader.u32(), reader.u32(), reader.u32()
    cpid, lcid_string, lcid_sort, icxr_link = reader.u32(), reader.u32(), reader.u32(), reader.u32()
    can_convert, version = reader.u16(), _read_version(reader)
    return dn, flags, con_mod, limit, cpid, lcid_string, lcid_sort, icxr_link, can_convert, version, reader.u32()


@rpc_message
class EcDoConnectRequest(RpcMessage):
    """EcDoConnect (opnum 0): EcDoConnectEx without auxiliary buffers. `user_dn` is in a code page of the client."""

    user_dn: bytes
    flags: int
    con_mod: int
    limit: int
    cpid: int
    lcid_string: int
    lcid_sort: int
    icxr_link: int
    can_convert_code_pages: int
    client_version: Version
    time_stamp: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(*_read_connect(reader))

    def write(self, writer: NdrWriter) -> None:
        writer.char_string(self.user_dn)
        writer.u32(self.flags)
        writer.u32(self.con_mod)
        writer.u32(self.limit)
        writer.u32(self.cpid)
        writer.u32(self.lcid_string)
        writer.u32(self.lcid_sort)
        writer.u32(self.icxr_link)
        writer.u16(self.can_convert_code_pages)
        _write_version(writer, self.client_version)
        writer.u32(self.time_stamp)


@rpc_message
class EcDoConnectExRequest(EcDoConnectRequest):
    """EcDoConnectEx (3.1.4.1). `aux_out_size` is what the client has room for."""

    aux_in: bytes = b""
    aux_out_size: int = MAXIMUM_AUX_BUFFER

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        connect = _read_connect(reader)
        aux_in = _read_sized(reader, "rgbAuxIn", MAXIMUM_AUX_BUFFER)
        return cls(*connect, aux_in, _range(reader, reader.u32(), MAXIMUM_AUX_BUFFER))

    def write(self, writer: NdrWriter) -> None:
        EcDoConnectRequest.write(self, writer)
        _write_sized(writer, self.aux_in)
        writer.u32(self.aux_out_size)

    def old(self) -> EcDoConnectRequest:
        """The same connection by EcDoConnect."""
        names = [field.name for field in dataclasses.fields(EcDoConnectRequest)]
        return EcDoConnectRequest(*(getattr(self, name) for name in names))


@rpc_message
class EcDoConnectResponse(RpcMessage):
    """EcDoConnect (opnum 0)."""

    cxh: ContextHandle
    polls_max: int
    retry: int
    retry_delay: int
    icxr: int
    dn_prefix: bytes | None
    display_name: bytes | None
    server_version: Version
    best_version: Version
    time_stamp: int
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(*_read_connected(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        _write_connected(writer, self)
        writer.u32(self.return_value)

    @classmethod
    def failed(cls, return_value: int) -> EcDoConnectResponse:
        """A refused connection: a null handle and nothing else."""
        zero = (0, 0, 0)
        return cls(NULL_HANDLE, 0, 0, 0, 0, None, None, zero, zero, 0, return_value)


@rpc_message
class EcDoConnectExResponse(RpcMessage):
    """EcDoConnectEx (3.1.4.1). Times are milliseconds; `icxr` is the session's index, for `icxr_link` of others."""

    cxh: ContextHandle
    polls_max: int
    retry: int
    retry_delay: int
    icxr: int
    dn_prefix: bytes | None
    display_name: bytes | None
    server_version: Version
    best_version: Version
    time_stamp: int
    aux_out: bytes
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        connected = _read_connected(reader)
        return cls(*connected, _read_out(reader, "rgbAuxOut", MAXIMUM_AUX_BUFFER), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        _write_connected(writer, self)
        _write_out(writer, self.aux_out)
        writer.u32(self.return_value)

    @classmethod
    def failed(cls, return_value: int) -> EcDoConnectExResponse:
        """A refused connection: a null handle and nothing else."""
        zero = (0, 0, 0)
        return cls(NULL_HANDLE, 0, 0, 0, 0, None, None, zero, zero, 0, b"", return_value)


#: What EcDoConnect and EcDoConnectEx answer alike.
Connected = tuple[ContextHandle, int, int, int, int, bytes | None, bytes | None, Version, Version, int]


def _read_connected(reader: NdrReader) -> Connected:
    return (
        ContextHandle.read(reader),
        *(reader.u32(), reader.u32(), reader.u32(), reader.u16()),
        *(_read_out_string(reader), _read_out_string(reader)),
        *(_read_version(reader), _read_version(reader)),
        reader.u32(),
    )


def _write_connected(writer: NdrWriter, response: EcDoConnectResponse | EcDoConnectExResponse) -> None:
    response.cxh.write(writer)
    writer.u32(response.polls_max)
    writer.u32(response.retry)
    writer.u32(response.retry_delay)
    writer.u16(response.icxr)
    _write_out_string(writer, response.dn_prefix)
    _write_out_string(writer, response.display_name)
    _write_version(writer, response.server_version)
    _write_version(writer, response.best_version)
    writer.u32(response.time_stamp)


@rpc_message
class EcDoDisconnectRequest(RpcMessage):
    """EcDoDisconnect (3.1.4.3)."""

    cxh: ContextHandle

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader))

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)


@rpc_message
class EcDoDisconnectResponse(RpcMessage):
    """EcDoDisconnect (3.1.4.3): the handle comes back as null."""

    cxh: ContextHandle
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        writer.u32(self.return_value)


@rpc_message
class EcRRegisterPushNotificationRequest(RpcMessage):
    """EcRRegisterPushNotification (3.1.4.5): where to send UDP packets, and which bytes to put into them."""

    cxh: ContextHandle
    rpc: int
    context: bytes
    advise_bits: int
    callback_address: bytes

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        handle, rpc = ContextHandle.read(reader), reader.u32()
        context = _read_short_sized(reader, "rgbContext")
        return cls(handle, rpc, context, reader.u32(), _read_short_sized(reader, "rgbCallbackAddress"))

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        writer.u32(self.rpc)
        _write_short_sized(writer, self.context)
        writer.u32(self.advise_bits)
        _write_short_sized(writer, self.callback_address)


def _read_short_sized(reader: NdrReader, name: str) -> bytes:
    """[in, size_is(cb)] unsigned char rgb[], and a 16-bit cb behind it."""
    data = reader.take(reader.conformance(1, 0xFFFF))
    if reader.u16() != len(data):
        raise DecodeError(f"{name}: its count and its array's size differ", reader.pos - 2)
    return data


def _write_short_sized(writer: NdrWriter, data: bytes) -> None:
    writer.size(len(data))
    writer += data
    writer.u16(len(data))


@rpc_message
class EcRRegisterPushNotificationResponse(RpcMessage):
    """EcRRegisterPushNotification (3.1.4.5)."""

    cxh: ContextHandle
    notification: int
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader), reader.u32(), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        writer.u32(self.notification)
        writer.u32(self.return_value)


@rpc_message
class EcDummyRpcRequest(RpcMessage):
    """EcDummyRpc (3.1.4.6): no parameters."""

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls()

    def write(self, writer: NdrWriter) -> None:
        return


@rpc_message
class EcDummyRpcResponse(RpcMessage):
    """EcDummyRpc (3.1.4.6)."""

    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.return_value)


#: Behind the context handle and pulFlags, of EcDoRpcExt2 both ways.
_RGB_IN_OFFSET: Final = 24
_COUNT: Final = struct.Struct("<I")


@rpc_message
class EcDoRpcExt2Request(RpcMessage):
    """EcDoRpcExt2 (3.1.4.2). `out_size` and `aux_out_size` are pcbOut and pcbAuxOut: what the client has room for.

    `rgb_in` and `aux_in` are extended buffers, each with its RPC_HEADER_EXT. See `RpcFlags` for `flags`.
    """

    cxh: ContextHandle
    flags: int
    rgb_in: bytes
    out_size: int
    aux_in: bytes = b""
    aux_out_size: int = MAXIMUM_AUX_BUFFER

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(
            ContextHandle.read(reader),
            reader.u32(),
            _read_sized(reader, "rgbIn", MAXIMUM_BUFFER),
            _range(reader, reader.u32(), MAXIMUM_BUFFER),
            _read_sized(reader, "rgbAuxIn", MAXIMUM_AUX_BUFFER),
            _range(reader, reader.u32(), MAXIMUM_AUX_BUFFER),
        )

    @staticmethod
    def rgb_in_of(stub: bytes) -> bytes:
        """rgbIn alone, for who needs nothing else of the stub and looks at every call. Raises `DecodeError`."""
        try:
            end = _RGB_IN_OFFSET + 4 + _COUNT.unpack_from(stub, _RGB_IN_OFFSET)[0]
            if _COUNT.unpack_from(stub, end + -end % 4)[0] == end - _RGB_IN_OFFSET - 4 <= MAXIMUM_BUFFER:
                return stub[_RGB_IN_OFFSET + 4 : end]
        except struct.error:
            pass
        # Not so, and the reader says why.
        return _read_sized(NdrReader(stub, min(_RGB_IN_OFFSET, len(stub))), "rgbIn", MAXIMUM_BUFFER)

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        writer.u32(self.flags)
        _write_sized(writer, self.rgb_in)
        writer.u32(self.out_size)
        _write_sized(writer, self.aux_in)
        writer.u32(self.aux_out_size)


@rpc_message
class EcDoRpcExt2Response(RpcMessage):
    """EcDoRpcExt2 (3.1.4.2). A null handle destroys the session; `trans_time` is milliseconds spent."""

    cxh: ContextHandle
    flags: int
    rgb_out: bytes
    aux_out: bytes
    trans_time: int
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(
            ContextHandle.read(reader),
            reader.u32(),
            _read_out(reader, "rgbOut", MAXIMUM_BUFFER),
            _read_out(reader, "rgbAuxOut", MAXIMUM_AUX_BUFFER),
            reader.u32(),
            reader.u32(),
        )

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        writer.u32(self.flags)
        _write_out(writer, self.rgb_out)
        _write_out(writer, self.aux_out)
        writer.u32(self.trans_time)
        writer.u32(self.return_value)

    @staticmethod
    def has_aux_out(stub: bytes) -> bool:
        """Whether there are auxiliary blocks, for who looks at every call. Raises `DecodeError`."""
        try:
            size: int = _COUNT.unpack_from(stub, _RGB_IN_OFFSET)[0]
            # Behind it: offset and actual count, the array, pcbOut.
            found: int = _COUNT.unpack_from(stub, _RGB_IN_OFFSET + 16 + size + -size % 4)[0]
        except struct.error as error:
            raise DecodeError(f"a response of {len(stub)} bytes: {error}", len(stub)) from error
        return found != 0

    @classmethod
    def failed(cls, cxh: ContextHandle, return_value: int) -> EcDoRpcExt2Response:
        """A call that failed as a whole: no buffers."""
        return cls(cxh, 0, b"", b"", 0, return_value)


@rpc_message
class EcDoAsyncConnectExRequest(RpcMessage):
    """EcDoAsyncConnectEx (3.1.4.4)."""

    cxh: ContextHandle

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader))

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)


@rpc_message
class EcDoAsyncConnectExResponse(RpcMessage):
    """EcDoAsyncConnectEx (3.1.4.4): the handle for EcDoAsyncWaitEx."""

    acxh: ContextHandle
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.acxh.write(writer)
        writer.u32(self.return_value)


@rpc_message
class EcDoAsyncWaitExRequest(RpcMessage):
    """EcDoAsyncWaitEx (3.3.4.1): answered when something happened, or after five minutes."""

    acxh: ContextHandle
    flags_in: int = 0

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.acxh.write(writer)
        writer.u32(self.flags_in)


#: flags_out of EcDoAsyncWaitEx: the client should call EcDoRpcExt2 for its events.
NOTIFICATION_PENDING: Final = 0x00000001


@rpc_message
class EcDoAsyncWaitExResponse(RpcMessage):
    """EcDoAsyncWaitEx (3.3.4.1): `NOTIFICATION_PENDING`, or 0 after five quiet minutes."""

    flags_out: int
    return_value: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32(), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.flags_out)
        writer.u32(self.return_value)


EMSMDB: Final = RpcInterface("exchange_emsmdb", "a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
EMSMDB.declare(0, "EcDoConnect", EcDoConnectRequest, EcDoConnectResponse)
EMSMDB.declare(1, "EcDoDisconnect", EcDoDisconnectRequest, EcDoDisconnectResponse)
EMSMDB.declare(2, "EcDoRpc", EcDoRpcRequest, EcDoRpcResponse)
EMSMDB.declare(3, "EcGetMoreRpc")
EMSMDB.declare(
    4, "EcRRegisterPushNotification", EcRRegisterPushNotificationRequest, EcRRegisterPushNotificationResponse
)
EMSMDB.declare(5, "EcRUnregisterPushNotification")
EMSMDB.declare(6, "EcDummyRpc", EcDummyRpcRequest, EcDummyRpcResponse)
EMSMDB.declare(7, "EcRGetDCName")
EMSMDB.declare(8, "EcRNetGetDCName")
EMSMDB.declare(9, "EcDoRpcExt")
EMSMDB.declare(10, "EcDoConnectEx", EcDoConnectExRequest, EcDoConnectExResponse)
EMSMDB.declare(11, "EcDoRpcExt2", EcDoRpcExt2Request, EcDoRpcExt2Response)
EMSMDB.declare(12, "Opnum12Reserved")
EMSMDB.declare(13, "Opnum13Reserved")
EMSMDB.declare(14, "EcDoAsyncConnectEx", EcDoAsyncConnectExRequest, EcDoAsyncConnectExResponse)

ASYNCEMSMDB: Final = RpcInterface("exchange_async_emsmdb", "5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
ASYNCEMSMDB.declare(0, "EcDoAsyncWaitEx", EcDoAsyncWaitExRequest, EcDoAsyncWaitExResponse)
