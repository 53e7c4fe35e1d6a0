"""The HTTP client against our server, and against servers that mean harm."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.http import Bindings, WebLogons
from openchange_py.auth.http_initiator import MechanismLogon, PasswordLogon
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.security import AuthLevel
from openchange_py.rpc.web_logon import WebInitiator
from openchange_py.transports.http import HttpServer
from openchange_py.transports.http_client import HttpClient, Place
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost
from openchange_py.transports.tls import ClientTls, TlsCertificate
from openchange_py.transports.web_logon import Authenticated
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.transports.http_parties import Everything, http_serving, make_pair
from tests.transports.serving import run


def ntlm(password: str = PASSWORD) -> WebInitiator:
    async def make(bindings: ChannelBindings | None) -> Mechanism:
        return NtlmInitiator(NtlmCredential.from_password("alice", "", password), level=AuthLevel.CONNECT)

    return MechanismLogon(make)


def spnego() -> WebInitiator:
    async def make(bindings: ChannelBindings | None) -> Mechanism:
        return NtlmInitiator(NtlmCredential.from_password("alice", "", PASSWORD), level=AuthLevel.CONNECT)

    return MechanismLogon(make, spnego=True)


@contextlib.asynccontextmanager
async def guarded(folder: Path, bindings: Bindings = Bindings.REQUIRED) -> AsyncIterator[tuple[Everything, Place]]:
    """HTTPS with accounts: the resource, and where it is."""
    certificate, key = make_pair(folder)
    resource = Everything()
    web = Authenticated(resource, WebLogons(authenticator(), bindings=bindings), Metrics())
    server = HttpServer({"/x": web}, tls=TlsCertificate(certificate, key))
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield resource, Place("127.0.0.1", port, ClientTls(certificate), "localhost")
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[Place]:
    """A server that says so, whatever it is asked, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Place("127.0.0.1", server.sockets[0].getsockname()[1])


def test_requests_one_after_the_other_whole_and_in_pieces() -> None:
    async def main() -> None:
        async with http_serving() as (_, resource, port):
            client = await HttpClient.connect(Place("127.0.0.1", port))
            body = bytes(range(256)) * 500
            for number in (1, 2):
                answer = await client.request("POST", "/x/echo", [], body)
                assert (answer.status, answer.body, answer.headers.get("x-number")) == (200, body, str(number))
            assert (await client.request("GET", "/x/ticks", [])).body == b"tick 0\ntick 1\ntick 2\n"
            assert resource.requests[0].host == f"127.0.0.1:{port}"
            assert client.connected
            await client.close()
            with pytest.raises(ConnectionLost, match="closed here"):
                await client.request("GET", "/x/echo", [])

    run(main)


@pytest.mark.parametrize("scheme", [ntlm, spnego, lambda: PasswordLogon("alice", PASSWORD)])
def test_logons_through_tls_name_its_channel(tmp_path: Path, scheme: type[MechanismLogon]) -> None:
    async def main() -> None:
        async with guarded(tmp_path) as (resource, place):
            client = await HttpClient.connect(place)
            answer = await client.log_on(scheme(), "POST", "/x/echo", [])
            assert (answer.status, answer.body) == (200, b"nothing")
            assert (await client.request("POST", "/x/echo", [], b"more")).body == b"more"
            assert [request.caller.account for request in resource.requests] == ["alice", "alice"]
            assert client.server_names[-1] == "127.0.0.1"
            if scheme in (ntlm, spnego):
                assert client.server_names[0] == "EXCH1"
            await client.close()

    run(main)


def test_a_logon_that_is_refused_and_one_that_is_not_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with guarded(tmp_path) as (resource, place):
            for initiator in (ntlm("wrong"), PasswordLogon("alice", "wrong")):
                client = await HttpClient.connect(place)
                with pytest.raises(AuthenticationFailed, match="refuses the logon"):
                    await client.log_on(initiator, "POST", "/x/echo", [])
                await client.close()
            assert resource.requests == []
        async with http_serving() as (_, _, port):
            client = await HttpClient.connect(Place("127.0.0.1", port))
            with pytest.raises(AuthenticationFailed, match="does not ask"):
                await client.log_on(ntlm(), "POST", "/x/echo", [])
            await client.close()
        async with saying(
            b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
        ) as open_:
            client = await HttpClient.connect(open_)
            with pytest.raises(AuthenticationFailed, match="without TLS"):
                await client.log_on(PasswordLogon("alice", PASSWORD), "POST", "/x/echo", [])
            await client.close()

    run(main)


def test_whom_a_client_believes(tmp_path: Path) -> None:
    async def main() -> None:
        async with guarded(tmp_path) as (_, place):
            certificate = (tmp_path / "localhost.crt").read_text()
            pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
            other = make_pair(tmp_path, "other")[0]
            for tls, name, refusal in (
                (ClientTls(tmp_path / "localhost.crt"), "elsewhere.test", "elsewhere.test"),
                (ClientTls(other), "localhost", "self-signed certificate"),
                (ClientTls(), "localhost", "self-signed certificate"),
                (ClientTls(pin="00" * 32), "localhost", "another certificate than the pinned one"),
                (ClientTls(pin=pin.upper()), "elsewhere.test", ""),
            ):
                connecting = HttpClient.connect(Place(place.host, place.port, tls, name))
                if refusal:
                    with pytest.raises(ConnectionLost, match=refusal):
                        await connecting
                else:
                    await (await connecting).close()

    run(main)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Field: %s\r\n" % (b"y" * 1000) * 100, "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n" + bytes(5000), "more than 4096 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffffffff\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + bytes(5000), "more than 4096 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "malformed"),
        (b"", "malformed"),
    ],
)
def test_answers_that_are_none(answer: bytes, reason: str) -> None:
    async def main() -> None:
        async with saying(answer) as place:
            client = await HttpClient.connect(place)
            with pytest.raises(ConnectionLost, match=reason):
                await client.request("POST", "/", [], b"", limit=4096)
            assert not client.connected
            await client.close()

    run(main)


def test_a_server_that_speaks_unasked_or_wants_no_more() -> None:
    async def main() -> None:
        async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n") as place:
            client = await HttpClient.connect(place)
            assert (await client.request("GET", "/", [])).status == 200
            assert not client.connected
            await client.close()
        async with saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end") as place:
            client = await HttpClient.connect(place)
            assert (await client.request("GET", "/", [])).body == b"to the end"
            assert not client.connected
            await client.close()

    run(main)
