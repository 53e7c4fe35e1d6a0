"""Two proxies, one behind the other, and what the nearer one makes of ROP buffers that the farther one undoes.

The hop near the client (`lasthop = no`) wraps each request and opens each response; the hop near the server
(`lasthop = yes`) opens requests and wraps responses. What is wrapped is a whole ROP buffer, as one container ROP in
another buffer, so that it travels through any transport, and through hops in between that know nothing of it.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.rop.container import CONTAINER_OVERHEAD, ContainerId, unwrapped, wrapped

logger = logging.getLogger(__name__)

REQUEST, RESPONSE = b"request", b"response"
_FAULT: Final = {ContainerId.Compressed: FaultStatus.BAD_STUB_DATA, ContainerId.Encrypted: FaultStatus.SEC_PKG_ERROR}


class HopModule(Module):
    """A module that stands at both hops; `wrap` and `open` are its own."""

    endpoint = EMSMDB.name
    container: ClassVar[ContainerId]
    #: Bytes that wrapping adds at most to what is wrapped, the container's own aside.
    overhead: ClassVar[int] = 0
    #: Whether what comes unwrapped is refused.
    strict: ClassVar[bool] = False

    def __init__(self) -> None:
        self.lasthop = False
        #: Bytes before and after, for who watches.
        self.plain_bytes = self.wrapped_bytes = 0

    def wrap(self, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        """The blob, and what `open` is to have at this hop for the answers. `exchange` is what `open` gave.

        `direction` is `REQUEST` or `RESPONSE`, which of how many buffers of its call it is, and in which session
        context, whose handle is the same at both hops.
        """
        raise NotImplementedError

    def open(self, blob: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        """What `wrap` was given, and what `wrap` is to have at this hop for the answers.

        `exchange` is what `wrap` gave. Raises `DecodeError` where the blob can't be opened.
        """
        raise NotImplementedError

    async def dispatch(self, call: Call) -> None:
        """Requests: opened at the last hop, else checked and wrapped."""
        carrier = carrier_of(call)
        if carrier is None:
            return
        if not self.lasthop and not await self.check(call):
            return
        change = self._opened if self.lasthop else self._wrapped
        payloads = await carrier.requests()
        parts = _parts(REQUEST, payloads, carrier.cxh)
        changed = [change(call, payload, part, None) for payload, part in zip(payloads, parts, strict=True)]
        exchange = next((found for _, found in changed if found is not None), None)
        if [payload for payload, _ in changed] == payloads:
            return
        carrier.set_requests([payload for payload, _ in changed])
        if exchange is not None:
            call.notes[self] = exchange
            room = CONTAINER_OVERHEAD + self.overhead
            carrier.add_room(-room if self.lasthop else room)
        if not self.lasthop:
            call.vouch()

    def close(self) -> None:
        """Say what it was good for."""
        ratio = self.wrapped_bytes / self.plain_bytes if self.plain_bytes else 1.0
        logger.info(
            "module %s: %d bytes travelled as %d (%.2f)", self.name, self.plain_bytes, self.wrapped_bytes, ratio
        )

    def push(self, call: Call) -> None:
        """Responses to what was wrapped: wrapped at the last hop, else opened."""
        exchange, carrier = call.notes.get(self), carrier_of(call)
        if exchange is None or carrier is None:
            return
        change = self._wrapped if self.lasthop else self._opened
        payloads = carrier.responses()
        parts = _parts(RESPONSE, payloads, carrier.cxh)
        if payloads:
            carrier.set_responses(
                [change(call, payload, part, exchange)[0] for payload, part in zip(payloads, parts, strict=True)]
            )

    def _wrapped(self, call: Call, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        blob, kept = self.wrap(payload, direction, exchange)
        self._count(payload, blob)
        try:
            return wrapped(self.container, blob), kept
        except EncodeError as error:
            raise self.refusal(call, error) from error

    def _opened(self, call: Call, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        try:
            blob = unwrapped(self.container, payload)
            if blob is None and self.strict:
                raise DecodeError(f"a {direction.decode()} that is not {self.container.name.lower()}", 2)
            if blob is None:
                return payload, None
            opened, kept = self.open(blob, direction, exchange)
        except DecodeError as error:
            raise self.refusal(call, error) from error
        self._count(opened, blob)
        return opened, kept

    def refusal(self, call: Call, error: DecodeError | EncodeError) -> RpcFault:
        """What a call is answered with that holds what can't be opened, or wrapped, here."""
        logger.warning("%s: module %s: %s: %s", call.session, self.name, call.name, error)
        return RpcFault(_FAULT[self.container], f"{self.name}: {error}")

    def _count(self, payload: bytes, blob: bytes) -> None:
        self.plain_bytes += len(payload)
        self.wrapped_bytes += len(blob) + CONTAINER_OVERHEAD


def _parts(direction: bytes, payloads: list[bytes], cxh: ContextHandle) -> list[bytes]:
    """`request 1/1 in HANDLE`, for each buffer of a call."""
    return [
        b"%s %d/%d in %b" % (direction, n, len(payloads), str(cxh.uuid).encode()) for n in range(1, len(payloads) + 1)
    ]
