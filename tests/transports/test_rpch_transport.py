"""A virtual connection as a transport: back-pressure, its end, and events in their order."""

from __future__ import annotations

import asyncio

from openchange_py.rpc.rpch import Ended, Established, PduReceived, RpchEvent, Write
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.transports.rpch_transport import VirtualTransport
from openchange_py.wire.rpch import FlowControlAck, Forward, rts
from tests.rpc.rpch_parties import rpc_pdu
from tests.transports.serving import run

WINDOW = 0x2000


class User(asyncio.Protocol):
    """What takes it for a socket."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Transport(VirtualTransport):
    """One whose channels are lists; it may answer while it is told something."""

    def __init__(self) -> None:
        connection = ClientVirtualConnection()
        super().__init__(connection)
        self.user: User | None = None
        self.log: list[str] = []
        self.sent = 0
        self.answer = b""

    def _user(self) -> User | None:
        return self.user

    def _do(self, event: RpchEvent) -> None:
        self.log.append(type(event).__name__)
        if isinstance(event, Established):
            self.user = User()
        elif isinstance(event, Write):
            self.sent += len(event.data)
        elif isinstance(event, Ended):
            self.user = None
            self.log[-1] = f"Ended: {event.reason}"
        elif isinstance(event, PduReceived) and self.answer:
            answer, self.answer = self.answer, b""
            self.write(answer)
            self.log.append("answered")

    def establish(self) -> None:
        """Both channels are there, and the server has said what it takes."""
        self.run(self._connection.start())
        for channel in self._connection.channels():
            self.run(self._connection.ready(channel))
        self.hear(rts("CONN/A3", 120_000).pack() + rts("CONN/C2", 1, WINDOW, 120_000).pack())
        self.log.clear()
        self.sent = 0

    def hear(self, data: bytes) -> None:
        """The server says so."""
        self.received(self._connection.source, data)

    def acknowledge(self) -> None:
        """The server has read all."""
        into = self._connection.sink
        ack = FlowControlAck(into.send_window.sent, WINDOW, into.cookie)
        self.hear(rts("FlowControlAckWithDestination", Forward.CLIENT, ack).pack())


def test_a_full_window_makes_the_writer_wait_until_little_is_left() -> None:
    async def main() -> None:
        transport = Transport()
        transport.establish()
        pdu = rpc_pdu(1, 4000)
        count = 0
        assert transport.user is not None
        while not transport.user.told:
            transport.write(pdu)
            count += 1
        assert transport.user.told == ["pause"]
        assert 64 << 10 < transport.get_write_buffer_size() < (64 << 10) + 2 * len(pdu)
        left = []
        while transport.user.told == ["pause"]:
            transport.acknowledge()
            left.append(transport.get_write_buffer_size())
        assert left[-1] <= 16 << 10 < left[-2]
        while transport.get_write_buffer_size():
            transport.acknowledge()
        assert transport.sent >= count * len(pdu)
        transport.socket_full(True)
        transport.socket_full(False)
        assert transport.user.told == ["pause", "resume", "pause", "resume"]

    run(main)


def test_a_close_waits_for_what_is_unsent_and_an_abort_does_not() -> None:
    async def main() -> None:
        for end, waits in ((Transport.close, True), (Transport.abort, False)):
            transport = Transport()
            transport.establish()
            for number in range(8):
                transport.write(rpc_pdu(number, 2000))
            assert transport.get_write_buffer_size()
            end(transport)
            assert transport.log[-1].startswith("Ended") is not waits
            while waits and transport.get_write_buffer_size():
                assert transport.is_closing()
                assert transport.log[-1] == "Write"
                transport.acknowledge()
            assert transport.log[-1] == ("Ended: closed" if waits else "Ended: aborted")

    run(main)


def test_what_comes_of_an_event_is_done_behind_those_before_it() -> None:
    async def main() -> None:
        transport = Transport()
        transport.establish()
        transport.answer = rpc_pdu(9)
        transport.hear(rpc_pdu(1) + rpc_pdu(2))
        first = transport.log.index("answered")
        assert transport.log[first - 1] == "PduReceived"
        assert transport.log[first + 1 :].index("PduReceived") < transport.log[first + 1 :].index("Write")

    run(main)


def test_nothing_is_read_while_nobody_wants_it() -> None:
    async def main() -> None:
        transport = Transport()
        transport.establish()
        transport.pause_reading()
        transport.hear(rpc_pdu(1))
        assert "PduReceived" not in transport.log
        transport.resume_reading()
        assert "PduReceived" in transport.log
        assert transport.get_extra_info("peername", "nobody") == "nobody"

    run(main)
