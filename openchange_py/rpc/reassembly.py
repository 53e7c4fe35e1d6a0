"""Joining the fragments of a client's calls: C706 12.6.3.1 and 12.6.4.9, [MS-RPCE] 3.3.3.4.

Without concurrent multiplexing all fragments of a call come one after the other; with it those of several calls may
be mixed. Which fault answers which error is what Windows and Samba do.
"""

from __future__ import annotations

from typing import Final

from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.events import PresentationContext
from openchange_py.rpc.fragments import DEFAULT_FRAGMENT, Assembly
from openchange_py.rpc.presentation import PresentationContexts
from openchange_py.rpc.protection import Protection
from openchange_py.rpc.refusal import Refusal, unbound
from openchange_py.rpc.security import SecurityError
from openchange_py.rpc.security_contexts import SecurityContexts
from openchange_py.wire.pdu import Pfc, Request

#: Bytes of a call of somebody who did not authenticate: a question to the endpoint mapper takes a few hundred. What a
#: crowd of strangers can make us keep stays small.
ANONYMOUS_CALL_LIMIT: Final = 65536
#: Calls of one connection whose fragments may be mixed.
MAX_MIXED: Final = 32

#: First fragment, its contexts, and the stub of all fragments.
WholeCall = tuple[Request, PresentationContext, Protection | None, bytes]


class IncomingCalls:
    """The calls of one connection whose fragments are still coming, `size` bytes of them in all.

    `limit` is for a call, and for all those that are mixed together; `anonymous_limit` where nobody authenticated.
    """

    def __init__(
        self, contexts: PresentationContexts, security: SecurityContexts, limit: int, anonymous_limit: int
    ) -> None:
        self.multiplexed = False
        self.size = 0
        self._contexts = contexts
        self._security = security
        self._limit = limit
        self._anonymous_limit = min(limit, anonymous_limit)
        self._pending: dict[int, Assembly] = {}

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def first(self) -> Assembly | None:
        """One of them."""
        return next(iter(self._pending.values()), None)

    def clear(self) -> None:
        """Forget all of them."""
        self._pending.clear()
        self.size = 0

    def add(self, pdu: Request, raw: bytes) -> WholeCall | None:
        """Verify a fragment and join it to its call; the call where it is whole. Raises `Refusal`."""
        if len(raw) > DEFAULT_FRAGMENT:
            # The fragment size that was negotiated binds only us.
            raise Refusal(f"fragment of {len(raw)} bytes")
        call = self._pending_call(pdu) if self._pending else None
        if call is None:
            return self._started(pdu, raw)
        if (pdu.auth is None) is not (call.auth is None):
            raise _of(call, "fragments with and without protection")
        stub = self._unprotected(pdu, raw, call.protection, call.context_id)
        if pdu.flags & Pfc.FIRST_FRAG:
            raise _of(call, "the call starts twice")
        return self._joined(call, pdu, stub)

    def _pending_call(self, pdu: Request) -> Assembly | None:
        """The call that a fragment continues, by its id alone: its other fields are ignored, as Windows does."""
        if self.multiplexed:
            return self._pending.get(pdu.call_id)
        (call,) = self._pending.values()
        if call.call_id != pdu.call_id:
            raise _of(call, f"call {pdu.call_id} inside of it, without concurrent multiplexing")
        return call

    def _started(self, pdu: Request, raw: bytes) -> WholeCall | None:
        """A call's first fragment; or one that should be."""
        context, first = self._contexts.get(pdu.context_id), pdu.flags & Pfc.FIRST_FRAG
        if not first and not self.multiplexed:
            raise Refusal("a call that did not start")
        if first and pdu.flags & Pfc.PENDING_CANCEL:
            raise unbound("a call that is cancelled before it starts", FaultStatus.NO_CALL_ACTIVE)
        if self._pending:
            self._check_mixed(pdu, context)
        if context is None:
            raise Refusal(
                f"no presentation context {pdu.context_id}",
                FaultStatus.UNKNOWN_INTERFACE,
                did_not_execute=True,
                ends=False,
            )
        protection = self._security.of_call(pdu.auth, pdu.context_id)
        stub = self._unprotected(pdu, raw, protection, pdu.context_id)
        if not first:
            raise Refusal("a call that did not start", context_id=pdu.context_id)
        if pdu.flags & Pfc.LAST_FRAG and not self._pending and len(stub) <= self._anonymous_limit:
            return pdu, context, protection, stub
        call = Assembly(pdu, context, protection)
        if not pdu.flags & Pfc.LAST_FRAG and pdu.alloc_hint > self._limit_of(call):
            raise _of(call, f"call of {pdu.alloc_hint} bytes announced", FaultStatus.ACCESS_DENIED)
        return self._joined(call, pdu, stub)

    def _check_mixed(self, pdu: Request, context: PresentationContext | None) -> None:
        """A call that starts between the fragments of others."""
        if context is None or any((call.auth is None) is not (pdu.auth is None) for call in self._pending.values()):
            raise Refusal("a call between the fragments of others that it has nothing to do with")
        if len(self._pending) >= MAX_MIXED:
            raise Refusal(f"more than {MAX_MIXED} calls mixed", FaultStatus.ACCESS_DENIED, context_id=pdu.context_id)

    def _joined(self, call: Assembly, pdu: Request, stub: bytes) -> WholeCall | None:
        limit = self._limit_of(call)
        if self.size + len(stub) > limit:
            raise _of(call, f"call of more than {limit} bytes", FaultStatus.ACCESS_DENIED)
        call.add(stub)
        if pdu.flags & Pfc.LAST_FRAG:
            if self._pending.pop(call.call_id, None) is not None:
                self.size -= call.size - len(stub)
            assert isinstance(call.first, Request)
            assert call.context is not None
            return call.first, call.context, call.protection, call.stub()
        self._pending[call.call_id] = call
        self.size += len(stub)
        return None

    def _limit_of(self, call: Assembly) -> int:
        known = call.protection is not None and not call.protection.caller.is_anonymous
        return self._limit if known else self._anonymous_limit

    @staticmethod
    def _unprotected(pdu: Request, raw: bytes, protection: Protection | None, context_id: int) -> bytes:
        if protection is None:
            return pdu.stub
        try:
            return protection.opened(raw, pdu)
        except SecurityError as error:
            raise Refusal(str(error), FaultStatus.SEC_PKG_ERROR, context_id=context_id) from error


def _of(call: Assembly, reason: str, status: int = FaultStatus.PROTOCOL_ERROR) -> Refusal:
    """A refusal that ends a call which was begun."""
    return Refusal(f"call {call.call_id}: {reason}", status, context_id=call.context_id, call_id=call.call_id)
