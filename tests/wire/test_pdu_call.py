"""Requests, responses and faults: fragments' headers, and bodies that are too short."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.pdu import Pfc, decode_pdu
from openchange_py.wire.pdu_call import CALL_HEADER_SIZE, Fault, Request, Response

OBJECT = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


@pytest.mark.parametrize("big", [False, True])
def test_a_fragment_s_header_is_the_whole_pdu_s_with_its_own_length(big: bool) -> None:
    trailer = SecTrailer(10, 5, 1, bytes(16))
    for pdu in (
        Request(call_id=3, context_id=1, opnum=4, stub=b"stub", big_endian=big),
        Request(call_id=3, flags=0x83, context_id=1, opnum=4, stub=b"stub", object_uuid=OBJECT, big_endian=big),
        Response(call_id=3, context_id=1, stub=b"stub", big_endian=big),
    ):
        head = pdu.fragment_head(Pfc.FIRST_FRAG | (pdu.flags & Pfc.OBJECT_UUID), 99, 4 + 8 + 16, 16)
        assert len(head) == pdu.stub_offset
        fragment = decode_pdu(head + b"stub" + trailer.pack(big))
        assert isinstance(fragment, Request | Response)
        assert (fragment.alloc_hint, fragment.stub, fragment.auth) == (99, b"stub", trailer)
        assert fragment.flags & Pfc.WHOLE == Pfc.FIRST_FRAG


@pytest.mark.parametrize(("ptype", "flags", "needed"), [(0, 3, 24), (0, 0x83, 40), (2, 3, 24), (3, 3, 32)])
def test_a_header_must_be_whole(ptype: int, flags: int, needed: int) -> None:
    for size in (needed - 1, needed):
        raw = bytes([5, 0, ptype, flags, 0x10, 0, 0, 0, size, 0]) + bytes(size - 10)
        if size < needed:
            with pytest.raises(DecodeError):
                decode_pdu(raw)
        else:
            decode_pdu(raw)


def test_what_a_header_can_not_hold_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        Request(call_id=1, context_id=70000, opnum=0, stub=b"").pack()
    with pytest.raises(EncodeError):
        Response(call_id=1, context_id=0, stub=bytes(70000)).pack()


def test_a_fault_keeps_what_stands_behind_its_status() -> None:
    fault = Fault(call_id=1, context_id=2, status=5, stub=b"more", reserved=1)
    assert decode_pdu(fault.pack()) == fault
    assert Fault.stub_offset > CALL_HEADER_SIZE
