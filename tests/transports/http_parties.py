"""An HTTP server with a resource that does what a path says, and raw clients, for tests of HTTP."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from openchange_py.transports.http import HttpServer
from openchange_py.transports.http_message import HttpError
from openchange_py.transports.http_request import HttpReceiver, HttpRequest


class Shouter(HttpReceiver):
    """Answers every byte in upper case; a full stop ends it."""

    def __init__(self) -> None:
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())
        if b"." in data:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def shut_down(self) -> None:
        self.transport.write(b"BYE")
        self.transport.close()


class Everything:
    """A resource whose answer is the method with the last part of the path's name."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.shouters: list[Shouter] = []
        self.cancelled = asyncio.Event()
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    async def handle(self, request: HttpRequest) -> None:
        self.requests.append(request)
        await getattr(self, request.path.rsplit("/", 1)[1].lower())(request)

    def shut_down(self) -> None:
        self.go_on.set()

    async def echo(self, request: HttpRequest) -> None:
        request.allow("POST", "GET", "HEAD")
        await request.respond(200, await request.read(200_000) or b"nothing", [("X-Number", str(len(self.requests)))])

    async def unread(self, request: HttpRequest) -> None:
        await request.respond(401, b"no")

    async def ticks(self, request: HttpRequest) -> None:
        request.start(200)
        for number in range(3):
            await request.write(b"tick %d\n" % number)
        await request.end()

    async def flood(self, request: HttpRequest) -> None:
        request.start(200)
        for _ in range(1000):
            await request.write(bytes(1 << 16))
        await request.end()

    async def shout(self, request: HttpRequest) -> None:
        self.shouters.append(Shouter())
        request.start(200, [("Content-Length", "1073741824")])
        request.take_over(self.shouters[-1])

    async def fail(self, request: HttpRequest) -> None:
        raise ZeroDivisionError("a secret")

    async def refuse(self, request: HttpRequest) -> None:
        raise HttpError(418, "no coffee", [("X-Pot", "tea")])

    async def silent(self, request: HttpRequest) -> None:
        pass

    async def wait(self, request: HttpRequest) -> None:
        self.waiting.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await request.respond(200, b"went on")


@asynccontextmanager
async def http_serving(**options: Any) -> AsyncIterator[tuple[HttpServer, Everything, int]]:
    """A running server, its resource, and its port."""
    resource = Everything()
    server = HttpServer({"/x": resource}, **options)
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield server, resource, port
    finally:
        await server.stop()


class RawClient:
    """Sends bytes, reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)

    async def answer(self, data: bytes | str = b"", *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, fields (lower-case names) and body of the next answer."""
        self.send(data)
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if head or status in (100, 204):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, b"".join(await self.chunks())
        return status, fields, await self.reader.readexactly(int(fields["content-length"]))

    async def chunks(self) -> list[bytes]:
        found = []
        while size := int(await self.reader.readline(), 16):
            found.append(await self.reader.readexactly(size))
            assert await self.reader.readline() == b"\r\n"
        assert await self.reader.readline() == b"\r\n"
        return found

    async def closed(self) -> bytes:
        """What comes until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def raw_client(
    port: int, context: ssl.SSLContext | None = None, name: str = "localhost"
) -> AsyncIterator[RawClient]:
    """A connection, to a server of that name."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name if context else None
    )
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


def get(path: str, *fields: str, method: str = "GET", body: str | None = None) -> str:
    """A request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + (body or "")


def make_pair(place: Path, name: str = "localhost", algorithm: hashes.HashAlgorithm | None = None) -> tuple[Path, Path]:
    """A certificate and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, algorithm or hashes.SHA256())
    )
    paths = place / f"{name}.crt", place / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's context that believes in one certificate."""
    return ssl.create_default_context(cafile=str(certificate))
