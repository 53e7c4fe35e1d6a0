"""What delegation needs of Kerberos' own messages: RFC 4120 5.5.1 (AP-REQ), RFC 4121 4.1.1 (the checksum in it)."""

from __future__ import annotations

import enum
from typing import Final

from openchange_py.wire.buffer import DecodeError, Reader
from openchange_py.wire.spnego import der_element, read_element

_SEQUENCE: Final = 0x30
#: RFC 4120 5.3 and 5.5.1: application tags.
_TICKET, _AP_REQ = 0x61, 0x6E
#: pvno, msg-type, ap-options: what stands before the ticket.
_BEFORE_TICKET: Final = (0xA0, 0xA1, 0xA2)
_TICKET_FIELD: Final = 0xA3

#: RFC 4121 4.1.1: the authenticator's checksum that carries GSSAPI's flags.
GSS_CHECKSUM_TYPE: Final = 0x8003
_BINDINGS_SIZE: Final = 16


def ticket_of(ap_req: bytes) -> bytes:
    """The DER of the ticket that an AP-REQ brings. Raises `DecodeError`."""
    fields = read_element(read_element(Reader(ap_req), _AP_REQ), _SEQUENCE)
    for tag in _BEFORE_TICKET:
        read_element(fields, tag)
    ticket = read_element(read_element(fields, _TICKET_FIELD), _TICKET)
    return der_element(_TICKET, ticket.rest())


class GssFlags(enum.IntFlag):
    """The flags in that checksum, as far as they are looked at."""

    DELEGATE = 1
    DCE_STYLE = 0x1000


def gss_flags(checksum: bytes) -> GssFlags:
    """What the client asks of the context. Raises `DecodeError`."""
    return _read_flags(Reader(checksum))


def _read_flags(reader: Reader) -> GssFlags:
    size = reader.u32()
    if size != _BINDINGS_SIZE:
        raise DecodeError(f"channel bindings of {size} bytes", 0)
    reader.take(size)
    return GssFlags(reader.u32())


def delegated_credential(checksum: bytes) -> bytes | None:
    """The KRB-CRED in the checksum of a client that delegates, None of one that does not. Raises `DecodeError`."""
    reader = Reader(checksum)
    if not _read_flags(reader) & GssFlags.DELEGATE:
        return None
    if (option := reader.u16()) != 1:
        raise DecodeError(f"DlgOpt {option}", reader.pos - 2)
    return reader.take(reader.u16())
