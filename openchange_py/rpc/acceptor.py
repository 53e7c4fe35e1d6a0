"""The server's side of a connection: [MS-RPCE] 3.3.3, and what Windows and Samba do with clients that err.

`presentation.py`, `security_contexts.py` and `reassembly.py` have its parts.
"""

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
    GroupElsewhere,
    Opened,
    PresentationContext,
    RequestReceived,
)
from openchange_py.rpc.fragments import DEFAULT_FRAGMENT, agreed_size, fragments_of
from openchange_py.rpc.interface import OfferedInterfaces
from openchange_py.rpc.presentation import MAX_CONTEXTS, PresentationContexts
from openchange_py.rpc.protection import Protection
from openchange_py.rpc.reassembly import ANONYMOUS_CALL_LIMIT, IncomingCalls
from openchange_py.rpc.refusal import Refusal, unbound
from openchange_py.rpc.security import ANONYMOUS, Authenticator, Authority, AuthType, Identity, SecurityError
from openchange_py.rpc.security_contexts import MAX_SECURITY_CONTEXTS, NotAcceptable, SecurityContexts
from openchange_py.rpc.verification import contradiction
from openchange_py.wire.auth_trailer import BadSecTrailer, SecTrailer, split_verification_trailer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import SyntaxId
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
    Shutdown,
    UnsupportedVersion,
)

_BOUND: Final = {
    PduType.REQUEST: "_request",
    PduType.ALTER_CONTEXT: "_alter",
    PduType.AUTH3: "_auth3",
    PduType.CO_CANCEL: "_cancel",
    PduType.ORPHANED: "_orphaned",
}


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
        State.AUTHENTICATING: _BOUND,
        State.OPEN: _BOUND,
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
        anonymous_call_limit: int = ANONYMOUS_CALL_LIMIT,
        context_limit: int = MAX_CONTEXTS,
        security_limit: int = MAX_SECURITY_CONTEXTS,
        transport_caller: Identity = ANONYMOUS,
    ) -> None:
        super().__init__(max_fragment=max_fragment, call_limit=call_limit)
        #: Who the transport says the client is: he is the caller where he does not authenticate in the bind, and his
        #: level is what the transport protects, whoever authenticates inside of it.
        self._transport_caller = transport_caller
        self._raised: tuple[Identity, Identity] | None = None
        self.group: AssociationGroup | None = None
        self.contexts = PresentationContexts(interfaces, context_limit)
        over_pipe = groups.transport == "ncacn_np"
        self.security = SecurityContexts(authenticator, peer, security_limit, transport_default=over_pipe)
        self.security.transport_anonymous = transport_caller.is_anonymous
        self.security.group = self._group_id
        self.calls = IncomingCalls(self.contexts, self.security, call_limit, anonymous_call_limit)
        self._groups = groups
        self._peer = peer
        self._endpoint = endpoint
        self._leg: _Leg | None = None

    @property
    def caller(self) -> Identity:
        """Who bound; anonymous before authentication. Calls of other security contexts tell theirs."""
        protection = self.security.default
        return self._transport_caller if protection is None else self._protected(protection.caller)

    def _protected(self, caller: Identity) -> Identity:
        """The caller at the level of the transport, where that is the higher one. Not who is only the upstream's word:
        see `Authority`.
        """
        level = self._transport_caller.level
        if caller.is_anonymous or caller.level >= level or caller.authority is Authority.UPSTREAM:
            return caller
        if self._raised is None or self._raised[0] is not caller:
            self._raised = caller, dataclasses.replace(caller, level=level)
        return self._raised[1]

    @property
    def multiplexed(self) -> bool:
        """The client makes several calls at a time, and takes their answers in any order."""
        return self.calls.multiplexed

    # What the owner sends

    def send_response(self, request: RequestReceived, stub: bytes) -> bytes:
        """The response's fragments. Windows tells the lower eight bits of the presentation context's id only."""
        context_id = request.context.context_id & 0xFF
        pdu = Response(call_id=request.call_id, context_id=context_id, stub=stub, alloc_hint=len(stub))
        return fragments_of(pdu, self.max_xmit_frag, request.protection)

    def send_fault(self, request: RequestReceived, status: int, *, executed: bool = True) -> bytes:
        """A fault. `executed` false tells the client that the call can be repeated safely."""
        return _fault(request.call_id, request.context.context_id, status, did_not_execute=not executed)

    def send_shutdown(self) -> bytes:
        """Ask the client to end the connection."""
        return Shutdown(call_id=0).pack()

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
        elsewhere = self._groups.elsewhere(pdu.assoc_group_id)
        if elsewhere is not None:
            self.state = State.CLOSED
            events.append(GroupElsewhere(elsewhere))
            return
        reason = BindNakReason.NOT_SPECIFIED
        try:
            results = self.contexts.bind(pdu.contexts)
            if pdu.flags & Pfc.SUPPORT_HEADER_SIGN:
                self.security.sign_headers()
            if pdu.auth is not None:
                self.security.default = self.security.begin(pdu.auth, _first_interface(pdu))
        except (Refusal, NotAcceptable) as error:
            if isinstance(error, NotAcceptable):
                reason = error.reason
            self._nak(pdu.call_id, reason, str(error), events)
            return
        self.group = self._groups.join(pdu.assoc_group_id, self._peer)
        if self.group is None:
            self._nak(pdu.call_id, reason, f"no group {pdu.assoc_group_id:#x}", events)
            return
        size = agreed_size(self.max_xmit_frag, pdu.max_xmit_frag, pdu.max_recv_frag)
        self.max_xmit_frag = self.max_recv_frag = size
        self.calls.multiplexed = bool(pdu.flags & Pfc.CONC_MPX)
        self._authenticate_or_answer(pdu, results, self.security.default, events)

    def _alter(self, pdu: AlterContext, raw: bytes, events: list[Event]) -> None:
        """Fragment sizes and association group of an alter_context are ignored."""
        try:
            if pdu.auth is not None and pdu.auth.auth_type == AuthType.NONE:
                raise unbound("a sec_trailer without authentication", FaultStatus.ACCESS_DENIED)
            results = self.contexts.alter(pdu.contexts)
            if pdu.flags & Pfc.SUPPORT_HEADER_SIGN:
                self.security.sign_headers()
            protection = self.security.altered(pdu.auth, _first_interface(pdu)) if pdu.auth is not None else None
        except Refusal as refusal:
            self._refuse(pdu.call_id, refusal, events)
            return
        self._authenticate_or_answer(pdu, results, protection, events)

    def _auth3(self, pdu: Auth3, raw: bytes, events: list[Event]) -> None:
        try:
            protection = self.security.third_leg(pdu.auth)
        except Refusal as refusal:
            self._refuse(pdu.call_id, refusal, events)
            return
        assert pdu.auth is not None
        self._step(_Leg(pdu, protection), pdu.auth.auth_value, events)

    def _group_id(self) -> int:
        return self.group.group_id if self.group is not None else 0

    def _authenticate_or_answer(
        self, pdu: Bind, results: tuple[PresentationResult, ...], protection: Protection | None, events: list[Event]
    ) -> None:
        if pdu.auth is not None and protection is not None:
            self._step(_Leg(pdu, protection, results), pdu.auth.auth_value, events)
            return
        self._acknowledge(pdu, results, None)
        if self.state is State.IDLE:
            self._open(events)

    # Authentication

    def _step(self, leg: _Leg, token: bytes, events: list[Event]) -> None:
        self._leg = leg
        self.state = State.STEPPING
        events.append(AuthTokenReceived(leg.protection.context, token))

    def _step_done(self, leg: _Leg, token: bytes, events: list[Event]) -> None:
        protection = leg.protection
        if not isinstance(leg.pdu, Auth3):
            try:
                protection.check_level()
            except SecurityError as error:
                self._step_failed(leg, error, events)
                return
            self._acknowledge(leg.pdu, leg.results, protection.trailer(token))
        elif token or not protection.context.complete:
            protection.refused = True
        if protection.context.complete and not protection.refused:
            self.security.completed(protection)
        self._resume(events, protection)

    def _step_failed(self, leg: _Leg, error: SecurityError, events: list[Event]) -> None:
        """auth3 has no answer: the next call of its context is told."""
        if isinstance(leg.pdu, Auth3):
            leg.protection.refused = True
            self._resume(events, leg.protection)
        elif isinstance(leg.pdu, AlterContext):
            self._refuse(leg.pdu.call_id, unbound(str(error), FaultStatus.SEC_PKG_ERROR), events)
        else:
            self._nak(leg.pdu.call_id, BindNakReason.INVALID_CHECKSUM, str(error), events)

    def _resume(self, events: list[Event], protection: Protection) -> None:
        """Read on, open once the bind's authentication is complete."""
        default = self.security.default
        if default is not None and (default.refused or not default.context.complete):
            self.state = State.AUTHENTICATING
        elif protection is default:
            self._open(events)
        else:
            self.state = State.OPEN

    def _acknowledge(self, pdu: Bind, results: tuple[PresentationResult, ...], auth: SecTrailer | None) -> None:
        first = not isinstance(pdu, AlterContext)
        granted = Pfc.SUPPORT_HEADER_SIGN | (Pfc.CONC_MPX if first else 0)
        answer = (BindAck if first else AlterContextResp)(
            call_id=pdu.call_id,
            flags=Pfc.WHOLE | pdu.flags & granted,
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
            call = self.calls.add(pdu, raw)
            if call is not None:
                events.append(self._received(*call))
        except Refusal as refusal:
            self._refuse(pdu.call_id, refusal, events)

    def _received(
        self, first: Request, context: PresentationContext, protection: Protection | None, stub: bytes
    ) -> RequestReceived:
        caller = self._transport_caller
        if protection is not None:
            caller = self._protected(protection.caller)
            if protection.protects:
                stub = self._without_trailer(stub, context, first)
        return RequestReceived(
            first.call_id,
            context,
            first.opnum,
            stub,
            caller,
            first.object_uuid,
            protection,
            first.big_endian,
            bool(first.flags & Pfc.MAYBE),
        )

    def _without_trailer(self, stub: bytes, context: PresentationContext, call: Request) -> bytes:
        """Remove the verification trailer, and check that nobody changed what it repeats ([MS-RPCE] 2.2.2.13)."""
        stub, trailer = split_verification_trailer(stub)
        if trailer is None:
            return stub
        wrong = contradiction(trailer, context, call, header_signing=self.security.header_signing)
        if wrong:
            raise Refusal(f"verification trailer: {wrong}", FaultStatus.ACCESS_DENIED, context_id=call.context_id)
        return stub

    def _cancel(self, pdu: CoCancel, raw: bytes, events: list[Event]) -> None:
        events.append(CallCancelled(pdu.call_id))

    def _orphaned(self, pdu: Orphaned, raw: bytes, events: list[Event]) -> None:
        """Fragments of the call that still come are taken, as Windows does."""
        events.append(CallOrphaned(pdu.call_id))

    # Clients that err

    def _undecodable(self, raw: bytes, error: DecodeError, events: list[Event]) -> None:
        header = PduHeader.unpack_from(raw)
        bad_trailer = isinstance(error, BadSecTrailer)
        if header.ptype == PduType.BIND and self.state is State.IDLE:
            version = bad_trailer or isinstance(error, UnsupportedVersion)
            reason = BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED if version else BindNakReason.NOT_SPECIFIED
            self._nak(header.call_id, reason, str(error), events)
        elif header.ptype == PduType.AUTH3 and bad_trailer:
            self._refuse(header.call_id, unbound(str(error), FaultStatus.REMOTE_NO_MEMORY), events)
        else:
            self._refuse(header.call_id, unbound(str(error)), events)

    def _illegal(self, pdu: Pdu, events: list[Event]) -> None:
        reason = f"{pdu.ptype.name} where {self.state.value}"
        if isinstance(pdu, Bind) and not isinstance(pdu, AlterContext):
            self._nak(pdu.call_id, BindNakReason.NOT_SPECIFIED, reason, events)
        else:
            self._refuse(pdu.call_id, unbound(reason), events)

    def _nak(self, call_id: int, reason: BindNakReason, why: str, events: list[Event]) -> None:
        self._out.append(BindNak(call_id=call_id, reason=reason, rest=bytes(3)).pack())
        self._end(events, f"bind refused: {why}")

    def _refuse(self, call_id: int, refusal: Refusal, events: list[Event]) -> None:
        call_id = call_id if refusal.call_id is None else refusal.call_id
        did_not_execute = refusal.did_not_execute
        self._out.append(_fault(call_id, refusal.context_id, refusal.status, did_not_execute=did_not_execute))
        if refusal.ends:
            self._end(events, str(refusal))

    def _unfinished_call(self) -> str:
        call = self.calls.first
        return f"call {call.call_id} without its last fragment" if call is not None else ""

    def _end(self, events: list[Event], reason: str) -> None:
        self.calls.clear()
        super()._end(events, reason)


def _first_interface(pdu: Bind) -> SyntaxId | None:
    return pdu.contexts[0].abstract_syntax if pdu.contexts else None


def _fault(call_id: int, context_id: int, status: int, *, did_not_execute: bool) -> bytes:
    flags = Pfc.WHOLE | Pfc.DID_NOT_EXECUTE if did_not_execute else Pfc.WHOLE
    return Fault(call_id=call_id, flags=flags, context_id=context_id, status=status & 0xFFFFFFFF).pack()
