"""The common header, in either byte order, and the byte order of everything behind it."""

from __future__ import annotations

import dataclasses
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.pdu import (
    AlterContextResp,
    Bind,
    BindNak,
    Fault,
    Pdu,
    PduHeader,
    Pfc,
    PresentationContextElement,
    PresentationResult,
    Request,
    Response,
    decode_pdu,
)

SYNTAX = SyntaxId(uuid.UUID("12345678-1234-abcd-ef00-01234567cffb"), 1, 2)
TRAILER = SecTrailer(9, 5, 0x01020304, b"0123456789abcdef", 4)

PDUS: list[Pdu] = [
    Request(call_id=7, context_id=1, opnum=2, stub=bytes(16), alloc_hint=16, auth=TRAILER),
    Request(call_id=7, flags=Pfc.WHOLE | Pfc.OBJECT_UUID, context_id=1, opnum=2, stub=b"", object_uuid=SYNTAX.uuid),
    Response(call_id=7, context_id=1, stub=bytes(8), alloc_hint=8, cancel_count=1),
    Fault(call_id=7, context_id=1, status=0x1C010003),
    Bind(call_id=7, contexts=(PresentationContextElement(3, SYNTAX, (NDR20,)),), assoc_group_id=5, auth=TRAILER),
    AlterContextResp(call_id=7, results=(PresentationResult(2, 1, NDR20),), secondary_address=b"135\0"),
    BindNak(call_id=7, reason=4),
]


def test_fields_in_either_byte_order() -> None:
    little = PduHeader.unpack_from(bytes.fromhex("05000b03100000001000000004030201"))
    big = PduHeader.unpack_from(bytes.fromhex("05000b03000000000010000001020304"))
    assert (little.frag_length, little.call_id) == (big.frag_length, big.call_id) == (16, 0x01020304)
    with pytest.raises(DecodeError):
        PduHeader.unpack_from(bytes(15))


def test_golden_bytes_of_a_big_endian_request() -> None:
    """What smbtorture sends with `bigendian`, by C706 12.6.3.1: every number of the header in that order."""
    raw = bytes.fromhex("0500000300000000001c000000000002000000040001000000000029")
    pdu = decode_pdu(raw)
    assert pdu == Request(call_id=2, context_id=1, opnum=0, stub=b"\0\0\0\x29", alloc_hint=4, big_endian=True)
    assert pdu.pack() == raw


@pytest.mark.parametrize("pdu", PDUS, ids=[type(pdu).__name__ for pdu in PDUS])
def test_a_pdu_means_the_same_in_either_byte_order(pdu: Pdu) -> None:
    big = dataclasses.replace(pdu, big_endian=True)
    assert big.pack() != pdu.pack()
    assert len(big.pack()) == len(pdu.pack())
    assert decode_pdu(big.pack()) == big
    assert decode_pdu(pdu.pack()) == pdu


def test_a_syntax_s_version_is_one_number() -> None:
    """C706 12.6.3.1: if_version is 32 bits, the minor version in its upper half."""
    bind = dataclasses.replace(PDUS[4], big_endian=True, auth=None)
    assert bytes.fromhex("00020001") in bind.pack()
    assert bytes.fromhex("01000200") in dataclasses.replace(bind, big_endian=False).pack()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PDUS), st.booleans(), st.data())
def test_truncated_or_flipped_pdus_give_a_pdu_or_an_error(pdu: Pdu, big: bool, data: st.DataObject) -> None:
    raw = bytearray(dataclasses.replace(pdu, big_endian=big).pack())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (bytes(raw), bytes(raw[:cut])):
        try:
            decode_pdu(damaged)
        except DecodeError:
            continue
