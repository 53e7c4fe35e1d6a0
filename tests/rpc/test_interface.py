"""Offered interfaces and inline servers."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.interface import InlineHandler, OfferedInterfaces
from openchange_py.rpc.mgmt import MgmtServer, Statistics
from openchange_py.wire.mgmt import MGMT, IsServerListeningRequest, IsServerListeningResponse
from openchange_py.wire.ndr import RpcInterface, SyntaxId
from tests.rpc.echo import ECHO, OTHER

VERSION_2_3 = RpcInterface("v23", "60a15ec5-4de8-11d7-a637-005056a20199", 2, 3)


@pytest.mark.parametrize(("major", "minor", "served"), [(2, 3, True), (2, 0, True), (2, 4, False), (1, 0, False)])
def test_an_interface_serves_its_older_minor_versions(major: int, minor: int, served: bool) -> None:
    offered = OfferedInterfaces([ECHO, VERSION_2_3])
    assert (offered.find(SyntaxId(VERSION_2_3.syntax.uuid, major, minor)) is VERSION_2_3) is served
    assert list(offered) == [ECHO, VERSION_2_3]


def test_an_inline_handler_answers_for_its_servers_alone() -> None:
    handler = InlineHandler([MgmtServer([ECHO], Statistics())])
    session = Session("test", "peer")
    assert handler.interfaces() == [MGMT]
    reply = asyncio.run(handler.handle(Call(MGMT, 2, IsServerListeningRequest().pack(), session)))
    assert IsServerListeningResponse.unpack(reply).listening == 1
    with pytest.raises(RpcFault):
        asyncio.run(handler.handle(Call(OTHER, 0, b"", session)))
    asyncio.run(handler.unbind(session))
