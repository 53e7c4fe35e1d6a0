"""SMB 2's messages. The bytes are those of Microsoft's example (see `tests/transports/test_smb_protection.py`),
or laid out by [MS-SMB2] 2.2; Samba's smbd takes all of them (`tests/interop/test_smb_client.py`).
"""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, Reader
from openchange_py.wire.smb2 import (
    HEADER_SIZE,
    Cipher,
    Command,
    CreateRequest,
    Dialect,
    Flag,
    Header,
    IoctlRequest,
    NegotiateRequest,
    NegotiateResponse,
    ReadRequest,
    SealedHeader,
    SessionSetupRequest,
    SessionSetupResponse,
    Status,
    TreeConnectRequest,
    WriteRequest,
    buffer_of,
    encryption,
    integrity,
    pack_contexts,
    status_name,
    validation,
)
from tests.transports.test_smb_protection import SIGNED_311

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
FILE = bytes(range(16))


def test_a_response_of_windows() -> None:
    header = Header.of_message(SIGNED_311)
    assert (header.command, header.status, header.message_id) == (Command.SESSION_SETUP, Status.SUCCESS, 3)
    assert header.flags == Flag.RESPONSE | Flag.SIGNED
    assert header.session_id == 0x100000000019
    response = SessionSetupResponse.read(Reader(SIGNED_311, HEADER_SIZE))
    assert buffer_of(SIGNED_311, response.token_offset, response.token_length).hex().startswith("a11b3019a003")
    assert header.pack() == SIGNED_311[:HEADER_SIZE]


def test_structure_sizes_are_the_documents() -> None:
    bodies = {
        SessionSetupRequest.of(b"token"): (25, 24),
        TreeConnectRequest.of(r"\\server\IPC$"): (9, 8),
        CreateRequest.of_pipe("lsass"): (57, 56),
        ReadRequest.of(FILE, 65536): (49, 48),
        WriteRequest.of(FILE, b"data"): (49, 48),
        IoctlRequest.of(0x00140204, b"data", 24): (57, 56),
    }
    for body, (told, fixed) in bodies.items():
        assert int.from_bytes(body[:2], "little") == told
        assert len(body) > fixed, "the byte that the size counts is always there"
    assert SealedHeader.unpack(bytes(52)).pack() == bytes(52)


def test_buffers_stand_where_their_offsets_say() -> None:
    header = bytes(HEADER_SIZE)
    tree = header + TreeConnectRequest.of(r"\\server\IPC$")
    fixed = TreeConnectRequest.read(Reader(tree, HEADER_SIZE))
    assert buffer_of(tree, fixed.path_offset, fixed.path_length).decode("utf-16-le") == r"\\server\IPC$"
    create = header + CreateRequest.of_pipe("lsass")
    made = CreateRequest.read(Reader(create, HEADER_SIZE))
    assert buffer_of(create, made.name_offset, made.name_length).decode("utf-16-le") == "lsass"
    write = header + WriteRequest.of(FILE, b"data")
    written = WriteRequest.read(Reader(write, HEADER_SIZE))
    assert buffer_of(write, written.data_offset, written.length) == b"data"
    assert buffer_of(write, 0, 0) == b""
    for offset, length in ((HEADER_SIZE - 1, 4), (len(write) - 3, 4), (len(write), 1)):
        with pytest.raises(DecodeError):
            buffer_of(write, offset, length)


def test_negotiation() -> None:
    body = NegotiateRequest.of(GUID, list(Dialect), bytes(32), [Cipher.AES_128_GCM]).pack()
    assert body[36:46] == bytes.fromhex("02021002000302031103")
    request = NegotiateRequest.unpack(body)
    assert (request.context_offset - HEADER_SIZE) % 8 == 0, "contexts stand at multiples of 8"
    assert body[request.context_offset - HEADER_SIZE :][:14] == bytes.fromhex("0100260000000000 0100 2000 0100")
    assert validation(GUID, [0x300, 0x302]).hex() == "40000000" + GUID.bytes_le.hex() + "0200" + "0200" + "00030203"


def response(contexts: bytes, count: int, offset: int = HEADER_SIZE + 64) -> bytes:
    sizes = (0x10000, 0x10000, 0x10000, 0, 0)
    fixed = NegotiateResponse(65, 1, Dialect.SMB_3_1_1, count, GUID, 0, *sizes, 0, 0, offset)
    return bytes(HEADER_SIZE) + fixed.pack() + contexts


def cipher_in(message: bytes) -> int | None:
    return NegotiateResponse.read(Reader(message, HEADER_SIZE)).cipher(message)


def test_what_encrypts_is_found_among_the_contexts() -> None:
    hashed = (1, integrity(bytes(32)))
    assert cipher_in(response(pack_contexts([hashed, (2, encryption([4]))]), 2)) == Cipher.AES_256_GCM
    assert cipher_in(response(pack_contexts([(3, b"x"), (2, encryption([1])), hashed]), 3)) == Cipher.AES_128_CCM
    assert cipher_in(response(pack_contexts([hashed, (2, encryption([0]))]), 2)) is None
    assert cipher_in(response(pack_contexts([hashed, (2, encryption([]))]), 2)) is None
    assert cipher_in(response(pack_contexts([hashed]), 1)) is None


@pytest.mark.parametrize(
    "message",
    [
        response(pack_contexts([(2, encryption([2]))]), 1),
        response(pack_contexts([(1, b"\x01\0\0\0\x02\0")]), 1),
        response(pack_contexts([(1, b"\x01\0")]), 1),
        response(pack_contexts([(1, integrity(bytes(32)))]), 2),
        response(b"", 1),
        response(b"", 1, 0xFFFF_FFFF),
        response(b"\x01\0\xff\xff\0\0\0\0", 1),
    ],
    ids=["no hash", "another hash", "short hash", "one is missing", "none", "far away", "too long"],
)
def test_contexts_that_are_none(message: bytes) -> None:
    with pytest.raises(DecodeError):
        cipher_in(message)


def test_names_of_statuses() -> None:
    assert status_name(0xC000006D) == "LOGON_FAILURE"
    assert status_name(0xC0FFEE00) == "status 0xc0ffee00"


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_message_or_an_error(data: bytes) -> None:
    for read in (Header.of_message, lambda data: NegotiateResponse.read(Reader(data)).cipher(data)):
        try:
            read(data)
        except DecodeError:
            continue
