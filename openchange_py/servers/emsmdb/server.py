"""The EMSMDB interface's calls: [MS-OXCRPC] 3.1.4. `processor` does what stands inside EcDoRpcExt2 and EcDoRpc.

EcDoConnect and EcDoRpc are reserved in the document; clients up to Outlook 2002 use them, and later ones where
EcDoConnectEx is answered with a fault. A session is the same whichever call began it.

Not done yet: push notifications (EcRRegisterPushNotification), EcGetMoreRpc and EcDoRpcExt.
They answer the documented error or the fault for an unknown operation.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from openchange_py.addressbook.base import Directory, Entry, may_open_mailbox
from openchange_py.auth.identity import caller_entry
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.servers.emsmdb.asyncemsmdb import AsyncContext
from openchange_py.servers.emsmdb.codepages import codec_of, narrow
from openchange_py.servers.emsmdb.processor import MAXIMUM_OUTPUT, decode_request, execute
from openchange_py.servers.emsmdb.session import LARGEST_MESSAGE, ClientSettings, EmsmdbSession, SessionCounter
from openchange_py.servers.emsmdb.values import terminated
from openchange_py.store.base import Store
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE, RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    Connected,
    EcDoAsyncConnectExRequest,
    EcDoAsyncConnectExResponse,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    EcDummyRpcRequest,
    EcDummyRpcResponse,
    EcRRegisterPushNotificationRequest,
    EcRRegisterPushNotificationResponse,
    RpcFlags,
    wire_version,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rpcheaderext import HEADER_SIZE, MAXIMUM_REQUEST, extended_buffers, pack_payload

logger = logging.getLogger(__name__)

#: pcmsPollsMax, pcRetry and pcmsRetryDelay of EcDoConnectEx: what Exchange answers.
_POLLS_MAX: Final = 60_000
_RETRY_COUNT: Final = 6
_RETRY_DELAY: Final = 10_000

#: The server version that clients see. 14 (2010) makes clients use neither what came with 2013 nor what went with it.
SERVER_VERSION: Final = wire_version(14, 0, 722, 0)

#: Sessions that an account may have open as one user; Outlook uses a handful.
DEFAULT_SESSIONS: Final = 64


class EmsmdbServer:
    """The local server of the mailbox interface."""

    name = "emsmdb"
    interface = EMSMDB

    def __init__(
        self,
        directory: Directory,
        store: Store,
        *,
        compress: bool = False,
        session_limit: int = DEFAULT_SESSIONS,
        largest_message: int = LARGEST_MESSAGE,
    ) -> None:
        self._session_limit = session_limit
        self._largest_message = largest_message
        self._open = SessionCounter()
        self._directory = directory
        self._store = store
        self._compress = compress
        #: piCxr, 16 bits: a session's index, which a proxy in front tells sessions apart by.
        self._indexes = itertools.cycle(range(1, 0xFFFF))

    def call(self, call: Call) -> None:
        """Answer one call. Runs in a worker thread, one call at a time per session."""
        method = METHODS.get(type(call.request))
        if method is None:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, call.name)
        method(self, call, call.request)

    def end_session(self, session: Session) -> None:
        """The client is gone: close what it left open."""
        for value in list(session.handles.values()):
            if isinstance(value, EmsmdbSession):
                self._close(value)

    def _connect(self, call: Call, request: EcDoConnectRequest) -> None:
        """EcDoConnectEx (opnum 10), 3.1.4.1, and EcDoConnect (opnum 0)."""
        extended = isinstance(request, EcDoConnectExRequest)
        try:
            connected = self._connected(call, request)
        except MapiError as error:
            logger.warning(
                "%s: %s as %r refused for %s: %s", call.session, call.name, request.user_dn, call.caller, error
            )
            refused = EcDoConnectExResponse if extended else EcDoConnectResponse
            call.response = refused.failed(int(error.code))
            return
        if extended:
            call.response = EcDoConnectExResponse(*connected, b"", ErrorCode.Success)
        else:
            call.response = EcDoConnectResponse(*connected, ErrorCode.Success)

    def _connected(self, call: Call, request: EcDoConnectRequest) -> Connected:
        """A session for the caller, and what is answered of it. Raises `MapiError`."""
        caller, user = self._authorize(call, request.user_dn)
        settings = ClientSettings(request.cpid, request.lcid_string, request.lcid_sort)
        # What the directory says of them is kilobytes, kept for each session, and read anew where it decides.
        caller, user = dataclasses.replace(caller, attributes={}), dataclasses.replace(user, attributes={})
        session = EmsmdbSession(self._directory, self._store, caller, user, settings)
        session.largest_message = self._largest_message
        session.notifications.index = next(self._indexes)
        if not self._open.add(session, self._session_limit):
            raise MapiError(ErrorCode.TooManySessions, f"{self._session_limit} sessions are open")
        try:
            handle = call.session.add_handle(session)
        except RpcFault:
            self._close(session)
            raise
        prefix, _, _ = user.legacy_exchange_dn.rpartition("/cn=")
        logger.info("%s: %s connected as %s", call.session, call.caller, user.legacy_exchange_dn)
        return (
            handle,
            _POLLS_MAX,
            _RETRY_COUNT,
            _RETRY_DELAY,
            session.notifications.index,
            f"{prefix}/cn=".encode("ascii", "replace"),
            narrow(terminated(user.display_name), codec_of(request.cpid)),
            SERVER_VERSION,
            request.client_version,
            int(time.time()) & 0xFFFFFFFF,
        )

    def _close(self, session: EmsmdbSession) -> None:
        session.close()
        self._open.remove(session)

    def _authorize(self, call: Call, user_dn: bytes) -> tuple[Entry, Entry]:
        """The entries of the authenticated account and of the user whose DN it presents, if it may."""
        if call.caller.is_anonymous:
            raise MapiError(ErrorCode.AccessDenied, "not authenticated")
        caller = caller_entry(self._directory, call.caller)
        if caller is None:
            raise MapiError(ErrorCode.AccessDenied, f"{call.caller} is not in the directory, or disabled")
        try:
            user = self._directory.by_legacy_dn(user_dn.decode("utf-8"))
        except UnicodeDecodeError:
            user = None
        if user is None:
            raise MapiError(ErrorCode.UnknownUser, "no such DN")
        if not may_open_mailbox(self._directory, caller, user):
            raise MapiError(ErrorCode.AccessDenied, "the DN is another user's")
        return caller, user

    def _rpc(self, call: Call, request: EcDoRpcExt2Request) -> None:
        """EcDoRpcExt2 (opnum 11), 3.1.4.2."""
        session: EmsmdbSession = call.session.find_handle(request.cxh, EmsmdbSession)
        started = time.monotonic()
        try:
            rgb_out = self._execute(session, request)
        except MapiError as error:
            logger.warning("%s: EcDoRpcExt2: %s", call.session, error)
            call.response = EcDoRpcExt2Response.failed(request.cxh, int(error.code))
            return
        spent = int((time.monotonic() - started) * 1000)
        call.response = EcDoRpcExt2Response(request.cxh, 0, rgb_out, b"", spent, ErrorCode.Success)

    def _execute(self, session: EmsmdbSession, request: EcDoRpcExt2Request) -> bytes:
        """Every payload of a chain is executed and answered by one of its own, while there is room.

        Nothing is executed where one of them is wrong.
        """
        try:
            payloads = [buffer.payload for buffer in extended_buffers(request.rgb_in, total=MAXIMUM_REQUEST)]
        except DecodeError as error:
            raise MapiError(ErrorCode.RpcFormat, str(error)) from error
        buffers = [decode_request(payload) for payload in payloads]
        compress = self._compress and not request.flags & RpcFlags.NoCompression
        xor = not request.flags & RpcFlags.NoXorMagic
        room, parts = request.out_size, []
        for index, buffer in enumerate(buffers):
            answer = execute(session, buffer, min(room - HEADER_SIZE, MAXIMUM_OUTPUT))
            last = index == len(buffers) - 1
            parts.append(pack_payload(answer, compress=compress, xor=xor, last=last))
            room -= len(parts[-1])
        return b"".join(parts)

    def _old_rpc(self, call: Call, request: EcDoRpcRequest) -> None:
        """EcDoRpc (opnum 2): one ROP buffer, and one that answers it."""
        session: EmsmdbSession = call.session.find_handle(request.cxh, EmsmdbSession)
        try:
            answer = execute(session, decode_request(request.payload), request.room)
        except MapiError as error:
            logger.warning("%s: EcDoRpc: %s", call.session, error)
            call.response = EcDoRpcResponse.failed(request, int(error.code))
            return
        call.response = EcDoRpcResponse.answer(request, answer)

    def _disconnect(self, call: Call, request: EcDoDisconnectRequest) -> None:
        """EcDoDisconnect (opnum 1), 3.1.4.3."""
        session: EmsmdbSession = call.session.find_handle(request.cxh, EmsmdbSession)
        self._close(session)
        for handle, value in list(call.session.handles.items()):
            if isinstance(value, AsyncContext) and value.notifications is session.notifications:
                call.session.drop_handle(handle)
        call.session.drop_handle(request.cxh)
        call.response = EcDoDisconnectResponse(NULL_HANDLE, ErrorCode.Success)

    def _dummy(self, call: Call, request: EcDummyRpcRequest) -> None:
        """EcDummyRpc (opnum 6), 3.1.4.6."""
        call.response = EcDummyRpcResponse(ErrorCode.Success)

    def _register_push(self, call: Call, request: EcRRegisterPushNotificationRequest) -> None:
        """EcRRegisterPushNotification (opnum 4), 3.1.4.5: 2.2.4.1 lets a server that does not do it say so."""
        call.session.find_handle(request.cxh, EmsmdbSession)
        call.response = EcRRegisterPushNotificationResponse(request.cxh, 0, ErrorCode.NotSupported)

    def _async_connect(self, call: Call, request: EcDoAsyncConnectExRequest) -> None:
        """EcDoAsyncConnectEx (opnum 14), 3.1.4.4: the handle that `asyncemsmdb` is asked with."""
        session: EmsmdbSession = call.session.find_handle(request.cxh, EmsmdbSession)
        acxh = call.session.add_handle(AsyncContext(session.notifications))
        call.response = EcDoAsyncConnectExResponse(acxh, ErrorCode.Success)


#: What answers which call.
METHODS: Final[dict[type[RpcMessage], Callable[[EmsmdbServer, Call, Any], None]]] = {
    EcDoConnectRequest: EmsmdbServer._connect,
    EcDoRpcRequest: EmsmdbServer._old_rpc,
    EcDoConnectExRequest: EmsmdbServer._connect,
    EcDoRpcExt2Request: EmsmdbServer._rpc,
    EcDoDisconnectRequest: EmsmdbServer._disconnect,
    EcDummyRpcRequest: EmsmdbServer._dummy,
    EcDoAsyncConnectExRequest: EmsmdbServer._async_connect,
    EcRRegisterPushNotificationRequest: EmsmdbServer._register_push,
}
