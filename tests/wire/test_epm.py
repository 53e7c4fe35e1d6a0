"""Endpoint mapper codecs: recorded calls, towers, garbage."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket.dcerpc.v5 import epm

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.epm import (
    EPMAPPER,
    EptEntry,
    EptLookupHandleFreeRequest,
    EptLookupHandleFreeResponse,
    EptLookupRequest,
    EptLookupResponse,
    EptMapRequest,
    EptMapResponse,
    EptStatus,
    Floor,
    FloorProtocol,
    Tower,
)
from openchange_py.wire.ndr import NDR20, NULL_HANDLE, ContextHandle, RpcMessage, SyntaxId
from tests.conftest import json_lines, shared_path

EMSMDB = SyntaxId(uuid.UUID("a4f1db00-ca47-1067-b31f-00dd010662da"), 0, 81)
OBJECT = uuid.UUID("11111111-2222-3333-4444-555555555555")
HANDLE = ContextHandle(0, OBJECT)


def test_every_recorded_call_packs_to_the_same_bytes() -> None:
    seen = 0
    for path in sorted(shared_path("wire").glob("calls-*")):
        for record in json_lines(path):
            if record["interface"] != "epmapper":
                continue
            method = EPMAPPER.methods[record["opnum"]]
            for kind, name in ((method.request, "request_stub_hex"), (method.response, "response_stub_hex")):
                stub = bytes.fromhex(record[name])
                assert kind is not None
                assert kind.unpack(stub).pack().hex() == stub.hex(), (path.name, record["call_id"])
            seen += 1
    assert seen > 200


def test_a_recorded_ept_map() -> None:
    # calls-attachments-tcp-connect-2007.jsonl: libmapi asks for EMSMDB.
    request = EptMapRequest.unpack(
        bytes.fromhex(
            "0100000000000000000000000000000000000000020000004b0000004b000000050013000d00dbf1a447ca6710b31f00dd01"
            "0662da00000200510013000d045d888aeb1cc9119fe808002b10486002000200000001000b02000000010007020000000100"
            "0904007f00000100000000000000000000000000000000000000000001000000"
        )
    )
    tower = request.map_tower
    assert tower == Tower.tcp(EMSMDB, 0, "127.0.0.1")
    assert tower is not None
    assert (tower.interface, tower.transfer_syntax, tower.port) == (EMSMDB, NDR20, 0)
    assert tower.protocols == (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)
    assert (request.object, request.entry_handle, request.max_towers) == (uuid.UUID(int=0), NULL_HANDLE, 1)


TOWER = Tower.tcp(EMSMDB, 6001, "192.0.2.1")
MESSAGES: list[RpcMessage] = [
    EptMapRequest(None, None, HANDLE, 4),
    EptMapResponse(NULL_HANDLE, 4, [TOWER, None, TOWER], EptStatus.OK),
    EptLookupRequest(3, OBJECT, EMSMDB, 2, HANDLE, 500),
    EptLookupRequest(0, None, None, 1, NULL_HANDLE, 500),
    EptLookupResponse(
        HANDLE,
        500,
        [EptEntry(OBJECT, TOWER, b"Exchange"), EptEntry(OBJECT, None, b""), EptEntry(OBJECT, TOWER, b"x")],
        0,
    ),
    EptLookupHandleFreeRequest(HANDLE),
    EptLookupHandleFreeResponse(NULL_HANDLE, EptStatus.OK),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_round_trip(message: RpcMessage) -> None:
    packed = message.pack()
    again = type(message).unpack(packed)
    assert again == message
    assert again.pack() == packed


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_truncation_is_an_error(message: RpcMessage) -> None:
    packed = message.pack()
    for end in range(len(packed)):
        with pytest.raises(DecodeError):
            type(message).unpack(packed[:end])


@pytest.mark.parametrize("kind", sorted({type(m) for m in MESSAGES}, key=lambda k: k.__name__))
def test_garbage_is_a_value_or_an_error(kind: type[RpcMessage]) -> None:
    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        base = bytearray(data.draw(st.sampled_from([m for m in MESSAGES if type(m) is kind])).pack())
        for _ in range(data.draw(st.integers(0, 4))):
            base[data.draw(st.integers(0, len(base) - 1))] = data.draw(st.integers(0, 255))
        del base[data.draw(st.integers(0, len(base))) :]
        try:
            kind.unpack(bytes(base)).pack()
        except (DecodeError, EncodeError):
            return

    check()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_octets_are_a_tower_or_an_error(octets: bytes) -> None:
    tower = Tower(octets)
    for name in ("interface", "transfer_syntax", "protocols", "port"):
        try:
            getattr(tower, name)
        except DecodeError:
            continue


def test_a_tower_has_no_room_for_an_ipv6_address() -> None:
    assert Tower.tcp(EMSMDB, 135, "::1").floors[4] == Floor(b"\x09", bytes(4))


@pytest.mark.parametrize(
    ("tower", "binding"),
    [
        (Tower.tcp(EMSMDB, 6001, "192.0.2.1"), "ncacn_ip_tcp:192.0.2.1[6001]"),
        (Tower.http(EMSMDB, 6001, "192.0.2.1"), "ncacn_http:192.0.2.1[6001]"),
        (Tower.named_pipe(EMSMDB, r"\pipe\lsass", r"\\EXCH1"), r"ncacn_np:\\EXCH1[\pipe\lsass]"),
    ],
)
def test_impacket_reads_towers(tower: Tower, binding: str) -> None:
    floors = epm.EPMTower(tower.octets)["Floors"]
    assert str(floors[0]).split(" ")[0].lower() == str(EMSMDB.uuid)
    assert epm.PrintStringBinding(floors).replace("\0", "") == binding


def test_an_annotation_that_does_not_fit_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        EptLookupResponse(NULL_HANDLE, 1, [EptEntry(OBJECT, None, b"x" * 64)], 0).pack()
