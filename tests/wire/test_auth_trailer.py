"""sec_trailer and verification trailer."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.auth_trailer import (
    CLIENT_SUPPORT_HEADER_SIGNING,
    BadSecTrailer,
    SecTrailer,
    VerificationHeader,
    VerificationTrailer,
    split_verification_trailer,
)
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NDR20, SyntaxId

WIRE = Path(__file__).resolve().parents[2].parent / "shared" / "wire"
RFR = SyntaxId(uuid.UUID("1544f5e0-613c-11d1-93df-00c04fd7bd09"), 1, 0)
# calls-profile-tcp-seal-2010.jsonl: libmapi's RfrGetNewDSA.
RECORDED = bytes.fromhex(
    "8ae3137102f43671010004000100000002402800e0f544153c61d11193df00c04fd7bd0901000000"
    "045d888aeb1cc9119fe808002b10486002000000"
)


def test_fields_of_a_recorded_verification_trailer() -> None:
    stub, trailer = split_verification_trailer(b"stub" + RECORDED)
    assert stub == b"stub"
    assert trailer == VerificationTrailer.of(RFR, NDR20, CLIENT_SUPPORT_HEADER_SIGNING)
    assert trailer is not None
    assert trailer.bitmask == CLIENT_SUPPORT_HEADER_SIGNING
    assert trailer.presentation_context == (RFR, NDR20)
    assert trailer.header is None
    assert not trailer.unknown_must_process
    assert trailer.pack() == RECORDED


def test_every_truncation_is_no_trailer_or_one_that_packs_to_what_is_there() -> None:
    for end in range(len(RECORDED)):
        data = b"stub" + RECORDED[:end]
        stub, trailer = split_verification_trailer(data)
        assert stub + (trailer.pack() if trailer is not None else b"") == data
        assert trailer is None
    whole = SecTrailer(10, 6, 1, bytes(16)).pack()
    for end in range(len(whole)):
        with pytest.raises(DecodeError):
            SecTrailer.at_end(whole[:end], 16)


def test_every_recorded_verification_trailer_is_found() -> None:
    paths = sorted(WIRE.glob("calls-*"))
    if not paths:
        pytest.skip(f"recordings are not here: {WIRE}")
    found = 0
    for path in paths:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for line in lines:
                record = json.loads(line)
                stub = bytes.fromhex(record["request_stub_hex"])
                trailer = bytes.fromhex(record.get("verification_trailer_hex") or "")
                got, decoded = split_verification_trailer(stub + trailer)
                assert got == stub
                assert (decoded.pack() if decoded else b"") == trailer
                found += bool(trailer)
    assert found > 40  # the first call of each signed or sealed connection


def test_header2_and_unknown_commands() -> None:
    body = bytes.fromhex("00000000100000000500000001000b00")
    trailer = VerificationTrailer(((0x0003, body), (0x4009, b"xy")))
    assert trailer.header == VerificationHeader(0, 0x10, 5, 1, 11)
    assert not trailer.unknown_must_process
    assert VerificationTrailer(((0xC009, b"xy"),)).unknown_must_process


@pytest.mark.parametrize(
    "stub",
    [
        RECORDED[:8],
        RECORDED[:-1],
        RECORDED + b"more",
        b"x" + RECORDED,
        RECORDED + bytes(600),
        b"",
    ],
    ids=["magic alone", "cut", "not at the end", "unaligned", "far from the end", "empty"],
)
def test_what_is_no_trailer_stays_in_the_stub(stub: bytes) -> None:
    assert split_verification_trailer(stub) == (stub, None)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_stub_breaks_the_search(before: bytes, after: bytes) -> None:
    stub = before + RECORDED[:8] + after
    rest, trailer = split_verification_trailer(stub)
    assert rest + (trailer.pack() if trailer else b"") == stub


def test_sec_trailer_must_lie_within_the_pdu() -> None:
    trailer = SecTrailer(10, 6, 1, b"s" * 16, auth_pad_length=4)
    whole = bytes(24) + b"stub" + trailer.pack()
    assert SecTrailer.at_end(whole, 16) == (trailer, 28)
    with pytest.raises(BadSecTrailer, match="padding"):
        SecTrailer.at_end(whole[1:], 16)
    bare = SecTrailer(10, 6, 1, b"s" * 16)
    assert SecTrailer.at_end(bytes(16) + bare.pack(), 16) == (bare, 16)
    big = bytes(24) + b"stub" + trailer.pack(big_endian=True)
    assert SecTrailer.at_end(big, 16, big_endian=True) == (trailer, 28)
    assert big != whole
    with pytest.raises(DecodeError):
        SecTrailer.at_end(trailer.pack(), 16)
    with pytest.raises(DecodeError):
        SecTrailer.at_end(b"short", 16)
