"""The PDUs of RPC over HTTP's channels, cut out of a capture and laid into TCP streams, as tshark reads DCE/RPC.

tshark finds the first PDU of a channel by itself, and takes the rest for "continuation". So it is given a capture with
one TCP connection per virtual connection, in which both channels' PDUs come in the order in which they were captured.
"""

from __future__ import annotations

import dataclasses
import re
import struct
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from openchange_py.wire.rpch import RTS, Cookie, RtsPdu
from tests.interop.capture import tool

#: [MS-RPCH] 2.1.2.1.1: who announces more opens a channel.
_CHANNEL: Final = 0x20000
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_TARGET: Final = re.compile(rb"RPC_(?:IN|OUT)_DATA /rpc/rpcproxy\.dll\?[^ :]+:(\d+) ")
#: Of pcap: microseconds, raw IPv4 packets.
_PCAP: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 228)
_CLIENT, _SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
_MOST: Final = 0x4000


@dataclasses.dataclass
class _Half:
    """One direction of a captured TCP connection: HTTP messages, and then perhaps a channel's PDUs."""

    buffer: bytearray = dataclasses.field(default_factory=bytearray)
    in_channel: bool = False
    port: int = 0

    def pdus(self, data: bytes) -> Iterator[bytes]:
        """Those that are whole by now."""
        self.buffer += data
        while not self.in_channel and (end := self.buffer.find(b"\r\n\r\n") + 4) > 3:
            head = bytes(self.buffer[:end])
            announced = _LENGTH.search(head)
            length = int(announced[1]) if announced else 0
            if target := _TARGET.match(head):
                self.port = int(target[1])
            self.in_channel = length >= _CHANNEL or (head.startswith(b"RPC_OUT_DATA") and length in (76, 120))
            if not self.in_channel:
                if len(self.buffer) < end + length:
                    return
                end += length
            del self.buffer[:end]
        while self.in_channel and len(self.buffer) >= 16:
            size = int.from_bytes(self.buffer[8:10], "little")
            if len(self.buffer) < size:
                return
            yield bytes(self.buffer[:size])
            del self.buffer[:size]


@dataclasses.dataclass(frozen=True)
class Pdu:
    """One PDU: whether the client sent it, in which virtual connection, to which of the server's ports."""

    connection: uuid.UUID
    port: int
    by_client: bool
    data: bytes


def pdus_of(capture: Path, http_port: int) -> list[Pdu]:
    """All PDUs of all channels in the capture."""
    command: list[Any] = [tool("tshark"), "-n", "-r", capture, "-Y", f"tcp.port=={http_port} && tcp.len > 0", "-T"]
    fields = ["fields", "-e", "tcp.stream", "-e", "tcp.dstport", "-e", "tcp.payload"]
    done = subprocess.run([*command, *fields], capture_output=True, text=True, timeout=60, check=True)
    halves: dict[tuple[str, bool], _Half] = {}
    connections: dict[str, tuple[uuid.UUID, int]] = {}
    found = []
    for line in done.stdout.splitlines():
        stream, port, payload = line.split("\t")
        by_client = int(port) == http_port
        half = halves.setdefault((stream, by_client), _Half())
        for data in half.pdus(bytes.fromhex(payload)):
            if stream not in connections:
                # CONN/A1 or CONN/B1: behind the version stands the virtual connection's cookie.
                assert data[2] == RTS
                cookie = next(command for command in RtsPdu.unpack(data).commands if isinstance(command, Cookie))
                connections[stream] = cookie.value, half.port
            found.append(Pdu(*connections[stream], by_client, data))
    return found


def write_streams(pdus: list[Pdu], path: Path) -> None:
    """A capture of TCP connections to the ports that the RPC proxy was asked for."""
    numbers: dict[tuple[uuid.UUID, bool], int] = {}
    clients: dict[uuid.UUID, int] = {}
    with path.open("wb") as output:
        output.write(_PCAP)
        for count, pdu in enumerate(pdus):
            client = clients.setdefault(pdu.connection, 40000 + len(clients))
            for start in range(0, len(pdu.data), _MOST):
                data = pdu.data[start : start + _MOST]
                sent = numbers.get((pdu.connection, pdu.by_client), 1)
                received = numbers.get((pdu.connection, not pdu.by_client), 1)
                numbers[pdu.connection, pdu.by_client] = sent + len(data)
                ports = (client, pdu.port) if pdu.by_client else (pdu.port, client)
                tcp = struct.pack(">HHIIBBHHH", *ports, sent, received, 0x50, 0x18, 0xFFFF, 0, 0) + data
                ends = (_CLIENT, _SERVER) if pdu.by_client else (_SERVER, _CLIENT)
                ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), count, 0, 64, 6, 0, *ends)
                packet = ip + tcp
                output.write(struct.pack("<IIII", count, 0, len(packet), len(packet)) + packet)
