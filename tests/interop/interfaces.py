"""Interfaces for foreign test suites, declared as an application would: rpcecho, one call of netlogon and one of LSA.

`netlogon` is what Samba's raw protocol tests look for with the endpoint mapper ([MS-NRPC] 3.5.4.4.1,
NetrServerReqChallenge), `lsarpc` what they ask over a pipe who is calling ([MS-LSAT] 3.1.4.2, LsarGetUserName);
`rpcecho` is the interface of smbtorture's `rpc.echo`.
"""

from __future__ import annotations

import os
from typing import Any, Self

from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter, RpcInterface, RpcMessage, rpc_message
from openchange_py.wire.ndr_message import TailedMessage

NETLOGON = RpcInterface("netlogon", "12345678-1234-abcd-ef00-01234567cffb", 1)
RPCECHO = RpcInterface("rpcecho", "60a15ec5-4de8-11d7-a637-005056a20182", 1)


@rpc_message
class NetrServerReqChallengeRequest(TailedMessage):
    """The tests send four MiB behind the parameters."""

    primary_name: str | None
    computer_name: str
    client_challenge: bytes

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        primary = reader.wchar_string() if reader.pointer() else None
        return cls(primary, reader.wchar_string(), reader.take(8))

    def write(self, writer: NdrWriter) -> None:
        if writer.pointer(self.primary_name is not None):
            writer.wchar_string(self.primary_name or "")
        writer.wchar_string(self.computer_name)
        writer += self.client_challenge


@rpc_message
class NetrServerReqChallengeResponse(RpcMessage):
    server_challenge: bytes
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.take(8), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer += self.server_challenge
        writer.u32(self.status)


NETLOGON.declare(4, "NetrServerReqChallenge", NetrServerReqChallengeRequest, NetrServerReqChallengeResponse)


class NetlogonServer:
    """Answers NetrServerReqChallenge, and nothing else."""

    name = "netlogon"
    interface = NETLOGON

    def call(self, call: Call) -> None:
        assert isinstance(call.request, NetrServerReqChallengeRequest)
        call.response = NetrServerReqChallengeResponse(os.urandom(8), 0)

    def end_session(self, session: Session) -> None:
        """Nothing is kept."""


LSARPC = RpcInterface("lsarpc", "12345778-1234-abcd-ef00-0123456789ab", 0)


@rpc_message
class LsarGetUserNameRequest(RpcMessage):
    """The names that are asked with are ignored."""

    system_name: str | None

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        made = cls(reader.wchar_string() if reader.pointer() else None)
        reader.rest()
        return made

    def write(self, writer: NdrWriter) -> None:
        if writer.pointer(self.system_name is not None):
            writer.wchar_string(self.system_name or "")
        writer.u32(0)
        writer.u32(0)


@rpc_message
class LsarGetUserNameResponse(RpcMessage):
    """Both names, and success."""

    account: str
    domain: str

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        raise NotImplementedError("nobody here asks")

    def write(self, writer: NdrWriter) -> None:
        _write_unicode_string(writer, self.account)
        writer.pointer(True)
        _write_unicode_string(writer, self.domain)
        writer.u32(0)


def _write_unicode_string(writer: NdrWriter, text: str) -> None:
    """A pointer to an RPC_UNICODE_STRING ([MS-DTYP] 2.3.10)."""
    raw = text.encode("utf-16-le")
    writer.pointer(True)
    writer.align(4)
    writer.u16(len(raw))
    writer.u16(len(raw))
    writer.pointer(True)
    writer.fixed_counts(len(text))
    writer += raw


LSARPC.declare(45, "LsarGetUserName", LsarGetUserNameRequest, LsarGetUserNameResponse)


class LsaServer:
    """Answers LsarGetUserName, and nothing else."""

    name = "lsarpc"
    interface = LSARPC

    def call(self, call: Call) -> None:
        assert isinstance(call.request, LsarGetUserNameRequest)
        caller = call.caller
        nobody = caller.is_anonymous
        call.response = LsarGetUserNameResponse(
            "ANONYMOUS LOGON" if nobody else caller.account, "NT AUTHORITY" if nobody else caller.domain
        )

    def end_session(self, session: Session) -> None:
        """Nothing is kept."""


def _message(name: str, read: Any, write: Any) -> type[RpcMessage]:
    """A message of one value, by two functions."""

    class Message(RpcMessage):
        __slots__ = ("value",)

        def __init__(self, value: Any) -> None:
            self.value = value

        @classmethod
        def read(cls, reader: NdrReader) -> Self:
            return cls(read(reader))

        def write(self, writer: NdrWriter) -> None:
            write(writer, self.value)

    Message.__name__ = Message.__qualname__ = name
    return Message


def _read_data(reader: NdrReader) -> bytes:
    """A length, and a conformant array of as many bytes."""
    length = reader.u32()
    if reader.conformance(1) != length:
        raise DecodeError("length and array differ", reader.pos)
    return reader.take(length)


def _write_data(writer: NdrWriter, value: bytes) -> None:
    writer.u32(len(value))
    writer.size(len(value))
    writer += value


def _write_array(writer: NdrWriter, value: bytes) -> None:
    writer.size(len(value))
    writer += value


def _read_array(reader: NdrReader) -> bytes:
    return reader.take(reader.conformance(1))


def _write_string_pointer(writer: NdrWriter, value: str) -> None:
    writer.pointer(True)
    writer.wchar_string(value)


def _read_string_pointer(reader: NdrReader) -> str:
    return reader.wchar_string() if reader.pointer() else ""


#: What echo_Info of TestCall2 has at each level: structures of bytes and larger numbers, by their sizes.
_INFO = {1: (1,), 2: (2,), 3: (4,), 4: (8,), 5: (1, 8), 6: (1, 1), 7: (1, 8)}


def _read_info(reader: NdrReader) -> int:
    """echo_Info: a union behind its level, which it is told by here, and a status."""
    reader.gap()
    level = reader.u16()
    reader.align(8) if 8 in _INFO[level] else reader.gap()
    for size in _INFO[level]:
        {1: reader.u8, 2: reader.u16, 4: reader.u32, 8: reader.u64}[size]()
    reader.u32()
    return level


def _write_info(writer: NdrWriter, level: int) -> None:
    writer.gap()
    writer.u16(level)
    writer.align(8) if 8 in _INFO[level] else writer.gap()
    for size, value in zip(_INFO[level], (10, 20) if len(_INFO[level]) > 1 else (10 * level,), strict=True):
        {1: writer.u8, 2: writer.u16, 4: writer.u32, 8: writer.u64}[size](value)
    writer.u32(0)


def _surrounding(reader: NdrReader) -> tuple[int, ...]:
    count = reader.conformance(2)
    if reader.u32() != count:
        raise DecodeError("x and its array differ", reader.pos)
    return tuple(reader.u16() for _ in range(count))


def _write_surrounding(writer: NdrWriter, values: tuple[int, ...]) -> None:
    writer.size(len(values))
    writer.u32(len(values))
    for value in values:
        writer.u16(value)


def _pointers(reader: NdrReader) -> int:
    """uint16 ***: a reference to two unique pointers. 0 where one of them is null."""
    return reader.u16() if reader.pointer() and reader.pointer() else 0


def _write_pointers(writer: NdrWriter, value: int) -> None:
    if writer.pointer(bool(value)):
        writer.pointer(True)
        writer.u16(value)


def _enum_pair(reader: NdrReader) -> tuple[int, int]:
    """echo_Enum2: an enumeration of 16 bits and one of 32."""
    reader.align(4)
    return reader.enum(), reader.u32()


def _write_enum_pair(writer: NdrWriter, pair: tuple[int, int]) -> None:
    writer.align(4)
    writer.enum(pair[0])
    writer.u32(pair[1])


def _enums(reader: NdrReader) -> tuple[int, tuple[int, int], int | tuple[int, int]]:
    """echo_Enum1, echo_Enum2, and the union echo_Enum3 that the first selects."""
    first, pair = reader.enum(), _enum_pair(reader)
    if reader.enum() != first:
        raise DecodeError("union of another kind", reader.pos)
    return first, pair, reader.enum() if first == 1 else _enum_pair(reader)


def _write_enums(writer: NdrWriter, values: tuple[int, tuple[int, int], int | tuple[int, int]]) -> None:
    first, pair, arm = values
    writer.enum(first)
    _write_enum_pair(writer, pair)
    writer.enum(first)
    if isinstance(arm, int):
        writer.enum(arm)
    else:
        _write_enum_pair(writer, arm)


def _nothing(writer: NdrWriter, value: object) -> None:
    """No parameters."""


#: opnum: name, request, response (each by its two functions), and what becomes of the value between them.
_CALLS: dict[int, tuple[str, Any, Any, Any, Any, Any]] = {
    0: ("AddOne", NdrReader.u32, NdrWriter.u32, NdrReader.u32, NdrWriter.u32, lambda v: v + 1 & 0xFFFFFFFF),
    1: ("EchoData", _read_data, _write_data, _read_array, _write_array, lambda v: v),
    2: ("SinkData", _read_data, _write_data, lambda reader: None, _nothing, lambda v: None),
    3: (
        "SourceData",
        NdrReader.u32,
        NdrWriter.u32,
        _read_array,
        _write_array,
        lambda v: bytes(i & 0xFF for i in range(min(v, 1 << 20))),
    ),
    4: (
        "TestCall",
        NdrReader.wchar_string,
        NdrWriter.wchar_string,
        _read_string_pointer,
        _write_string_pointer,
        lambda v: v,
    ),
    5: ("TestCall2", NdrReader.u16, NdrWriter.u16, _read_info, _write_info, lambda v: v),
    6: ("TestSleep", NdrReader.u32, NdrWriter.u32, NdrReader.u32, NdrWriter.u32, lambda v: v),
    7: ("TestEnum", _enums, _write_enums, _enums, _write_enums, lambda v: v),
    8: ("TestSurrounding", _surrounding, _write_surrounding, _surrounding, _write_surrounding, lambda v: v + v),
    9: ("TestDoublePointer", _pointers, _write_pointers, NdrReader.u16, NdrWriter.u16, lambda v: v),
}

for _opnum, (_name, _read_in, _write_in, _read_out, _write_out, _) in _CALLS.items():
    RPCECHO.declare(
        _opnum,
        _name,
        _message(_name + "Request", _read_in, _write_in),
        _message(_name + "Response", _read_out, _write_out),
    )


class RpcEchoServer:
    """smbtorture's `rpc.echo`. TestSleep does not sleep: the runner of the tests does that around it."""

    name = "rpcecho"
    interface = RPCECHO

    def call(self, call: Call) -> None:
        value = call.request.value  # type: ignore[attr-defined]
        if call.opnum == 5 and not 1 <= value <= 7:
            raise RpcFault(FaultStatus.BAD_STUB_DATA, f"no level {value}")
        response = RPCECHO.methods[call.opnum].response
        assert response is not None
        call.response = response(_CALLS[call.opnum][5](value))  # type: ignore[call-arg]

    def end_session(self, session: Session) -> None:
        """Nothing is kept."""
