"""An RPC proxy with an echo server behind it, and clients, for tests of RPC over HTTP."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openchange_py.auth.http import Scheme, WebLogons
from openchange_py.auth.http_initiator import PasswordLogon
from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.rpch_server import RpchSettings, ServerVirtualConnection
from openchange_py.rpc.security import AuthLevel
from openchange_py.rpc.web_logon import WebInitiator
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http import HttpServer
from openchange_py.transports.http_client import Place
from openchange_py.transports.http_request import HttpResource
from openchange_py.transports.rpch import PATHS, RpchServer, RpcProxy
from openchange_py.transports.rpch_client import RpcProxyPlace, connect
from openchange_py.transports.tcp import TcpLimits
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.transports.tls import ClientTls, TlsCertificate
from openchange_py.transports.web_logon import Authenticated
from openchange_py.wire.rpch import rts
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.rpc.echo import ECHO, EchoHandler
from tests.rpc.parties import ntlm
from tests.transports.http_parties import RawClient, make_pair, trusting

VC, OUT, IN = (uuid.UUID(int=number) for number in (1, 2, 3))


class _Telling(RpcProxy):
    def __init__(self, forgotten: asyncio.Event, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._forgotten = forgotten

    def forget(self, connection: ServerVirtualConnection) -> None:
        super().forget(connection)
        self._forgotten.set()


class Proxy:
    """A running one, and what tests want to know of it."""

    def __init__(
        self,
        folder: Path | None,
        settings: RpchSettings,
        limits: TcpLimits,
        colleagues: Colleagues | None = None,
        **options: Any,
    ) -> None:
        self.handler = EchoHandler()
        self.metrics = Metrics()
        self.groups = AssociationGroups("ncacn_http", share=colleagues.share if colleagues is not None else None)
        options["colleagues"] = colleagues
        self.accounts = authenticator()
        self.server = RpchServer(
            self.handler, self.accounts, limits=limits, groups=self.groups, metrics=self.metrics, **options
        )
        #: A virtual connection ended.
        self.forgotten = asyncio.Event()
        self.proxy = _Telling(self.forgotten, {6001: self.server}, settings=lambda: settings, colleagues=colleagues)
        self.port = 0
        self.trusted = None
        self.client_tls: ClientTls | None = None
        self.tls = None
        resource: HttpResource = self.proxy
        if folder is not None:
            certificate, key = folder / "localhost.crt", folder / "localhost.key"
            if not key.exists():  # workers have the same
                make_pair(folder)
            self.tls, self.trusted = TlsCertificate(certificate, key), trusting(certificate)
            self.client_tls = ClientTls(certificate)
            logons = WebLogons(self.accounts, (Scheme.NEGOTIATE, Scheme.NTLM, Scheme.BASIC))
            resource = Authenticated(self.proxy, logons, self.metrics)
        self.http = HttpServer(
            dict.fromkeys(PATHS, resource), tls=self.tls, metrics=self.metrics, colleagues=colleagues
        )

    def basic(self, user: str = "alice") -> str:
        """An Authorization field."""
        return f"Authorization: Basic {base64.b64encode(f'{user}:{PASSWORD}'.encode()).decode()}"

    def place(self, logon: WebInitiator | None = None) -> RpcProxyPlace:
        """Where it is; with a password where it wants one, unless there is another logon."""
        if self.client_tls is None:
            return RpcProxyPlace(Place("127.0.0.1", self.port), "exch1", 6001, logon=logon)
        place = Place("localhost", self.port, self.client_tls)
        return RpcProxyPlace(place, "exch1", 6001, logon=logon or PasswordLogon("alice", PASSWORD))

    async def client(
        self, level: AuthLevel = AuthLevel.NONE, *, logon: WebInitiator | None = None, **options: Any
    ) -> RpcClient:
        """A connected one."""
        context = ntlm(level, PASSWORD, "alice") if level != AuthLevel.NONE else None
        return await connect(self.place(logon), ECHO, context=context, level=level, **options)


@asynccontextmanager
async def proxying(
    folder: Path | None = None,
    *,
    settings: RpchSettings | None = None,
    limits: TcpLimits | None = None,
    **options: Any,
) -> AsyncIterator[Proxy]:
    """A running proxy: with TLS and authentication where there is a folder for the certificate."""
    proxy = Proxy(folder, settings or RpchSettings(), limits or TcpLimits(), **options)
    _, proxy.port = await proxy.http.start("127.0.0.1", 0, purpose="http")
    try:
        yield proxy
    finally:
        await proxy.http.stop()
        await proxy.server.stop()


def a1(cookie: uuid.UUID = VC, window: int = 0x10000) -> bytes:
    return rts("CONN/A1", 1, cookie, OUT, window).pack()


def b1(cookie: uuid.UUID = VC) -> bytes:
    return rts("CONN/B1", 1, cookie, IN, 1 << 30, 300_000, uuid.UUID(int=9)).pack()


def head(
    direction: str, *fields: str, length: int | None = None, target: str = "exch1:6001", version: str = "1.1"
) -> str:
    """A channel's request."""
    if length is None:
        length = 76 if direction == "OUT" else 1 << 30
    lines = [f"RPC_{direction}_DATA {PATHS[0]}?{target} HTTP/{version}", "Host: exch1", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *fields]) + "\r\n\r\n"


async def open_half(client: RawClient, direction: str, cookie: uuid.UUID = VC, *fields: str) -> None:
    """A channel with its first PDU."""
    client.send(head(direction, *fields))
    client.send(a1(cookie) if direction == "OUT" else b1(cookie))
