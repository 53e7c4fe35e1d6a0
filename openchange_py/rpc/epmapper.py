"""The endpoint mapper's answers: C706 appendix O, [MS-RPCE] 2.2.1.2 and 3.1.1.5.

The endpoints are what this process registered itself; ept_insert and ept_delete from the network are refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import uuid
from collections.abc import Callable
from typing import Any, Final

from openchange_py.rpc.association import LOCAL_ADDRESS
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.interface import TRANSFER_SYNTAXES
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.epm import (
    EPMAPPER,
    EPT_DELETE,
    EPT_INSERT,
    EPT_MGMT_DELETE,
    EptEntry,
    EptLookupHandleFreeRequest,
    EptLookupHandleFreeResponse,
    EptLookupRequest,
    EptLookupResponse,
    EptMapRequest,
    EptMapResponse,
    EptStatus,
    EptStatusResponse,
    FloorProtocol,
    InquiryType,
    Tower,
    VersionOption,
)
from openchange_py.wire.ndr import FIRST_REFERENT, NDR20, NULL_HANDLE, ContextHandle, RpcInterface, RpcMessage, SyntaxId

_NIL: Final = uuid.UUID(int=0)
_TCP: Final = (FloorProtocol.NCACN, FloorProtocol.TCP, FloorProtocol.IP)
_HTTP: Final = (FloorProtocol.NCACN, FloorProtocol.HTTP, FloorProtocol.IP)
_PIPE: Final = (FloorProtocol.NCACN, FloorProtocol.NAMED_PIPE, FloorProtocol.NETBIOS)
#: Entries or towers in one answer.
_PAGE: Final = 500
#: Look-ups that a session has open at a time; one more ends the oldest.
_MAX_CURSORS: Final = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    r"""Where an interface is served: a TCP port, one that RPC proxies connect to (`http`), or a named pipe.

    An `address` that is empty or "any" is answered with the one reached. Where `pipe` (`\pipe\lsass`) is given,
    `address` is the server's NetBIOS name and `port` means nothing.
    """

    interface: RpcInterface
    port: int
    address: str = ""
    annotation: str = ""
    object: uuid.UUID = _NIL
    pipe: str = ""
    http: bool = False

    @property
    def protocols(self) -> tuple[int, ...]:
        """The protocols of its tower, below the syntaxes."""
        if self.pipe:
            return _PIPE
        return _HTTP if self.http else _TCP

    def entry(self, reached: str, transfer: SyntaxId = NDR20) -> EptEntry:
        """As ept_lookup tells it to a client that reached us at that address; ept_map with the syntax asked for."""
        annotation = self.annotation.encode("ascii", "replace")[: EptEntry.MAX_ANNOTATION - 1]
        return EptEntry(self.object, self._tower(reached, transfer), annotation)

    def _tower(self, reached: str, transfer: SyntaxId) -> Tower:
        if self.pipe:
            return Tower.named_pipe(self.interface.syntax, self.pipe, self.address, transfer)
        address = reached if _is_any(self.address) else self.address
        make = Tower.http if self.http else Tower.tcp
        return make(self.interface.syntax, self.port, address, transfer)


class _Cursor:
    """What a look-up has still to tell."""

    def __init__(self, rest: list[EptEntry]) -> None:
        self.rest = rest

    def page(self, count: int) -> list[EptEntry]:
        """The next entries."""
        page, self.rest = self.rest[:count], self.rest[count:]
        return page


class EpmapperServer:
    """The endpoint mapper over a list of endpoints, which may grow while it serves."""

    name = "epmapper"
    interface = EPMAPPER

    def __init__(self, endpoints: list[Endpoint] | None = None) -> None:
        self.endpoints = [] if endpoints is None else endpoints

    def register(self, endpoint: Endpoint) -> None:
        """Announce one more endpoint."""
        self.endpoints.append(endpoint)

    def call(self, call: Call) -> None:
        """Answer one call."""
        if call.opnum in (EPT_INSERT, EPT_DELETE, EPT_MGMT_DELETE):
            call.response = EptStatusResponse(EptStatus.CANT_PERFORM_OP)
            return
        handler = _HANDLERS.get(type(call.request))
        if handler is None:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, call.name)
        response = handler(self, call.session, call.request)
        # Towers are full pointers (C706 14.3.10): an id of the request again would mean that very tower.
        response.referents = _fresh_referents(call.request.referents)
        call.response = response

    def end_session(self, session: Session) -> None:
        """Its look-ups end with the session's handles."""

    def _map(self, session: Session, request: EptMapRequest) -> RpcMessage:
        limit = min(request.max_towers, _PAGE)
        towers: list[Tower | None] = [
            endpoint.entry(_reached(session), request.map_tower.transfer_syntax).tower
            for endpoint in self.endpoints
            if request.map_tower is not None and _serves(endpoint, request.map_tower)
        ][:limit]
        status = EptStatus.OK if towers else EptStatus.NOT_REGISTERED
        return EptMapResponse(NULL_HANDLE, request.max_towers, towers, status)

    def _lookup(self, session: Session, request: EptLookupRequest) -> RpcMessage:
        """A page of entries, with a handle to what comes behind.

        Behind a full page that may be nothing, which the next call tells: rpcclient, which asks for one entry at a
        time, takes a null handle for a reason to begin again. A page that is not full ends with a null handle, as
        impacket wants to see no error at the end.
        """
        handle = request.entry_handle
        if handle.is_null:
            reached = _reached(session)
            cursor = _Cursor([e.entry(reached) for e in self.endpoints if _matches(e, request)])
        else:
            cursor = session.find_handle(handle, _Cursor)
        limit = min(request.max_ents, _PAGE)
        entries = cursor.page(limit)
        if len(entries) < limit:
            session.drop_handle(handle)
            handle = NULL_HANDLE
        elif handle.is_null:
            handle = _keep(session, cursor)
        status = EptStatus.OK if entries or cursor.rest else EptStatus.NOT_REGISTERED
        return EptLookupResponse(handle, request.max_ents, entries, status)

    def _lookup_handle_free(self, session: Session, request: EptLookupHandleFreeRequest) -> RpcMessage:
        if not request.entry_handle.is_null:
            session.find_handle(request.entry_handle, _Cursor)
            session.drop_handle(request.entry_handle)
        return EptLookupHandleFreeResponse(NULL_HANDLE, EptStatus.OK)


_HANDLERS: Final[dict[type[RpcMessage], Callable[[EpmapperServer, Session, Any], RpcMessage]]] = {
    EptMapRequest: EpmapperServer._map,
    EptLookupRequest: EpmapperServer._lookup,
    EptLookupHandleFreeRequest: EpmapperServer._lookup_handle_free,
}


def _fresh_referents(used: tuple[int, ...]) -> tuple[int, ...]:
    """Enough referent ids for a page of towers, counted on from the request's; Wireshark takes lower ones for old."""
    first = max(used, default=FIRST_REFERENT) + 4
    if first + 4 * _PAGE > 0xFFFFFFFF:
        first = 1
    free = (number for number in itertools.count(first, 4) if number not in used)
    return tuple(itertools.islice(free, _PAGE))


def _serves(endpoint: Endpoint, tower: Tower) -> bool:
    """ept_map: same interface and major version, no older minor version, over the protocols asked for.

    Everything is served in either transfer syntax; a look-up tells of NDR 2.0 alone.
    """
    try:
        wanted, transfer, protocols = tower.interface, tower.transfer_syntax, tower.protocols
    except DecodeError:
        return False
    if transfer not in TRANSFER_SYNTAXES or protocols != endpoint.protocols:
        return False
    return _version_matches(VersionOption.COMPATIBLE, endpoint.interface.syntax, wanted)


def _matches(endpoint: Endpoint, request: EptLookupRequest) -> bool:
    kind = request.inquiry_type
    if kind in (InquiryType.BY_OBJECT, InquiryType.BY_BOTH) and endpoint.object != (request.object or _NIL):
        return False
    if kind in (InquiryType.BY_INTERFACE, InquiryType.BY_BOTH):
        wanted = request.interface_id
        return wanted is not None and _version_matches(request.vers_option, endpoint.interface.syntax, wanted)
    return kind in (InquiryType.ALL, InquiryType.BY_OBJECT)


def _version_matches(option: int, offered: SyntaxId, wanted: SyntaxId) -> bool:
    """C706 3.1.5.3 (rpc_mgmt_ep_elt_inq_begin): what each version option accepts."""
    if offered.uuid != wanted.uuid:
        return False
    have, want = (offered.major, offered.minor), (wanted.major, wanted.minor)
    if option == VersionOption.ALL:
        return True
    if option == VersionOption.COMPATIBLE:
        return have[0] == want[0] and have[1] >= want[1]
    if option == VersionOption.EXACT:
        return have == want
    if option == VersionOption.MAJOR_ONLY:
        return have[0] == want[0]
    return option == VersionOption.UPTO and have <= want


def _keep(session: Session, cursor: _Cursor) -> ContextHandle:
    kept: list[ContextHandle] = session.state.setdefault(_Cursor, [])
    kept[:] = [handle for handle in kept if handle in session.handles]
    if len(kept) >= _MAX_CURSORS:
        session.drop_handle(kept.pop(0))
    handle = session.add_handle(cursor)
    kept.append(handle)
    return handle


def _reached(session: Session) -> str:
    return str(session.state.get(LOCAL_ADDRESS, ""))


def _is_any(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return True
