"""Executing a ROP buffer: [MS-OXCROPS] 3.2.5.

ROPs run in order; one that fails does not stop the others. A buffer that cannot be decoded as a whole is refused
before its first ROP runs (ecRpcFormat).
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import struct
from typing import Final, get_type_hints

from openchange_py.servers.emsmdb.registry import HANDLERS, RopCall
from openchange_py.servers.emsmdb.session import EmsmdbSession
from openchange_py.store.base import NoSuchObject, StoreError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.base import (
    RESPONSES,
    Rop,
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
DOCUMENTS: Final = ("oxcstor", "oxcfold", "oxcmsg", "oxctabl", "oxcprpt")
for _document in DOCUMENTS:
    importlib.import_module(f"openchange_py.servers.emsmdb.{_document}")

#: What a ROP output buffer may hold, handle table included: [MS-OXCRPC] 3.1.4.2.1.2.
MAXIMUM_OUTPUT: Final = 0x8000

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


def execute(session: EmsmdbSession, payload: bytes, maximum: int) -> bytes:
    """Run the ROPs of an input buffer and give the output buffer, of at most `maximum` bytes.

    Raises `MapiError`: `RpcFormat` for a bad buffer, `BufferTooSmall` where not even RopBufferTooSmall fits.
    """
    request = decode_request(payload)
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
        requests = [rop.pack() for rop in self._rops]
        left = sum(map(len, requests))
        for index, rop in enumerate(self._rops):
            assert isinstance(rop, RopRequest)
            left -= len(requests[index])
            space = self._maximum - self._used - (_TOO_SMALL_HEADER + left if left else 0)
            response = self._run(rop, space)
            if response is None:
                continue
            packed = response.pack()
            if len(packed) > space:
                self._too_small(rop, len(packed), b"".join(requests[index:]))
                break
            self._used += len(packed)
            self._responses.append(packed)
        return self._buffer()

    def _run(self, rop: RopRequest, space: int) -> Rop | None:
        """One ROP's response; None for RopRelease, which has none."""
        call = RopCall(self._session, self._handles, space)
        if isinstance(rop, RopReleaseRequest):
            call.close(rop.input_handle_index)
            return None
        handler = HANDLERS.get(rop.rop_id)
        try:
            if handler is None:
                raise MapiError(ErrorCode.NotImplemented)
            return handler(call, rop)
        except MapiError as error:
            code, reason = error.code, error.reason
        except NoSuchObject as error:
            code, reason = ErrorCode.NotFound, str(error)
        except StoreError as error:
            logger.error("%s: %s", RopId(rop.rop_id).name, error)
            code, reason = ErrorCode.GeneralFailure, str(error)
        except Exception:
            logger.exception("%s failed", RopId(rop.rop_id).name)
            code, reason = ErrorCode.GeneralFailure, "unexpected"
        logger.debug("%s: 0x%08x %s", RopId(rop.rop_id).name, code, reason)
        return failure(rop, code)

    def _too_small(self, rop: RopRequest, size: int, rest: bytes) -> None:
        """End with RopBufferTooSmall ([MS-OXCROPS] 2.2.15.1 and 3.2.4.3), and undo what the response would have told.

        Where the first response does not fit the largest buffer there is, nothing helps: `BufferTooSmall`.
        """
        opened = getattr(rop, "output_handle_index", None)
        if opened is not None:
            RopCall(self._session, self._handles, 0).close(opened)
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
    kind = RESPONSES.get(request.rop_id)
    index = response_handle_index(request)
    if kind is None or not issubclass(kind, RopResponse) or kind.success_only:
        return RopFailure(index, code, request.rop_id)
    names = [field.name for field in dataclasses.fields(kind)][2:]
    hints = get_type_hints(kind)
    return kind(index, code, *(hints[name]() for name in names))


def response_handle_index(request: RopRequest) -> int:
    """The index that the response to a request carries: of the object it makes, else of the one it acts on."""
    index: int = getattr(request, "output_handle_index", request.input_handle_index)
    return index
