"""Connection-oriented DCE/RPC PDUs: C706 chapter 12.6.4 with the extensions of [MS-RPCE] 2.2.2.

Not done yet: big-endian data representation, which is refused with `UnsupportedRepresentation`; the
extended error information in a fault's stub and behind a bind_nak stays bytes.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
import uuid
from typing import Any, ClassVar, Final, Self, TypeVar, dataclass_transform

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.ndr import SyntaxId
from openchange_py.wire.syntax import read_syntax_id, write_syntax_id

T = TypeVar("T")

_HEADER: Final = struct.Struct("<BBBB4sHHI")
_CALL: Final = struct.Struct("<BBBB4sHHIIHH")
_RESPONSE: Final = struct.Struct("<BBBB4sHHIIHBB")
#: What stands behind the common header of a request, and of a response.
_CALL_FIELDS: Final = struct.Struct("<IHH")
_RESPONSE_FIELDS: Final = struct.Struct("<IHBB")
_FAULT: Final = struct.Struct("<IHBBII")
_BIND: Final = struct.Struct("<HHIB3x")
_BIND_ACK: Final = struct.Struct("<HHI")
_CONTEXT: Final = struct.Struct("<HBx")
_RESULT: Final = struct.Struct("<HH")

HEADER_SIZE: Final = 16
#: Size of a request's or response's header, without the object UUID.
CALL_HEADER_SIZE: Final = 24
#: Little-endian integers, ASCII characters, IEEE floats.
LITTLE_ENDIAN: Final = b"\x10\0\0\0"


class PduType(enum.IntEnum):
    """C706 12.6.4.1, [MS-RPCE] 2.2.2.1."""

    REQUEST = 0
    RESPONSE = 2
    FAULT = 3
    BIND = 11
    BIND_ACK = 12
    BIND_NAK = 13
    ALTER_CONTEXT = 14
    ALTER_CONTEXT_RESP = 15
    AUTH3 = 16
    SHUTDOWN = 17
    CO_CANCEL = 18
    ORPHANED = 19


class Pfc:
    """pfc_flags, C706 12.6.3.1 and [MS-RPCE] 2.2.2.3. Plain numbers: every PDU is tested for them."""

    FIRST_FRAG: Final = 0x01
    LAST_FRAG: Final = 0x02
    PENDING_CANCEL: Final = 0x04
    #: The same bit in bind, alter_context and their answers.
    SUPPORT_HEADER_SIGN: Final = 0x04
    CONC_MPX: Final = 0x10
    DID_NOT_EXECUTE: Final = 0x20
    MAYBE: Final = 0x40
    OBJECT_UUID: Final = 0x80
    WHOLE: Final = FIRST_FRAG | LAST_FRAG


class BindNakReason(enum.IntEnum):
    """p_reject_reason_t, C706 12.6.3.1 and [MS-RPCE] 2.2.2.5."""

    NOT_SPECIFIED = 0
    TEMPORARY_CONGESTION = 1
    LOCAL_LIMIT_EXCEEDED = 2
    PROTOCOL_VERSION_NOT_SUPPORTED = 4
    AUTHENTICATION_TYPE_NOT_RECOGNIZED = 8
    INVALID_CHECKSUM = 9


class ContextResult(enum.IntEnum):
    """p_cont_def_result_t, C706 12.6.3.1 and [MS-RPCE] 2.2.2.4."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    PROVIDER_REJECTION = 2
    NEGOTIATE_ACK = 3


class ProviderReason(enum.IntEnum):
    """p_provider_reason_t, C706 12.6.3.1."""

    NOT_SPECIFIED = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 1
    PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED = 2
    LOCAL_LIMIT_EXCEEDED = 3


class UnsupportedVersion(DecodeError):
    """The PDU is of another protocol version than 5."""


class UnsupportedRepresentation(DecodeError):
    """The PDU's integers, characters or floats are not in the representation read here."""


@dataclasses.dataclass(frozen=True, slots=True)
class PduHeader:
    """The 16 bytes that every PDU starts with, in either byte order."""

    version: int
    version_minor: int
    ptype: int
    flags: int
    drep: bytes
    frag_length: int
    auth_length: int
    call_id: int

    @classmethod
    def unpack_from(cls, data: bytes | bytearray) -> PduHeader:
        """The header at the start of `data`."""
        if len(data) < HEADER_SIZE:
            raise DecodeError(f"{HEADER_SIZE} bytes needed, {len(data)} left", 0)
        if data[4] & 0xF0:
            return cls(*_HEADER.unpack_from(data))
        return cls(*struct.unpack_from(">BBBB4sHHI", data))


@dataclass_transform(kw_only_default=True, frozen_default=True)
def _pdu(cls: type[T]) -> type[T]:
    """Declare a PDU. It is frozen for who reads and checks the code; at run time that would triple what one costs."""
    return dataclasses.dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


@_pdu
class Pdu:
    """What all PDUs have. `pack()` of a decoded PDU gives the same bytes."""

    ptype: ClassVar[PduType]

    call_id: int
    flags: int = Pfc.WHOLE
    auth: SecTrailer | None = None
    version_minor: int = 0

    @classmethod
    def _decode(cls, data: bytes, end: int, header: dict[str, Any]) -> Self:
        """Decode the body between the common header and `end`, where sec_trailer or nothing follows."""
        reader = Reader(data, HEADER_SIZE, end)
        return cls(**cls._read(reader), **header)

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        raise NotImplementedError(f"{cls.__name__} has no layout")

    def _write(self, writer: Writer) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no layout")

    def pack(self) -> bytes:
        """The whole PDU."""
        writer = Writer(HEADER_SIZE)
        self._write(writer)
        if self.auth is not None:
            writer += self.auth.pack()
        try:
            _HEADER.pack_into(writer, 0, *self._head(len(writer)))
        except struct.error as error:
            raise EncodeError(f"{type(self).__name__}: {error}") from error
        return bytes(writer)

    def _head(self, length: int) -> tuple[int, int, int, int, bytes, int, int, int]:
        auth_length = 0 if self.auth is None else len(self.auth.auth_value)
        return 5, self.version_minor, self.ptype, self.flags, LITTLE_ENDIAN, length, auth_length, self.call_id


@_pdu
class Request(Pdu):
    """C706 12.6.4.9. `stub` includes the authentication padding, and is sealed at privacy level."""

    ptype = PduType.REQUEST

    context_id: int
    opnum: int
    stub: bytes
    alloc_hint: int = 0
    object_uuid: uuid.UUID | None = None

    @property
    def stub_offset(self) -> int:
        """Where in the PDU the stub starts."""
        return CALL_HEADER_SIZE if self.object_uuid is None else CALL_HEADER_SIZE + 16

    @classmethod
    def _decode(cls, data: bytes, end: int, header: dict[str, Any]) -> Self:
        pos, object_uuid = CALL_HEADER_SIZE, None
        if header["flags"] & Pfc.OBJECT_UUID:
            pos += 16
        if end < pos:
            raise DecodeError(f"request header of {pos} bytes in {end}", HEADER_SIZE)
        if pos > CALL_HEADER_SIZE:
            object_uuid = uuid.UUID(bytes_le=data[CALL_HEADER_SIZE:pos])
        alloc_hint, context_id, opnum = _CALL_FIELDS.unpack_from(data, HEADER_SIZE)
        return cls(
            context_id=context_id,
            opnum=opnum,
            stub=data[pos:end],
            alloc_hint=alloc_hint,
            object_uuid=object_uuid,
            **header,
        )

    def fragment_head(self, flags: int, alloc_hint: int, rest: int, auth_length: int) -> bytes:
        """The header of one fragment of this request; `rest` bytes follow, stub and sec_trailer."""
        length = self.stub_offset + rest
        common = (5, self.version_minor, self.ptype, flags, LITTLE_ENDIAN, length, auth_length, self.call_id)
        try:
            head = _CALL.pack(*common, alloc_hint, self.context_id, self.opnum)
        except struct.error as error:
            raise EncodeError(f"Request: {error}") from error
        return head if self.object_uuid is None else head + self.object_uuid.bytes_le

    def pack(self) -> bytes:
        return _pack_call(self)


@_pdu
class Response(Pdu):
    """C706 12.6.4.10. `stub` as in `Request`."""

    ptype = PduType.RESPONSE

    context_id: int
    stub: bytes
    alloc_hint: int = 0
    cancel_count: int = 0
    reserved: int = 0

    stub_offset: ClassVar[int] = CALL_HEADER_SIZE

    @classmethod
    def _decode(cls, data: bytes, end: int, header: dict[str, Any]) -> Self:
        if end < CALL_HEADER_SIZE:
            raise DecodeError(f"response header of {CALL_HEADER_SIZE} bytes in {end}", HEADER_SIZE)
        alloc_hint, context_id, cancel_count, reserved = _RESPONSE_FIELDS.unpack_from(data, HEADER_SIZE)
        return cls(
            context_id=context_id,
            stub=data[CALL_HEADER_SIZE:end],
            alloc_hint=alloc_hint,
            cancel_count=cancel_count,
            reserved=reserved,
            **header,
        )

    def fragment_head(self, flags: int, alloc_hint: int, rest: int, auth_length: int) -> bytes:
        """The header of one fragment of this response; `rest` bytes follow, stub and sec_trailer."""
        length = CALL_HEADER_SIZE + rest
        common = (5, self.version_minor, self.ptype, flags, LITTLE_ENDIAN, length, auth_length, self.call_id)
        try:
            return _RESPONSE.pack(*common, alloc_hint, self.context_id, self.cancel_count, self.reserved)
        except struct.error as error:
            raise EncodeError(f"Response: {error}") from error

    def pack(self) -> bytes:
        return _pack_call(self)


def _pack_call(pdu: Request | Response) -> bytes:
    stub, auth = pdu.stub, pdu.auth
    if auth is None:
        return pdu.fragment_head(pdu.flags, pdu.alloc_hint, len(stub), 0) + stub
    trailer = auth.pack()
    return pdu.fragment_head(pdu.flags, pdu.alloc_hint, len(stub) + len(trailer), len(auth.auth_value)) + stub + trailer


@_pdu
class Fault(Pdu):
    """C706 12.6.4.7, [MS-RPCE] 2.2.2.8. `reserved` 1: the stub holds extended error information."""

    ptype = PduType.FAULT

    context_id: int
    status: int
    stub: bytes = b""
    alloc_hint: int = 32
    cancel_count: int = 0
    reserved: int = 0
    reserved2: int = 0

    stub_offset: ClassVar[int] = HEADER_SIZE + _FAULT.size

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        names = ("alloc_hint", "context_id", "cancel_count", "reserved", "status", "reserved2")
        return {**dict(zip(names, reader.fields(_FAULT), strict=True)), "stub": reader.rest()}

    def _write(self, writer: Writer) -> None:
        writer.fixed(
            _FAULT, self.alloc_hint, self.context_id, self.cancel_count, self.reserved, self.status, self.reserved2
        )
        writer += self.stub


@dataclasses.dataclass(frozen=True, slots=True)
class PresentationContextElement:
    """p_cont_elem_t: an interface and the transfer syntaxes proposed for it."""

    context_id: int
    abstract_syntax: SyntaxId
    transfer_syntaxes: tuple[SyntaxId, ...]


@_pdu
class Bind(Pdu):
    """C706 12.6.4.3. `padding` is what stands between the contexts and the sec_trailer."""

    ptype = PduType.BIND

    contexts: tuple[PresentationContextElement, ...]
    max_xmit_frag: int = 5840
    max_recv_frag: int = 5840
    assoc_group_id: int = 0
    padding: bytes = b""

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        max_xmit, max_recv, group, count = reader.fields(_BIND)
        contexts = tuple(_read_context(reader) for _ in range(reader.count(count, 24)))
        return {
            "contexts": contexts,
            "max_xmit_frag": max_xmit,
            "max_recv_frag": max_recv,
            "assoc_group_id": group,
            "padding": reader.rest(),
        }

    def _write(self, writer: Writer) -> None:
        writer.fixed(_BIND, self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id, len(self.contexts))
        for context in self.contexts:
            writer.fixed(_CONTEXT, context.context_id, len(context.transfer_syntaxes))
            writer += write_syntax_id(context.abstract_syntax)
            for syntax in context.transfer_syntaxes:
                writer += write_syntax_id(syntax)
        writer += self.padding


def _read_context(reader: Reader) -> PresentationContextElement:
    context_id, count = reader.fields(_CONTEXT)
    abstract = read_syntax_id(reader.take(20), 0)
    transfer = tuple(read_syntax_id(reader.take(20), 0) for _ in range(reader.count(count, 20)))
    return PresentationContextElement(context_id, abstract, transfer)


@_pdu
class AlterContext(Bind):
    """C706 12.6.4.1: the layout of a bind."""

    ptype = PduType.ALTER_CONTEXT


@dataclasses.dataclass(frozen=True, slots=True)
class PresentationResult:
    """p_result_t. `reason` is a ProviderReason, or the accepted features where `result` is NEGOTIATE_ACK."""

    result: int
    reason: int
    transfer_syntax: SyntaxId


@_pdu
class BindAck(Pdu):
    """C706 12.6.4.4. `secondary_address` is the endpoint, with its terminating zero where there is one."""

    ptype = PduType.BIND_ACK

    results: tuple[PresentationResult, ...]
    max_xmit_frag: int = 5840
    max_recv_frag: int = 5840
    assoc_group_id: int = 0
    secondary_address: bytes = b""
    padding: bytes = b""

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        max_xmit, max_recv, group = reader.fields(_BIND_ACK)
        address = reader.take(reader.u16())
        reader.skip(-reader.pos % 4)
        count = reader.u8()
        reader.skip(3)
        results = tuple(_read_result(reader) for _ in range(reader.count(count, 24)))
        return {
            "results": results,
            "max_xmit_frag": max_xmit,
            "max_recv_frag": max_recv,
            "assoc_group_id": group,
            "secondary_address": address,
            "padding": reader.rest(),
        }

    def _write(self, writer: Writer) -> None:
        writer.fixed(_BIND_ACK, self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id)
        writer.u16(len(self.secondary_address))
        writer += self.secondary_address
        writer += bytes(-len(writer) % 4)
        writer.u32(len(self.results))
        for result in self.results:
            writer.fixed(_RESULT, result.result, result.reason)
            writer += write_syntax_id(result.transfer_syntax)
        writer += self.padding


def _read_result(reader: Reader) -> PresentationResult:
    result, reason = reader.fields(_RESULT)
    return PresentationResult(result, reason, read_syntax_id(reader.take(20), 0))


@_pdu
class AlterContextResp(BindAck):
    """C706 12.6.4.2: the layout of a bind_ack, its secondary address empty."""

    ptype = PduType.ALTER_CONTEXT_RESP


@_pdu
class BindNak(Pdu):
    """C706 12.6.4.5, [MS-RPCE] 2.2.2.9. `rest` is padding and extended error information."""

    ptype = PduType.BIND_NAK

    reason: int
    versions: tuple[tuple[int, int], ...] = ((5, 0),)
    rest: bytes = b""

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        reason = reader.u16()
        versions = tuple((reader.u8(), reader.u8()) for _ in range(reader.count(reader.u8(), 2)))
        return {"reason": reason, "versions": versions, "rest": reader.rest()}

    def _write(self, writer: Writer) -> None:
        writer.u16(self.reason)
        writer.u8(len(self.versions))
        for major, minor in self.versions:
            writer.u8(major)
            writer.u8(minor)
        writer += self.rest


@_pdu
class BodylessPdu(Pdu):
    """A PDU whose body means nothing; `padding` keeps what stands there."""

    padding: bytes = b""

    @classmethod
    def _read(cls, reader: Reader) -> dict[str, Any]:
        return {"padding": reader.rest()}

    def _write(self, writer: Writer) -> None:
        writer += self.padding


@_pdu
class Auth3(BodylessPdu):
    """[MS-RPCE] 2.2.2.5: the third leg of authentication, behind 4 bytes that are ignored."""

    ptype = PduType.AUTH3


@_pdu
class CoCancel(BodylessPdu):
    """C706 12.6.4.6."""

    ptype = PduType.CO_CANCEL


@_pdu
class Orphaned(BodylessPdu):
    """C706 12.6.4.8."""

    ptype = PduType.ORPHANED


@_pdu
class Shutdown(BodylessPdu):
    """C706 12.6.4.11: the server asks the client to end the connection."""

    ptype = PduType.SHUTDOWN


_KINDS: Final[dict[int, type[Pdu]]] = {
    int(kind.ptype): kind
    for kind in (
        Request, Response, Fault, Bind, BindAck, BindNak, AlterContext, AlterContextResp, Auth3, CoCancel, Orphaned,
        Shutdown,
    )
}  # fmt: skip


def decode_pdu(data: bytes) -> Pdu:
    """Decode one whole PDU; raises `DecodeError`, of which version and representation have their own class."""
    if len(data) < HEADER_SIZE:
        raise DecodeError(f"{HEADER_SIZE} bytes needed, {len(data)} left", 0)
    version, minor, ptype, flags, drep, frag_length, auth_length, call_id = _HEADER.unpack_from(data)
    if version != 5 or minor > 1:
        raise UnsupportedVersion(f"protocol version {version}.{minor}", 0)
    if drep[0] != 0x10 or drep[1]:
        raise UnsupportedRepresentation(f"data representation {drep.hex()}", 4)
    if frag_length != len(data):
        raise DecodeError(f"fragment length {frag_length} in a PDU of {len(data)} bytes", 8)
    kind = _KINDS.get(ptype)
    if kind is None:
        raise DecodeError(f"PDU type {ptype}", 2)
    auth, end = SecTrailer.at_end(data, auth_length) if auth_length else (None, frag_length)
    if end < HEADER_SIZE:
        raise DecodeError(f"authentication value of {auth_length} bytes in a PDU of {frag_length}", 10)
    return kind._decode(data, end, {"call_id": call_id, "flags": flags, "auth": auth, "version_minor": minor})
