"""A DCE/RPC connection without its socket: bytes in, events out, in either role.

C706 chapter 9 and 12.6, [MS-RPCE] 3.3. `Connection` has what both roles share: framing, the states, the legal
transitions as a table, joining of fragments, protection. `acceptor.py` and `initiator.py` are the roles.

Not done yet: several security contexts on one connection, concurrent multiplexing (calls whose fragments
interleave), big-endian peers.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar, Final

from openchange_py.rpc.events import ConnectionEnded, Event
from openchange_py.rpc.fragments import DEFAULT_FRAGMENT, Assembly, Framer
from openchange_py.rpc.protection import Protection
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.pdu import Pdu, PduType, decode_pdu

#: The most bytes that all fragments of one call may have together.
DEFAULT_CALL_LIMIT: Final = 16 << 20


class State(enum.Enum):
    """Where a connection is. An acceptor never is in BINDING, an initiator never in REFUSED."""

    IDLE = "nothing was bound"
    BINDING = "bind or alter_context was sent, the answer is awaited"
    STEPPING = "a token was given to the security context, its outcome is awaited; nothing is read"
    AUTHENTICATING = "the peer's next authentication leg is awaited"
    OPEN = "calls can be made"
    REFUSED = "the last authentication leg, which has no answer, failed; the next call tells it"
    CLOSED = "nothing more is read"

    # A state is looked up for every PDU; Enum's own hash is Python code.
    __hash__ = object.__hash__


Transitions = Mapping[State, Mapping[PduType, str]]


class WrongState(RuntimeError):
    """Our own code asked for what the connection's state does not allow."""


class Connection:
    """What acceptor and initiator share. A subclass declares its transitions and their methods."""

    #: Which PDUs are legal in a state, and the method that takes them: `(pdu, raw, events)`.
    transitions: ClassVar[Transitions] = {}

    def __init__(self, *, max_fragment: int = DEFAULT_FRAGMENT, call_limit: int = DEFAULT_CALL_LIMIT) -> None:
        self.state = State.IDLE
        self.max_xmit_frag = max_fragment
        self.max_recv_frag = max_fragment
        self.protection: Protection | None = None
        self._call_limit = call_limit
        self._framer = Framer()
        self._assembly: Assembly | None = None
        self._out: list[bytes] = []

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the network. Whatever they are, the result is events, never an exception."""
        events: list[Event] = []
        if self.state is not State.CLOSED:
            self._framer.feed(data)
            self._read(events)
        return events

    @property
    def unfinished(self) -> str:
        """What the peer began to say, and would leave unsaid if it went now; empty where that is nothing."""
        if self.state in (State.STEPPING, State.CLOSED):
            return ""
        if self._framer.pending:
            return f"a PDU of which {self._framer.pending} bytes came"
        return f"call {self._assembly.call_id} without its last fragment" if self._assembly is not None else ""

    def data_to_send(self) -> bytes:
        """What the connection has to say by itself, to be written before anything that is sent later."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _read(self, events: list[Event]) -> None:
        """Take all whole PDUs, as long as the state lets the connection read."""
        while self.state is not State.STEPPING and self.state is not State.CLOSED:
            try:
                raw = self._framer.next()
            except DecodeError as error:
                self._end(events, f"no PDU: {error}")
                return
            if raw is None:
                return
            self._receive(raw, events)

    def _receive(self, raw: bytes, events: list[Event]) -> None:
        try:
            pdu = decode_pdu(raw)
        except DecodeError as error:
            self._undecodable(raw, error, events)
            return
        method = self.transitions[self.state].get(pdu.ptype)
        if method is None:
            self._illegal(pdu, events)
        else:
            getattr(self, method)(pdu, raw, events)

    def _undecodable(self, raw: bytes, error: DecodeError, events: list[Event]) -> None:
        raise NotImplementedError(type(self).__name__)

    def _illegal(self, pdu: Pdu, events: list[Event]) -> None:
        raise NotImplementedError(type(self).__name__)

    def _end(self, events: list[Event], reason: str) -> None:
        self.state = State.CLOSED
        self._assembly = None
        events.append(ConnectionEnded(reason))
