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
    """`/mapi/nspi/`. Options are `MapiEndpoint`'s."""

    def __init__(self, handler: CallHandler, **options: Any) -> None:
        super().__init__(ADDRESS_BOOK_PATH, ADDRESS_BOOK, "Bind", "Unbind", handler, **options)

    def _others(self) -> dict[str, AnswerRequest]:
        return super()._others() | {"getmailboxurl": self._mailbox_url, "getaddressbookurl": self._address_book_url}

    async def _mailbox_url(self, request: HttpRequest, body: bytes) -> Answer:
        """2.2.5.18. All servers that the address book names are reached through this one."""
        return self._url(request, body, "/mapi/emsmdb/")

    async def _address_book_url(self, request: HttpRequest, body: bytes) -> Answer:
        """2.2.5.19."""
        return self._url(request, body, "/mapi/nspi/")

    def _url(self, request: HttpRequest, body: bytes, path: str) -> Answer:
        GetUrlRequest.unpack(body)
        session = self._session(request)
        scheme = "https" if request.channel.secure else "http"
        query = f"?{quote(request.query, safe='=&@.-_~%')}" if request.query else ""
        url = f"{scheme}://{quote(request.host, safe=':[].-_')}{path}{query}"
        return Answer(GetUrlResponse(0, 0, url).pack(), session)
