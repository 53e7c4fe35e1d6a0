"""Containers of ROPs between two proxies."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.rop.base import REQUESTS
from openchange_py.wire.rop.container import (
    Container,
    ContainerId,
    pack_indexed,
    unpack_indexed,
    unwrapped,
    wrapped,
)
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest

#: By hand from MAPIProxy's format: index 1, then RopReadStream (LogonId 0, handle index 2, 0x1000 bytes).
INDEXED = bytes.fromhex("01 2c 00 02 0010")
PACKED = bytes.fromhex("a5 00 00 0600") + INDEXED


def test_golden_bytes() -> None:
    read = RopReadStreamRequest(0, 2, 0x1000)
    assert pack_indexed([(1, read)]) == INDEXED
    assert Container(ContainerId.Packed, INDEXED).pack() == PACKED
    assert Container.unpack(ContainerId.Packed, PACKED + b"rest") == Container(0xA5, INDEXED, b"rest")
    assert unpack_indexed(INDEXED, [0, 0, 7]) == [(1, read)]
    assert wrapped(ContainerId.Compressed, b"xyz").hex() == "0a00a60000030078797a"


def test_no_server_knows_them() -> None:
    assert not {int(member) for member in ContainerId} & set(REQUESTS)


@given(st.binary(max_size=300), st.sampled_from(list(ContainerId)))
def test_what_is_wrapped_comes_out(blob: bytes, rop_id: ContainerId) -> None:
    buffer = wrapped(rop_id, blob)
    assert unwrapped(rop_id, buffer) == blob
    for other in set(ContainerId) - {rop_id}:
        assert unwrapped(other, buffer) is None
    for end in range(7, len(buffer)):
        with pytest.raises(DecodeError):
            unwrapped(rop_id, buffer[:end])
    assert unwrapped(rop_id, buffer[:6]) is None, "too short to be one"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a50000", "bytes"),
        ("a500000700" + INDEXED.hex(), "bytes"),
        ("a501000600" + INDEXED.hex(), "LogonId 1"),
        ("a500010600" + INDEXED.hex(), "handle index 1"),
    ],
)
def test_broken_containers(data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        Container.unpack(ContainerId.Packed, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("01f0000000", "RopId 0xF0"),
        (INDEXED.hex() * 2, "index 1 behind 1"),
        ("01", "byte"),
        ("012c0002", "byte"),
    ],
)
def test_broken_contents(data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        unpack_indexed(bytes.fromhex(data), [0])


def test_a_container_holds_64_kib() -> None:
    with pytest.raises(EncodeError):
        Container(ContainerId.Packed, bytes(0x10000)).pack()


def test_a_container_beside_other_rops_is_not_a_whole_buffer() -> None:
    buffer = wrapped(ContainerId.Encrypted, b"x")
    with pytest.raises(DecodeError, match="not all of its buffer"):
        unwrapped(ContainerId.Encrypted, buffer + b"\0\0\0\0")
    with pytest.raises(DecodeError, match="not all of its buffer"):
        unwrapped(ContainerId.Encrypted, buffer + b"\x01")


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        unpack_indexed(data, [1, 2])
    for rop_id in ContainerId:
        with contextlib.suppress(DecodeError):
            unwrapped(rop_id, data)
        try:
            container = Container.unpack(rop_id, bytes([rop_id]) + data)
        except DecodeError:
            continue
        assert container is not None
        assert container.pack() + container.rest == bytes([rop_id]) + data
