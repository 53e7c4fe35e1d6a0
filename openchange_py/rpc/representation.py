"""Stubs in another representation than ours: big-endian ones (C706 14.1), and NDR64 ([MS-RPCE] 2.2.5).

Who is behind a connection sees NDR 2.0 in little-endian order only. What a client sends otherwise is made anew in that,
and its answer in what it expects: responses are little-endian always, as each tells of itself, but in the transfer
syntax of their call. An initiator does the reverse, as its `StubFormat` says. A call without codec can't be made anew.
"""

from __future__ import annotations

import dataclasses
import logging

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.events import RequestReceived
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import (
    BigEndianNdrReader,
    BigEndianNdrWriter,
    NdrReader,
    NdrWriter,
    RpcInterface,
    RpcMessage,
)
from openchange_py.wire.ndr64 import Ndr64Reader, Ndr64Writer
from openchange_py.wire.ndr_padding import BigEndianPaddingReader, Ndr64PaddingReader, PaddingReader

logger = logging.getLogger(__name__)


def request_stub(request: RequestReceived) -> bytes:
    """What a client sent, in our representation. Raises `DecodeError`, `RpcFault` for a call without codec."""
    interface, opnum, stub = request.context.interface, request.opnum, request.stub
    if request.context.ndr64 and request.big_endian:
        raise RpcFault(FaultStatus.CANNOT_SUPPORT, "NDR64 is little-endian: [MS-RPCE] 2.2.5")
    if request.context.ndr64:
        return ndr20_request(interface, opnum, stub)
    return little_endian(interface, opnum, stub) if request.big_endian else stub


def response_stub(request: RequestReceived, stub: bytes) -> bytes:
    """A response of ours, as the client expects it. `RpcFault` where it can't be read, as an upstream's may be."""
    if not request.context.ndr64:
        return stub
    try:
        return ndr64_response(request.context.interface, request.opnum, stub)
    except DecodeError as error:
        raise RpcFault(FaultStatus.CALL_FAILED, f"its response can't be sent as NDR64: {error}") from error


def little_endian(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """A big-endian request stub, made anew in our order. Raises `DecodeError`, `RpcFault` for a call without codec."""
    method = interface.methods.get(opnum)
    if method is None or not stub:
        return stub
    return _anew(method.request, f"{method.name} in big-endian order", stub, BigEndianNdrReader, NdrWriter)


def ndr20_request(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """An NDR64 request stub as NDR 2.0. Raises `DecodeError`, `RpcFault` for a call without codecs."""
    method = interface.methods.get(opnum)
    if method is None:
        return stub
    if method.response is None:
        raise RpcFault(FaultStatus.CANNOT_SUPPORT, f"the response of {method.name} in NDR64")
    return stub and _anew(method.request, f"{method.name} in NDR64", stub, Ndr64Reader, NdrWriter)


def ndr64_response(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """An NDR 2.0 response stub as NDR64. Raises `DecodeError`, `RpcFault` for a call without codec."""
    return _response(interface, opnum, stub, NdrReader, Ndr64Writer)


def ndr64_request(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """An NDR 2.0 request stub as NDR64. Raises `DecodeError`, `RpcFault` for a call without codec."""
    method = interface.methods.get(opnum)
    codec = method.request if method is not None else None
    return stub and _anew(codec, f"{interface.method_name(opnum)} in NDR64", stub, NdrReader, Ndr64Writer)


def big_endian_request(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """A request stub of ours in big-endian order. Raises `DecodeError`, `RpcFault` for a call without codec."""
    what = f"{interface.method_name(opnum)} in big-endian order"
    method = interface.methods.get(opnum)
    codec = method.request if method is not None else None
    return stub and _anew(codec, what, stub, NdrReader, BigEndianNdrWriter)


def little_endian_response(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """A big-endian response stub in our order. Raises `DecodeError`, `RpcFault` for a call without codec."""
    return _response(interface, opnum, stub, BigEndianNdrReader, NdrWriter)


def ndr20_response(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """An NDR64 response stub as NDR 2.0. Raises `DecodeError`, `RpcFault` for a call without codec."""
    return _response(interface, opnum, stub, Ndr64Reader, NdrWriter)


def _response(
    interface: RpcInterface, opnum: int, stub: bytes, reads: type[NdrReader], writes: type[NdrWriter]
) -> bytes:
    method = interface.methods.get(opnum)
    codec = method.response if method is not None else None
    return stub and _anew(codec, f"the response of {interface.method_name(opnum)} made anew", stub, reads, writes)


def _anew(
    codec: type[RpcMessage] | None, what: str, stub: bytes, reads: type[NdrReader], writes: type[NdrWriter]
) -> bytes:
    if codec is None:
        raise RpcFault(FaultStatus.CANNOT_SUPPORT, what)
    message = codec.unpack(stub, reads)
    if reads.wide != writes.wide:
        message.padding = b""  # was that of the other transfer syntax
    try:
        return message.pack(writes)
    except EncodeError as error:
        # A count of 64 bits that NDR 2.0 has no room for.
        raise DecodeError(f"{what}: {error}") from error


@dataclasses.dataclass(frozen=True, slots=True)
class StubFormat:
    """How an initiator represents its stubs, and how far it trusts what comes: flags of a binding.

    `padcheck` tells the log where padding of a response is not zero. `validate` refuses stubs, both ways, that the
    codecs don't make the same again; of calls without codecs neither knows anything.
    """

    ndr64: bool = False
    big_endian: bool = False
    padcheck: bool = False
    validate: bool = False

    def request(self, interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
        """What is sent for a request of ours; `RpcFault` for one that can't be read, or has no codec."""
        method = interface.methods.get(opnum)
        try:
            if self.validate and method is not None:
                _check_same(method.request, f"{method.name}'s request", stub)
            if self.ndr64:
                return ndr64_request(interface, opnum, stub)
            return big_endian_request(interface, opnum, stub) if self.big_endian else stub
        except DecodeError as error:
            raise RpcFault(FaultStatus.BAD_STUB_DATA, str(error)) from error

    def response(self, interface: RpcInterface, opnum: int, stub: bytes, big_endian: bool) -> bytes:
        """A response that came, in our representation; `RpcFault` (call failed) for one that can't be read."""
        method = interface.methods.get(opnum)
        codec = method.response if method is not None else None
        try:
            if self.padcheck and codec is not None:
                self._check_padding(codec, interface.method_name(opnum), stub, big_endian)
            if self.ndr64:
                stub = ndr20_response(interface, opnum, stub)
            elif big_endian:
                stub = little_endian_response(interface, opnum, stub)
            if self.validate:
                _check_same(codec, f"{interface.method_name(opnum)}'s response", stub)
        except DecodeError as error:
            logger.warning("%s: response refused: %s", interface.method_name(opnum), error)
            raise RpcFault(FaultStatus.CALL_FAILED, f"the response can't be read: {error}") from error
        return stub

    def _check_padding(self, codec: type[RpcMessage], name: str, stub: bytes, big_endian: bool) -> None:
        if self.ndr64:
            reader: PaddingReader = Ndr64PaddingReader(stub)
        else:
            reader = BigEndianPaddingReader(stub) if big_endian else PaddingReader(stub)
        codec.read(reader)
        if reader.found:
            places = ", ".join(map(str, reader.found[:8]))
            logger.warning("%s: padding that is not zero in the response, at %s", name, places)


#: NDR 2.0 in our order, taken as it comes.
PLAIN = StubFormat()


def _check_same(codec: type[RpcMessage] | None, what: str, stub: bytes) -> None:
    if codec is None or not stub:
        return
    try:
        again = codec.unpack(stub).pack()
    except EncodeError as error:
        raise DecodeError(f"{what} can't be written again: {error}") from error
    if again != stub:
        at = next((i for i, (a, b) in enumerate(zip(again, stub, strict=False)) if a != b), min(len(again), len(stub)))
        raise DecodeError(f"{what} is not the same when it is written again, from byte {at} on", at)
