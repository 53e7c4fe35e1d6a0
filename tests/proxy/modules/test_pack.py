"""Module pack: requests as one, and each back in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.config import ConfigError
from openchange_py.proxy.modules.pack import PackModule
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.proxy.stack import ModuleStack
from openchange_py.proxy.testing import settings_of
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcprpt_streams import (
    RopGetStreamSizeRequest,
    RopReadStreamRequest,
    RopSeekStreamRequest,
)
from tests.proxy.emsmdb_calls import old_rpc, rpc, rpc_answer
from tests.proxy.parties import ALICE, status_of

READ, SEEK, SIZE = RopReadStreamRequest(0, 0, 10), RopSeekStreamRequest(0, 1, 0, 5), RopGetStreamSizeRequest(0, 2)
HANDLES = [7, 8, 9]


def module(opnums: str = "", lasthop: bool = True) -> PackModule:
    made = PackModule()
    made.init(settings_of(PackModule, {"mpm_pack:opnums": opnums, "mpm_pack:lasthop": "yes" if lasthop else "no"}))
    return made


NEAR, LAST = "0x2C", module()


def buffer(*rops: Rop, tail: bytes = b"") -> bytes:
    return RopBuffer(list(rops), HANDLES, tail).pack()


def through(modules: Sequence[PackModule], payload: bytes, *, old: bool = False) -> bytes:
    """What a server behind these modules is asked."""
    seen: list[bytes] = []

    async def server(call: Call) -> None:
        carrier = carrier_of(call)
        assert carrier is not None
        seen.extend(await carrier.requests())
        call.answer(rpc_answer(b"\2\0"))

    session = Session("test", "client")
    call = old_rpc(session, ALICE, payload) if old else rpc(session, ALICE, payload)
    asyncio.run(ModuleStack(modules).around(EMSMDB.name, server)(call))
    [got] = seen
    return got


def test_golden_bytes_of_mapiproxy_s_format() -> None:
    """Worked out by hand from the format: SEEK and SIZE stay, READ (index 1) goes into 0xA5 behind them."""
    packed = through([module(NEAR)], buffer(SEEK, READ, SIZE))
    rops = SEEK.pack() + SIZE.pack() + bytes.fromhex("a5 00 00 0600 01 2c0000 0a00")
    size = (2 + len(rops)).to_bytes(2, "little")
    assert packed == size + rops + b"".join(handle.to_bytes(4, "little") for handle in HANDLES)


@pytest.mark.parametrize("old", [False, True])
def test_two_hops_give_the_request_back(old: bool) -> None:
    for rops in ([READ], [READ, READ], [SEEK, READ, SIZE, READ], [READ, SEEK, READ], [SEEK]):
        payload = buffer(*rops)
        assert through([module(NEAR), LAST], payload, old=old) == payload


@given(st.lists(st.sampled_from([READ, SEEK, SIZE]), max_size=300), st.sets(st.sampled_from(["2C", "2E", "5E"])))
def test_any_request_comes_back(rops: list[Rop], opnums: set[str]) -> None:
    payload = buffer(*rops)
    assert through([module(",".join(opnums)), LAST], payload) == payload


def test_what_is_unknown_stays_at_the_end() -> None:
    payload = buffer(SEEK, READ, SIZE, tail=b"\xf0\x01\x02")
    packed = through([module(NEAR)], payload)
    assert b"\xa5\0\0" in packed
    assert packed.index(b"\xa5\0\0") < packed.index(b"\xf0\x01\x02")
    assert through([LAST], packed) == payload


def test_a_request_without_such_rops_is_not_touched() -> None:
    payload = buffer(SEEK, SIZE)
    assert through([module(NEAR)], payload) == payload


def test_a_hop_in_between_passes_it_on() -> None:
    packed = through([module(NEAR)], buffer(SEEK, READ))
    assert through([module(lasthop=False)], packed) == packed
    assert through([module(NEAR, lasthop=False)], packed) == packed, "it is packed already"


@pytest.mark.parametrize(
    "blob",
    [
        bytes.fromhex("05 2c0000 0a00"),  # no such place
        bytes.fromhex("00 2c0000 0a00 00 2c0000 0a00"),  # the same place twice
        bytes.fromhex("00 f00000"),  # no ROP
        bytes.fromhex("00 2c00"),  # cut off
    ],
)
def test_what_nobody_packed_is_a_clear_fault(blob: bytes) -> None:
    container = bytes.fromhex("a50000") + len(blob).to_bytes(2, "little") + blob
    with pytest.raises(RpcFault, match="a packed request") as caught:
        through([LAST], buffer(SEEK, tail=container))
    assert status_of(caught) == FaultStatus.BAD_STUB_DATA


@pytest.mark.parametrize(
    ("opnums", "reason"),
    [("0x2C, 0x2c", "is there twice"), ("0xF0", "RopId of no request"), ("seek", "no hexadecimal number")],
)
def test_bad_options(opnums: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        module(opnums)
