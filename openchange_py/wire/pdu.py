"""Connection-oriented DCE/RPC PDUs: C706 chapter 12.6.4 with the extensions of [MS-RPCE] 2.2.2.

`pdu_header.py` has what all of them share, `pdu_bind.py` those that negotiate, `pdu_call.py` those of calls.
"""

from __future__ import annotations

from typing import Final

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.pdu_bind import (
    AlterContext,
    AlterContextResp,
    Auth3,
    Bind,
    BindAck,
    BindNak,
    BindNakReason,
    ContextResult,
    PresentationContextElement,
    PresentationResult,
    ProviderReason,
)
from openchange_py.wire.pdu_call import CALL_HEADER_SIZE, CoCancel, Fault, Orphaned, Request, Response, Shutdown
from openchange_py.wire.pdu_header import (
    BIG_ENDIAN,
    HEADER,
    HEADER_SIZE,
    LITTLE_ENDIAN,
    Pdu,
    PduHeader,
    PduType,
    Pfc,
    UnsupportedRepresentation,
    UnsupportedVersion,
)

__all__ = [
    "BIG_ENDIAN",
    "CALL_HEADER_SIZE",
    "HEADER_SIZE",
    "LITTLE_ENDIAN",
    "AlterContext",
    "AlterContextResp",
    "Auth3",
    "Bind",
    "BindAck",
    "BindNak",
    "BindNakReason",
    "CoCancel",
    "ContextResult",
    "Fault",
    "Orphaned",
    "Pdu",
    "PduHeader",
    "PduType",
    "Pfc",
    "PresentationContextElement",
    "PresentationResult",
    "ProviderReason",
    "Request",
    "Response",
    "Shutdown",
    "UnsupportedRepresentation",
    "UnsupportedVersion",
    "decode_pdu",
]

_KINDS: Final[dict[int, type[Pdu]]] = {
    int(kind.ptype): kind
    for kind in (
        Request, Response, Fault, Bind, BindAck, BindNak, AlterContext, AlterContextResp, Auth3, CoCancel, Orphaned,
        Shutdown,
    )
}  # fmt: skip


def decode_pdu(data: bytes) -> Pdu:
    """Decode one whole PDU; raises `DecodeError`, of which version, representation and trailer have their own class."""
    if len(data) < HEADER_SIZE:
        raise DecodeError(f"{HEADER_SIZE} bytes needed, {len(data)} left", 0)
    big = not data[4] & 0xF0
    version, minor, ptype, flags, drep, frag_length, auth_length, call_id = HEADER[big].unpack_from(data)
    if version != 5 or minor > 1:
        raise UnsupportedVersion(f"protocol version {version}.{minor}", 0)
    if drep[0] not in (0x10, 0) or drep[1]:
        raise UnsupportedRepresentation(f"data representation {drep.hex()}", 4)
    if frag_length != len(data):
        raise DecodeError(f"fragment length {frag_length} in a PDU of {len(data)} bytes", 8)
    kind = _KINDS.get(ptype)
    if kind is None:
        raise DecodeError(f"PDU type {ptype}", 2)
    auth, end = SecTrailer.at_end(data, auth_length, big) if auth_length else (None, frag_length)
    return kind.decode(data, end, call_id, flags, auth, minor, big)
