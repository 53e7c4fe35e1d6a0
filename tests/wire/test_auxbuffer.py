"""Auxiliary buffers: what a real server sends, what Outlook sends, and garbage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.auxbuffer import (
    BODIES,
    AuxBlock,
    AuxClientControl,
    AuxEndpointCapabilities,
    AuxExOrgInfo,
    AuxPerfClientInfo,
    AuxType,
    ClientControlFlags,
    pack_aux,
    unpack_aux,
)
from openchange_py.wire.buffer import DecodeError, EncodeError

#: What gromox 3.10 answers to EcDoConnectEx.
CONNECT_ANSWER = bytes.fromhex("08000117030000000c00010a0c00000000840c240800014801000000")


def test_connect_answer() -> None:
    blocks = unpack_aux(CONNECT_ANSWER)
    flags = ClientControlFlags.EnableCompression | ClientControlFlags.EnableHttpTunneling
    week = 7 * 24 * 3600 * 1000
    expected = [AuxExOrgInfo(3), AuxClientControl(flags, week), AuxEndpointCapabilities(1)]
    assert [block.decoded() for block in blocks] == expected
    assert pack_aux(blocks) == CONNECT_ANSWER
    assert pack_aux(expected) == CONNECT_ANSWER


def client_info(machine_name_offset: int) -> AuxPerfClientInfo:
    return AuxPerfClientInfo(
        adapter_speed=1000,
        client_id=1,
        machine_name_offset=machine_name_offset,
        user_name_offset=0,
        client_ip_size=4,
        client_ip_offset=32 + 8,
        client_ip_mask_size=0,
        client_ip_mask_offset=0,
        adapter_name_offset=0,
        mac_address_size=0,
        mac_address_offset=0,
        client_mode=1,
        reserved=0,
        names="PC1\0".encode("utf-16-le") + bytes((10, 0, 0, 1)),
    )


def test_client_info_names_stand_behind_offsets_from_the_header() -> None:
    [block] = unpack_aux(pack_aux([client_info(32)]))
    info = block.decoded()
    assert isinstance(info, AuxPerfClientInfo)
    assert (info.machine_name, info.user_name) == ("PC1", "")
    assert info.client_mode == 1


@pytest.mark.parametrize("offset", [1, 31, 45, 0xFFFF])
def test_client_info_with_an_offset_outside_its_block(offset: int) -> None:
    with pytest.raises(DecodeError):
        _ = client_info(offset).machine_name


def test_unknown_block_is_kept() -> None:
    raw = bytes.fromhex("060002ee1234")
    [block] = unpack_aux(raw)
    assert (block.version, block.type, block.body, block.decoded()) == (2, 0xEE, b"\x12\x34", None)
    assert pack_aux([block]) == raw


@pytest.mark.parametrize("raw", ["0300", "03000117", "08000117030000", "08000117030000000c00"])
def test_truncated_blocks(raw: str) -> None:
    with pytest.raises(DecodeError):
        unpack_aux(bytes.fromhex(raw))


def test_body_that_does_not_fit_its_size() -> None:
    with pytest.raises(EncodeError):
        pack_aux([AuxBlock(1, AuxType.PerfClientInfo, bytes(0xFFFD))])


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_garbage_gives_a_value_or_decode_error(data: bytes) -> None:
    for (version, kind), body in BODIES.items():
        try:
            value = AuxBlock(version, kind, data).decoded()
        except DecodeError:
            continue
        assert isinstance(value, body)
        assert value.pack() == data
    try:
        blocks = unpack_aux(data)
    except DecodeError:
        return
    assert pack_aux(blocks) == data
