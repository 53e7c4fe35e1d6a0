"""Targets of RPC over HTTP: RTS PDUs, and channels of a virtual connection."""

from __future__ import annotations

import uuid

from openchange_py.rpc.rpch import Channel, Direction, Ended, Write
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.rpc.rpch_server import ServerVirtualConnection, VirtualConnections
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.rpch import SHAPES, FlowControlAck, Forward, RtsPdu, rts
from tests.fuzz.target import target
from tests.rpc.rpch_parties import rpc_pdu

_VC, _OUT, _IN, _NEXT = (uuid.UUID(int=number) for number in (1, 2, 3, 4))
_A1 = rts("CONN/A1", 1, _VC, _OUT, 0x10000).pack()
_B1 = rts("CONN/B1", 1, _VC, _IN, 1 << 30, 300_000, uuid.UUID(int=9)).pack()
_ACK = FlowControlAck(0, 0x10000, _OUT)


def _pdus() -> list[bytes]:
    """RTS PDUs as clients and servers send them."""
    return [
        _A1,
        _B1,
        rts("CONN/A3", 120_000).pack() + rts("CONN/C2", 1, 0x10000, 120_000).pack(),
        rts("IN_R1/A1", 1, _VC, _IN, _NEXT).pack(),
        rts("IN_R2/A5", _NEXT).pack(),
        rts("OUT_R2/A3", 1, _VC, _OUT, _NEXT, 0x10000).pack(),
        rts("OUT_R2/A7", Forward.SERVER, _NEXT, 1).pack(),
        rts("FlowControlAckWithDestination", Forward.OUT_PROXY, _ACK).pack(),
        *(rts(name).pack() for name in ("Ping", "Echo", "OUT_R2/C1", "OUT_R2/B3")),
    ]


@target("rts-pdu", _pdus, longest=512)
def fuzz_rts_pdu(data: bytes) -> None:
    """An RTS PDU decodes and packs to the same bytes, or is refused."""
    try:
        pdu = RtsPdu.unpack(data)
    except DecodeError:
        return
    assert pdu.pack() == data
    assert pdu.name in SHAPES or pdu.name.startswith("RTS PDU")


def _step(channel: int, data: bytes) -> bytes:
    return bytes([channel]) + len(data).to_bytes(2, "little") + data


def _conversations() -> list[bytes]:
    opened = _step(1, _A1) + _step(0, _B1)
    a1, a5 = rts("IN_R1/A1", 1, _VC, _IN, _NEXT).pack(), rts("IN_R2/A5", _NEXT).pack()
    return [opened + _step(0, rpc_pdu(1, 64)), opened + _step(2, a1) + _step(0, a5) + _step(2, rpc_pdu(2, 64))]


@target("rpch-server", _conversations, longest=4096)
def fuzz_rpch_server(data: bytes) -> None:
    """Steps of a channel's number, a length and bytes for it, to a server: events, and nothing behind the end."""
    server = VirtualConnections()
    channels = [Channel(direction, length=1 << 20) for direction in (Direction.IN, Direction.OUT) * 2]
    pos = 0
    while pos + 3 <= len(data):
        channel, size = channels[data[pos] % 4], int.from_bytes(data[pos + 1 : pos + 3], "little")
        before = channel.connection is not None and channel.connection.closed
        events = server.receive(channel, "alice", data[pos + 3 : pos + 3 + size])
        assert not (before and events), "something happened behind the end"
        for event in events:
            assert not isinstance(event, Write) or event.channel.writable
            if isinstance(event, Ended) and isinstance(channel.connection, ServerVirtualConnection):
                server.forget(channel.connection)
        pos += 3 + size


@target("rpch-client", lambda: [b"".join(_pdus()[2:3]) + rpc_pdu(1, 64)], longest=4096)
def fuzz_rpch_client(data: bytes) -> None:
    """The body of an OUT channel's response, to a client that waits for it and sends meanwhile."""
    client = ClientVirtualConnection()
    client.start()
    for channel in client.channels():
        client.ready(channel)
    assert client.source is not None
    client.receive(client.source, data)
    client.send(rpc_pdu(1, 4000))
    assert client.queued <= 4024
