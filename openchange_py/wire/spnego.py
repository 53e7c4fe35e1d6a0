"""The tokens of SPNEGO: RFC 4178 4.2, with [MS-SPNG] 2.2, in the little of DER that they need.

Not done: NegTokenInit2 ([MS-SPNG] 2.2.1), which servers send first in protocols other than RPC and HTTP.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from typing import Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader

SPNEGO_OID: Final = "1.3.6.1.5.5.2"
NTLMSSP_OID: Final = "1.3.6.1.4.1.311.2.2.10"
KERBEROS_OID: Final = "1.2.840.113554.1.2.2"
#: [MS-SPNG] 3.1.5.2: Kerberos with a typing error that became the protocol.
MS_KERBEROS_OID: Final = "1.2.840.48018.1.2.2"

_BIT_STRING, _OCTET_STRING, _OID, _ENUMERATED, _SEQUENCE = 0x03, 0x04, 0x06, 0x0A, 0x30
_INITIAL_CONTEXT_TOKEN: Final = 0x60
#: RFC 4121 4.1: TOK_ID of KRB_AP_REQ.
_AP_REQ: Final = b"\1\0"
#: No arc of an object identifier that means something here is longer.
_LONGEST_ARC: Final = 9


class NegState(enum.IntEnum):
    """RFC 4178 4.2.2: negState."""

    ACCEPT_COMPLETED = 0
    ACCEPT_INCOMPLETE = 1
    REJECT = 2
    REQUEST_MIC = 3


def _read_any(reader: Reader) -> tuple[int, Reader]:
    """Tag and contents of the next element. Lengths may be longer than DER has them."""
    tag = reader.u8()
    length = reader.u8()
    if length == 0x80 or length > 0x84:
        raise DecodeError(f"length octet 0x{length:02x}", reader.pos - 1)
    if length > 0x80:
        length = int.from_bytes(reader.take(length - 0x80), "big")
    return tag, reader.sub(length)


def read_element(reader: Reader, expected: int) -> Reader:
    """The contents of the next element, which must have this tag; `DecodeError` else."""
    start = reader.pos
    tag, contents = _read_any(reader)
    if tag != expected:
        raise DecodeError(f"tag 0x{tag:02x} where 0x{expected:02x} is due", start)
    return contents


def _read_last(reader: Reader, expected: int) -> Reader:
    """The only element that `reader` may hold."""
    contents = read_element(reader, expected)
    reader.expect_end()
    return contents


def der_element(tag: int, contents: bytes) -> bytes:
    """The DER of an element."""
    size = len(contents)
    if size < 0x80:
        return bytes([tag, size]) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + contents


def _read_oid(contents: Reader) -> str:
    """Dotted text of an object identifier's contents."""
    arcs: list[int] = []
    value = size = 0
    for octet in contents.rest():
        value, size = value << 7 | octet & 0x7F, size + 1
        if size > _LONGEST_ARC or (octet == 0x80 and size == 1):
            raise DecodeError("malformed object identifier", contents.pos)
        if octet < 0x80:
            arcs.append(value)
            value = size = 0
    if size or not arcs:
        raise DecodeError("object identifier ends within an arc", contents.pos)
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def _oid(text: str) -> bytes:
    try:
        first, second, *others = map(int, text.split("."))
    except ValueError as error:
        raise EncodeError(f"{text!r} is no object identifier") from error
    return der_element(_OID, b"".join(_arc(arc) for arc in (first * 40 + second, *others)))


def _arc(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(value & 0x7F | 0x80)
    return bytes(reversed(octets))


def _options(sequence: Reader, names: range) -> dict[int, Reader]:
    """The context-tagged elements of a sequence by their number: each at most once, in order."""
    found: dict[int, Reader] = {}
    least = names.start
    while sequence.remaining:
        start = sequence.pos
        tag, contents = _read_any(sequence)
        number = tag - 0xA0
        if number not in names or number < least:
            raise DecodeError(f"unexpected element 0x{tag:02x}", start)
        found[number] = contents
        least = number + 1
    return found


def _octets(contents: Reader | None) -> bytes | None:
    return None if contents is None else _read_last(contents, _OCTET_STRING).rest()


def _tagged(number: int, element: bytes | None) -> bytes:
    return b"" if element is None else der_element(0xA0 + number, element)


def _tagged_octets(number: int, value: bytes | None) -> bytes:
    return _tagged(number, None if value is None else der_element(_OCTET_STRING, value))


def pack_mech_types(mech_types: Iterable[str]) -> bytes:
    """The DER of a MechTypeList, which a mechListMIC is made over."""
    return der_element(_SEQUENCE, b"".join(map(_oid, mech_types)))


def unframed_ap_req(token: bytes) -> bytes | None:
    """The AP-REQ inside an InitialContextToken of Kerberos (RFC 4121 4.1); None for any other token."""
    try:
        initial = _read_last(Reader(token), _INITIAL_CONTEXT_TOKEN)
        if _read_oid(read_element(initial, _OID)) not in (KERBEROS_OID, MS_KERBEROS_OID):
            return None
        return initial.rest() if initial.take(2) == _AP_REQ else None
    except DecodeError:
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class NegTokenInit:
    """RFC 4178 4.2.1. `mech_type_list` is the DER as it came; `mech_types` what it says."""

    mech_type_list: bytes
    mech_token: bytes | None = None
    mech_list_mic: bytes | None = None
    #: The contents of the BIT STRING that nobody heeds.
    req_flags: bytes | None = None

    @property
    def mech_types(self) -> list[str]:
        """The object identifiers, the preferred one first."""
        reader = _read_last(Reader(self.mech_type_list), _SEQUENCE)
        mech_types = []
        while reader.remaining:
            mech_types.append(_read_oid(read_element(reader, _OID)))
        return mech_types

    @classmethod
    def unpack(cls, data: bytes) -> NegTokenInit:
        """From an InitialContextToken (RFC 2743 3.1), as it stands on the wire."""
        initial = _read_last(Reader(data), _INITIAL_CONTEXT_TOKEN)
        mechanism = _read_oid(read_element(initial, _OID))
        if mechanism != SPNEGO_OID:
            raise DecodeError(f"mechanism {mechanism} is not SPNEGO")
        found = _options(_read_last(_read_last(initial, 0xA0), _SEQUENCE), range(4))
        if 0 not in found:
            raise DecodeError("NegTokenInit without mechTypes")
        flags = found.get(1)
        token = cls(
            found[0].rest(),
            _octets(found.get(2)),
            _octets(found.get(3)),
            None if flags is None else _read_last(flags, _BIT_STRING).rest(),
        )
        if not token.mech_types:
            raise DecodeError("empty MechTypeList")
        return token

    def pack(self) -> bytes:
        """The InitialContextToken."""
        contents = (
            _tagged(0, self.mech_type_list)
            + _tagged(1, None if self.req_flags is None else der_element(_BIT_STRING, self.req_flags))
            + _tagged_octets(2, self.mech_token)
            + _tagged_octets(3, self.mech_list_mic)
        )
        token = _tagged(0, der_element(_SEQUENCE, contents))
        return der_element(_INITIAL_CONTEXT_TOKEN, _oid(SPNEGO_OID) + token)


@dataclasses.dataclass(frozen=True, slots=True)
class NegTokenResp:
    """RFC 4178 4.2.2: every token but the first."""

    neg_state: NegState | None = None
    supported_mech: str | None = None
    response_token: bytes | None = None
    mech_list_mic: bytes | None = None

    @classmethod
    def unpack(cls, data: bytes) -> NegTokenResp:
        """As it stands on the wire."""
        found = _options(_read_last(_read_last(Reader(data), 0xA1), _SEQUENCE), range(4))
        state = found.get(0)
        mechanism = found.get(1)
        return cls(
            None if state is None else _read_state(state),
            None if mechanism is None else _read_oid(_read_last(mechanism, _OID)),
            _octets(found.get(2)),
            _octets(found.get(3)),
        )

    def pack(self) -> bytes:
        """The NegotiationToken."""
        contents = (
            _tagged(0, None if self.neg_state is None else der_element(_ENUMERATED, bytes([self.neg_state])))
            + _tagged(1, None if self.supported_mech is None else _oid(self.supported_mech))
            + _tagged_octets(2, self.response_token)
            + _tagged_octets(3, self.mech_list_mic)
        )
        return _tagged(1, der_element(_SEQUENCE, contents))


def _read_state(contents: Reader) -> NegState:
    value = _read_last(contents, _ENUMERATED).rest()
    if len(value) != 1 or value[0] > NegState.REQUEST_MIC:
        raise DecodeError(f"negState {value[:8].hex()}")
    return NegState(value[0])
