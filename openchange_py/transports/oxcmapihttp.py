"""MAPI over HTTP, the server's side: [MS-OXCMAPIHTTP] (v20240820) 3.2.

    HttpServer({"/mapi/emsmdb": Authenticated(MailboxEndpoint(handler), authenticator, metrics), ...})

A request becomes the same `Call` as over RPC, with bodies translated by `wire.oxcmapihttp_calls`, so that modules,
local servers and the relay know of no difference. `oxcmapihttp_endpoint` is what both endpoints do alike,
`oxcmapihttp_sessions` what cookies name, `oxcmapihttp_fields` what heads say.

Not done: X-TunnelData, redirection (302) to another server.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import quote

from openchange_py.rpc.call import CallHandler, FaultStatus, RpcFault
from openchange_py.transports.http_request import HttpRequest
from openchange_py.transports.oxcmapihttp_endpoint import Answer, AnswerRequest, EndpointLimits, MapiEndpoint
from openchange_py.transports.oxcmapihttp_fields import Refused
from openchange_py.transports.oxcmapihttp_sessions import MapiSession
from openchange_py.wire.oxabref import (
    RFR,
    SERVER_DN_SIZES,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcmapihttp import NotificationWaitRequest, NotificationWaitResponse, ResponseCode
from openchange_py.wire.oxcmapihttp_calls import ADDRESS_BOOK, MAILBOX
from openchange_py.wire.oxcmapihttp_nspi import GetUrlRequest, GetUrlResponse
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EMSMDB,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
)

__all__ = [
    "ADDRESS_BOOK_PATH",
    "MAILBOX_PATH",
    "AddressBookEndpoint",
    "EndpointLimits",
    "MailboxEndpoint",
    "MapiEndpoint",
]

MAILBOX_PATH: Final = "/mapi/emsmdb"
ADDRESS_BOOK_PATH: Final = "/mapi/nspi"
#: EcDoAsyncConnectEx, and EcDoAsyncWaitEx of its interface.
_ASYNC_CONNECT, _ASYNC_WAIT = 14, 0


class MailboxEndpoint(MapiEndpoint):
    """`/mapi/emsmdb/`. Options are `MapiEndpoint`'s."""

    def __init__(self, handler: CallHandler, **options: Any) -> None:
        super().__init__(MAILBOX_PATH, MAILBOX, "Connect", "Disconnect", handler, **options)

    def _others(self) -> dict[str, AnswerRequest]:
        return super()._others() | {"notificationwait": self._notification_wait}

    async def _notification_wait(self, request: HttpRequest, body: bytes) -> Answer:
        """3.2.5.5: EcDoAsyncWaitEx, beside the session's other requests, and its sequence."""
        NotificationWaitRequest.unpack(body)
        session = self._session(request)
        task = asyncio.current_task()
        assert task is not None
        self._waiting[task] = asyncio.get_running_loop().time() + self.limits.wait_seconds
        session.busy += 1
        try:
            pending, error = await self._events(request, session)
        except asyncio.CancelledError:
            if self._stopping:
                raise Refused(ResponseCode.EndpointShuttingDown, "the server stops") from None
            if self._patience(task):
                raise
            pending, error = 0, 0
        finally:
            del self._waiting[task]
            self._done(session)
        return Answer(NotificationWaitResponse(0, error, pending & 1).pack(), session)

    async def _events(self, request: HttpRequest, session: MapiSession) -> tuple[int, int]:
        """Whether there are any, and the error code."""
        try:
            if session.waiting_handle is None:
                connect = EcDoAsyncConnectExRequest(session.handle)
                connected: EcDoAsyncConnectExResponse = await self._call(
                    request, session, EMSMDB, _ASYNC_CONNECT, connect
                )
                if connected.return_value:
                    return 0, connected.return_value
                session.waiting_handle = connected.acxh
            wait = EcDoAsyncWaitExRequest(session.waiting_handle)
            waited: EcDoAsyncWaitExResponse = await self._call(request, session, ASYNCEMSMDB, _ASYNC_WAIT, wait)
        except RpcFault as fault:
            if fault.status not in (FaultStatus.OP_RANGE_ERROR, FaultStatus.UNKNOWN_INTERFACE):
                raise
            return 0, ErrorCode.NotSupported
        return waited.flags_out, waited.return_value


class AddressBookEndpoint(MapiEndpoint):
    """`/mapi/nspi/`. `fqdn` is what referrals call this server; other options are `MapiEndpoint`'s.

    Which server a URL is of, the referral service decides ([MS-OXABREF]), which is called as over RPC, so that clients
    of all transports are sent to the same one. Where there is no such service, it is this server.
    """

    def __init__(self, handler: CallHandler, *, fqdn: str = "", **options: Any) -> None:
        super().__init__(ADDRESS_BOOK_PATH, ADDRESS_BOOK, "Bind", "Unbind", handler, **options)
        self._fqdn = fqdn.casefold()

    def _others(self) -> dict[str, AnswerRequest]:
        return super()._others() | {"getmailboxurl": self._mailbox_url, "getaddressbookurl": self._address_book_url}

    async def _mailbox_url(self, request: HttpRequest, body: bytes) -> Answer:
        """2.2.5.18: of the server with that distinguished name. NotFound where there is none."""
        asked, session = GetUrlRequest.unpack(body), self._session(request)
        dn = asked.dn.encode("ascii", "replace")
        if not SERVER_DN_SIZES[0] <= len(dn) + 1 <= SERVER_DN_SIZES[1]:
            return Answer(GetUrlResponse(0, ErrorCode.NotFound, "").pack(), session)
        referral = RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn)
        told: RfrGetFQDNFromServerDNResponse | None = await self._refer(request, session, referral)
        if told is not None and told.return_value:
            return Answer(GetUrlResponse(0, told.return_value, "").pack(), session)
        return self._url(request, session, told.server_fqdn if told is not None else None, "/mapi/emsmdb/")

    async def _address_book_url(self, request: HttpRequest, body: bytes) -> Answer:
        """2.2.5.19: of an address book server for the user with that distinguished name."""
        asked, session = GetUrlRequest.unpack(body), self._session(request)
        referral = RfrGetNewDSARequest(0, asked.dn.encode("ascii", "replace"), None, Name(b""))
        told: RfrGetNewDSAResponse | None = await self._refer(request, session, referral)
        server = told.server if told is not None and not told.return_value else None
        return self._url(request, session, server.value if server is not None else None, "/mapi/nspi/")

    async def _refer(
        self, request: HttpRequest, session: MapiSession, message: RfrGetNewDSARequest | RfrGetFQDNFromServerDNRequest
    ) -> Any:
        """What the referral service answers; None where there is none that does."""
        opnum = next(method.opnum for method in RFR.methods.values() if method.request is type(message))
        try:
            return await self._call(request, session, RFR, opnum, message)
        except RpcFault:
            return None

    def _url(self, request: HttpRequest, session: MapiSession, server: bytes | None, path: str) -> Answer:
        """This server is called as the client called it; others have HTTPS where clients look for it."""
        host = server.decode("ascii", "replace").casefold() if server else self._fqdn
        scheme = "https" if request.channel.secure or host != self._fqdn else "http"
        place = quote(request.host, safe=":[].-_") if host == self._fqdn else quote(host, safe=".-_")
        query = f"?{quote(request.query, safe='=&@.-_~%')}" if request.query else ""
        return Answer(GetUrlResponse(0, 0, f"{scheme}://{place}{path}{query}").pack(), session)
