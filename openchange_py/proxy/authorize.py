"""What a caller may have relayed with the relay's account.

The upstream sees one account, whoever the caller is, and that account may open many mailboxes. So what the
upstream would check, the relay checks: the user DN of EcDoConnectEx ([MS-OXCRPC] 3.1.4.1) and EcDoConnect, and the
mailbox of every RopLogon ([MS-OXCSTOR] 2.2.1.1.1) in EcDoRpcExt2 and EcDoRpc, must be the caller's own or one that it
was given full access to. Calls that could get around this are refused: the reserved ones, administrator privilege,
and changes to the address book, which the account may be allowed and the caller not. What can't be read can't be
checked, and is refused as well. ROPs carry no length, so that an upstream may read them otherwise than this program
does: what looks like a RopLogon within another ROP is checked like one. What one hop makes unreadable for the next
(`wire.rop.container`) is refused where it comes from a client: that hop would open it, and take our word for what is
in it.

Not done: logons to public folders are refused altogether; the sender of a submitted message is not compared
with the caller.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from openchange_py.addressbook.base import Directory, DirectoryError
from openchange_py.auth.identity import NotAuthorized, may_open, may_use_dn
from openchange_py.proxy.handles import HANDLE_SIZE
from openchange_py.proxy.rop_carrier import RopCarrier, carrier_of
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import Identity
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoRpcExt2Request,
)
from openchange_py.wire.rop.base import RopFailure
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.container import ContainerId
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopLogonRequest, logon_lookalikes
from openchange_py.wire.rpcheaderext import may_contain_any, obfuscate

logger = logging.getLogger(__name__)

EC_DO_CONNECT: Final = 0
EC_DO_RPC: Final = 2
EC_DO_CONNECT_EX: Final = 10
EC_DO_RPC_EXT2: Final = 11
_CONNECTING: Final = frozenset({EC_DO_CONNECT, EC_DO_CONNECT_EX})
_WITH_ROPS: Final = frozenset({EC_DO_RPC, EC_DO_RPC_EXT2})

#: The calls that are relayed, by interface; every other one is refused.
RELAYED_CALLS: Final[dict[str, frozenset[int]]] = {
    # And EcDoDisconnect, EcRRegisterPushNotification, EcDummyRpc, EcDoAsyncConnectEx.
    "exchange_emsmdb": _CONNECTING | _WITH_ROPS | {1, 4, 6, 14},
    "exchange_async_emsmdb": frozenset({0}),
    # All but NspiModProps (11), NspiModLinkAtt (14) and the reserved ones: what reads.
    "exchange_nsp": frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 18, 19, 20}),
    "exchange_ds_rfr": frozenset({0, 1}),
}

#: ulFlags of EcDoConnectEx: the client wants to be an administrator.
_ADMIN_CONNECT: Final = 0x00000001
_LOGON: Final = int(RopId.Logon)
#: What hides ROPs; in MAPIProxy's 0xA5 they can be seen.
_HIDING: Final = bytes([ContainerId.Compressed, ContainerId.Encrypted])
#: ROPs without one of these bytes log nobody on.
_TELLING: Final = bytes([_LOGON]) + _HIDING
#: The same as EcDoRpc obfuscates them, and RopLogon for an upstream that does not do that.
_OLD_TELLING: Final = obfuscate(_TELLING) + bytes([_LOGON])
#: ulIcxrLink of EcDoConnectEx: no link to another session.
_NO_LINK: Final = 0xFFFFFFFF

#: Bytes of ROPs that are read in less time than it takes to hand them to a thread.
_QUICKLY_READ: Final = 1024
#: RopLogons of one call, and as many that are other ROPs' data. Clients send one.
_MAXIMUM_LOGONS: Final = 32


class CallAuthorizer(Protocol):
    """Decides what a caller may have relayed."""

    #: The upstream sees the caller himself, so that what it refuses is his affair and not the relay's.
    as_caller: bool

    async def authorize(self, call: Call, upstream: str = "") -> RpcMessage | None:
        """None where the call may be relayed, otherwise the response that refuses it. Raises `RpcFault`."""
        ...

    def learn(self, call: Call, reply: bytes, upstream: str = "") -> None:
        """A relayed call was answered by that server."""

    def forget(self, session: Session) -> None:
        """What the session had upstream is gone."""


class Authorizer:
    """Checks calls before they are relayed, against the directory that callers and upstream share."""

    as_caller = False

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        #: Whose an upstream session index (16 bits) is: [MS-OXCRPC] 3.1.4.1, piCxr. And within which session here. By
        #: index and upstream, because each counts by itself.
        self._session_owners: dict[int, dict[str, tuple[str, Session]]] = {}

    async def authorize(self, call: Call, upstream: str = "") -> RpcMessage | None:
        """None where the call may be relayed, otherwise the response that refuses it.

        `upstream` is the server where the session's association is, empty where there is none yet.
        Raises `RpcFault` (access denied) where there is no better way to say no, `DecodeError` for a bad stub.
        """
        if call.caller.is_anonymous:
            raise _denied(call, "not authenticated")
        if call.opnum not in RELAYED_CALLS.get(call.interface.name, ()):
            raise _denied(call, "not relayed with specified credentials")
        if call.interface.name != "exchange_emsmdb":
            return None
        try:
            if call.opnum in _CONNECTING:
                return await self._authorize_connect(call, upstream)
            if call.opnum in _WITH_ROPS and _may_log_on(call):
                return await self._authorize_rops(call)
        except DirectoryError as error:
            logger.error("%s: %s of %s can't be checked: %s", call.session, call.name, call.caller, error)
            raise RpcFault(FaultStatus.SERVER_UNAVAILABLE, "the directory failed") from error
        return None

    def learn(self, call: Call, reply: bytes, upstream: str = "") -> None:
        """Keep what a relayed response of an upstream tells: whose a session there is."""
        if call.interface.name != "exchange_emsmdb" or call.opnum not in _CONNECTING:
            return
        try:
            response = _connect_response(call).unpack(reply)
        except DecodeError as error:
            logger.warning("%s: response to %s: %s", call.session, call.name, error)
            return
        if not response.cxh.is_null:
            owners = self._session_owners.setdefault(response.icxr, {})
            owners[upstream] = call.caller.account.casefold(), call.session
            call.session.state.setdefault(self, set()).add((response.icxr, upstream))

    def forget(self, session: Session) -> None:
        """The session ended, or was lost upstream: the indexes that it had there may become another account's."""
        for index, upstream in session.state.pop(self, ()):
            owners = self._session_owners.get(index, {})
            if owners.get(upstream, (None, None))[1] is session:
                del owners[upstream]
            if not owners:
                self._session_owners.pop(index, None)

    def _owns(self, account: str, index: int, upstream: str) -> bool:
        """Whether the session of this index is the account's; on all servers, where it is open which one it will be."""
        owners = self._session_owners.get(index, {})
        found = {owner for place, (owner, _) in owners.items() if upstream in ("", place)}
        return found == {account.casefold()}

    async def _authorize_connect(self, call: Call, upstream: str) -> RpcMessage | None:
        """EcDoConnectEx and EcDoConnect. Always read anew from the stub, because it is the stub that is relayed."""
        request = _read_stub(call)
        assert isinstance(request, EcDoConnectRequest)
        try:
            if request.flags & _ADMIN_CONNECT:
                raise NotAuthorized(f"{call.caller} asks for administrator privilege")
            link = request.icxr_link
            if link != _NO_LINK and not self._owns(call.caller.account, link, upstream):
                raise NotAuthorized(f"{call.caller} asks to be linked to session {link}, which is another's")
            dn = _text_of(request.user_dn)
            await asyncio.to_thread(may_use_dn, self._directory, call.caller, dn)
        except NotAuthorized as error:
            logger.warning("%s: %s refused: %s", call.session, call.name, error)
            return _connect_response(call).failed(ErrorCode.AccessDenied)
        return None

    async def _authorize_rops(self, call: Call) -> RpcMessage | None:
        """EcDoRpcExt2 and EcDoRpc: every RopLogon in it."""
        # Read anew from the stub, because it is the stub that is relayed.
        stub = Call(call.interface, call.opnum, call.stub, call.session, call.caller)
        carrier = carrier_of(stub)
        assert carrier is not None
        _ = stub.request  # a stub that is bad in itself is the dispatcher's to answer
        try:
            payloads = await carrier.requests()
            # To an upstream that does not obfuscate, those of EcDoRpc would read like this.
            plain = [obfuscate(payload) for payload in payloads] if call.opnum == EC_DO_RPC else []
            if sum(map(len, payloads)) <= _QUICKLY_READ:
                logons, lookalikes = _find_logons(payloads, plain)
            else:
                # In a thread, as it may take tens of milliseconds, and everybody's calls stand still meanwhile.
                logons, lookalikes = await asyncio.to_thread(_find_logons, payloads, plain)
        except DecodeError as error:
            logger.warning("%s: %s of %s refused: %s", call.session, call.name, call.caller, error)
            carrier.fail(ErrorCode.RpcFormat)
            return stub.response
        for logon in logons:
            if code := await self._logon_refusal(call, logon):
                _refuse_logon(call, carrier, payloads, RopFailure(logon.output_handle_index, code, RopId.Logon))
                return stub.response
        for lookalike in lookalikes:
            if await self._logon_refusal(call, lookalike):
                raise _denied(call, "what looks like a RopLogon that is not allowed, within another ROP")
        return None

    async def _logon_refusal(self, call: Call, logon: RopLogonRequest) -> ErrorCode | None:
        """Why a RopLogon is refused: [MS-OXCSTOR] 3.2.5.1.1. None where it may be relayed."""
        try:
            if not logon.logon_flags & LogonFlags.Private or logon.open_flags & OpenFlags.Public:
                raise NotAuthorized(f"{call.caller} asks for public folders")
            # TakeOwnership is ignored by servers, and set by libmapi.
            if logon.open_flags & OpenFlags.UseAdminPrivilege:
                raise NotAuthorized(f"{call.caller} asks for administrator privilege")
            dn = _text_of(logon.essdn.removesuffix(b"\0"))
            if not await asyncio.to_thread(self._knows_and_admits, call.caller, dn):
                logger.warning("%s: RopLogon of %s refused: there is no %r", call.session, call.caller, dn)
                return ErrorCode.UnknownUser
        except NotAuthorized as error:
            logger.warning("%s: RopLogon refused: %s", call.session, error)
            return ErrorCode.LoginPermission
        return None

    def _knows_and_admits(self, caller: Identity, dn: str) -> bool:
        """False for a DN of nobody; raises `NotAuthorized`. Asks the directory, which blocks."""
        if self._directory.by_legacy_dn(dn) is None:
            return False
        may_open(self._directory, caller, dn)
        return True


def _read_stub(call: Call) -> RpcMessage:
    request = EMSMDB.methods[call.opnum].request
    assert request is not None
    return request.unpack(call.stub)


def _connect_response(call: Call) -> type[EcDoConnectExResponse] | type[EcDoConnectResponse]:
    return EcDoConnectExResponse if call.opnum == EC_DO_CONNECT_EX else EcDoConnectResponse


def _may_log_on(call: Call) -> bool:
    """Whether the byte of RopLogon, or of what could hide one, stands in the ROPs of a call. In most it does not."""
    if call.opnum == EC_DO_RPC:
        return any(call.stub.find(byte, HANDLE_SIZE) >= 0 for byte in _OLD_TELLING)
    try:
        return may_contain_any(EcDoRpcExt2Request.rgb_in_of(call.stub), _TELLING)
    except DecodeError:
        return True  # answered as it is read in full


def _find_logons(payloads: list[bytes], others: list[bytes]) -> tuple[list[RopLogonRequest], list[RopLogonRequest]]:
    """The RopLogons of a call's ROP buffers, and what only looks like one, in `others` too. Raises `DecodeError`."""
    logons: list[RopLogonRequest] = []
    lookalikes: list[RopLogonRequest] = []
    for payload in payloads:
        if any(byte in payload for byte in _TELLING):
            logons += [rop for rop in _read_rops(payload).rops if isinstance(rop, RopLogonRequest)]
            _check_count(logons)
    for data in (*payloads, *others):
        for lookalike in logon_lookalikes(data):
            if lookalike not in logons:
                lookalikes.append(lookalike)
                _check_count(lookalikes)
    return logons, lookalikes


def _check_count(logons: list[RopLogonRequest]) -> None:
    if len(logons) > _MAXIMUM_LOGONS:
        raise DecodeError(f"more than {_MAXIMUM_LOGONS} RopLogons in one call")


def _read_rops(payload: bytes) -> RopBuffer:
    """A buffer that may hold a RopLogon; `DecodeError` where one might be in what can't be read."""
    buffer = RopBuffer.unpack_request(payload)
    if any(byte in buffer.tail for byte in _TELLING):
        raise DecodeError(f"an unknown ROP 0x{buffer.tail[0]:02X}, and perhaps a RopLogon in it or behind it")
    return buffer


def _refuse_logon(call: Call, carrier: RopCarrier, payloads: list[bytes], failure: RopFailure) -> None:
    """Answer a RopLogon that failed; a fault where other ROPs came with it, whose responses are not ours to make up."""
    buffer = RopBuffer.unpack_request(payloads[0])
    if len(payloads) != 1 or len(buffer.rops) != 1 or buffer.tail:
        raise _denied(call, "a RopLogon that is not allowed, among other ROPs")
    carrier.set_responses([RopBuffer([failure], buffer.handles).pack()])


def _text_of(dn: bytes) -> str:
    """A DN as text. One that two readers might read differently is nobody's."""
    if b"\0" in dn:
        raise NotAuthorized(f"the DN {dn!r} holds a zero byte")
    try:
        return dn.decode("ascii")
    except UnicodeDecodeError:
        raise NotAuthorized(f"the DN {dn!r} is not ASCII") from None


def _denied(call: Call, reason: str) -> RpcFault:
    logger.warning("%s: %s of %s refused: %s", call.session, call.name, call.caller, reason)
    return RpcFault(FaultStatus.ACCESS_DENIED, reason)
