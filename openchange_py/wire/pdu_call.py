"""The PDUs of calls: request, response, fault, and what a client says about a call: C706 12.6.4, [MS-RPCE] 2.2.2.

Not done yet: the extended error information in a fault's stub stays bytes.
"""

from __future__ import annotations

import struct
import uuid
from typing import Any, ClassVar, Final, Self

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.pdu_header import HEADER_SIZE, REPRESENTATIONS, BodylessPdu, Pdu, PduType, Pfc, byte_orders, pdu

_CALL: Final = byte_orders("BBBB4sHHIIHH")
_RESPONSE: Final = byte_orders("BBBB4sHHIIHBB")
#: What stands behind the common header of a request, and of a response.
_CALL_FIELDS: Final = byte_orders("IHH")
_RESPONSE_FIELDS: Final = byte_orders("IHBB")
_FAULT: Final = byte_orders("IHBBII")

#: Size of a request's or response's header, without the object UUID.
CALL_HEADER_SIZE: Final = 24


@pdu
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
    def decode(
        cls, data: bytes, end: int, call_id: int, flags: int, auth: SecTrailer | None, minor: int, big: bool
    ) -> Self:
        pos, object_uuid = CALL_HEADER_SIZE, None
        if flags & Pfc.OBJECT_UUID:
            pos += 16
        if end < pos:
            raise DecodeError(f"request header of {pos} bytes in {end}", HEADER_SIZE)
        if pos > CALL_HEADER_SIZE:
            raw = data[CALL_HEADER_SIZE:pos]
            object_uuid = uuid.UUID(bytes=raw) if big else uuid.UUID(bytes_le=raw)
        alloc_hint, context_id, opnum = _CALL_FIELDS[big].unpack_from(data, HEADER_SIZE)
        return cls(
            context_id=context_id,
            opnum=opnum,
            stub=data[pos:end],
            alloc_hint=alloc_hint,
            object_uuid=object_uuid,
            call_id=call_id,
            flags=flags,
            auth=auth,
            version_minor=minor,
            big_endian=big,
        )

    def fragment_head(self, flags: int, alloc_hint: int, rest: int, auth_length: int) -> bytes:
        """The header of one fragment of this request; `rest` bytes follow, stub and sec_trailer."""
        big, length = self.big_endian, self.stub_offset + rest
        common = (5, self.version_minor, self.ptype, flags, REPRESENTATIONS[big], length, auth_length, self.call_id)
        try:
            head = _CALL[big].pack(*common, alloc_hint, self.context_id, self.opnum)
        except struct.error as error:
            raise EncodeError(f"Request: {error}") from error
        if self.object_uuid is None:
            return head
        return head + (self.object_uuid.bytes if big else self.object_uuid.bytes_le)

    def pack(self) -> bytes:
        return _pack_call(self)


@pdu
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
    def decode(
        cls, data: bytes, end: int, call_id: int, flags: int, auth: SecTrailer | None, minor: int, big: bool
    ) -> Self:
        if end < CALL_HEADER_SIZE:
            raise DecodeError(f"response header of {CALL_HEADER_SIZE} bytes in {end}", HEADER_SIZE)
        alloc_hint, context_id, cancel_count, reserved = _RESPONSE_FIELDS[big].unpack_from(data, HEADER_SIZE)
        return cls(
            context_id=context_id,
            stub=data[CALL_HEADER_SIZE:end],
            alloc_hint=alloc_hint,
            cancel_count=cancel_count,
            reserved=reserved,
            call_id=call_id,
            flags=flags,
            auth=auth,
            version_minor=minor,
            big_endian=big,
        )

    def fragment_head(self, flags: int, alloc_hint: int, rest: int, auth_length: int) -> bytes:
        """The header of one fragment of this response; `rest` bytes follow, stub and sec_trailer."""
        big, length = self.big_endian, CALL_HEADER_SIZE + rest
        common = (5, self.version_minor, self.ptype, flags, REPRESENTATIONS[big], length, auth_length, self.call_id)
        try:
            return _RESPONSE[big].pack(*common, alloc_hint, self.context_id, self.cancel_count, self.reserved)
        except struct.error as error:
            raise EncodeError(f"Response: {error}") from error

    def pack(self) -> bytes:
        return _pack_call(self)


def _pack_call(pdu: Request | Response) -> bytes:
    stub, auth = pdu.stub, pdu.auth
    if auth is None:
        return pdu.fragment_head(pdu.flags, pdu.alloc_hint, len(stub), 0) + stub
    trailer = auth.pack(pdu.big_endian)
    head = pdu.fragment_head(pdu.flags, pdu.alloc_hint, len(stub) + len(trailer), len(auth.auth_value))
    return head + stub + trailer


@pdu
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

    stub_offset: ClassVar[int] = HEADER_SIZE + _FAULT[0].size

    @classmethod
    def read(cls, reader: Reader, big: bool) -> dict[str, Any]:
        names = ("alloc_hint", "context_id", "cancel_count", "reserved", "status", "reserved2")
        return {**dict(zip(names, reader.fields(_FAULT[big]), strict=True)), "stub": reader.rest()}

    def write(self, writer: Writer) -> None:
        layout = _FAULT[self.big_endian]
        writer.fixed(
            layout, self.alloc_hint, self.context_id, self.cancel_count, self.reserved, self.status, self.reserved2
        )
        writer += self.stub


@pdu
class CoCancel(BodylessPdu):
    """C706 12.6.4.6."""

    ptype = PduType.CO_CANCEL


@pdu
class Orphaned(BodylessPdu):
    """C706 12.6.4.8."""

    ptype = PduType.ORPHANED


@pdu
class Shutdown(BodylessPdu):
    """C706 12.6.4.11: the server asks the client to end the connection."""

    ptype = PduType.SHUTDOWN
