"""A channel that plays a server: it gives prepared answers and remembers what it was asked."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcrpc import (
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoDisconnectResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rpcheaderext import pack_payloads, unpack_payloads

HANDLE = ContextHandle(0, uuid.UUID(int=7))

#: Gets the decoded request buffer, gives the payloads of the answer (a buffer, or bytes as they are).
Answer = Callable[[RopBuffer], Sequence[RopBuffer | bytes]]


class ScriptedChannel:
    """Answers one request after the other by the given functions."""

    peer = "scripted:0"

    def __init__(self, *answers: Callable[[Any], Any]) -> None:
        self._answers = list(answers)
        self.requests: list[Any] = []

    async def call(self, request: Any, response: type[Any]) -> Any:
        self.requests.append(request)
        answer = self._answers.pop(0)(request)
        assert isinstance(answer, response)
        return answer

    async def close(self) -> None:
        return


def connected(request: EcDoConnectExRequest) -> EcDoConnectExResponse:
    """EcDoConnectEx succeeds."""
    answer = EcDoConnectExResponse.failed(0)
    answer.cxh = HANDLE
    return answer


def unknown(request: object) -> None:
    """The server does not know the call."""
    raise RpcFault(FaultStatus.OP_RANGE_ERROR)


def old_connected(request: EcDoConnectRequest) -> EcDoConnectResponse:
    """EcDoConnect succeeds."""
    answer = EcDoConnectResponse.failed(0)
    answer.cxh = HANDLE
    return answer


def disconnected(request: EcDoDisconnectRequest) -> EcDoDisconnectResponse:
    """EcDoDisconnect succeeds."""
    return EcDoDisconnectResponse(HANDLE, 0)


def rops(answer: Answer) -> Callable[[EcDoRpcExt2Request], EcDoRpcExt2Response]:
    """EcDoRpcExt2 answered with what `answer` makes of the request's buffer."""

    def respond(request: EcDoRpcExt2Request) -> EcDoRpcExt2Response:
        (payload,) = unpack_payloads(request.rgb_in)
        given = answer(RopBuffer.unpack_request(payload))
        payloads = [one if isinstance(one, bytes) else one.pack() for one in given]
        return EcDoRpcExt2Response(request.cxh, 0, pack_payloads(payloads), b"", 0, 0)

    return respond


async def session(*answers: Answer) -> tuple[EmsmdbClient, ScriptedChannel]:
    """A connected session whose EcDoRpcExt2 calls are answered so."""
    channel = ScriptedChannel(connected, *map(rops, answers), disconnected)
    client = EmsmdbClient(channel)  # type: ignore[arg-type]  # it has what the client uses
    await client.connect("/o=x")
    return client, channel


def asked(channel: ScriptedChannel, index: int) -> RopBuffer:
    """The buffer of the EcDoRpcExt2 call of that number, from 0."""
    calls = [request for request in channel.requests if isinstance(request, EcDoRpcExt2Request)]
    return RopBuffer.unpack_request(unpack_payloads(calls[index].rgb_in)[0])
