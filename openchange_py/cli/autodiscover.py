"""Autodiscover as configured: what is offered, over HTTP and, to look at it, without a server (`ocpy testparm`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from xml.dom import minidom

from openchange_py.addressbook.base import Directory
from openchange_py.cli.directory import open_directory
from openchange_py.config import Settings, declared
from openchange_py.config.declared import EMSMDB
from openchange_py.config.routes import routes
from openchange_py.rpc.log_context import in_this_context
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover import soap
from openchange_py.servers.autodiscover.markup import MAXIMUM_SIZE, document, element
from openchange_py.servers.autodiscover.pox import OUTLOOK, REQUESTS
from openchange_py.servers.autodiscover.server import PREFIX, SERVICES, Answer, AutodiscoverServer, Request
from openchange_py.servers.autodiscover.settings import Offer
from openchange_py.transports.http_request import HttpRequest

_HTTPS: Final = 443
_THREADS: Final = 4


def offer(settings: Settings, served: Collection[str], port: int) -> Offer:
    """What a node offers that serves these paths over HTTP. `port` is where its clients find HTTPS."""
    relayed = {route.interface for route in routes(settings) if route.server is None}
    return Offer(
        netbios=settings[declared.NETBIOS_NAME],
        internal_host=settings[declared.FQDN].lower(),
        external_host=settings[declared.EXTERNAL_FQDN].lower(),
        https_port=port,
        mapi_http={"/mapi/emsmdb", "/mapi/nspi"} <= set(served),
        # Its clients know no other port.
        rpc_http=port == _HTTPS and any(path.startswith("/rpc/") for path in served),
        authentication=tuple(name for name in settings[declared.HTTP_AUTHENTICATION] if name != "bearer"),
        relays=EMSMDB in relayed,
        hides_servers=bool(relayed) and settings[declared.REPLACE_NAMES],
        activesync_url=settings[declared.ACTIVESYNC_URL],
        mail_domain=settings[declared.MAIL_DOMAIN],
    )


def https_port(settings: Settings, bound: Collection[tuple[str, int]] = ()) -> int:
    """The port of HTTPS for clients: the bound one, the configured one, or that of a proxy in front, which is 443."""
    configured = settings[declared.HTTPS_PORT]
    for _, port in bound:
        return port
    return configured if isinstance(configured, int) and configured else _HTTPS


class AutodiscoverResource:
    """Answers requests over HTTP; `authenticate` tells who sent one."""

    def __init__(self, server: AutodiscoverServer, authenticate: Callable[[HttpRequest], Awaitable[Identity]]) -> None:
        self._server = server
        self._authenticate = authenticate
        # Threads of its own: they may wait for the server relayed to, which takes others of the loop's.
        self._threads = ThreadPoolExecutor(_THREADS, "autodiscover")

    async def handle(self, request: HttpRequest) -> None:
        """See `HttpResource`."""
        asked = _asked(request)
        answer = self._server.answer_anybody(asked)
        if answer is None:
            answer = await self._answer_known(request, asked)
        await request.respond(answer.status, answer.body, answer.fields)

    async def _answer_known(self, request: HttpRequest, asked: Request) -> Answer:
        # Who is asked for a password sees them too.
        request.response_fields += SERVICES
        caller = await self._authenticate(request)
        body = await request.read(MAXIMUM_SIZE)
        answer = in_this_context(self._server.answer)
        return await asyncio.get_running_loop().run_in_executor(self._threads, answer, asked, caller, body)

    def is_public(self, request: HttpRequest) -> bool:
        """See `PublicResource`."""
        return self._server.answer_anybody(_asked(request)) is not None

    def shut_down(self) -> None:
        """Nothing waits here."""


def _asked(request: HttpRequest) -> Request:
    headers: dict[str, str] = {}
    for name, value in request.headers:
        headers.setdefault(name, value)
    return Request(request.method, request.path, request.query, headers, request.channel.secure)


# Without a server


def answers_for(settings: Settings, address: str) -> dict[str, Any]:
    """What the user of that address would be told, document by document, and which DNS records lead clients here.

    Raises `DirectoryError`.
    """
    # Imported only here: it imports the whole HTTP server.
    from openchange_py.cli.web import served

    offered = offer(settings, served(settings), https_port(settings))
    with contextlib.closing(open_directory(settings)) as directory:
        directory.organization()  # an error that says what to do
        server = AutodiscoverServer(directory, lambda: offered)
        caller = _himself(directory, address)
        pox, soap_page = f"{PREFIX}/autodiscover.xml", f"{PREFIX}/autodiscover.svc"

        def post(page: str, body: bytes, **headers: str) -> dict[str, Any]:
            asked = Request("POST", page, "", {name.replace("_", "-"): text for name, text in headers.items()}, True)
            return _shown(server.answer(asked, caller, body))

        query = Request("GET", f"{PREFIX}/autodiscover.json/v1.0/{address}", "Protocol=AutodiscoverV1", {}, True)
        second = server.answer_anybody(query)
        assert second is not None
        return {
            "address": address,
            "https": settings[declared.HTTPS_PORT] is not None,
            "pox": post(pox, _pox_request(address)),
            "pox_mapi_http": post(pox, _pox_request(address), x_mapihttpcapability="1"),
            "soap": post(soap_page, soap.request_all(address)),
            "json": _shown(second),
            "dns": dns_records(settings, offered, address.rpartition("@")[2]),
        }


def _himself(directory: Directory, address: str) -> Identity:
    entry = directory.by_address(address) if "@" in address else None
    return Identity(entry.account if entry is not None and entry.account else "nobody")


def _pox_request(address: str) -> bytes:
    asked = element("Request", element("EMailAddress", address), element("AcceptableResponseSchema", OUTLOOK))
    return document(element("Autodiscover", asked, xmlns=REQUESTS[0]))


def _shown(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "body": answer.body.decode()}


def dns_records(settings: Settings, offered: Offer, domain: str) -> list[str]:
    """Zone file lines, either of which is enough; none for a domain that is not this organization's."""
    if domain.casefold() != settings[declared.MAIL_DOMAIN].casefold():
        return []
    host = offered.external_host
    records = [f"_autodiscover._tcp.{domain}. IN SRV 0 0 {offered.https_port} {host}."]
    if offered.https_port == _HTTPS and host != f"autodiscover.{domain}":
        records.insert(0, f"autodiscover.{domain}. IN CNAME {host}.")
    return records


_TITLES: Final = {
    "pox": "Outlook, without X-MapiHttpCapability",
    "pox_mapi_http": "Outlook, with X-MapiHttpCapability: 1",
    "soap": "SOAP, GetUserSettings",
    "json": "second version, Protocol=AutodiscoverV1",
}


def readable(answers: dict[str, Any]) -> str:
    """For a person."""
    lines = []
    if not answers["https"]:
        lines += ["# HTTPS is off here: unless a proxy in front has it, no client gets to this", ""]
    for key, title in _TITLES.items():
        status, body = answers[key]["status"], answers[key]["body"]
        # Our own document, in which no stranger declared anything.
        text = minidom.parseString(body).toprettyxml(indent="  ").partition("\n")[2] if key != "json" else body  # noqa: S318
        lines += [f"# {title}" + ("" if status == 200 else f" (HTTP status {status})"), text.rstrip(), ""]
    if answers["dns"]:
        lines += ["# DNS, so that clients find this server; the first one needs a certificate for that name, too"]
        lines += answers["dns"]
    return "\n".join(lines).rstrip()
