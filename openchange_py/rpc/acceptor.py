"""The server's side of a connection: [MS-RPCE] 3.3.3, and what Windows and Samba do with clients that err."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Final

from openchange_py.rpc.association import AssociationGroup, AssociationGroups
from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.connection import DEFAULT_CALL_LIMIT, Connection, State, Transitions, WrongState
from openchange_py.rpc.events import (
    AuthTokenReceived,
    CallCancelled,
    CallOrphaned,
    Event,
    Opened,
    PresentationContext,
    RequestReceived,
)
from openchange_py.rpc.fragments import DEFAULT_FRAGMENT, Assembly, fragment_size, fragments_of
from openchange_py.rpc.interface import OfferedInterfaces
from openchange_py.rpc.protection import LEVELS, Protection
from openchange_py.rpc.security import ANONYMOUS, Authenticator, AuthType, Identity, SecurityError
from openchange_py.rpc.verification import contradiction
from openchange_py.wire.auth_trailer import SecTrailer, split_verification_trailer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.pdu import (
    AlterContext,
    AlterContextResp,
    Auth3,
    Bind,
    BindAck,
    BindNak,
    BindNakReason,
    CoCancel,
    Fault,
    Orphaned,
    Pdu,
    PduHeader,
    PduType,
    Pfc,
    PresentationResult,
    Request,
    Response,
    UnsupportedVersion,
)

#: RPC_S_SEC_PKG_ERROR: a signature was wrong.
SEC_PKG_ERROR: Final = 0x00000721
#: Bytes of a call of somebody who did not authenticate: a question to the endpoint mapper takes a few hundred. What a
#: crowd of strangers can make us keep stays small.
ANONYMOUS_CALL_LIMIT: Final = 65536
#: More presentation contexts than this on one connection are nobody's need.
MAX_CONTEXTS: Final = 100

_CANCELS: Final = {PduType.CO_CANCEL: "_cancel", PduType.ORPHANED: "_orphaned"}


class _Illegal(Exception):
    """The client broke the protocol: fault (with this status), and the connection ends."""

    def __init__(self, reason: str, status: int = FaultStatus.PROTOCOL_ERROR) -> None:
        super().__init__(reason)
        self.status = status


@dataclasses.dataclass(slots=True)
class _Leg:
    """A PDU whose token is being stepped; `results` are those of a bind or alter_context."""

    pdu: Bind | Auth3
    protection: Protection
    results: tuple[PresentationResult, ...] = ()


class Acceptor(Connection):
    """One client's connection. `group` is its association group once it has bound; the owner leaves it."""

    transitions: ClassVar[Transitions] = {
        State.IDLE: {PduType.BIND: "_bind"},
        State.AUTHENTICATING: {PduType.AUTH3: "_auth3", PduType.ALTER_CONTEXT: "_alter", **_CANCELS},
        State.OPEN: {PduType.REQUEST: "_request", PduType.ALTER_CONTEXT: "_alter", **_CANCELS},
        State.REFUSED: {PduType.REQUEST: "_refused", **_CANCELS},
    }

    def __init__(
        self,
        interfaces: OfferedInterfaces,
        groups: AssociationGroups,
        authenticator: Authenticator | None = None,
        *,
        peer: str = "",
        endpoint: str = "",
        max_fragment: int = DEFAULT_FRAGMENT,
        call_limit: int = DEFAULT_CALL_LIMIT,
    ) -> None:
        super().__init__(max_fragment=max_fragment, call_limit=call_limit)
        self.group: AssociationGroup | None = None
        self.contexts: dict[int, PresentationContext] = {}
        self._interfaces = interfaces
        self._groups = groups
        self._authenticator = authenticator
        self._peer = peer
        self._endpoint = endpoint
        self._client_signs_headers = False
        self._leg: _Leg | None = None

    @property
    def caller(self) -> Identity:
        """Who the client is; anonymous before it authenticated."""
        return ANONYMOUS if self.protection is None else self.protection.caller

    # What the owner sends

    def send_response(self, request: RequestReceived, stub: bytes) -> bytes:
        """The response's fragments."""
        pdu = Response(call_id=request.call_id, context_id=request.context.context_id, stub=stub, alloc_hint=len(stub))
        return fragments_of(pdu, self.max_xmit_frag, request.protection)

    def send_fault(self, request: RequestReceived, status: int, *, executed: bool = True) -> bytes:
        """A fault. `executed` false tells the client that the call can be repeated safely."""
        return self._fault(request.call_id, request.context.context_id, status, executed=executed)

    def auth_result(self, outcome: bytes | SecurityError) -> list[Event]:
        """What `step` gave or raised, for the token of the last `AuthTokenReceived`; reading goes on."""
        leg, self._leg = self._leg, None
        if leg is None or self.state is not State.STEPPING:
            raise WrongState("no authentication step is awaited")
        events: list[Event] = []
        if isinstance(outcome, SecurityError):
            self._step_failed(leg, outcome, events)
        else:
            self._step_done(leg, outcome, events)
        self._read(events)
        return events

    # Binding

    def _bind(self, pdu: Bind, raw: bytes, events: list[Event]) -> None:
        if not pdu.contexts or not all(context.transfer_syntaxes for context in pdu.contexts):
            self._nak(pdu.call_id, BindNakReason.NOT_SPECIFIED, "bind without a presentation context", events)
            return
        if pdu.auth is not None and (reason := self._not_acceptable(pdu.auth)):
            self._nak(pdu.call_id, BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED, reason, events)
            return
        try:
            results = self._negotiate(pdu)
        except _Illegal as error:
            self._nak(pdu.call_id, BindNakReason.NOT_SPECIFIED, str(error), events)
            return
        self.group = self._groups.join(pdu.assoc_group_id, self._peer)
        if self.group is None:
            self._nak(pdu.call_id, BindNakReason.NOT_SPECIFIED, f"no group {pdu.assoc_group_id:#x}", events)
            return
        self.max_xmit_frag = fragment_size(self.max_xmit_frag, pdu.max_recv_frag)
        self.max_recv_frag = fragment_size(self.max_recv_frag, pdu.max_xmit_frag)
        self._client_signs_headers = bool(pdu.flags & Pfc.SUPPORT_HEADER_SIGN)
        self._authenticate_or_answer(pdu, results, events)

    def _alter(self, pdu: AlterContext, raw: bytes, events: list[Event]) -> None:
        try:
            if not pdu.contexts:
                raise _Illegal("alter_context without a presentation context")
            if pdu.auth is not None and self.protection is not None:
                if self.state is not State.AUTHENTICATING or not self.protection.matches(pdu.auth):
                    raise _Illegal("a second security context", FaultStatus.ACCESS_DENIED)
            elif pdu.auth is not None and (reason := self._not_acceptable(pdu.auth)):
                raise _Illegal(reason, FaultStatus.ACCESS_DENIED)
            results = self._negotiate(pdu)
        except _Illegal as error:
            self._break_off(pdu.call_id, error, events)
            return
        self._authenticate_or_answer(pdu, results, events)

    def _auth3(self, pdu: Auth3, raw: bytes, events: list[Event]) -> None:
        protection = self.protection
        if protection is None or pdu.auth is None or not protection.matches(pdu.auth):
            self._break_off(pdu.call_id, _Illegal("auth3 that belongs to no bind"), events)
            return
        self._step(_Leg(pdu, protection), pdu.auth.auth_value, events)

    def _negotiate(self, pdu: Bind) -> tuple[PresentationResult, ...]:
        """Answer all proposed contexts, and remember the accepted ones if none of them is illegal."""
        accepted = dict(self.contexts)
        results = []
        for element in pdu.contexts:
            result, interface = self._interfaces.negotiate(element)
            known = accepted.get(element.context_id)
            if known is not None and interface is not known.interface:
                raise _Illegal(f"presentation context {element.context_id} is taken by {known.interface.name}")
            if interface is not None:
                accepted[element.context_id] = PresentationContext(
                    element.context_id, interface, result.transfer_syntax
                )
            results.append(result)
        if len(accepted) > MAX_CONTEXTS:
            raise _Illegal(f"more than {MAX_CONTEXTS} presentation contexts")
        self.contexts = accepted
        return tuple(results)

    def _not_acceptable(self, auth: SecTrailer) -> str:
        """Why a client's first token can't be taken, or "" and `protection` is set up for it."""
        if auth.auth_level not in LEVELS:
            return f"authentication level {auth.auth_level}"
        try:
            auth_type = AuthType(auth.auth_type)
        except ValueError:
            return f"authentication type {auth.auth_type}"
        context = self._authenticator.acceptor(auth_type, self._peer) if self._authenticator else None
        if context is None:
            return f"authentication type {auth_type.name} is not offered"
        self.protection = Protection(
            context, auth.auth_type, auth.auth_level, auth.auth_context_id, header_signing=False
        )
        return ""

    def _authenticate_or_answer(self, pdu: Bind, results: tuple[PresentationResult, ...], events: list[Event]) -> None:
        if pdu.auth is None or self.protection is None:
            self._acknowledge(pdu, results, None)
            if self.state is State.IDLE:
                self._open(events)
            return
        if self._leg is None and pdu.flags & Pfc.SUPPORT_HEADER_SIGN:
            self._client_signs_headers = self.protection.header_signing = True
        self._step(_Leg(pdu, self.protection, results), pdu.auth.auth_value, events)

    # Authentication

    def _step(self, leg: _Leg, token: bytes, events: list[Event]) -> None:
        self._leg = leg
        self.state = State.STEPPING
        events.append(AuthTokenReceived(leg.protection.context, token))

    def _step_done(self, leg: _Leg, token: bytes, events: list[Event]) -> None:
        complete = leg.protection.context.complete
        if isinstance(leg.pdu, Auth3):
            if token or not complete:
                self.state = State.REFUSED
                return
        else:
            self._acknowledge(leg.pdu, leg.results, leg.protection.trailer(token))
        if complete:
            self._open(events)
        else:
            self.state = State.AUTHENTICATING

    def _step_failed(self, leg: _Leg, error: SecurityError, events: list[Event]) -> None:
        if isinstance(leg.pdu, Auth3):
            self.state = State.REFUSED
        elif isinstance(leg.pdu, AlterContext):
            self._break_off(leg.pdu.call_id, _Illegal(str(error), FaultStatus.ACCESS_DENIED), events)
        else:
            self._nak(leg.pdu.call_id, BindNakReason.INVALID_CHECKSUM, str(error), events)

    def _acknowledge(self, pdu: Bind, results: tuple[PresentationResult, ...], auth: SecTrailer | None) -> None:
        first = not isinstance(pdu, AlterContext)
        signing = self.protection is not None and self.protection.header_signing and auth is not None
        answer = (BindAck if first else AlterContextResp)(
            call_id=pdu.call_id,
            flags=Pfc.WHOLE | (Pfc.SUPPORT_HEADER_SIGN if signing else 0),
            auth=auth,
            results=results,
            max_xmit_frag=self.max_xmit_frag,
            max_recv_frag=self.max_recv_frag,
            assoc_group_id=self.group.group_id if self.group else 0,
            secondary_address=self._endpoint.encode("ascii") + b"\0" if first else b"",
        )
        self._out.append(answer.pack())

    def _open(self, events: list[Event]) -> None:
        self.state = State.OPEN
        events.append(Opened(self.caller))

    # Calls

    def _request(self, pdu: Request, raw: bytes, events: list[Event]) -> None:
        try:
            call = self._add_fragment(pdu, raw)
        except SecurityError as error:
            status = FaultStatus.ACCESS_DENIED if pdu.auth is None else SEC_PKG_ERROR
            self._break_off(pdu.call_id, _Illegal(str(error), status), events, pdu.context_id)
            return
        except _Illegal as error:
            self._break_off(pdu.call_id, error, events, pdu.context_id)
            return
        if call is None:
            return
        context = self.contexts.get(call.context_id)
        if context is None:
            self._out.append(self._fault(call.call_id, call.context_id, FaultStatus.UNKNOWN_INTERFACE, executed=False))
            return
        stub, protection = call.stub(), call.protection
        if protection is not None and protection.protects:
            try:
                stub = self._without_trailer(stub, context, call)
            except _Illegal as error:
                self._break_off(pdu.call_id, error, events, pdu.context_id)
                return
        caller = ANONYMOUS if protection is None else protection.caller
        events.append(RequestReceived(call.call_id, context, call.opnum, stub, caller, call.object_uuid, protection))

    def _add_fragment(self, pdu: Request, raw: bytes) -> Assembly | None:
        """Verify a fragment and join it to its call; the call where it is whole."""
        if len(raw) > self.max_recv_frag:
            raise _Illegal(f"fragment of {len(raw)} bytes, {self.max_recv_frag} were negotiated")
        protection = self.protection
        if protection is None:
            if pdu.auth is not None:
                raise _Illegal("protected PDU on a connection without authentication", FaultStatus.ACCESS_DENIED)
            stub = pdu.stub
        else:
            stub = protection.unprotect(raw, pdu)
        if pdu.flags & Pfc.FIRST_FRAG:
            if self._assembly is not None:
                raise _Illegal(f"call {pdu.call_id} starts inside call {self._assembly.call_id}")
            call = Assembly(pdu.call_id, pdu.context_id, pdu.opnum, pdu.object_uuid, protection)
        else:
            call = self._continued(pdu)
        limit = min(self._call_limit, ANONYMOUS_CALL_LIMIT) if self.caller.is_anonymous else self._call_limit
        if not call.add(stub, limit):
            raise _Illegal(f"call of more than {limit} bytes", FaultStatus.ACCESS_DENIED)
        last = pdu.flags & Pfc.LAST_FRAG
        self._assembly = None if last else call
        return call if last else None

    def _continued(self, pdu: Request) -> Assembly:
        call = self._assembly
        if call is None or call.call_id != pdu.call_id:
            raise _Illegal(f"fragment of call {pdu.call_id}, which did not start")
        if (call.context_id, call.opnum) != (pdu.context_id, pdu.opnum):
            raise _Illegal(f"call {pdu.call_id} changes context or opnum between fragments")
        return call

    def _without_trailer(self, stub: bytes, context: PresentationContext, call: Assembly) -> bytes:
        """Remove the verification trailer, and check that nobody changed what it repeats ([MS-RPCE] 2.2.2.13)."""
        stub, trailer = split_verification_trailer(stub)
        if trailer is None:
            return stub
        wrong = contradiction(trailer, context, call, header_signing=self._client_signs_headers)
        if wrong:
            raise _Illegal(f"verification trailer: {wrong}", FaultStatus.ACCESS_DENIED)
        return stub

    def _refused(self, pdu: Request, raw: bytes, events: list[Event]) -> None:
        denied = _Illegal("authentication failed", FaultStatus.ACCESS_DENIED)
        self._break_off(pdu.call_id, denied, events, pdu.context_id)

    def _cancel(self, pdu: CoCancel, raw: bytes, events: list[Event]) -> None:
        events.append(CallCancelled(pdu.call_id))

    def _orphaned(self, pdu: Orphaned, raw: bytes, events: list[Event]) -> None:
        if self._assembly is not None and self._assembly.call_id == pdu.call_id:
            self._assembly = None
        events.append(CallOrphaned(pdu.call_id))

    # Clients that err

    def _undecodable(self, raw: bytes, error: DecodeError, events: list[Event]) -> None:
        header = PduHeader.unpack_from(raw)
        if header.ptype == PduType.BIND and self.state is State.IDLE:
            version = isinstance(error, UnsupportedVersion)
            reason = BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED if version else BindNakReason.NOT_SPECIFIED
            self._nak(header.call_id, reason, str(error), events)
        else:
            self._break_off(header.call_id, _Illegal(str(error)), events)

    def _illegal(self, pdu: Pdu, events: list[Event]) -> None:
        reason = f"{pdu.ptype.name} where {self.state.value}"
        if isinstance(pdu, Bind) and not isinstance(pdu, AlterContext):
            self._nak(pdu.call_id, BindNakReason.NOT_SPECIFIED, reason, events)
        else:
            self._break_off(pdu.call_id, _Illegal(reason), events)

    def _nak(self, call_id: int, reason: BindNakReason, why: str, events: list[Event]) -> None:
        self._out.append(BindNak(call_id=call_id, reason=reason).pack())
        self._end(events, f"bind refused: {why}")

    def _break_off(self, call_id: int, error: _Illegal, events: list[Event], context_id: int = 0) -> None:
        self._out.append(self._fault(call_id, context_id, error.status, executed=False))
        self._end(events, str(error))

    @staticmethod
    def _fault(call_id: int, context_id: int, status: int, *, executed: bool) -> bytes:
        flags = Pfc.WHOLE if executed else Pfc.WHOLE | Pfc.DID_NOT_EXECUTE
        return Fault(call_id=call_id, flags=flags, context_id=context_id, status=status & 0xFFFFFFFF).pack()
