"""The AsyncEMSMDB interface: [MS-OXCRPC] 3.3.4. Its one call waits, without a thread, until something happened."""

from __future__ import annotations

import asyncio
from typing import Final

from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.servers.emsmdb.notifications import Notifications
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    NOTIFICATION_PENDING,
    EcDoAsyncWaitExRequest,
    EcDoAsyncWaitExResponse,
)

#: Seconds after which a call is answered although nothing happened: 3.3.4.1.
LONGEST_WAIT: Final = 300.0


class AsyncContext:
    """What the handle of EcDoAsyncConnectEx stands for: one session's notifications."""

    __slots__ = ("notifications",)

    def __init__(self, notifications: Notifications) -> None:
        self.notifications = notifications


class AsyncEmsmdbServer:
    """The local server of the interface; EmsmdbServer makes the handles that it is asked with."""

    name = "emsmdb"
    interface = ASYNCEMSMDB

    def __init__(self, longest_wait: float = LONGEST_WAIT) -> None:
        self._longest_wait = longest_wait

    async def wait(self, call: Call) -> None:
        """EcDoAsyncWaitEx (opnum 0), 3.3.4.1. A handle that is none is answered as if something had happened."""
        request = call.request
        assert isinstance(request, EcDoAsyncWaitExRequest)
        try:
            context: AsyncContext = call.session.find_handle(request.acxh, AsyncContext)
            pending = await self._something(context.notifications)
        except RpcFault:
            pending = True
        except MapiError as error:
            call.response = EcDoAsyncWaitExResponse(0, error.code)
            return
        call.response = EcDoAsyncWaitExResponse(NOTIFICATION_PENDING if pending else 0, ErrorCode.Success)

    async def _something(self, notifications: Notifications) -> bool:
        """Whether something is pending, as soon as it is, or when it took too long. `MapiError`: Rejected."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[bool] = loop.create_future()
        if notifications.wait(lambda: _wake(loop, woken)):
            return True
        timer = loop.call_later(self._longest_wait, _tell, woken, False)
        try:
            return await woken or notifications.pending
        finally:
            timer.cancel()
            notifications.end_wait()

    def end_session(self, session: Session) -> None:
        """The handles' sessions are EmsmdbServer's, which closes them, and with them who waits is answered."""


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[bool]) -> None:
    """In any thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_tell, woken, True)


def _tell(woken: asyncio.Future[bool], something: bool) -> None:
    if not woken.done():
        woken.set_result(something)
