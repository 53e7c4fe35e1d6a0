"""RTS PDUs. Golden bytes are those of recorded clients and gromox, or written by the layouts of [MS-RPCH] 2.2.3."""

from __future__ import annotations

import collections
import ipaddress
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.rpch import (
    SHAPES,
    Ance,
    AssociationGroupId,
    ChannelLifetime,
    ClientAddress,
    ClientKeepalive,
    Command,
    ConnectionTimeout,
    Cookie,
    Destination,
    Empty,
    FlowControlAck,
    Forward,
    NegativeAnce,
    Padding,
    PingTrafficSentNotify,
    ReceiveWindowSize,
    RtsFlag,
    RtsPdu,
    Version,
    rts,
)
from tests.conftest import json_lines, shared_path

CONNECTION = uuid.UUID("5e5ad020-770c-1351-f2bf-cf647c7cc969")
IN_CHANNEL = uuid.UUID("37a87b3d-c967-46e3-caf3-1d6537f77849")
GROUP = uuid.UUID("502919f5-9b55-5fad-a665-0861cf26dd39")
OUT_CHANNEL = uuid.UUID("6d7b6618-fab3-3f14-0dcc-595801b77078")

#: (name, values, bytes) as impacket sent them and gromox answered.
RECORDED = [
    (
        "CONN/B1",
        (1, CONNECTION, IN_CHANNEL, 1 << 30, 300_000, GROUP),
        "0500140310000000 6800000000000000 00000600 0600000001000000"
        "0300000020d05a5e0c775113f2bfcf647c7cc969 030000003d7ba83767c9e346caf31d6537f77849"
        "0400000000000040 05000000e0930400 0c000000f5192950559bad5fa6650861cf26dd39",
    ),
    (
        "CONN/A1",
        (1, CONNECTION, OUT_CHANNEL, 0x40000),
        "0500140310000000 4c00000000000000 00000400 0600000001000000"
        "0300000020d05a5e0c775113f2bfcf647c7cc969 0300000018667b6db3fa143f0dcc595801b77078 0000000000000400",
    ),
    ("CONN/A3", (180_000,), "0500140310000000 1c00000000000000 00000100 0200000020bf0200"),
    (
        "CONN/C2",
        (1, 0x40000, 180_000),
        "0500140310000000 2c00000000000000 00000300 0600000001000000 0000000000000400 0200000020bf0200",
    ),
]
#: By the document's layouts.
WRITTEN = [
    ("Ping", (), "0500140310000000 1400000000000000 01000000"),
    ("Echo", (), "0500140310000000 1400000000000000 40000000"),
    (
        "FlowControlAckWithDestination",
        (Forward.OUT_PROXY, FlowControlAck(0x12345, 0x10000, OUT_CHANNEL)),
        "0500140310000000 3800000000000000 02000200 0d00000003000000"
        "010000004523010000000100 18667b6db3fa143f0dcc595801b77078",
    ),
    ("OUT_R2/A2", (Forward.CLIENT,), "0500140310000000 1c00000000000000 04000100 0d00000000000000"),
    ("OUT_R2/A6", (Forward.CLIENT,), "0500140310000000 2000000000000000 00000200 0d00000000000000 0a000000"),
    ("OUT_R2/B3", (), "0500140310000000 1800000000000000 20000100 0a000000"),
    ("OUT_R2/C1", (), "0500140310000000 1800000000000000 01000100 07000000"),
    (
        "OUT_R2/A7",
        (Forward.SERVER, OUT_CHANNEL, 1),
        "0500140310000000 3800000000000000 10000300 0d00000002000000"
        "0300000018667b6db3fa143f0dcc595801b77078 0600000001000000",
    ),
]


@pytest.mark.parametrize(("name", "values", "text"), RECORDED + WRITTEN, ids=lambda value: str(value)[:30])
def test_bytes(name: str, values: tuple[int | uuid.UUID | FlowControlAck, ...], text: str) -> None:
    data = bytes.fromhex(text)
    assert rts(name, *values).pack() == data
    pdu = RtsPdu.unpack(data)
    assert pdu == rts(name, *values)
    assert pdu.is_a(name)


def test_the_channels_of_an_out_recycling_are_as_long_as_their_requests_announce() -> None:
    """2.1.2.1.2: 76 bytes for a new OUT channel, 120 for one that succeeds another."""
    assert len(rts("CONN/A1", 1, CONNECTION, OUT_CHANNEL, 0x10000).pack()) == 76
    a3 = rts("OUT_R2/A3", 1, CONNECTION, OUT_CHANNEL, IN_CHANNEL, 0x10000).pack()
    assert len(a3) + len(rts("OUT_R2/C1").pack()) == 120
    assert len(a3) + len(rts("OUT_R1/A11").pack()) == 120


def test_recorded_traffic_is_made_of_the_connection_sequence() -> None:
    shared_path("wire")
    names: collections.Counter[tuple[str, str]] = collections.Counter()
    for recorded in json_lines(shared_path("wire/rpchttp-heads-rts.jsonl")):
        if "rts_hex" in recorded:
            names[recorded["channel"], RtsPdu.unpack(bytes.fromhex(recorded["rts_hex"])).name] += 1
    assert names == {("OUT", "CONN/A1"): 13, ("OUT", "CONN/A3"): 13, ("OUT", "CONN/C1"): 13, ("IN", "CONN/B1"): 13}


def test_a_padding_may_stand_for_the_empty_command_of_c1() -> None:
    pdu = RtsPdu(RtsFlag.PING, (Padding(b"\0" * 4),))
    assert RtsPdu.unpack(pdu.pack()) == pdu
    assert pdu.is_a("OUT_R2/C1")


def test_an_unknown_combination_has_a_name_for_the_log() -> None:
    assert "Ance" in RtsPdu(RtsFlag.ECHO, (Ance(),)).name


NUMBERS = st.integers(0, 0xFFFFFFFF)
COMMANDS = st.one_of(
    *(
        st.builds(kind, NUMBERS)
        for kind in (
            ReceiveWindowSize, ConnectionTimeout, ChannelLifetime, ClientKeepalive, Version, Destination,
            PingTrafficSentNotify,
        )
    ),
    st.builds(Cookie, st.uuids()),
    st.builds(AssociationGroupId, st.uuids()),
    st.builds(FlowControlAck, NUMBERS, NUMBERS, st.uuids()),
    st.builds(Padding, st.binary(max_size=40)),
    st.builds(ClientAddress, st.ip_addresses().map(ipaddress.ip_address)),
    st.sampled_from([Empty(), Ance(), NegativeAnce()]),
)  # fmt: skip


@given(st.integers(0, 0x7F).map(RtsFlag), st.lists(COMMANDS, max_size=16).map(tuple))
def test_round_trip(flags: RtsFlag, commands: tuple[Command, ...]) -> None:
    pdu = RtsPdu(flags, commands)
    assert RtsPdu.unpack(pdu.pack()) == pdu


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (rts("Ping").pack()[:19], "20 bytes needed"),
        (b"\x05\x01" + rts("Ping").pack()[2:], "no header"),
        (rts("Ping").pack()[:4] + b"\0" * 4 + rts("Ping").pack()[8:], "no header"),
        (rts("Ping").pack()[:12] + b"\1" + rts("Ping").pack()[13:], "no header"),
        (rts("Ping").pack() + b"\0", "fragment length"),
        (rts("Ping").pack()[:16] + b"\x80\0\0\0", "RTS flags"),
        (rts("Ping").pack()[:16] + b"\0\0\xff\xff", "65535 commands"),
        (rts("OUT_R2/B3").pack()[:20] + b"\x0f\0\0\0", "RTS command 15"),
        (RtsPdu(RtsFlag.NONE, (Padding(b"1234"),)).pack()[:-8] + b"\xff\xff\xff\xff1234", "4294967295 bytes needed"),
        (RtsPdu(RtsFlag.NONE, (ClientAddress(ipaddress.ip_address("::1")),)).pack()[:24] + b"\2" + bytes(31), "type 2"),
    ],
)
def test_what_is_no_rts_pdu(data: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        RtsPdu.unpack(data)


@given(st.binary(max_size=120), st.integers(0, 0x7F), st.integers(0, 8))
def test_any_bytes_decode_or_are_refused(body: bytes, flags: int, count: int) -> None:
    head = b"\5\0\x14\3\x10\0\0\0" + (20 + len(body)).to_bytes(2, "little") + bytes(6)
    data = head + flags.to_bytes(2, "little") + count.to_bytes(2, "little") + body
    try:
        pdu = RtsPdu.unpack(data)
    except DecodeError:
        return
    assert pdu.pack() == data


def test_a_value_that_does_not_fit_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        rts("CONN/A3", 1 << 32).pack()


def test_every_shape_can_be_made() -> None:
    assert len(SHAPES) == 50
    for name, (_, kinds) in SHAPES.items():
        values = [
            CONNECTION if kind in (Cookie, AssociationGroupId) else 7
            for kind in kinds
            if kind not in (Ance, NegativeAnce, Empty, FlowControlAck, ClientAddress)
        ]
        if FlowControlAck not in kinds and ClientAddress not in kinds:
            assert RtsPdu.unpack(rts(name, *values).pack()).is_a(name)
