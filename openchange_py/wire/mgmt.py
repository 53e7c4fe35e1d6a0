"""The remote management interface that every RPC server has: C706 appendix Q."""

from __future__ import annotations

from typing import Final, Self

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter, RpcInterface, RpcMessage, SyntaxId, rpc_message
from openchange_py.wire.ndr_message import TailedMessage
from openchange_py.wire.syntax import write_syntax_id

MGMT: Final = RpcInterface("mgmt", "afa8bd80-7d8a-11c9-bef4-08002b102989", 1)


class _Empty(TailedMessage):
    """A request without parameters."""

    __slots__ = ()

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls()

    def write(self, writer: NdrWriter) -> None:
        """Nothing to append."""


@rpc_message
class InqIfIdsRequest(_Empty):
    """rpc__mgmt_inq_if_ids."""


@rpc_message
class InqIfIdsResponse(RpcMessage):
    """if_id_vector (None: a null pointer) and status. A None element is a null pointer."""

    if_id_vector: list[SyntaxId | None] | None
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        vector: list[SyntaxId | None] | None = None
        if reader.pointer():
            maximum = reader.conformance(4)
            if reader.u32() != maximum:
                raise DecodeError("interface count and size of the vector differ", reader.pos - 4)
            reader.gap()
            present = [reader.pointer() for _ in range(maximum)]
            vector = [reader.interface_id() if there else None for there in present]
        return cls(vector, reader.u32())

    def write(self, writer: NdrWriter) -> None:
        if writer.pointer(self.if_id_vector is not None) and self.if_id_vector is not None:
            writer.size(len(self.if_id_vector))
            writer.u32(len(self.if_id_vector))
            writer.gap()
            for syntax in self.if_id_vector:
                writer.pointer(syntax is not None)
            for syntax in self.if_id_vector:
                if syntax is not None:
                    writer.align(4)
                    writer += write_syntax_id(syntax)
        writer.u32(self.status)


@rpc_message
class InqStatsRequest(TailedMessage):
    """rpc__mgmt_inq_stats: how many of the statistics are wanted."""

    count: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.count)


@rpc_message
class InqStatsResponse(RpcMessage):
    """Calls received, calls sent, packets received, packets sent."""

    statistics: list[int]
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        count = reader.u32()
        if reader.conformance(4) != count:
            raise DecodeError("count and size of the statistics differ", reader.pos - 4)
        return cls([reader.u32() for _ in range(count)], reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(len(self.statistics))
        writer.size(len(self.statistics))
        for value in self.statistics:
            writer.u32(value & 0xFFFFFFFF)
        writer.u32(self.status)


@rpc_message
class IsServerListeningRequest(_Empty):
    """rpc__mgmt_is_server_listening."""


@rpc_message
class IsServerListeningResponse(RpcMessage):
    """status, and the call's own result: a boolean32."""

    status: int
    listening: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32(), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.status)
        writer.u32(self.listening)


@rpc_message
class StopServerListeningRequest(_Empty):
    """rpc__mgmt_stop_server_listening."""


@rpc_message
class StopServerListeningResponse(RpcMessage):
    """status."""

    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.status)


@rpc_message
class InqPrincNameRequest(TailedMessage):
    """rpc__mgmt_inq_princ_name: authentication service, and the size of the client's buffer in bytes."""

    authn_proto: int
    princ_name_size: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32(), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.authn_proto)
        writer.u32(self.princ_name_size)


@rpc_message
class InqPrincNameResponse(RpcMessage):
    """The principal name, of which the buffer's size is kept, and status."""

    princ_name: bytes
    princ_name_size: int
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        size = reader.size()
        raw = reader.take(reader.varying(size, 1))
        if not raw.endswith(b"\0"):
            raise DecodeError("string without terminating zero", reader.pos)
        return cls(raw[:-1], size, reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.size(self.princ_name_size)
        writer.size(0)
        writer.size(len(self.princ_name) + 1)
        writer += self.princ_name + b"\0"
        writer.u32(self.status)


MGMT.declare(0, "inq_if_ids", InqIfIdsRequest, InqIfIdsResponse)
MGMT.declare(1, "inq_stats", InqStatsRequest, InqStatsResponse)
MGMT.declare(2, "is_server_listening", IsServerListeningRequest, IsServerListeningResponse)
MGMT.declare(3, "stop_server_listening", StopServerListeningRequest, StopServerListeningResponse)
MGMT.declare(4, "inq_princ_name", InqPrincNameRequest, InqPrincNameResponse)
