"""Targets of stubs in another representation than ours."""

from __future__ import annotations

import contextlib

from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.representation import (
    little_endian,
    ndr20_request,
    ndr20_response,
    ndr64_request,
    ndr64_response,
)
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.epm import EPMAPPER
from openchange_py.wire.mgmt import MGMT
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.fuzz.target import target

INTERFACES = (NSPI, RFR, EMSMDB, ASYNCEMSMDB, EPMAPPER, MGMT)


def _seeds() -> list[bytes]:
    return [
        bytes([number, opnum]) + bytes(size)
        for number, interface in enumerate(INTERFACES)
        for opnum in interface.methods
        for size in (0, 24, 80)
    ]


@target("big-endian", _seeds)
def fuzz_big_endian(data: bytes) -> None:
    """Big-endian stubs: interface, opnum, stub. What is made of one is a request that decodes in our order."""
    if len(data) < 2:
        return
    interface = INTERFACES[data[0] % len(INTERFACES)]
    method = interface.methods.get(data[1])
    with contextlib.suppress(DecodeError, EncodeError, RpcFault):
        made = little_endian(interface, data[1], data[2:])
        if method is None or not data[2:]:
            return
        assert method.request is not None
        try:
            method.request.unpack(made)
        except DecodeError as error:
            raise AssertionError(f"{method.name}: what was made anew does not decode") from error


def _wide_seeds() -> list[bytes]:
    return [bytes([side]) + seed for side in (0, 1) for seed in _seeds()]


@target("ndr64", _wide_seeds)
def fuzz_ndr64(data: bytes) -> None:
    """NDR64 stubs: request or response, interface, opnum, stub. What is made of one comes back from NDR64 the same."""
    if len(data) < 3:
        return
    interface, opnum = INTERFACES[data[1] % len(INTERFACES)], data[2]
    narrow, wide = ((ndr20_request, ndr64_request), (ndr20_response, ndr64_response))[data[0] & 1]
    try:
        made = narrow(interface, opnum, data[3:])
    except (DecodeError, RpcFault):
        return
    if opnum in interface.methods:
        assert narrow(interface, opnum, wide(interface, opnum, made)) == made, interface.method_name(opnum)
