"""Auxiliary buffers: [MS-OXCRPC] 2.2.2.2, the blocks behind AUX_HEADER in rgbAuxIn and rgbAuxOut.

A block keeps its body as bytes, so that it packs again as it came; `AuxBlock.decoded()` reads the body of the
blocks that a server looks at. Not typed: the success and failure timings (2.2.2.2.5, .7 to .14), which the
document lets a server ignore.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from typing import Annotated, ClassVar, Final, TypeVar

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import U16, U32, Fixed, Guid, RestCodec, Structure, structure

HEADER_SIZE: Final = 4
AUX_VERSION_1: Final = 1
AUX_VERSION_2: Final = 2


class AuxType(enum.IntEnum):
    """Type of AUX_HEADER, for either version; a type without a name stays a plain int."""

    PerfRequestId = 0x01
    PerfClientInfo = 0x02
    PerfServerInfo = 0x03
    PerfSessionInfo = 0x04
    PerfDefMdbSuccess = 0x05
    PerfDefGcSuccess = 0x06
    PerfMdbSuccess = 0x07
    PerfGcSuccess = 0x08
    PerfFailure = 0x09
    ClientControl = 0x0A
    PerfProcessInfo = 0x0B
    PerfBgDefMdbSuccess = 0x0C
    PerfBgDefGcSuccess = 0x0D
    PerfBgMdbSuccess = 0x0E
    PerfBgGcSuccess = 0x0F
    PerfBgFailure = 0x10
    PerfFgDefMdbSuccess = 0x11
    PerfFgDefGcSuccess = 0x12
    PerfFgMdbSuccess = 0x13
    PerfFgGcSuccess = 0x14
    PerfFgFailure = 0x15
    OsVersionInfo = 0x16
    ExOrgInfo = 0x17
    PerfAccountInfo = 0x18
    ServerCapabilities = 0x46
    EndpointCapabilities = 0x48
    ClientConnectionInfo = 0x4A
    ServerSessionInfo = 0x4B
    ProtocolDeviceIdentification = 0x4E


class ServerCapabilityFlags(enum.IntFlag, boundary=enum.KEEP):
    """2.2.2.2.19."""

    PackedFastTransferUploadBuffers = 0x01
    PackedWriteStreamUploadBuffers = 0x02
    UltraLargePackedDownloadBuffers = 0x08


class ClientControlFlags(enum.IntFlag, boundary=enum.KEEP):
    """EnableFlags of AUX_CLIENT_CONTROL, 2.2.2.2.15."""

    EnablePerfSendToServer = 0x01
    EnableCompression = 0x04
    EnableHttpTunneling = 0x08
    EnablePerfSendGcData = 0x10


class OrgFlags(enum.IntFlag, boundary=enum.KEEP):
    """2.2.2.2.17."""

    PublicFoldersEnabled = 0x01
    UseAutodiscoverForPublicFolderConfiguration = 0x02


@dataclasses.dataclass(slots=True)
class AuxBlock:
    """One auxiliary block: version, type and what follows AUX_HEADER."""

    version: int
    type: int
    body: bytes

    @classmethod
    def of(cls, value: AuxBody) -> AuxBlock:
        """The block of a typed body."""
        return cls(value.AUX_VERSION, value.AUX_TYPE, value.pack())

    def decoded(self) -> AuxBody | None:
        """The typed body, or None where this block has no type here; raises `DecodeError` for a wrong body."""
        kind = BODIES.get((self.version, self.type))
        return None if kind is None else kind.unpack(self.body)


class AuxBody(Structure):
    """The typed body of an auxiliary block."""

    __slots__ = ()

    AUX_VERSION: ClassVar[int]
    AUX_TYPE: ClassVar[AuxType]


#: Which class reads the body of a block, by version and type.
BODIES: dict[tuple[int, int], type[AuxBody]] = {}

B = TypeVar("B", bound=AuxBody)


def _body(cls: type[B]) -> type[B]:
    BODIES[cls.AUX_VERSION, cls.AUX_TYPE] = cls
    return cls


Rest = Annotated[bytes, RestCodec()]


@_body
@structure
class AuxPerfRequestId(AuxBody):
    """2.2.2.2.1."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.PerfRequestId

    session_id: U16
    request_id: U16


@_body
@structure
class AuxPerfSessionInfo(AuxBody):
    """2.2.2.2.2."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.PerfSessionInfo

    session_id: U16
    reserved: U16
    session_guid: Guid


@_body
@structure
class AuxPerfSessionInfoV2(AuxBody):
    """2.2.2.2.3."""

    AUX_VERSION = AUX_VERSION_2
    AUX_TYPE = AuxType.PerfSessionInfo

    session_id: U16
    reserved: U16
    session_guid: Guid
    connection_id: U32


@_body
@structure
class AuxPerfClientInfo(AuxBody):
    """2.2.2.2.4: who connects. Offsets count from AUX_HEADER; `names` is what they point into, as it came."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.PerfClientInfo
    FIXED_SIZE: ClassVar[int] = 28

    adapter_speed: U32
    client_id: U16
    machine_name_offset: U16
    user_name_offset: U16
    client_ip_size: U16
    client_ip_offset: U16
    client_ip_mask_size: U16
    client_ip_mask_offset: U16
    adapter_name_offset: U16
    mac_address_size: U16
    mac_address_offset: U16
    client_mode: U16
    reserved: U16
    names: Rest

    @property
    def machine_name(self) -> str:
        return self._string(self.machine_name_offset)

    @property
    def user_name(self) -> str:
        return self._string(self.user_name_offset)

    @property
    def adapter_name(self) -> str:
        return self._string(self.adapter_name_offset)

    def _string(self, offset: int) -> str:
        """The UTF-16 string at an offset, empty where the offset is zero; raises `DecodeError` for a wrong one."""
        if offset == 0:
            return ""
        start = offset - HEADER_SIZE - self.FIXED_SIZE
        if not 0 <= start <= len(self.names):
            raise DecodeError(f"offset {offset} lies outside the block")
        return Reader(self.names, start).utf16()


@_body
@structure
class AuxPerfProcessInfo(AuxBody):
    """2.2.2.2.6."""

    AUX_VERSION = AUX_VERSION_2
    AUX_TYPE = AuxType.PerfProcessInfo

    process_id: U16
    reserved1: U16
    process_guid: Guid
    process_name_offset: U16
    reserved2: U16
    process_name: Rest


@_body
@structure
class AuxClientControl(AuxBody):
    """2.2.2.2.15: what the client may do, and for how long (milliseconds)."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.ClientControl

    enable_flags: U32
    expiry_time: U32


@_body
@structure
class AuxOsVersionInfo(AuxBody):
    """2.2.2.2.16."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.OsVersionInfo

    os_version_info_size: U32
    major_version: U32
    minor_version: U32
    build_number: U32
    reserved1: Annotated[bytes, Fixed("132s")]
    service_pack_major: U16
    service_pack_minor: U16
    reserved2: U32


@_body
@structure
class AuxExOrgInfo(AuxBody):
    """2.2.2.2.17: see `OrgFlags`."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.ExOrgInfo

    org_flags: U32


@_body
@structure
class AuxPerfAccountInfo(AuxBody):
    """2.2.2.2.18."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.PerfAccountInfo

    client_id: U16
    reserved: U16
    account: Guid


@_body
@structure
class AuxServerCapabilities(AuxBody):
    """2.2.2.2.19: see `ServerCapabilityFlags`."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.ServerCapabilities

    server_capability_flags: U32


@_body
@structure
class AuxEndpointCapabilities(AuxBody):
    """2.2.2.2.20: 1 where one endpoint serves EMSMDB, NSPI and RFR together."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.EndpointCapabilities

    endpoint_capability_flag: U32


@_body
@structure
class AuxClientConnectionInfo(AuxBody):
    """2.2.2.2.21."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.ClientConnectionInfo

    connection_guid: Guid
    offset_connection_context_info: U16
    reserved: U16
    connection_attempts: U32
    connection_flags: U32
    connection_context_info: Rest


@_body
@structure
class AuxServerSessionInfo(AuxBody):
    """2.2.2.2.22."""

    AUX_VERSION = AUX_VERSION_1
    AUX_TYPE = AuxType.ServerSessionInfo

    offset_server_session_context_info: U16
    server_session_context_info: Rest


def unpack_aux(payload: bytes) -> list[AuxBlock]:
    """The blocks of an auxiliary payload (what `rpcheaderext` unpacked). Raises `DecodeError`."""
    reader = Reader(payload)
    blocks = []
    while reader.remaining:
        size, version, kind = reader.u16(), reader.u8(), reader.u8()
        if size < HEADER_SIZE:
            raise DecodeError(f"auxiliary block of {size} bytes is smaller than its header", reader.pos - HEADER_SIZE)
        blocks.append(AuxBlock(version, _TYPES.get(kind, kind), reader.take(size - HEADER_SIZE)))
    return blocks


def pack_aux(blocks: Iterable[AuxBlock | AuxBody]) -> bytes:
    """An auxiliary payload."""
    writer = Writer()
    for block in blocks:
        block = AuxBlock.of(block) if isinstance(block, AuxBody) else block
        if len(block.body) > 0xFFFF - HEADER_SIZE:
            raise EncodeError(f"auxiliary block of {len(block.body)} bytes")
        writer.u16(HEADER_SIZE + len(block.body))
        writer.u8(block.version)
        writer.u8(block.type)
        writer += block.body
    return bytes(writer)


_TYPES: Final[dict[int, AuxType]] = {int(kind): kind for kind in AuxType}
