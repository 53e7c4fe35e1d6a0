"""smbd's handshake before a named pipe's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.named_pipe_auth import (
    LENGTH_SIZE,
    LONGEST_REQUEST,
    NCACN_NP,
    NamedPipeAuthRequest,
    messages_of,
    pack_reply,
    request_length,
)
from openchange_py.wire.pdu import Orphaned

#: The start of what smbd of Debian's Samba 4.17.12 sent for a client at 127.0.0.1:58544; its token is cut off.
FROM_SMBD = bytes.fromhex(
    "000002d3 4e50414d 07000000 07000000 01000000 00000200 04000200 b0e40000 08000200 0c000200 bd010000 10000200"
    "03000000 00000000 03000000 766d0000 0a000000 00000000 0a000000 3132372e302e302e31000000"
    "03000000 00000000 03000000 766d0000 0b000000 00000000 0b000000 3132372e38382e312e310000"
)
REQUEST = NamedPipeAuthRequest(NCACN_NP, "vm", "127.0.0.1", 58544, "vm", "127.88.1.1", 445)


def test_what_smbd_sends() -> None:
    assert NamedPipeAuthRequest.unpack(FROM_SMBD) == REQUEST
    assert request_length(FROM_SMBD) == 0x2D3 + LENGTH_SIZE


def test_round_trip() -> None:
    packed = REQUEST.pack()
    assert NamedPipeAuthRequest.unpack(packed) == REQUEST
    assert request_length(packed) == len(packed)


def test_the_reply_that_smbd_takes_for_a_pipe_of_messages() -> None:
    assert (
        pack_reply().hex(" ", -4) == "00000020 4e50414d 07000000 07000000 0200ff05 00000000 00100000 00000000 00000000"
    )
    assert pack_reply(0xC0000022).endswith(bytes.fromhex("220000c0"))


def test_another_level_is_named() -> None:
    other = FROM_SMBD[:8] + b"\x08\0\0\0\x08" + FROM_SMBD[13:]
    with pytest.raises(DecodeError, match="level 8"):
        NamedPipeAuthRequest.unpack(other)


def test_lengths_are_bounded() -> None:
    assert request_length(b"\0\0\0") is None
    for length in (0, 15, LONGEST_REQUEST + 1, 0xFFFFFFFF):
        with pytest.raises(DecodeError):
            request_length(length.to_bytes(4, "big"))


def test_every_pdu_is_a_message() -> None:
    first, second = Orphaned(call_id=1).pack(), Orphaned(call_id=2).pack()
    assert messages_of(first + second) == [b"\x10\0" + first, b"\x10\0" + second]
    assert messages_of(b"") == []
    for wrong in (first[:-1], b"\0" * 16, first + b"x"):
        with pytest.raises(EncodeError):
            messages_of(wrong)


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda tail: FROM_SMBD[:40] + tail))
@settings(max_examples=200, deadline=None)
def test_garbage_gives_a_request_or_an_error(data: bytes) -> None:
    for read in (NamedPipeAuthRequest.unpack, request_length):
        try:
            read(data)
        except DecodeError:
            continue


@pytest.mark.parametrize("length", range(len(FROM_SMBD) - 1))
def test_cut_off_at_every_offset(length: int) -> None:
    with pytest.raises(DecodeError):
        NamedPipeAuthRequest.unpack(FROM_SMBD[:length])
