"""The endpoint mapper: C706 appendix I (towers), L (protocol identifiers) and O (interface), [MS-RPCE] 2.2.1.2.

Not done yet: the bodies of ept_insert, ept_delete, ept_inq_object and ept_mgmt_delete, which are refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import struct
import uuid
from typing import ClassVar, Final, Self

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.ndr import (
    NDR20,
    ContextHandle,
    NdrReader,
    NdrWriter,
    RpcInterface,
    RpcMessage,
    SyntaxId,
    rpc_message,
)
from openchange_py.wire.ndr_message import TailedMessage
from openchange_py.wire.syntax import read_syntax_id, write_syntax_id

EPMAPPER: Final = RpcInterface("epmapper", "e1af8308-5d1f-11c9-91a4-08002b14a0fa", 3)

_UUID_FLOOR: Final = struct.Struct("<B16sH")


class EptStatus:
    """Statuses of the endpoint mapper, C706 appendix E and [MS-ERREF]."""

    OK: Final = 0
    CANT_PERFORM_OP: Final = 0x16C9A0CD
    NO_MEMORY: Final = 0x16C9A0CE
    INVALID_ENTRY: Final = 0x16C9A0D3
    INVALID_CONTEXT: Final = 0x16C9A0D5
    NOT_REGISTERED: Final = 0x16C9A0D6


class FloorProtocol:
    """Protocol identifiers of tower floors, C706 appendix I and [MS-RPCE] 2.2.1.2.4."""

    TCP: Final = 0x07
    IP: Final = 0x09
    NCADG: Final = 0x0A
    NCACN: Final = 0x0B
    UUID: Final = 0x0D
    NAMED_PIPE: Final = 0x0F
    NETBIOS: Final = 0x11
    HTTP: Final = 0x1F


@dataclasses.dataclass(frozen=True, slots=True)
class Floor:
    """One floor: the protocol identifier with its data, and the address in that protocol."""

    lhs: bytes
    rhs: bytes

    @property
    def protocol(self) -> int:
        """The protocol identifier, -1 where the floor is empty."""
        return self.lhs[0] if self.lhs else -1

    @property
    def syntax(self) -> SyntaxId:
        """The interface or transfer syntax of a UUID floor; `DecodeError` where it is none."""
        if self.protocol != FloorProtocol.UUID or len(self.lhs) != _UUID_FLOOR.size or len(self.rhs) != 2:
            raise DecodeError(f"no UUID floor: {self.lhs.hex()} {self.rhs.hex()}")
        return read_syntax_id(self.lhs[1:] + self.rhs, 0)

    @classmethod
    def of_syntax(cls, syntax: SyntaxId) -> Self:
        """The floor of an interface or transfer syntax."""
        raw = write_syntax_id(syntax)
        return cls(bytes([FloorProtocol.UUID]) + raw[:18], raw[18:])


@dataclasses.dataclass(frozen=True, slots=True)
class Tower:
    """A protocol tower as its octets; `floors` reads them. Kept as bytes, so that any tower can be relayed."""

    octets: bytes

    MAX_OCTETS: ClassVar[int] = 2000

    @property
    def floors(self) -> list[Floor]:
        """The floors from the interface down to the host; `DecodeError` where the octets are no tower."""
        reader = Reader(self.octets)
        count = reader.count(reader.u16(), 4)
        return [Floor(reader.take(reader.u16()), reader.take(reader.u16())) for _ in range(count)]

    @classmethod
    def of(cls, floors: list[Floor]) -> Self:
        """The tower of these floors."""
        writer = Writer()
        writer.u16(len(floors))
        for floor in floors:
            for side in (floor.lhs, floor.rhs):
                writer.u16(len(side))
                writer += side
        return cls(bytes(writer))

    @classmethod
    def tcp(cls, interface: SyntaxId, port: int, address: str = "", transfer: SyntaxId = NDR20) -> Self:
        """The tower of ncacn_ip_tcp. It has room for an IPv4 address only; for any other one it says 0.0.0.0."""
        return cls._over_ip(FloorProtocol.TCP, interface, port, address, transfer)

    @classmethod
    def http(cls, interface: SyntaxId, port: int, address: str = "", transfer: SyntaxId = NDR20) -> Self:
        """The tower of ncacn_http: the port that an RPC proxy connects to. Otherwise as `tcp`."""
        return cls._over_ip(FloorProtocol.HTTP, interface, port, address, transfer)

    @classmethod
    def _over_ip(cls, protocol: int, interface: SyntaxId, port: int, address: str, transfer: SyntaxId) -> Self:
        return cls.of(
            [
                Floor.of_syntax(interface),
                Floor.of_syntax(transfer),
                Floor(bytes([FloorProtocol.NCACN]), b"\0\0"),
                Floor(bytes([protocol]), port.to_bytes(2, "big")),
                Floor(bytes([FloorProtocol.IP]), _ipv4(address)),
            ]
        )

    @classmethod
    def named_pipe(cls, interface: SyntaxId, pipe: str, server: str = "", transfer: SyntaxId = NDR20) -> Self:
        r"""The tower of ncacn_np: pipe `\pipe\lsass` of the server with that NetBIOS name."""
        return cls.of(
            [
                Floor.of_syntax(interface),
                Floor.of_syntax(transfer),
                Floor(bytes([FloorProtocol.NCACN]), b"\0\0"),
                Floor(bytes([FloorProtocol.NAMED_PIPE]), pipe.encode("ascii", "replace") + b"\0"),
                Floor(bytes([FloorProtocol.NETBIOS]), server.encode("ascii", "replace") + b"\0"),
            ]
        )

    @property
    def interface(self) -> SyntaxId:
        """Whose endpoint it is."""
        return self._floor(0).syntax

    @property
    def transfer_syntax(self) -> SyntaxId:
        """In which representation."""
        return self._floor(1).syntax

    @property
    def protocols(self) -> tuple[int, ...]:
        """The protocol identifiers below the two syntaxes."""
        return tuple(floor.protocol for floor in self.floors[2:])

    @property
    def port(self) -> int:
        """The TCP port; `DecodeError` where the tower is not one of ncacn_ip_tcp."""
        floor = self._floor(3)
        if floor.protocol != FloorProtocol.TCP or len(floor.rhs) != 2:
            raise DecodeError("no TCP port in the tower")
        return int.from_bytes(floor.rhs, "big")

    @property
    def pipe(self) -> str:
        r"""The pipe's name without `\pipe\`; `DecodeError` where the tower is not one of ncacn_np."""
        floor = self._floor(3)
        name = floor.rhs.removesuffix(b"\0").decode("ascii", "replace").rpartition("\\")[2]
        if floor.protocol != FloorProtocol.NAMED_PIPE or not name:
            raise DecodeError("no named pipe in the tower")
        return name

    def _floor(self, index: int) -> Floor:
        floors = self.floors
        if index >= len(floors):
            raise DecodeError(f"tower of {len(floors)} floors")
        return floors[index]

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        """twr_t: a conformant array behind its length."""
        maximum = reader.conformance(1, cls.MAX_OCTETS)
        if reader.u32() != maximum:
            raise DecodeError("tower length and array size differ", reader.pos - 4)
        return cls(reader.take(maximum))

    def write(self, writer: NdrWriter) -> None:
        """twr_t."""
        if len(self.octets) > self.MAX_OCTETS:
            raise EncodeError(f"tower of {len(self.octets)} bytes")
        writer.size(len(self.octets))
        writer.u32(len(self.octets))
        writer += self.octets


def _ipv4(address: str) -> bytes:
    try:
        return ipaddress.IPv4Address(address).packed
    except ValueError:
        return bytes(4)


def _read_towers(reader: NdrReader, count: int) -> tuple[int, list[Tower | None]]:
    maximum = reader.size()
    actual = reader.varying(maximum, 4)
    if actual != count:
        raise DecodeError(f"{count} towers announced, {actual} follow", reader.pos - 4)
    present = [reader.pointer() for _ in range(actual)]
    return maximum, [Tower.read(reader) if there else None for there in present]


@rpc_message
class EptMapRequest(TailedMessage):
    """ept_map: the tower tells interface, transfer syntax and protocols; its addresses mean nothing."""

    object: uuid.UUID | None
    map_tower: Tower | None
    entry_handle: ContextHandle
    max_towers: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        obj = reader.guid() if reader.pointer() else None
        tower = Tower.read(reader) if reader.pointer() else None
        return cls(obj, tower, ContextHandle.read(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        if writer.pointer(self.object is not None) and self.object is not None:
            writer.guid(self.object)
        if writer.pointer(self.map_tower is not None) and self.map_tower is not None:
            self.map_tower.write(writer)
        self.entry_handle.write(writer)
        writer.u32(self.max_towers)


@rpc_message
class EptMapResponse(RpcMessage):
    """Towers with addresses; `max_towers` is the request's, the array's conformance."""

    entry_handle: ContextHandle
    max_towers: int
    towers: list[Tower | None]
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        handle = ContextHandle.read(reader)
        maximum, towers = _read_towers(reader, reader.u32())
        return cls(handle, maximum, towers, reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.entry_handle.write(writer)
        writer.u32(len(self.towers))
        writer.size(self.max_towers)
        writer.size(0)
        writer.size(len(self.towers))
        for tower in self.towers:
            writer.pointer(tower is not None)
        for tower in self.towers:
            if tower is not None:
                tower.write(writer)
        writer.u32(self.status)


class InquiryType:
    """rpc_c_ep_*: what ept_lookup looks for, C706 appendix O."""

    ALL: Final = 0
    BY_INTERFACE: Final = 1
    BY_OBJECT: Final = 2
    BY_BOTH: Final = 3


class VersionOption:
    """rpc_c_vers_*: which versions of the interface match."""

    ALL: Final = 1
    COMPATIBLE: Final = 2
    EXACT: Final = 3
    MAJOR_ONLY: Final = 4
    UPTO: Final = 5


@rpc_message
class EptLookupRequest(TailedMessage):
    """ept_lookup."""

    inquiry_type: int
    object: uuid.UUID | None
    interface_id: SyntaxId | None
    vers_option: int
    entry_handle: ContextHandle
    max_ents: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        inquiry = reader.u32()
        obj = reader.guid() if reader.pointer() else None
        interface = reader.interface_id() if reader.pointer() else None
        return cls(inquiry, obj, interface, reader.u32(), ContextHandle.read(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.inquiry_type)
        if writer.pointer(self.object is not None) and self.object is not None:
            writer.guid(self.object)
        if writer.pointer(self.interface_id is not None) and self.interface_id is not None:
            writer += write_syntax_id(self.interface_id)
        writer.u32(self.vers_option)
        self.entry_handle.write(writer)
        writer.u32(self.max_ents)


@dataclasses.dataclass(frozen=True, slots=True)
class EptEntry:
    """ept_entry_t. `annotation` is at most 63 bytes."""

    object: uuid.UUID
    tower: Tower | None
    annotation: bytes

    MAX_ANNOTATION: ClassVar[int] = 64


@rpc_message
class EptLookupResponse(RpcMessage):
    """`max_ents` is the request's, the array's conformance."""

    entry_handle: ContextHandle
    max_ents: int
    entries: list[EptEntry]
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        handle, count, maximum = ContextHandle.read(reader), reader.u32(), reader.size()
        actual = reader.varying(maximum, 28)
        if actual != count:
            raise DecodeError(f"{count} entries announced, {actual} follow", reader.pos - 4)
        heads = []
        for _ in range(actual):
            reader.gap()
            obj, present = reader.guid(), reader.pointer()
            raw = reader.take(reader.varying(EptEntry.MAX_ANNOTATION, 1))
            if not raw.endswith(b"\0"):
                raise DecodeError("annotation without terminating zero", reader.pos)
            heads.append((obj, present, raw[:-1]))
        entries = [EptEntry(obj, Tower.read(reader) if there else None, text) for obj, there, text in heads]
        return cls(handle, maximum, entries, reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.entry_handle.write(writer)
        writer.u32(len(self.entries))
        for value in (self.max_ents, 0, len(self.entries)):
            writer.size(value)
        for entry in self.entries:
            writer.gap()
            writer.guid(entry.object)
            writer.pointer(entry.tower is not None)
            writer.size(0)
            writer.size(len(entry.annotation) + 1)
            if len(entry.annotation) >= EptEntry.MAX_ANNOTATION:
                raise EncodeError(f"annotation of {len(entry.annotation)} bytes")
            writer += entry.annotation + b"\0"
        for entry in self.entries:
            if entry.tower is not None:
                entry.tower.write(writer)
        writer.u32(self.status)


@rpc_message
class EptLookupHandleFreeRequest(TailedMessage):
    """ept_lookup_handle_free."""

    entry_handle: ContextHandle

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader))

    def write(self, writer: NdrWriter) -> None:
        self.entry_handle.write(writer)


@rpc_message
class EptLookupHandleFreeResponse(RpcMessage):
    """The handle, null now, and status."""

    entry_handle: ContextHandle
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(ContextHandle.read(reader), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        self.entry_handle.write(writer)
        writer.u32(self.status)


@rpc_message
class EptStatusResponse(RpcMessage):
    """The response of the calls that change the database: status alone."""

    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer.u32(self.status)


EPT_INSERT: Final = EPMAPPER.declare(0, "ept_insert", None, EptStatusResponse).opnum
EPT_DELETE: Final = EPMAPPER.declare(1, "ept_delete", None, EptStatusResponse).opnum
EPT_LOOKUP: Final = EPMAPPER.declare(2, "ept_lookup", EptLookupRequest, EptLookupResponse).opnum
EPT_MAP: Final = EPMAPPER.declare(3, "ept_map", EptMapRequest, EptMapResponse).opnum
EPT_LOOKUP_HANDLE_FREE: Final = EPMAPPER.declare(
    4, "ept_lookup_handle_free", EptLookupHandleFreeRequest, EptLookupHandleFreeResponse
).opnum
EPMAPPER.declare(5, "ept_inq_object")
EPT_MGMT_DELETE: Final = EPMAPPER.declare(6, "ept_mgmt_delete", None, EptStatusResponse).opnum
