"""The address book interface's calls: [MS-OXNSPI]. Who may call, and which function answers.

An authenticated account of the directory may read its address book; every call has to come from the account that
bound. Hidden entries are in no list and no name resolves to them, but who knows their id or DN may read them.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Final

from openchange_py.addressbook.base import Directory, DirectoryError
from openchange_py.addressbook.hosts import OwnNames
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.servers.nspi import browsing, details, hierarchy, matching, modifying, names, reading
from openchange_py.servers.nspi.codepages import CP_WINUNICODE, codec
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.servers.nspi.registry import METHODS
from openchange_py.wire.ndr import NULL_HANDLE
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiUnbindRequest,
    NspiUnbindResponse,
)

logger = logging.getLogger(__name__)

#: The modules whose functions answer calls; importing them registers these.
_METHOD_MODULES: Final = (browsing, details, hierarchy, matching, modifying, names, reading)

#: Return values of NspiUnbind: [MS-OXNSPI] 2.2.1.2.
UNBIND_SUCCESS: Final = 1
UNBIND_FAILURE: Final = 2

#: Context handles that one association may have; libmapi uses one, Outlook a few.
_MAXIMUM_HANDLES: Final = 256


@dataclasses.dataclass(frozen=True, slots=True)
class NspiContext:
    """What a context handle stands for: the account that bound."""

    account: str


class NspiServer:
    """The local server of the address book interface.

    `server_name` is the NetBIOS name, `fqdn` where clients reach this server, over named pipes too with `pipes`; with
    `relays` it is the way to all servers of the organization.
    """

    name = "nspi"
    interface = NSPI

    def __init__(
        self, directory: Directory, server_name: str, fqdn: str, *, pipes: bool = False, relays: bool = False
    ) -> None:
        self._directory = directory
        self._own = OwnNames(server_name, fqdn, pipes, relays)

    def call(self, call: Call) -> None:
        """Answer a call; runs in a worker thread."""
        if call.caller.is_anonymous:
            raise RpcFault(FaultStatus.ACCESS_DENIED, "the address book is for authenticated accounts")
        request = call.request
        if isinstance(request, NspiBindRequest):
            call.response = self._bind(call, request)
        elif isinstance(request, NspiUnbindRequest):
            call.response = self._unbind(call, request)
        else:
            self._answer(call)

    def end_session(self, session: Session) -> None:
        """Nothing is kept but the context handles, which end with the session."""

    def _bind(self, call: Call, request: NspiBindRequest) -> NspiBindResponse:
        """3.1.4.1.1. The flags (fAnonymousLogin) are ignored, as the document allows."""
        try:
            self._check_bind(call, request)
            guid = self._book_of(call).server_guid
        except (MapiError, DirectoryError) as error:
            return NspiBindResponse(None, NULL_HANDLE, _code(call, error))
        handle = call.session.add_handle(NspiContext(call.caller.account.casefold()))
        return NspiBindResponse(guid if request.server_guid is not None else None, handle, ErrorCode.Success)

    def _check_bind(self, call: Call, request: NspiBindRequest) -> None:
        if request.stat.code_page == CP_WINUNICODE:
            raise MapiError(ErrorCode.InvalidCodepage, "CP_WINUNICODE")
        codec(request.stat.code_page)
        open_handles = sum(isinstance(value, NspiContext) for value in list(call.session.handles.values()))
        if open_handles >= _MAXIMUM_HANDLES:
            raise MapiError(ErrorCode.LogonFailed, f"{open_handles} context handles")

    def _book_of(self, call: Call) -> AddressBook:
        """The address book of the caller's organization; `MapiError` (LogonFailed) for who is not in the directory."""
        caller = self._directory.by_account(call.caller.account)
        if caller is None:
            raise MapiError(ErrorCode.LogonFailed, f"{call.caller} is not in the directory")
        return AddressBook(self._directory.lists(caller), caller, self._directory, self._own)

    def _unbind(self, call: Call, request: NspiUnbindRequest) -> NspiUnbindResponse:
        """3.1.4.1.2: success is 1."""
        self._check_handle(call, request)
        call.session.drop_handle(request.context_handle)
        return NspiUnbindResponse(NULL_HANDLE, UNBIND_SUCCESS)

    def _check_handle(self, call: Call, request: object) -> None:
        handle = request.context_handle if isinstance(request, NspiUnbindRequest) else getattr(request, "h_rpc")  # noqa: B009
        context: NspiContext = call.session.find_handle(handle, NspiContext)
        if context.account != call.caller.account.casefold():
            raise RpcFault(FaultStatus.ACCESS_DENIED, f"{context.account} bound, {call.caller} calls")

    def _answer(self, call: Call) -> None:
        request = call.request
        registered = METHODS[type(request)]
        self._check_handle(call, request)
        try:
            call.response = registered.method(self._book_of(call), request)
        except (MapiError, DirectoryError, MemoryError) as error:
            call.response = registered.failed(request, _code(call, error))


def _code(call: Call, error: MapiError | DirectoryError | MemoryError) -> int:
    """The return value for an error, 3.1.4; what is wrong with the directory is for the log."""
    if isinstance(error, MapiError):
        logger.info("%s: %s %s: %s", call.session, call.caller, call.name, error)
        return int(error.code)
    logger.error("%s: %s: %s", call.session, call.name, error or "out of memory")
    return int(ErrorCode.OutOfMemory if isinstance(error, MemoryError) else ErrorCode.GeneralFailure)
