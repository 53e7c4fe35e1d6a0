"""The management interface's answers."""

from __future__ import annotations

import pytest

from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.mgmt import MgmtServer, Statistics
from openchange_py.rpc.security import AuthType
from openchange_py.wire.mgmt import (
    MGMT,
    InqIfIdsRequest,
    InqIfIdsResponse,
    InqPrincNameRequest,
    InqPrincNameResponse,
    InqStatsRequest,
    InqStatsResponse,
    StopServerListeningRequest,
    StopServerListeningResponse,
)
from openchange_py.wire.ndr import RpcMessage
from tests.rpc.echo import ECHO, OTHER

SERVER = MgmtServer([ECHO, OTHER], Statistics(calls=7, packets_in=9, packets_out=8), {AuthType.NTLMSSP: "host/exch1"})


def ask(opnum: int, request: RpcMessage) -> RpcMessage | None:
    call = Call(MGMT, opnum, request.pack(), Session("test", "peer"))
    SERVER.call(call)
    return call.response


def test_interfaces_are_listed_with_mgmt_itself() -> None:
    assert ask(0, InqIfIdsRequest()) == InqIfIdsResponse([ECHO.syntax, OTHER.syntax, MGMT.syntax], 0)


def test_statistics_are_as_many_as_were_asked_for() -> None:
    assert ask(1, InqStatsRequest(4)) == InqStatsResponse([7, 7, 9, 8], 0)
    assert ask(1, InqStatsRequest(1)) == InqStatsResponse([7], 0)
    assert ask(1, InqStatsRequest(0xFFFFFFFF)) == InqStatsResponse([7, 7, 9, 8], 0)


def test_nobody_stops_the_server() -> None:
    assert ask(3, StopServerListeningRequest()) == StopServerListeningResponse(5)


@pytest.mark.parametrize(
    ("service", "size", "name", "status"),
    [
        (AuthType.NTLMSSP, 20, b"host/exch1", 0),
        (AuthType.NTLMSSP, 10, b"", 0x6CF),
        (AuthType.KERBEROS, 20, b"", 0x6D3),
        (999, 0, b"", 0x6D3),
    ],
)
def test_principal_name(service: int, size: int, name: bytes, status: int) -> None:
    assert ask(4, InqPrincNameRequest(service, size)) == InqPrincNameResponse(name, max(size, 1), status)


def test_an_unknown_call_is_a_fault() -> None:
    with pytest.raises(RpcFault):
        SERVER.call(Call(MGMT, 9, b"", Session("test", "peer")))
