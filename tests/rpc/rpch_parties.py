"""A client and a server of RPC over HTTP in memory: what one writes on a channel is read by the other."""

from __future__ import annotations

import collections
import random
from typing import Any

from openchange_py.rpc.rpch import (
    AnswerBegins,
    Channel,
    CloseChannel,
    Ended,
    Established,
    OpenChannel,
    PduReceived,
    RpchEvent,
    Write,
)
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.rpc.rpch_server import RpchSettings, ServerVirtualConnection, VirtualConnections
from openchange_py.wire.pdu import Request


def rpc_pdu(number: int, size: int = 1000) -> bytes:
    """An RPC PDU of `24 + size` bytes that tells its number."""
    return Request(call_id=number, context_id=0, opnum=0, stub=number.to_bytes(4, "little") * (size // 4)).pack()


class Party:
    """What one side was told."""

    def __init__(self) -> None:
        self.pdus: list[bytes] = []
        self.established = False
        self.ended: str | None = None
        #: Channels that were closed, and why.
        self.closed: list[str] = []
        self.answers = 0


class Network:
    """Delivers in an order that `rng` chooses; bytes of one channel keep theirs. Data comes in pieces of any size."""

    def __init__(
        self, seed: int = 0, *, settings: RpchSettings | None = None, who: Any = "alice", **client: Any
    ) -> None:
        self.rng = random.Random(seed)
        self.client_side, self.server_side = Party(), Party()
        self.client = ClientVirtualConnection(**client)
        self.server = VirtualConnections(lambda: settings or RpchSettings())
        self.who = who
        self.opened: list[Channel] = []
        self._peer: dict[Channel, Channel] = {}
        self._wires: dict[tuple[str, Channel], collections.deque[bytes | RpchEvent]] = collections.defaultdict(
            collections.deque
        )
        self.act_as_client(self.client.start())

    @property
    def connection(self) -> ServerVirtualConnection:
        """The server's."""
        found = self.client.source
        assert found is not None
        connection = self._peer[found].connection
        assert isinstance(connection, ServerVirtualConnection)
        return connection

    def act_as_client(self, events: list[RpchEvent]) -> None:
        """Do what the client's events say."""
        for event in events:
            if isinstance(event, OpenChannel):
                self.opened.append(event.channel)
                self._peer[event.channel] = Channel(event.channel.direction, owner=event.channel)
                self._wires["up", event.channel].append(event)
            elif isinstance(event, Write):
                self._wires["up", event.channel].append(event.data)
            elif isinstance(event, CloseChannel):
                self._wires["up", event.channel].append(event)
            else:
                self._note(self.client_side, event)

    def act_as_server(self, events: list[RpchEvent]) -> None:
        """Do what the server's events say."""
        for event in events:
            if isinstance(event, Write):
                assert event.channel.writable
                self._wires["down", event.channel.owner].append(event.data)
            elif isinstance(event, AnswerBegins):
                self.server_side.answers += 1
            elif isinstance(event, CloseChannel):
                self._wires["down", event.channel.owner].append(event)
                self._note(self.server_side, event)
            else:
                self._note(self.server_side, event)

    def _note(self, party: Party, event: RpchEvent) -> None:
        if isinstance(event, PduReceived):
            party.pdus.append(event.data)
        elif isinstance(event, Established):
            party.established = True
        elif isinstance(event, Ended):
            party.ended = event.reason
        elif isinstance(event, CloseChannel):
            party.closed.append(event.reason)

    def run(self, steps: int = 1_000_000) -> None:
        """Deliver until nothing is under way."""
        for _ in range(steps):
            waiting = [key for key, wire in self._wires.items() if wire]
            if not waiting:
                return
            self._deliver(*self.rng.choice(waiting))
        raise AssertionError("it does not end")

    def _deliver(self, way: str, channel: Channel) -> None:
        wire = self._wires[way, channel]
        item = wire.popleft()
        if isinstance(item, OpenChannel):
            self.act_as_client(self.client.ready(channel))
        elif isinstance(item, CloseChannel):
            if way == "up":
                self.act_as_server(self._server_lost(channel))
            else:
                self.act_as_client(self.client.lost(channel))
        else:
            assert isinstance(item, bytes)
            part = self.rng.randint(1, len(item))
            if part < len(item):
                wire.appendleft(item[part:])
            if way == "up":
                self.act_as_server(self.server.receive(self._peer[channel], self.who, item[:part]))
            else:
                self.act_as_client(self.client.receive(channel, item[:part]))

    def _server_lost(self, channel: Channel) -> list[RpchEvent]:
        connection = self._peer[channel].connection
        return connection.lost(self._peer[channel]) if connection is not None else []
