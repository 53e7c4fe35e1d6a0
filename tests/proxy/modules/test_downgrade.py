"""The module that makes clients use the calls of Exchange 2000, in front of a relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from openchange_py.config import OPTIONS
from openchange_py.config.settings import read
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.proxy.loading import load_modules
from openchange_py.proxy.modules.downgrade import DowngradeModule
from openchange_py.proxy.relay import Relay
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import FaultStatus, RpcFault, Session
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectResponse, normalized_version
from openchange_py.wire.rop.base import RopReleaseRequest
from tests.proxy.emsmdb_calls import (
    connect,
    connected,
    old_connect,
    old_connected,
    old_rpc,
    old_rpc_answer,
    rops,
    rpc,
    rpc_answer,
)
from tests.proxy.parties import ALICE, ALICE_DN, Upstream, people, status_of

ANSWERS = {0: old_connected(), 2: old_rpc_answer(rops()), 10: connected(), 11: rpc_answer(rops())}


def answer(interface: RpcInterface, opnum: int, stub: bytes) -> bytes:
    return ANSWERS[opnum]


def through_the_module(
    work: Callable[[Dispatcher, Upstream, Session], Coroutine[Any, Any, None]],
    answering: Callable[[RpcInterface, int, bytes], bytes] = answer,
) -> None:
    upstream = Upstream(answering)
    relay = Relay(upstream, Authorizer(people()))
    dispatcher = Dispatcher({}, ModuleStack([DowngradeModule()]), relayed={EMSMDB.name: EMSMDB}, relay=relay)
    asyncio.run(work(dispatcher, upstream, Session("test", "client")))
    dispatcher.close()


def test_it_is_loaded_by_name(tmp_path: Path) -> None:
    (tmp_path / "smb.conf").write_text("dcerpc_mapiproxy:modules = downgrade")
    [module] = load_modules(read(tmp_path / "smb.conf", OPTIONS))
    assert (type(module), module.endpoint) == (DowngradeModule, "exchange_emsmdb")


def test_ec_do_connect_ex_is_unknown_and_is_not_relayed() -> None:
    async def work(dispatcher: Dispatcher, upstream: Upstream, session: Session) -> None:
        with pytest.raises(RpcFault) as caught:
            await dispatcher.handle(connect(session, ALICE, ALICE_DN))
        assert status_of(caught) == FaultStatus.OP_RANGE_ERROR == 0x1C010002
        assert upstream.stubs == []

    through_the_module(work)


def test_the_server_is_an_exchange_2000_and_all_else_that_it_says_stays() -> None:
    async def work(dispatcher: Dispatcher, upstream: Upstream, session: Session) -> None:
        call = old_connect(session, ALICE, ALICE_DN)
        reply = await dispatcher.handle(call)
        assert upstream.stubs == [call.stub]
        response, original = EcDoConnectResponse.unpack(reply), EcDoConnectResponse.unpack(old_connected())
        assert normalized_version(response.server_version) == (6, 0, 4417, 5)
        original.server_version = response.server_version
        assert reply == original.pack()

    through_the_module(work)


def test_a_refused_connection_stays_as_it_is() -> None:
    refused = EcDoConnectResponse.failed(ErrorCode.AccessDenied).pack()

    async def work(dispatcher: Dispatcher, upstream: Upstream, session: Session) -> None:
        assert await dispatcher.handle(old_connect(session, ALICE, ALICE_DN)) == refused

    through_the_module(work, lambda *_: refused)


def test_an_answer_that_cannot_be_read_gets_nowhere() -> None:
    """It might name the version that the client must not see."""

    async def work(dispatcher: Dispatcher, upstream: Upstream, session: Session) -> None:
        with pytest.raises(RpcFault) as caught:
            await dispatcher.handle(old_connect(session, ALICE, ALICE_DN))
        assert status_of(caught) == FaultStatus.BAD_STUB_DATA

    through_the_module(work, lambda *_: old_connected()[:-8])


def test_rops_pass_by_the_old_call_and_by_the_new_one() -> None:
    async def work(dispatcher: Dispatcher, upstream: Upstream, session: Session) -> None:
        await dispatcher.handle(old_connect(session, ALICE, ALICE_DN))
        payload = rops(RopReleaseRequest(0, 0))
        for call in (old_rpc(session, ALICE, payload), rpc(session, ALICE, payload)):
            stub = call.stub
            assert await dispatcher.handle(call) == ANSWERS[call.opnum]
            assert upstream.stubs[-1] == stub
            assert cast("Any", call)._response is None, "nobody decoded it"

    through_the_module(work)
