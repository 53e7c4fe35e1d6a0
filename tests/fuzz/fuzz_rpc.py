"""Targets of the RPC runtime: PDUs, the acceptor's states, trailers, the endpoint mapper and mgmt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from openchange_py.rpc.acceptor import Acceptor
from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.connection import Connection
from openchange_py.rpc.epmapper import EpmapperServer
from openchange_py.rpc.events import AuthTokenReceived, ConnectionEnded, Event, RequestReceived
from openchange_py.rpc.initiator import Initiator
from openchange_py.rpc.interface import OfferedInterfaces
from openchange_py.rpc.mgmt import MgmtServer, Statistics
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityContext, SecurityError
from openchange_py.wire.auth_trailer import SecTrailer, VerificationTrailer, split_verification_trailer
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.epm import EPMAPPER
from openchange_py.wire.mgmt import MGMT
from openchange_py.wire.named_pipe_auth import NamedPipeAuthRequest, messages_of, request_length
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import LITTLE_ENDIAN, decode_pdu
from tests.fuzz.target import target
from tests.rpc.echo import ECHO, OTHER
from tests.rpc.parties import Pair

#: What a server offers to fuzzed connections.
CALL_LIMIT = 1 << 16


class Lenient:
    """A security context that lets the input decide: a token of `R...` is refused, `M...` wants one leg more.

    Signatures of 16 equal bytes are right, so that the fuzzer reaches what is behind them.
    """

    always_signs_headers = False

    def __init__(self, auth_type: AuthType = AuthType.NTLMSSP) -> None:
        self.auth_type = auth_type
        self.complete = False
        self.identity: Identity | None = None

    def step(self, token: bytes) -> bytes:
        if token[:1] == b"R":
            raise SecurityError("refused")
        if token[:1] == b"M":
            return b"more"
        self.complete, self.identity = True, Identity("alice", "EXAMPLE")
        return b"T" if token[:1] == b"T" else b""

    def signature_size(self, level: AuthLevel) -> int:
        return 16

    def sign(self, message: bytes) -> bytes:
        return bytes(16)

    def verify(self, message: bytes, signature: bytes) -> None:
        if len(set(signature)) != 1 or len(signature) != 16:
            raise SecurityError("wrong signature")

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        return body, bytes(16)

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        self.verify(sealed, signature)
        return sealed


class LenientAuthenticator:
    """Has a context for every mechanism but Netlogon's."""

    def acceptor(self, auth_type: AuthType, peer: str, logon: object = None) -> SecurityContext | None:
        return None if auth_type == AuthType.NETLOGON else Lenient(auth_type)


def acceptor() -> Acceptor:
    """A server's fresh connection."""
    offered, groups = OfferedInterfaces([ECHO, OTHER]), AssociationGroups()
    return Acceptor(offered, groups, LenientAuthenticator(), peer="192.0.2.1:1", endpoint="1", call_limit=CALL_LIMIT)


def play(connection: Acceptor, data: bytes) -> list[Event]:
    """Feed bytes as a transport does: steps are made, calls answered; what the connection says must be PDUs."""
    events, seen = connection.receive_data(data), []
    while events:
        event = events.pop(0)
        seen.append(event)
        if isinstance(event, AuthTokenReceived):
            outcome: bytes | SecurityError
            try:
                outcome = event.context.step(event.token)
            except SecurityError as error:
                outcome = error
            events += connection.auth_result(outcome)
        elif isinstance(event, RequestReceived):
            assert len(event.stub) <= CALL_LIMIT, "more than the limit"
            check_pdus(connection.send_response(event, event.stub[:9000]))
            check_pdus(connection.send_fault(event, 5))
    check_pdus(connection.data_to_send())
    return seen


def check_pdus(data: bytes) -> None:
    """Whole PDUs that decode."""
    while data:
        length = int.from_bytes(data[8:10], "little" if data[4] & 0x10 else "big")
        assert 16 <= length <= len(data), "half a PDU was sent"
        decode_pdu(data[:length])
        data = data[length:]


def conversations() -> list[bytes]:
    """What real clients send, at every level."""
    found = []
    for level in (AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY):
        pair = Pair(level)
        sent: list[bytes] = []
        carry = pair.to_server

        def record(data: bytes, carry=carry, sent=sent) -> None:  # type: ignore[no-untyped-def]
            sent.append(data)
            carry(data)

        pair.to_server = record  # type: ignore[method-assign]
        pair.bind()
        for stub in (b"some stub of a call", bytes(9000)):
            pair.to_client(pair.server.send_response(pair.request(stub), stub))
        found += [b"".join(sent), *sent]
    return found


def shape(events: list[Event]) -> list[str]:
    """The kinds of events, to compare."""
    return [type(event).__name__ for event in events]


@target("pdu", conversations, longest=2048)
def fuzz_pdu(data: bytes) -> None:
    """Bytes to a server's connection, whole and byte by byte: the same happens, and nothing is raised."""
    whole = play(acceptor(), data)
    connection = acceptor()
    pieces = [event for index in range(len(data)) for event in play(connection, data[index : index + 1])]
    assert shape(whole) == shape(pieces)
    with contextlib.suppress(DecodeError):
        decode_pdu(data).pack()


def _framed(data: bytes) -> Iterator[bytes]:
    """PDUs with right headers around fuzzed bodies: type, flags, auth_length, body length, body."""
    pos = 0
    while pos + 5 <= len(data):
        ptype, flags, auth, length = data[pos], data[pos + 1], data[pos + 2], int.from_bytes(data[pos + 3 : pos + 5])
        body = data[pos + 5 : pos + 5 + length]
        pos += 5 + length
        head = bytes([5, 0, ptype, flags]) + LITTLE_ENDIAN
        yield head + (16 + len(body)).to_bytes(2, "little") + auth.to_bytes(2, "little") + bytes([1, 0, 0, 0]) + body


def _unframed() -> list[bytes]:
    """Conversations as `_framed` reads them."""
    found = []
    for conversation in conversations():
        out, rest = b"", conversation
        while len(rest) >= 16:
            length = int.from_bytes(rest[8:10], "little")
            body = rest[16:length]
            out += bytes([rest[2], rest[3], min(rest[10], 255)]) + len(body).to_bytes(2) + body
            rest = rest[length:]
        found.append(out)
    return found


@target("acceptor", _unframed, longest=8192)
def fuzz_acceptor(data: bytes) -> None:
    """Sequences of PDUs with right headers, through all states of a server's connection."""
    connection = acceptor()
    ended = False
    for pdu in _framed(data):
        events = play(connection, pdu)
        assert not (ended and events), "something happened after the end"
        ended = ended or any(isinstance(event, ConnectionEnded) for event in events)


@target("initiator", conversations, longest=8192)
def fuzz_initiator(data: bytes) -> None:
    """Bytes to a client's connection that has sent a bind, or a call."""
    for level, called in ((AuthLevel.NONE, False), (AuthLevel.NONE, True), (AuthLevel.PRIVACY, False)):
        context = Lenient() if level != AuthLevel.NONE else None
        client = Initiator(context, level, call_limit=CALL_LIMIT)
        client.send_bind([ECHO.syntax], b"token" if context else b"")
        if called:
            _receive(client, _bind_ack())
            client.send_request(0, 0, b"stub")
        _receive(client, data)


def _bind_ack() -> bytes:
    pair = Pair()
    pair.bind()
    return pair.trace[-1].pack()


def _receive(client: Connection, data: bytes) -> None:
    events = client.receive_data(data)
    while events:
        event = events.pop(0)
        if isinstance(event, AuthTokenReceived):
            outcome: bytes | SecurityError
            try:
                outcome = event.context.step(event.token)
            except SecurityError as error:
                outcome = error
            events += client.auth_result(outcome)  # type: ignore[attr-defined]
    check_pdus(client.data_to_send())


def _trailers() -> list[bytes]:
    trailer = VerificationTrailer.of(ECHO.syntax, NDR20, 1).pack()
    return [b"stub" + trailer, SecTrailer(10, 6, 1, bytes(16)).pack()]


@target("trailer", _trailers, longest=1024)
def fuzz_trailer(data: bytes) -> None:
    """Authentication and verification trailers at the end of a PDU or stub."""
    stub, trailer = split_verification_trailer(data)
    assert data.startswith(stub)
    if trailer is not None:
        assert data.endswith(trailer.pack())
        _ = trailer.bitmask, trailer.presentation_context, trailer.header, trailer.unknown_must_process
    with contextlib.suppress(DecodeError):
        found, start = SecTrailer.at_end(data[1:], data[0] if data else 0)
        assert found.pack() == data[1:][start:]


def _epm_seeds() -> Sequence[bytes]:
    found = []
    for opnum, method in EPMAPPER.methods.items():
        found += [bytes([opnum]) + bytes(size) for size in (0, 60) if method.request is not None]
    return found


def _pipe_seeds() -> Sequence[bytes]:
    return [NamedPipeAuthRequest(1, "pc", "192.0.2.7", 50000, "srv", "192.0.2.1", 445).pack(), conversations()[0]]


@target("pipe", _pipe_seeds, longest=1024)
def fuzz_pipe(data: bytes) -> None:
    """What comes over the socket of a named pipe: smbd's request, and PDUs to make messages of."""
    for read in (request_length, NamedPipeAuthRequest.unpack):
        with contextlib.suppress(DecodeError):
            read(data)
    with contextlib.suppress(EncodeError):
        assert sum(map(len, messages_of(data))) == len(data) + 2 * len(messages_of(data))


@target("epm", _epm_seeds)
def fuzz_epm(data: bytes) -> None:
    """Calls of the endpoint mapper and of mgmt: the first byte is the opnum."""
    if not data:
        return
    session = Session("ncacn_ip_tcp", "192.0.2.1:1")
    servers = (EpmapperServer(), MgmtServer([ECHO], Statistics()))
    for interface, server in ((EPMAPPER, servers[0]), (MGMT, servers[1])):
        call = Call(interface, data[0] & 7, data[1:], session)
        with contextlib.suppress(DecodeError, RpcFault):
            server.call(call)  # type: ignore[attr-defined]
            call.reply_bytes()
        for method in interface.methods.values():
            for kind in (method.request, method.response):
                with contextlib.suppress(DecodeError, EncodeError):
                    if kind is not None:
                        kind.unpack(kind.unpack(data).pack())
