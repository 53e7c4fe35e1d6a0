"""Targets of HTTP: a connection with a MAPI over HTTP endpoint behind, Authorization fields, tokens, bodies."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from pathlib import Path
from typing import Any

from openchange_py.auth.bearer import BearerTokens, Issuer, KeySet, KeySetError, parse_keys
from openchange_py.auth.http import Scheme, WebLogons
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.rpc.web_logon import Channel
from openchange_py.transports.http import HttpLimits, HttpServer
from openchange_py.transports.http_connection import HttpConnection
from openchange_py.transports.oxcmapihttp import MailboxEndpoint
from openchange_py.transports.web_logon import Authenticated
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcmapihttp import MAILBOX_TYPES, ConnectRequest, ExecuteRequest, split_answer
from openchange_py.wire.oxcmapihttp_calls import ADDRESS_BOOK, MAILBOX
from openchange_py.wire.oxcmapihttp_nspi import ADDRESS_BOOK_TYPES
from tests.auth.ntlm_parties import Accounts, authenticator
from tests.auth.test_http import basic
from tests.fuzz.fuzz_transports import _Socket
from tests.fuzz.target import target
from tests.transports.http_parties import get
from tests.transports.mapi_parties import Handler, MapiClient
from tests.wire.test_oxcmapihttp_calls import HANDLE

_CODECS = [codec for pair in (*MAILBOX_TYPES.values(), *ADDRESS_BOOK_TYPES.values()) for codec in pair]
_TRANSLATIONS = [*MAILBOX.values(), *ADDRESS_BOOK.values()]
_CHANNEL = Channel("192.0.2.7:50000", secure=True)
#: Turns of the loop in which a request is answered.
_TURNS = 12


def _body_seeds() -> list[bytes]:
    bodies = [ConnectRequest(b"/o=x", 0, 1252, 1033, 1033).pack(), ExecuteRequest(3, b"rops", 0x8000).pack()]
    return [bytes([kind]) + body for kind in range(len(_CODECS)) for body in bodies[:1]] + [b"\2" + bodies[1]]


@target("mapihttp", _body_seeds)
def mapihttp(data: bytes) -> None:
    """Every body of MAPI over HTTP: garbage is refused, what is read is written again, requests become calls."""
    if not data:
        return
    codec, body = _CODECS[data[0] % len(_CODECS)], data[1:]
    with contextlib.suppress(DecodeError):
        split_answer(body)
    try:
        read = codec.unpack(body)
    except DecodeError:
        return
    with contextlib.suppress(EncodeError):
        assert codec.unpack(read.pack()).pack() == read.pack()
    for translation in _TRANSLATIONS:
        if translation.request_body is codec:
            with contextlib.suppress(DecodeError, EncodeError):
                translation.request(read, HANDLE).pack()


def _http_seeds() -> list[bytes]:
    client = MapiClient(authorization=basic())
    requests = [
        get("/mapi/emsmdb/", "Authorization: NTLM TlRMTVNTUAABAAAAl4II4AAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw=="),
        get("/mapi/emsmdb", "Transfer-Encoding: chunked", method="POST") + "3\r\nabc\r\n0\r\n\r\n",
        get("http://x.test/%41?q", "Expect: 100-continue", "Content-Length: 3", method="RPC_IN_DATA") + "abc",
    ]
    connect = client.message("Connect", ConnectRequest(b"/o=x", 0, 1252, 1033, 1033))
    return [*(text.encode() for text in requests), connect, connect + client.message("PING"), b"", b"\r\n\r\n"]


@target("http", _http_seeds)
def http(data: bytes) -> None:
    """A connection whose client sends anything, whole and in pieces: answers or refusals, and nothing left behind."""
    for step in (len(data) or 1, 7):
        asyncio.run(_conversation(data, step))


async def _conversation(data: bytes, step: int) -> None:
    metrics = Metrics()
    endpoint = MailboxEndpoint(Handler(), metrics=metrics)
    guarded = Authenticated(endpoint, WebLogons(authenticator()), metrics)
    server = HttpServer({"/mapi/emsmdb": guarded}, metrics=metrics, limits=HttpLimits(body_size=4096))
    connection = HttpConnection(server, 1, "192.0.2.7", 50000)
    assert server._connections.admit(connection, server.limits)
    socket = _Socket()
    connection.connection_made(socket)
    for start in range(0, len(data), step):
        if not socket.closed:
            connection.data_received(data[start : start + step])
            await asyncio.sleep(0)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    await endpoint.stop()
    await server.stop()
    assert server.held == 0
    assert not metrics.open_connections["http"]
    assert not re.search(rb"Traceback|HTTP/1.1 500", bytes(socket.written))


def _field_seeds() -> list[bytes]:
    return [basic().encode(), b"NTLM TlRMTVNTUAABAAAAl4II4A==", b"Negotiate YBg=", b"Bearer a.b.c", b"Basic", b""]


@target("http_logon", _field_seeds)
def http_logon(data: bytes) -> None:
    """Authorization fields, line by line: refused, or the one whose password is among the seeds."""
    logon = WebLogons(authenticator(), list(Scheme), bearer=_tokens()).logon()
    for line in data.split(b"\n")[:8]:
        outcome = logon.step(line.decode("latin-1").strip(), _CHANNEL)
        if outcome.identity is not None:
            assert outcome.identity.level is AuthLevel.PRIVACY
            assert outcome.identity.account == "alice"
    logon.close()


@functools.cache
def _tokens() -> BearerTokens:
    issuer = Issuer("https://login.example.test/", ["aud"])
    return BearerTokens(issuer, KeySet(Path("/nonexistent/keys")), Accounts(), "EXAMPLE")


@target("jwt", lambda: [b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}', b"e30.e30.AA", b"[]"])
def jwt(data: bytes) -> None:
    """Tokens and key sets that nobody signed or made: refused, whatever they are."""
    with contextlib.suppress(KeySetError):
        parse_keys(data)
    text: Any = data.decode("latin-1")
    try:
        _tokens().identity(text)
    except SecurityError:
        return
    raise AssertionError("a token was taken")
