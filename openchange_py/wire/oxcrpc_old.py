"""EcDoRpc, which clients up to Outlook 2002 call, and newer ones where a server does not know EcDoConnectEx.

[MS-OXCRPC] reserves its opnum. What is here is what libmapi sends and understands: one ROP buffer, always obfuscated
(3.1.4.1.1.3), never compressed, without RPC_HEADER_EXT, in one array that goes both ways. EcDoConnect stands in
`oxcrpc` beside EcDoConnectEx, with which it shares its fields.
"""

from __future__ import annotations

from typing import Final, Self

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle, NdrReader, NdrWriter, RpcMessage, rpc_message
from openchange_py.wire.rpcheaderext import obfuscate

#: What a client has room for that wants every server to accept it: some refuse the 0xFFF0 that libmapi tries first.
MAXIMUM_OLD_BUFFER: Final = 0x7FFF

#: Behind the context handle.
_ARRAY_OFFSET: Final = 20


@rpc_message
class EcDoRpcRequest(RpcMessage):
    """EcDoRpc (opnum 2). `rgb` is the obfuscated ROP buffer, `maximum` (16 bits) what the answer's may have.

    `size` is what the array has room for, where that is something else: libmapi makes only `maximum` smaller when its
    request is long.
    """

    cxh: ContextHandle
    rgb: bytes
    maximum: int
    size: int | None = None

    @classmethod
    def of(cls, cxh: ContextHandle, payload: bytes, room: int = MAXIMUM_OLD_BUFFER) -> Self:
        """The call with a ROP buffer, for an answer of at most `room` bytes."""
        return cls(cxh, obfuscate(payload), room)

    @property
    def payload(self) -> bytes:
        """The ROP buffer, readable."""
        return obfuscate(self.rgb)

    @property
    def room(self) -> int:
        """How many bytes the answer's ROP buffer may have."""
        return self.maximum if self.size is None else min(self.size, self.maximum)

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        handle, size = ContextHandle.read(reader), reader.size()
        rgb = reader.take(reader.varying(size, 1))
        length, maximum = reader.u16(), reader.u16()
        if length != len(rgb):
            raise DecodeError("rgb: its count and its array's size differ", reader.pos - 4)
        return cls(handle, rgb, maximum, None if size == maximum else size)

    @staticmethod
    def rgb_of(stub: bytes) -> bytes:
        """rgb alone, for who needs nothing else of the stub and looks at every call. Raises `DecodeError`."""
        reader = NdrReader(stub, min(_ARRAY_OFFSET, len(stub)))
        return reader.take(reader.varying(reader.u32(), 1))

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        _write_array(writer, self.maximum if self.size is None else self.size, self.rgb)
        writer.u16(self.maximum)


@rpc_message
class EcDoRpcResponse(RpcMessage):
    """EcDoRpc (opnum 2). `rgb` is the obfuscated ROP buffer, `maximum` the request's `room`."""

    cxh: ContextHandle
    rgb: bytes
    maximum: int
    return_value: int

    @property
    def payload(self) -> bytes:
        """The ROP buffer, readable."""
        return obfuscate(self.rgb)

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        handle, size = ContextHandle.read(reader), reader.size()
        rgb = reader.take(reader.varying(size, 1))
        if reader.u16() != len(rgb):
            raise DecodeError("rgb: its count and its array's size differ", reader.pos - 2)
        return cls(handle, rgb, size, reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.cxh.write(writer)
        _write_array(writer, self.maximum, self.rgb)
        writer.u32(self.return_value)

    @classmethod
    def answer(cls, request: EcDoRpcRequest, payload: bytes) -> Self:
        """The answer with a ROP buffer, which must be within the request's `room`."""
        return cls(request.cxh, obfuscate(payload), request.room, 0)

    @classmethod
    def failed(cls, request: EcDoRpcRequest, return_value: int) -> Self:
        """A call that failed as a whole: no ROP buffer."""
        return cls(request.cxh, b"", request.room, return_value)


def _write_array(writer: NdrWriter, size: int, rgb: bytes) -> None:
    """[in, out, size_is(cbMax), length_is(*pcb)] unsigned char rgb[], and *pcb, 16 bits, behind it."""
    writer.size(max(size, len(rgb)))
    writer.size(0)
    writer.size(len(rgb))
    writer += rgb
    writer.u16(len(rgb))
