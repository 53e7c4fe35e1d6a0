"""MAPI over HTTP with TLS and accounts, and clients of ours for it, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.http import WebLogons
from openchange_py.rpc.call import CallHandler
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.http import HttpServer
from openchange_py.transports.http_client import Place
from openchange_py.transports.oxcmapihttp import AddressBookEndpoint, EndpointLimits, MailboxEndpoint
from openchange_py.transports.oxcmapihttp_client import MapiEndpoints
from openchange_py.transports.tls import ClientTls, TlsCertificate
from openchange_py.transports.web_logon import Authenticated
from tests.auth.ntlm_parties import NAMES, Accounts
from tests.transports.http_parties import make_pair


@asynccontextmanager
async def https_serving(
    handler: CallHandler, folder: Path, limits: EndpointLimits | None = None, **options: Any
) -> AsyncIterator[MapiEndpoints]:
    """Where it is. Its certificate is `localhost.crt` in the folder."""
    certificate, key = (folder / "localhost.crt", folder / "localhost.key")
    if not certificate.exists():
        make_pair(folder)
    metrics, logons = Metrics(), WebLogons(LocalAuthenticator(Accounts(), NAMES))
    mailbox = MailboxEndpoint(handler, limits=limits, metrics=metrics)
    book = AddressBookEndpoint(handler, limits=limits, metrics=metrics)
    resources = {
        "/mapi/emsmdb": Authenticated(mailbox, logons, metrics),
        "/mapi/nspi": Authenticated(book, logons, metrics),
    }
    server = HttpServer(resources, metrics=metrics, tls=TlsCertificate(certificate, key), **options)
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield MapiEndpoints(Place("127.0.0.1", port, ClientTls(certificate), "localhost"))
    finally:
        await server.stop()
        await mailbox.stop()
        await book.stop()
