"""Stubs in another byte order than ours: C706 14.1. Everything behind the connection sees little-endian ones only."""

from __future__ import annotations

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.ndr import RpcInterface


def little_endian(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    """A big-endian request stub, made anew in our order. Raises `DecodeError`, `RpcFault` for a call without codec."""
    method = interface.methods.get(opnum)
    if method is None or not stub:
        return stub
    if method.request is None:
        raise RpcFault(FaultStatus.CANNOT_SUPPORT, f"{method.name} in big-endian order")
    return method.request.unpack(stub, big_endian=True).pack()
