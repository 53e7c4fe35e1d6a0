"""The client's side of a connection: [MS-RPCE] 3.3.2."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import ClassVar, Final

from openchange_py.rpc.connection import DEFAULT_CALL_LIMIT, Connection, State, Transitions, WrongState
from openchange_py.rpc.events import (
    AuthTokenReceived,
    BindCompleted,
    BindRejected,
    Event,
    FaultReceived,
    ResponseReceived,
)
from openchange_py.rpc.fragments import DEFAULT_FRAGMENT, Assembly, fragment_size, fragments_of
from openchange_py.rpc.protection import Protection
from openchange_py.rpc.security import AuthLevel, SecurityContext, SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.pdu import (
    AlterContext,
    AlterContextResp,
    Auth3,
    Bind,
    BindAck,
    BindNak,
    ContextResult,
    Fault,
    Pdu,
    PduType,
    Pfc,
    PresentationContextElement,
    PresentationResult,
    Request,
    Response,
    Shutdown,
)

#: auth_context_id of the only security context of a connection.
AUTH_CONTEXT_ID: Final = 1


class Initiator(Connection):
    """One connection to a server. Calls are made one after the other, with stubs in the one `transfer_syntax`."""

    transitions: ClassVar[Transitions] = {
        State.IDLE: {},
        State.BINDING: {
            PduType.BIND_ACK: "_bind_ack",
            PduType.ALTER_CONTEXT_RESP: "_alter_context_resp",
            PduType.BIND_NAK: "_bind_nak",
            PduType.FAULT: "_fault",
            PduType.SHUTDOWN: "_shutdown",
        },
        State.OPEN: {PduType.RESPONSE: "_response", PduType.FAULT: "_fault", PduType.SHUTDOWN: "_shutdown"},
    }

    def __init__(
        self,
        context: SecurityContext | None = None,
        level: AuthLevel = AuthLevel.NONE,
        *,
        assoc_group: int = 0,
        transfer_syntax: SyntaxId = NDR20,
        big_endian: bool = False,
        max_fragment: int = DEFAULT_FRAGMENT,
        call_limit: int = DEFAULT_CALL_LIMIT,
    ) -> None:
        super().__init__(max_fragment=max_fragment, call_limit=call_limit)
        self.assoc_group = assoc_group
        self.transfer_syntax = transfer_syntax
        #: What is sent; the server may answer in either order.
        self.big_endian = big_endian
        self.accepted: dict[int, SyntaxId] = {}
        self._call_id = 0
        self._proposed: tuple[PresentationContextElement, ...] = ()
        self._binding = 0
        self._waiting: int | None = None
        self._results: tuple[PresentationResult, ...] = ()
        self._assembly: Assembly | None = None
        self.protection: Protection | None = None
        if context is not None:
            # [MS-RPCE] 2.2.1.1.8: who wants level call asks for packet on a connection.
            asked = AuthLevel.PACKET if level == AuthLevel.CALL else level
            self.protection = Protection(
                context, context.auth_type, asked, AUTH_CONTEXT_ID, header_signing=level >= AuthLevel.CALL
            )

    # What the owner sends

    def send_bind(self, interfaces: Sequence[SyntaxId], token: bytes = b"") -> bytes:
        """Bind to interfaces, under context ids 0, 1, ... `token` is what the security context's first step gave."""
        self._require(State.IDLE)
        self._proposed = self._elements(interfaces, 0)
        bind = Bind(
            big_endian=self.big_endian,
            call_id=self._next_call(),
            flags=self._binding_flags(),
            contexts=self._proposed,
            max_xmit_frag=self.max_xmit_frag,
            max_recv_frag=self.max_recv_frag,
            assoc_group_id=self.assoc_group,
            auth=None if self.protection is None else self.protection.trailer(token),
        )
        self._binding, self.state = bind.call_id, State.BINDING
        return bind.pack()

    def send_alter_context(self, interface: SyntaxId, context_id: int) -> bytes:
        """Negotiate one more interface on this connection."""
        self._require(State.OPEN)
        self._proposed = self._elements([interface], context_id)
        return self._alter_context(b"")

    def send_request(
        self, context_id: int, opnum: int, stub: bytes, object_uuid: uuid.UUID | None = None
    ) -> tuple[int, bytes]:
        """A call's id and its fragments."""
        self._require(State.OPEN)
        if self._waiting is not None:
            raise WrongState(f"call {self._waiting} is not answered yet")
        call_id = self._next_call()
        request = Request(
            big_endian=self.big_endian,
            call_id=call_id,
            flags=Pfc.WHOLE | (Pfc.OBJECT_UUID if object_uuid is not None else 0),
            context_id=context_id,
            opnum=opnum,
            stub=stub,
            alloc_hint=len(stub),
            object_uuid=object_uuid,
        )
        data = fragments_of(request, self.max_xmit_frag, self.protection)
        self._waiting = call_id
        return call_id, data

    def auth_result(self, outcome: bytes | SecurityError) -> list[Event]:
        """What `step` gave or raised for the server's token; the next leg is in `data_to_send`."""
        if self.state is not State.STEPPING or self.protection is None:
            raise WrongState("no authentication step is awaited")
        events: list[Event] = []
        if isinstance(outcome, SecurityError):
            self._end(events, f"authentication failed: {outcome}")
        elif not outcome and not self.protection.context.complete:
            self._end(events, "authentication came to no end")
        else:
            self._next_leg(outcome, events)
            self._read(events)
        return events

    # Binding

    def _next_leg(self, token: bytes, events: list[Event]) -> None:
        """auth3 where the server need not answer any more, alter_context where it does ([MS-RPCE] 3.3.1.5.2)."""
        assert self.protection is not None
        if token and not self.protection.context.complete:
            self._out.append(self._alter_context(token))
            return
        if token:
            auth = self.protection.trailer(token)
            self._out.append(
                Auth3(big_endian=self.big_endian, call_id=self._binding, padding=bytes(4), auth=auth).pack()
            )
        self._opened(events)

    def _alter_context(self, token: bytes) -> bytes:
        alter = AlterContext(
            big_endian=self.big_endian,
            call_id=self._next_call(),
            flags=self._binding_flags(),
            contexts=self._proposed,
            max_xmit_frag=self.max_xmit_frag,
            max_recv_frag=self.max_recv_frag,
            assoc_group_id=self.assoc_group,
            auth=self.protection.trailer(token) if token and self.protection else None,
        )
        self._binding, self.state = alter.call_id, State.BINDING
        return alter.pack()

    def _binding_flags(self) -> int:
        signing = self.protection is not None and self.protection.header_signing
        return Pfc.WHOLE | (Pfc.SUPPORT_HEADER_SIGN if signing else 0)

    def _bind_ack(self, pdu: BindAck, raw: bytes, events: list[Event]) -> None:
        self.max_xmit_frag = fragment_size(self.max_xmit_frag, pdu.max_recv_frag)
        self.assoc_group = pdu.assoc_group_id
        if self.protection is not None and not pdu.flags & Pfc.SUPPORT_HEADER_SIGN:
            self.protection.header_signing = False
        self._answered(pdu, events)

    def _alter_context_resp(self, pdu: AlterContextResp, raw: bytes, events: list[Event]) -> None:
        self._answered(pdu, events)

    def _answered(self, pdu: BindAck, events: list[Event]) -> None:
        if pdu.call_id != self._binding or len(pdu.results) != len(self._proposed):
            self._end(events, "the server answered another bind than the one that was sent")
            return
        for element, result in zip(self._proposed, pdu.results, strict=True):
            if result.result == ContextResult.ACCEPTANCE:
                if result.transfer_syntax not in element.transfer_syntaxes:
                    self._end(events, f"the server chose {result.transfer_syntax}, which was not proposed")
                    return
                self.accepted[element.context_id] = element.abstract_syntax
        self._results = pdu.results
        protection = self.protection
        if protection is None or (protection.context.complete and pdu.auth is None):
            self._opened(events)
        elif pdu.auth is None or not protection.matches(pdu.auth):
            self._end(events, "the server answered without authentication")
        else:
            self.state = State.STEPPING
            events.append(AuthTokenReceived(protection.context, pdu.auth.auth_value))

    def _opened(self, events: list[Event]) -> None:
        self.state = State.OPEN
        events.append(BindCompleted(self._results))

    def _bind_nak(self, pdu: BindNak, raw: bytes, events: list[Event]) -> None:
        events.append(BindRejected(pdu.reason))
        self._end(events, f"bind refused, reason {pdu.reason}")

    # Calls

    def _response(self, pdu: Response, raw: bytes, events: list[Event]) -> None:
        try:
            stub = self._unprotected(pdu, raw)
        except SecurityError as error:
            self._end(events, f"response refused: {error}")
            return
        first = bool(pdu.flags & Pfc.FIRST_FRAG)
        if pdu.call_id != self._waiting or first is not (self._assembly is None):
            self._end(events, f"fragment of call {pdu.call_id} out of order")
            return
        call = self._assembly or Assembly(pdu, None, self.protection)
        call.add(stub)
        if call.size > self._call_limit:
            self._end(events, f"response of more than {self._call_limit} bytes")
            return
        if not pdu.flags & Pfc.LAST_FRAG:
            self._assembly = call
            return
        self._assembly = self._waiting = None
        events.append(ResponseReceived(call.call_id, call.stub(), call.first.big_endian))

    def _fault(self, pdu: Fault, raw: bytes, events: list[Event]) -> None:
        """Windows and Samba send faults without protection; one that has it must verify."""
        if pdu.auth is not None:
            try:
                self._unprotected(pdu, raw)
            except SecurityError as error:
                self._end(events, f"fault refused: {error}")
                return
        if pdu.call_id != (self._binding if self.state is State.BINDING else self._waiting):
            self._end(events, f"fault 0x{pdu.status:08x} of call {pdu.call_id}, which waits for nothing")
            return
        executed = not pdu.flags & Pfc.DID_NOT_EXECUTE
        self._assembly = self._waiting = None
        events.append(FaultReceived(pdu.call_id, pdu.status, executed))
        if self.state is State.BINDING:
            self._end(events, f"fault 0x{pdu.status:08x} in answer to a bind")

    def _unprotected(self, pdu: Response | Fault, raw: bytes) -> bytes:
        if self.protection is not None:
            return self.protection.unprotect(raw, pdu)
        if pdu.auth is not None:
            raise SecurityError("protected PDU on a connection without authentication")
        return pdu.stub

    def _shutdown(self, pdu: Shutdown, raw: bytes, events: list[Event]) -> None:
        self._end(events, "the server shuts down")

    def _undecodable(self, raw: bytes, error: DecodeError, events: list[Event]) -> None:
        self._end(events, f"no PDU: {error}")

    def _illegal(self, pdu: Pdu, events: list[Event]) -> None:
        self._end(events, f"{pdu.ptype.name} where {self.state.value}")

    def _next_call(self) -> int:
        self._call_id = self._call_id % 0x7FFFFFFF + 1
        return self._call_id

    def _require(self, state: State) -> None:
        if self.state is not state:
            raise WrongState(f"{self.state.value}; needed: {state.value}")

    def _elements(self, interfaces: Sequence[SyntaxId], first_id: int) -> tuple[PresentationContextElement, ...]:
        transfer = (self.transfer_syntax,)
        return tuple(PresentationContextElement(first_id + i, syntax, transfer) for i, syntax in enumerate(interfaces))
