"""p_syntax_id_t (C706 12.6.3.1): an interface or transfer syntax in PDUs and trailers, and the known ones."""

from __future__ import annotations

import struct
import uuid
from typing import Final

from openchange_py.wire.buffer import EncodeError
from openchange_py.wire.ndr import SyntaxId

#: In little- and in big-endian order. C706 has the version as one number, its minor part in the upper half.
_LAYOUT: Final = (struct.Struct("<16sHH"), struct.Struct(">16sI"))

#: [MS-RPCE] 2.2.5.1. Proposed by 64-bit Windows beside NDR 2.0.
NDR64: Final = SyntaxId(uuid.UUID("71710533-beba-4937-8319-b5dbef9ccc36"), 1, 0)
#: What stands in the results for a syntax that was not accepted.
NULL_SYNTAX: Final = SyntaxId(uuid.UUID(int=0), 0, 0)

#: [MS-RPCE] 3.3.1.5.3: a transfer syntax whose UUID ends in the offered bind-time features.
_FEATURES_PREFIX: Final = uuid.UUID("6cb71c2c-9812-4540-0000-000000000000").bytes_le[:8]

SECURITY_CONTEXT_MULTIPLEXING: Final = 0x01
KEEP_CONNECTION_ON_ORPHAN: Final = 0x02


def bind_time_features(syntax: SyntaxId) -> int | None:
    """The features that a transfer syntax offers; None where it is no bind-time feature negotiation."""
    raw = syntax.uuid.bytes_le
    if raw[:8] != _FEATURES_PREFIX or (syntax.major, syntax.minor) != (1, 0):
        return None
    return int.from_bytes(raw[8:], "little")


def read_syntax_id(data: bytes, offset: int, big_endian: bool = False) -> SyntaxId:
    """The syntax at `offset` of bytes that are known to hold its 20."""
    if big_endian:
        raw, version = _LAYOUT[1].unpack_from(data, offset)
        return SyntaxId(uuid.UUID(bytes=raw), version & 0xFFFF, version >> 16)
    raw, major, minor = _LAYOUT[0].unpack_from(data, offset)
    return SyntaxId(uuid.UUID(bytes_le=raw), major, minor)


def write_syntax_id(syntax: SyntaxId, big_endian: bool = False) -> bytes:
    """Its 20 bytes."""
    try:
        raw = _LAYOUT[0].pack(syntax.uuid.bytes_le, syntax.major, syntax.minor)
    except struct.error as error:
        raise EncodeError(f"{syntax}: {error}") from error
    return _LAYOUT[1].pack(syntax.uuid.bytes, syntax.minor << 16 | syntax.major) if big_endian else raw
