"""The call: what every transport makes of its bytes, and what modules, relay and servers handle."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from openchange_py.rpc.log_context import LogFields
from openchange_py.rpc.security import ANONYMOUS, Identity
from openchange_py.rpc.share import Share
from openchange_py.wire.ndr import ContextHandle, RpcInterface, RpcMessage


class SessionNumbers:
    """What sessions are called by, in logs and recordings."""

    def __init__(self) -> None:
        self.begin(Share())

    def begin(self, share: Share) -> None:
        """From now on such numbers as no other process of the share gives."""
        self._numbers = itertools.count(share.number + 1, share.count)

    def next(self) -> int:
        """One that was never given."""
        return next(self._numbers)


SESSION_NUMBERS: Final = SessionNumbers()

#: Far more than any client opens: a handle is a logon to a mailbox or an address book.
DEFAULT_HANDLE_LIMIT: Final = 1000


class RpcFault(Exception):
    """Answer a call with a fault PDU of this status (C706 appendix E, [MS-RPCE] 2.2.2.6, or a Win32 code)."""

    def __init__(self, status: int, reason: str = "") -> None:
        name = FAULT_NAMES.get(status)
        super().__init__(f"fault 0x{status:08x}" + (f" ({name})" if name else "") + (f": {reason}" if reason else ""))
        self.status = status
        self.reason = reason

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        return {"status": f"0x{self.status:08x}"}


class FaultStatus:
    """Fault statuses that are raised in more than one place."""

    ACCESS_DENIED = 0x00000005
    BAD_STUB_DATA = 0x000006F7
    SERVER_UNAVAILABLE = 0x000006BA
    CALL_FAILED = 0x000006BE
    OP_RANGE_ERROR = 0x1C010002
    UNKNOWN_INTERFACE = 0x1C010003
    PROTOCOL_ERROR = 0x1C01000B
    SERVER_TOO_BUSY = 0x1C010014
    CONTEXT_MISMATCH = 0x1C00001A
    REMOTE_NO_MEMORY = 0x1C00001B
    UNSPECIFIED = 0x1C000012
    CANCELLED = 0x1C00000D
    #: RPC_S_..., which Windows sends as they are ([MS-ERREF] 2.2).
    NO_CALL_ACTIVE = 0x000006BD
    CANNOT_SUPPORT = 0x000006E4
    OUT_OF_RESOURCES = 0x000006B9
    SEC_PKG_ERROR = 0x00000721


#: What these statuses say, for people.
FAULT_NAMES: Final = {
    FaultStatus.ACCESS_DENIED: "access denied",
    FaultStatus.BAD_STUB_DATA: "bad stub data",
    FaultStatus.SERVER_UNAVAILABLE: "server unavailable",
    FaultStatus.CALL_FAILED: "call failed",
    FaultStatus.OP_RANGE_ERROR: "no such operation",
    FaultStatus.UNKNOWN_INTERFACE: "unknown interface",
    FaultStatus.PROTOCOL_ERROR: "protocol error",
    FaultStatus.SERVER_TOO_BUSY: "server too busy",
    FaultStatus.CONTEXT_MISMATCH: "context handle mismatch",
    FaultStatus.REMOTE_NO_MEMORY: "out of memory",
    FaultStatus.UNSPECIFIED: "unspecified fault",
    FaultStatus.CANCELLED: "cancelled",
    FaultStatus.NO_CALL_ACTIVE: "no call active",
    FaultStatus.CANNOT_SUPPORT: "not supported",
    FaultStatus.OUT_OF_RESOURCES: "out of resources",
    FaultStatus.SEC_PKG_ERROR: "security package error",
}


@dataclasses.dataclass(eq=False, slots=True)
class Session:
    """One client association: on TCP the association group, which several connections may share.

    It ends, and its context handles with it, when its last connection ends. `state` holds what modules,
    relay and servers keep per session, each under its own key.
    """

    transport: str
    peer: str
    number: int = dataclasses.field(default_factory=SESSION_NUMBERS.next)
    state: dict[Any, Any] = dataclasses.field(default_factory=dict)
    handles: dict[ContextHandle, Any] = dataclasses.field(default_factory=dict)
    guard: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    #: Context handles that it may have open at a time.
    handle_limit: int = DEFAULT_HANDLE_LIMIT

    def add_handle(self, value: Any) -> ContextHandle:
        """A fresh, unguessable context handle for `value`; `RpcFault` where the session has too many."""
        handle = ContextHandle(0, uuid.uuid4())
        with self.guard:
            if len(self.handles) >= self.handle_limit:
                raise RpcFault(FaultStatus.OUT_OF_RESOURCES, f"more than {self.handle_limit} context handles")
            self.handles[handle] = value
        return handle

    def find_handle(self, handle: ContextHandle, kind: type[Any]) -> Any:
        """What a handle stands for; `RpcFault` (context mismatch) where it is not this session's."""
        value = self.handles.get(handle)
        if not isinstance(value, kind):
            raise RpcFault(FaultStatus.CONTEXT_MISMATCH, f"no such context handle {handle.uuid}")
        return value

    def drop_handle(self, handle: ContextHandle) -> None:
        """Forget a handle."""
        with self.guard:
            self.handles.pop(handle, None)

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        return {"session": self.number, "transport": self.transport, "peer": self.peer}

    def __str__(self) -> str:
        return f"session {self.number} ({self.transport} {self.peer})"


@dataclasses.dataclass(eq=False, slots=True)
class Call:
    """One call on its way. The stub stays bytes until somebody asks for `request`.

    A server, module or the relay answers by setting `response` (decoded) or `reply` (stub bytes), or by
    raising `RpcFault`. Whoever edits `request` or `response` in place calls `edited_request()` or
    `edited_response()`, so that the bytes are made anew; bytes that nobody edited travel as they came.
    """

    interface: RpcInterface
    opnum: int
    stub: bytes
    session: Session
    caller: Identity = ANONYMOUS
    call_id: int = 0
    object_uuid: uuid.UUID | None = None
    reply: bytes | None = None
    #: A module sets it: dispatch answers from what the module filled in, nothing is relayed.
    norelay: bool = False
    #: A module sets it: the response goes to nobody, and dispatch runs again.
    ahead: bool = False
    #: The stub that was checked, or stands for one that was: it need not be checked again. See `Module.check`.
    vouched: bytes | None = None
    _request: RpcMessage | None = None
    _response: RpcMessage | None = None
    _notes: dict[Any, Any] | None = None

    @property
    def notes(self) -> dict[Any, Any]:
        """What modules keep for this one call, each under its own key."""
        if self._notes is None:
            self._notes = {}
        return self._notes

    @property
    def is_vouched(self) -> bool:
        """The stub as it is now needs no check."""
        return self.vouched is self.stub

    def vouch(self) -> None:
        """The stub as it is now stands for one that was checked."""
        self.vouched = self.stub

    @property
    def name(self) -> str:
        """`EcDoRpcExt2`, or `opnum N`."""
        return self.interface.method_name(self.opnum)

    @property
    def request(self) -> RpcMessage:
        """The decoded request. `DecodeError` for a bad stub, `RpcFault` for a call without codec."""
        if self._request is None:
            method = self.interface.methods.get(self.opnum)
            if method is None or method.request is None:
                raise RpcFault(FaultStatus.OP_RANGE_ERROR, f"{self.interface.name} {self.name}")
            self._request = method.request.unpack(self.stub)
        return self._request

    @property
    def response(self) -> RpcMessage | None:
        """The decoded response; None before there is one, or where the call has no codec."""
        if self._response is None and self.reply is not None:
            method = self.interface.methods.get(self.opnum)
            if method is not None and method.response is not None:
                self._response = method.response.unpack(self.reply)
        return self._response

    @response.setter
    def response(self, value: RpcMessage) -> None:
        self._response = value
        self.reply = None

    @property
    def has_request_codec(self) -> bool:
        """Whether `request` can be asked for at all."""
        method = self.interface.methods.get(self.opnum)
        return method is not None and method.request is not None

    def answer(self, reply: bytes) -> None:
        """Answer with the response's bytes, whatever was answered before."""
        self.reply = reply
        self._response = None

    def forget_answer(self) -> None:
        """As before anybody answered."""
        self.reply = self._response = None

    def replace_stub(self, stub: bytes) -> None:
        """Another request, as bytes; what was decoded of the one before is forgotten."""
        self.stub = stub
        self._request = None

    def edited_request(self) -> None:
        """The decoded request was changed: make the stub from it."""
        if self._request is not None:
            self.stub = self._request.pack()

    def edited_response(self) -> None:
        """The decoded response was changed: make the reply from it."""
        if self._response is not None:
            self.reply = self._response.pack()

    def reply_bytes(self) -> bytes:
        """The response stub; `RpcFault` where nobody answered."""
        if self.reply is None:
            if self._response is None:
                raise RpcFault(FaultStatus.CALL_FAILED, f"{self.name} was not answered")
            self.reply = self._response.pack()
        return self.reply


class CallHandler(Protocol):
    """What a transport hands its calls to: the module stack with the dispatcher behind it."""

    def interfaces(self) -> list[RpcInterface]:
        """The interfaces that are served."""

    async def handle(self, call: Call) -> bytes:
        """The response stub; raises `RpcFault`."""

    async def unbind(self, session: Session) -> None:
        """The session ended, however it ended."""


Handler = Callable[[Call], Awaitable[bytes]]
