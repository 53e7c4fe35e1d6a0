"""Executing a ROP buffer: [MS-OXCROPS] 3.2.5.

ROPs run in order; one that fails does not stop the others, but for what `_ENDING` names. A buffer that cannot be
decoded as a whole is refused before its first ROP runs (ecRpcFormat).

Not done yet: RopBackoff.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import struct
from typing import Final, get_type_hints

from openchange_py.servers.emsmdb.registry import HANDLERS, RopCall
from openchange_py.servers.emsmdb.session import EmsmdbSession
from openchange_py.store.base import NoSuchObject, ObjectChanged, StoreError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.base import (
    RESPONSES,
    RopBufferTooSmallResponse,
    RopFailure,
    RopReleaseRequest,
    RopRequest,
    RopResponse,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.ids import RopId

logger = logging.getLogger(__name__)

#: The files with handlers, by the documents' names. Importing them registers the handlers.
DOCUMENTS: Final = ("oxcstor", "oxcfold", "oxcmsg", "oxctabl", "oxcprpt", "oxcprpt_streams", "oxcnotif")
for _document in DOCUMENTS:
    importlib.import_module(f"openchange_py.servers.emsmdb.{_document}")

#: What a ROP output buffer may hold, handle table included: [MS-OXCRPC] 3.1.4.2.1.2.
MAXIMUM_OUTPUT: Final = 0x8000

#: Failures behind which the rest of the buffer is not processed: [MS-OXCTABL] 3.2.5.9 and 3.2.5.10.
_ENDING: Final = frozenset(
    {
        (RopId.SeekRow, ErrorCode.NotSupported),
        (RopId.SeekRowBookmark, ErrorCode.NotSupported),
        (RopId.SeekRowBookmark, ErrorCode.InvalidBookmark),
    }
)

_HANDLE_SIZE: Final = 4
#: RopBufferTooSmall's RopId and SizeNeeded.
_TOO_SMALL_HEADER: Final = 3
#: RopSize.
_FRAME: Final = 2


def decode_request(payload: bytes) -> RopBuffer:
    """The ROP input buffer; `RpcFormat` where it is not one, or ends in something that is no ROP."""
    try:
        buffer = RopBuffer.unpack_request(payload)
    except DecodeError as error:
        raise MapiError(ErrorCode.RpcFormat, str(error)) from error
    if buffer.tail:
        raise MapiError(ErrorCode.RpcFormat, f"RopId 0x{buffer.tail[0]:02X} is none")
    return buffer


def execute(session: EmsmdbSession, request: RopBuffer, maximum: int) -> bytes:
    """Run the ROPs of an input buffer and give the output buffer, of at most `maximum` bytes.

    Raises `MapiError`: `BufferTooSmall` where not even RopBufferTooSmall fits.
    """
    return _Execution(session, request, min(maximum, MAXIMUM_OUTPUT)).run()


class _Execution:
    """One buffer's way through its handlers.

    While ROPs are left, so much room is kept back that RopBufferTooSmall can always give them back.
    """

    def __init__(self, session: EmsmdbSession, request: RopBuffer, maximum: int) -> None:
        self._session = session
        self._rops = request.rops
        self._handles = list(request.handles)
        self._responses: list[bytes] = []
        self._used = _FRAME + _HANDLE_SIZE * len(self._handles)
        self._maximum = maximum

    def run(self) -> bytes:
        with self._session.notifications.executing():
            self._run_all()
            self._notify()
        return self._buffer()

    def _run_all(self) -> None:
        requests = [rop.pack() for rop in self._rops]
        left = sum(map(len, requests))
        for index, rop in enumerate(self._rops):
            assert isinstance(rop, RopRequest)
            left -= len(requests[index])
            if isinstance(rop, RopReleaseRequest):
                RopCall(self._session, self._handles, 0).close(rop.input_handle_index)
                continue
            reserve = _TOO_SMALL_HEADER + left if left else 0
            space = self._maximum - self._used - reserve
            call = RopCall(self._session, self._handles, space)
            code, packed = self._run(call, rop)
            if len(packed) > space:
                call.undo()
                self._too_small(len(packed) + reserve, b"".join(requests[index:]))
                break
            self._used += len(packed)
            self._responses.append(packed)
            if (rop.rop_id, code) in _ENDING:
                break

    def _notify(self) -> None:
        """Behind the responses, what the session has to be told: [MS-OXCNOTIF] 3.1.5.4."""
        for packed in self._session.notifications.responses(self._maximum - self._used):
            self._used += len(packed)
            self._responses.append(packed)

    def _run(self, call: RopCall, rop: RopRequest) -> tuple[int, bytes]:
        """One ROP's ReturnValue and response."""
        handler = HANDLERS.get(rop.rop_id)
        try:
            if handler is None:
                raise MapiError(ErrorCode.NotImplemented)
            return ErrorCode.Success, handler(call, rop).pack()
        except MapiError as error:
            code, reason = error.code, error.reason
        except NoSuchObject as error:
            code, reason = ErrorCode.NotFound, str(error)
        except ObjectChanged as error:
            code, reason = ErrorCode.ObjectChanged, str(error)
        except StoreError as error:
            logger.error("%s: %s", RopId(rop.rop_id).name, error)
            code, reason = ErrorCode.GeneralFailure, str(error)
        except Exception:
            logger.exception("%s failed", RopId(rop.rop_id).name)
            code, reason = ErrorCode.GeneralFailure, "unexpected"
        logger.debug("%s: 0x%08x %s", RopId(rop.rop_id).name, code, reason)
        call.undo()
        return code, failure(rop, code).pack()

    def _too_small(self, size: int, rest: bytes) -> None:
        """End with RopBufferTooSmall, as the next ROP needs `size` bytes: [MS-OXCROPS] 2.2.15.1 and 3.2.4.3.

        Where the first response does not fit the largest buffer there is, nothing helps: `BufferTooSmall`.
        """
        needed = self._used + size
        answer = RopBufferTooSmallResponse(min(needed, 0xFFFF), rest).pack()
        hopeless = not self._responses and needed > MAXIMUM_OUTPUT
        if hopeless or self._used + len(answer) > self._maximum:
            raise MapiError(ErrorCode.BufferTooSmall, f"{needed} bytes are needed, {self._maximum} are there")
        self._responses.append(answer)

    def _buffer(self) -> bytes:
        """RopSize, the responses, the handle table."""
        rops = b"".join(self._responses)
        layout = f"<H{len(rops)}s{len(self._handles)}I"
        return struct.pack(layout, _FRAME + len(rops), rops, *self._handles)


def failure(request: RopRequest, code: int) -> RopResponse:
    """The response of a ROP that failed: it ends after the ReturnValue, or has its fields all the same, as zeros."""
    kind = RESPONSES.get(request.response_id)
    index = response_handle_index(request)
    if kind is None or not issubclass(kind, RopResponse) or kind.success_only:
        return RopFailure(index, code, request.response_id)
    names = [field.name for field in dataclasses.fields(kind)][2:]
    hints = get_type_hints(kind)
    return kind(index, code, *(hints[name]() for name in names))


def response_handle_index(request: RopRequest) -> int:
    """The index that the response carries: ResponseHandleIndex, or of the object made, else of the one acted on."""
    for name in ("response_handle_index", "output_handle_index", "input_handle_index"):
        index: int | None = getattr(request, name, None)
        if index is not None:
            return index
    raise AssertionError(f"{type(request).__name__} has no handle index")
