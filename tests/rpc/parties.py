"""Two connections without sockets that talk to each other, with real NTLM between them."""

from __future__ import annotations

from typing import Any

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.acceptor import Acceptor
from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.connection import Connection
from openchange_py.rpc.events import AuthTokenReceived, Event, RequestReceived
from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.interface import OfferedInterfaces
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Identity, SecurityContext, SecurityError
from openchange_py.wire.pdu import Pdu, decode_pdu
from tests.auth.ntlm_parties import PASSWORD, PEER, authenticator
from tests.rpc.echo import ECHO, OTHER

LEVELS = [AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.PACKET, AuthLevel.INTEGRITY, AuthLevel.PRIVACY]


def ntlm(level: AuthLevel, password: str = PASSWORD, user: str = "alice") -> SecurityContext | None:
    """A client's security context; None at level NONE."""
    if level == AuthLevel.NONE:
        return None
    return NtlmInitiator(NtlmCredential.from_password(user, "EXAMPLE", password), level=level)


def server(
    *, groups: AssociationGroups | None = None, call_limit: int = 1 << 20, transport_caller: Identity = ANONYMOUS
) -> Acceptor:
    """A server's connection that offers ECHO and OTHER."""
    return Acceptor(
        OfferedInterfaces([ECHO, OTHER]),
        AssociationGroups() if groups is None else groups,
        authenticator(),
        peer=PEER,
        endpoint="6001",
        call_limit=call_limit,
        transport_caller=transport_caller,
    )


def settle(connection: Connection, events: list[Event]) -> list[Event]:
    """Do the authentication steps that the events ask for; the events that are left."""
    left: list[Event] = []
    while events:
        event = events.pop(0)
        if not isinstance(event, AuthTokenReceived):
            left.append(event)
            continue
        outcome: bytes | SecurityError
        try:
            outcome = event.context.step(event.token)
        except SecurityError as error:
            outcome = error
        events += connection.auth_result(outcome)  # type: ignore[attr-defined]
    return left


class Pair:
    """A client and a server; `trace` is what went over the wire."""

    def __init__(self, level: AuthLevel = AuthLevel.NONE, *, password: str = PASSWORD, **options: Any) -> None:
        self.context = ntlm(level, password)
        self.client = Initiator(self.context, level)
        self.server = server(**options)
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []
        self.trace: list[Pdu] = []

    def bind(self) -> None:
        """Bind to ECHO, and authenticate."""
        token = self.context.step(b"") if self.context else b""
        self.to_server(self.client.send_bind([ECHO.syntax], token))

    def to_server(self, data: bytes) -> None:
        """Carry bytes to the server, and then back and forth until both are silent."""
        while data:
            self.trace += pdus(data)
            self.server_events += settle(self.server, self.server.receive_data(data))
            data = self.to_client(self.server.data_to_send())

    def to_client(self, data: bytes) -> bytes:
        """Carry bytes to the client; what it answers."""
        self.trace += pdus(data)
        self.client_events += settle(self.client, self.client.receive_data(data))
        return self.client.data_to_send()

    def request(self, stub: bytes, opnum: int = 0, context_id: int = 0) -> RequestReceived:
        """Make a call; the request as it arrived."""
        _, data = self.client.send_request(context_id, opnum, stub)
        self.to_server(data)
        event = self.server_events[-1]
        assert isinstance(event, RequestReceived), self.server_events
        return event


def pdus(data: bytes) -> list[Pdu]:
    """The PDUs in a stretch of bytes."""
    found = []
    while data:
        length = int.from_bytes(data[8:10], "little" if data[4] & 0xF0 else "big")
        found.append(decode_pdu(data[:length]))
        data = data[length:]
    return found
