"""ROP input and output buffers: [MS-OXCROPS] 2.2.1.

A buffer is RopSize (16 bits, counts itself), the ROPs, and the server object handle table. ROPs carry no length, so
the first one that cannot be decoded ends it: the rest up to RopSize is kept as bytes, and packs to the same bytes.

Responses need their requests and what the session taught before: `RopBuffer.unpack_response` pairs them, in order and
by RopId, and learns from them what later buffers need.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.rop.base import (
    FAILURES,
    REQUESTS,
    RESPONSES,
    Rop,
    RopFailure,
    RopRequest,
    RopResponse,
    RopUnsolicited,
)
from openchange_py.wire.rop.context import HandleStates, MissingContext, RopContext
from openchange_py.wire.rop.ids import RopId

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")


@dataclasses.dataclass(slots=True)
class RopBuffer:
    """ROPs, the handle table (32-bit handles; 0xFFFFFFFF is none), and the bytes of ROPs that were not decoded."""

    rops: list[Rop]
    handles: list[int]
    tail: bytes = b""
    #: Of a response that was decoded: the request that each of `rops` answers, where it answers one.
    answers: list[RopRequest | None] = dataclasses.field(default_factory=list, compare=False, repr=False)
    #: Of what was decoded: how many bytes each of `rops` takes.
    sizes: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)

    @classmethod
    def unpack_request(cls, data: bytes, states: HandleStates | None = None) -> RopBuffer:
        """Decode a ROP input buffer. `states` is not changed.

        Raises `DecodeError` for a wrong RopSize or handle table and for a broken request.
        """
        reader, handles = _frame(data)
        context = RopContext(states or HandleStates(), handles)
        rops: list[Rop] = []
        sizes: list[int] = []
        while reader.pos < reader.end:
            start = reader.pos
            kind = REQUESTS.get(data[start])
            if kind is None:
                return cls(rops, handles, reader.rest(), sizes=sizes)
            reader.pos += 1
            try:
                rops.append(kind.read_in(reader, context))
            except DecodeError as error:
                raise error.within(kind.__name__) from None
            sizes.append(reader.pos - start)
        return cls(rops, handles, sizes=sizes)

    @classmethod
    def unpack_response(
        cls, data: bytes, request: RopBuffer, states: HandleStates, *, chained: bool = False
    ) -> RopBuffer:
        """Decode a ROP output buffer, and keep in `states` what later buffers need.

        `chained`: it is not the first one of its call, and goes on with the responses to the request's last ROP
        ([MS-OXCRPC] 3.1.4.2.1.2: packed RopQueryRows, RopReadStream and RopFastTransferSourceGetBuffer responses).
        Raises `DecodeError` for a wrong RopSize or handle table and for a broken response; a response that cannot be
        understood without having seen more of the session begins the `tail`.
        """
        reader, handles = _frame(data)
        return _ResponseWalk(request, handles, states, chained).walk(reader)

    def pack(self) -> bytes:
        """The wire form. Raises `EncodeError` where it does not fit the 16 bits of RopSize."""
        writer = Writer(b"\0\0")
        for rop in self.rops:
            writer.append(rop.rop_id)
            rop.write(writer)
        writer += self.tail
        writer.patch_u16(0, len(writer))
        try:
            writer += struct.pack(f"<{len(self.handles)}I", *self.handles)
        except struct.error as error:
            raise EncodeError(f"handle table: {error}") from error
        return bytes(writer)


def _frame(data: bytes) -> tuple[Reader, list[int]]:
    """A reader of the ROPs alone, and the handle table behind them."""
    if len(data) < 2:
        raise DecodeError("no RopSize", 0)
    size: int = _U16.unpack_from(data)[0]
    count, odd = divmod(len(data) - size, 4)
    if not 2 <= size <= len(data):
        raise DecodeError(f"RopSize {size} in a buffer of {len(data)} bytes", 0)
    if odd:
        raise DecodeError(f"{len(data) - size} bytes are not a handle table", size)
    return Reader(data, 2, size), list(struct.unpack_from(f"<{count}I", data, size))


class _ResponseWalk:
    """One output buffer's way along its requests."""

    def __init__(self, request: RopBuffer, handles: list[int], states: HandleStates, chained: bool) -> None:
        self._requests = request.rops
        self._next = len(request.rops) if chained else 0
        self._handles = handles
        self._states = states
        self._context = RopContext(states, list(request.handles))
        if chained:
            self._context.handles = list(handles)
            self._context.request = next((r for r in reversed(request.rops) if isinstance(r, RopRequest)), None)

    def walk(self, reader: Reader) -> RopBuffer:
        buffer = RopBuffer([], self._handles)
        complete = True
        while reader.pos < reader.end:
            start = reader.pos
            try:
                rop = self._read(reader)
            except MissingContext:
                rop = None
            if rop is None:
                reader.pos = start
                buffer.tail = reader.rest()
                return buffer
            complete = complete and rop.rop_id != RopId.BufferTooSmall
            buffer.rops.append(rop)
            buffer.sizes.append(reader.pos - start)
            buffer.answers.append(None if isinstance(rop, RopUnsolicited) else self._context.request)
        if complete:
            self._pass_releases()
        return buffer

    def _read(self, reader: Reader) -> Rop | None:
        rop_id = reader.u8()
        kind = RESPONSES.get(rop_id)
        if kind is None:
            return None
        try:
            if issubclass(kind, RopUnsolicited):
                return kind.read_in(reader, self._context)
            self._pair(rop_id)
            return self._answer(reader, kind)
        except MissingContext:
            raise
        except DecodeError as error:
            raise error.within(kind.__name__) from None

    def _answer(self, reader: Reader, kind: type[RopResponse]) -> RopResponse:
        """The response to the request that was paired, and what it teaches."""
        if reader.end - reader.pos < 5:
            raise reader.short(5)
        code: int = _U32.unpack_from(reader.data, reader.pos + 1)[0]
        if code:
            failure = FAILURES.get((kind.rop_id, code))
            if failure is not None:
                return failure.read_in(reader, self._context)
            if kind.success_only:
                return RopFailure.of(reader, kind.rop_id)
            return kind.read_in(reader, self._context)
        self._opened()
        response = kind.read_in(reader, self._context)
        if self._context.request is not None:
            response.learn(self._context)
        return response

    def _opened(self) -> None:
        """A handle that the request made is in the table of the response, whatever that handle was before."""
        index = getattr(self._context.request, "output_handle_index", None)
        if index is None or index >= len(self._handles) or index >= len(self._context.handles):
            return
        self._context.handles[index] = self._handles[index]
        self._states.forget(self._handles[index])

    def _pair(self, rop_id: int) -> None:
        """Find the next request of that RopId; requests in between stay unanswered.

        Where there is none, it may be one more response to the last one (a buffer packed by the server).
        """
        for index in range(self._next, len(self._requests)):
            request = self._requests[index]
            if isinstance(request, RopRequest) and rop_id in (request.response_id, request.rop_id):
                self._pass_releases(index)
                self._next = index + 1
                self._context.request = request
                return
        before = self._context.request
        if before is not None and before.response_id != rop_id:
            self._context.request = None

    def _pass_releases(self, end: int | None = None) -> None:
        """What was released on the way is forgotten."""
        for request in self._requests[self._next : end]:
            if request.rop_id == RopId.Release and isinstance(request, RopRequest):
                index = request.input_handle_index
                if index < len(self._context.handles):
                    self._states.forget(self._context.handles[index])


decode_response = RopBuffer.unpack_response
