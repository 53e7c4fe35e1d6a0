"""Executing a ROP buffer: [MS-OXCROPS] 3.2.5.

ROPs run in order; one that fails does not stop the others. A buffer that cannot be decoded as a whole is refused
before its first ROP runs (ecRpcFormat).
"""

from __future__ import annotations

import importlib
import logging
from typing import Final

from openchange_py.servers.emsmdb.registry import HANDLERS, RopCall
from openchange_py.servers.emsmdb.session import EmsmdbSession
from openchange_py.store.base import NoSuchObject, StoreError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.base import Rop, RopBufferTooSmallResponse, RopFailure, RopReleaseRequest, RopRequest
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
#: RopId, handle index and ReturnValue.
_FAILURE_SIZE: Final = 6
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
    """One buffer's way through its handlers."""

    def __init__(self, session: EmsmdbSession, request: RopBuffer, maximum: int) -> None:
        self._session = session
        self._rops = request.rops
        self._handles = list(request.handles)
        self._responses: list[Rop] = []
        self._space = maximum - _FRAME - _HANDLE_SIZE * len(self._handles)

    def run(self) -> bytes:
        for index, rop in enumerate(self._rops):
            assert isinstance(rop, RopRequest)
            response = self._run(rop)
            if response is None:
                continue
            size = len(response.pack())
            if size > self._space:
                self._too_small(index, size, rop)
                break
            self._space -= size
            self._responses.append(response)
        return RopBuffer(self._responses, self._handles).pack()

    def _run(self, rop: RopRequest) -> Rop | None:
        """One ROP's response; None for RopRelease, which has none."""
        call = RopCall(self._session, self._handles, self._space)
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
        return RopFailure(response_handle_index(rop), code, rop.rop_id)

    def _too_small(self, index: int, size: int, rop: RopRequest) -> None:
        """End with RopBufferTooSmall ([MS-OXCROPS] 2.2.15.1), and undo what the response would have told."""
        opened = getattr(rop, "output_handle_index", None)
        if opened is not None:
            RopCall(self._session, self._handles, 0).close(opened)
        rest = b"".join(rop.pack() for rop in self._rops[index:])
        if _TOO_SMALL_HEADER + len(rest) > self._space:
            raise MapiError(ErrorCode.BufferTooSmall, f"a response of {size} bytes, room for {self._space}")
        self._responses.append(RopBufferTooSmallResponse(min(size, 0xFFFF), rest))


def response_handle_index(request: RopRequest) -> int:
    """The index that the response to a request carries: of the object it makes, else of the one it acts on."""
    index: int = getattr(request, "output_handle_index", request.input_handle_index)
    return index
