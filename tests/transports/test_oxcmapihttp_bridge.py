"""What each call of RPC becomes over HTTP, and what those get that become nothing there; with our server behind."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.transports.oxcmapihttp_bridge import Ask, MapiBridge, SessionGroup
from openchange_py.transports.oxcmapihttp_client import MapiHttpClient
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcmapihttp import ConnectRequest, ConnectResponse, ExecuteRequest, ExecuteResponse
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoAsyncConnectExRequest,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
    EcDummyRpcResponse,
    EcRRegisterPushNotificationRequest,
    EcRRegisterPushNotificationResponse,
    wire_version,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiGetIDsFromNamesRequest,
    NspiGetIDsFromNamesResponse,
    NspiGetNamesFromIDsRequest,
    NspiGetNamesFromIDsResponse,
    NspiQueryColumnsRequest,
    NspiUnbindRequest,
    NspiUnbindResponse,
)
from openchange_py.wire.oxnspi_types import STAT
from openchange_py.wire.rpcheaderext import pack_payload
from tests.transports.mapi_bridging import https_serving
from tests.transports.mapi_parties import Handler
from tests.transports.serving import run
from tests.transports.test_http_client import ntlm

VERSION = wire_version(11, 0, 5601, 0)
CONNECT = EcDoConnectExRequest(b"/o=alice", 0, 0, 0, 1251, 1049, 1049, 0xFFFFFFFF, 1, VERSION, 0)
STRANGER = ContextHandle(0, uuid.UUID(int=1))


def with_client(folder: Path, interface: object, work: Callable[[Handler, MapiHttpClient], Awaitable[None]]) -> None:
    """Run `work` beside a server."""

    async def main() -> None:
        handler = Handler()
        async with https_serving(handler, folder) as endpoints:
            client = await MapiHttpClient.connect(endpoints, interface, ntlm())  # type: ignore[arg-type]
            await work(handler, client)
            await client.close()

    run(main)


def test_calls_of_old_clients(tmp_path: Path) -> None:
    async def work(handler: Handler, client: MapiHttpClient) -> None:
        done = EcDoConnectResponse.unpack(await client.call(0, CONNECT.old().pack()))
        assert (done.return_value, done.display_name, done.best_version) == (0, b"Alice", VERSION)
        assert handler.calls[0].request.client_version == VERSION
        request = EcDoRpcRequest.of(done.cxh, b"some ROPs", 100)
        answer = EcDoRpcResponse.unpack(await client.call(2, request.pack()))
        assert (answer.return_value, answer.payload) == (0, b"some ROPs")
        assert handler.calls[1].request.rgb_in == pack_payload(b"some ROPs")
        assert handler.calls[1].request.out_size == 108
        small = EcDoRpcResponse.unpack(await client.call(2, EcDoRpcRequest.of(done.cxh, bytes(200), 100).pack()))
        assert (small.return_value, small.rgb) == (ErrorCode.BufferTooSmall, b"")

    with_client(tmp_path, EMSMDB, work)


def test_a_refused_connection_has_no_handle(tmp_path: Path) -> None:
    async def work(handler: Handler, client: MapiHttpClient) -> None:
        request = EcDoConnectExRequest(b"/o=nobody", 0, 0, 0, 1252, 0, 0, 0xFFFFFFFF, 1, VERSION, 0)
        done = EcDoConnectExResponse.unpack(await client.call(10, request.pack()))
        assert (done.cxh, done.return_value) == (NULL_HANDLE, 0x3EB)

    with_client(tmp_path, EMSMDB, work)


def test_mailbox_calls_that_become_nothing(tmp_path: Path) -> None:
    async def work(handler: Handler, client: MapiHttpClient) -> None:
        cxh = EcDoConnectExResponse.unpack(await client.call(10, CONNECT.pack())).cxh
        assert EcDummyRpcResponse.unpack(await client.call(6, b"")).return_value == 0
        push = EcRRegisterPushNotificationRequest(cxh, 0, b"", 0, b"address")
        done = EcRRegisterPushNotificationResponse.unpack(await client.call(4, push.pack()))
        assert (done.cxh, done.return_value) == (cxh, ErrorCode.NotSupported)
        assert [call.opnum for call in handler.calls] == [10]
        for opnum, stub in (
            (1, EcDoDisconnectRequest(STRANGER).pack()),
            (2, EcDoRpcRequest.of(STRANGER, b"", 100).pack()),
            (11, EcDoRpcExt2Request(STRANGER, 0, b"", 100).pack()),
            (14, EcDoAsyncConnectExRequest(STRANGER).pack()),
        ):
            with pytest.raises(RpcFault, match="context handle mismatch"):
                await client.call(opnum, stub)
        for opnum in (3, 5, 7, 8, 9, 12, 99):
            with pytest.raises(RpcFault, match="no such operation"):
                await client.call(opnum, b"")

    with_client(tmp_path, EMSMDB, work)


def test_an_address_book_session(tmp_path: Path) -> None:
    async def work(handler: Handler, client: MapiHttpClient) -> None:
        request = NspiBindRequest(0, STAT(code_page=1251), uuid.UUID(int=0))
        bound = NspiBindResponse.unpack(await client.call(0, request.pack()))
        assert (bound.server_guid, bound.return_value) == (uuid.UUID(int=5), 0)
        assert handler.calls[0].request.stat == request.stat
        handle = bound.context_handle
        names = await client.call(17, NspiGetNamesFromIDsRequest(handle, 0, None, None).pack())
        assert NspiGetNamesFromIDsResponse.unpack(names).return_value == ErrorCode.NotSupported
        ids = await client.call(18, NspiGetIDsFromNamesRequest(handle, 0, 0, 0, []).pack())
        assert NspiGetIDsFromNamesResponse.unpack(ids).return_value == ErrorCode.NotSupported
        with pytest.raises(RpcFault, match="context handle mismatch"):
            await client.call(16, NspiQueryColumnsRequest(STRANGER, 0, 0).pack())
        done = NspiUnbindResponse.unpack(await client.call(1, NspiUnbindRequest(handle, 0).pack()))
        assert (done.context_handle, done.return_value) == (NULL_HANDLE, 1)
        with pytest.raises(RpcFault, match="context handle mismatch"):
            await client.call(16, NspiQueryColumnsRequest(handle, 0, 0).pack())

    with_client(tmp_path, NSPI, work)


def test_address_book_sessions_end_with_their_client(tmp_path: Path) -> None:
    async def main() -> None:
        handler = Handler()
        async with https_serving(handler, tmp_path) as endpoints:
            client = await MapiHttpClient.connect(endpoints, NSPI, ntlm())
            await client.call(0, NspiBindRequest(0, STAT()).pack())
            await client.close()
            assert [call.opnum for call in handler.calls] == [0, 1]

    run(main)


def test_referrals_name_the_server_that_is_reached_already(tmp_path: Path) -> None:
    async def work(handler: Handler, client: MapiHttpClient) -> None:
        answer = await client.call(0, RfrGetNewDSARequest(0, b"/o=x/cn=alice", None, Name(None)).pack())
        assert RfrGetNewDSAResponse.unpack(answer) == RfrGetNewDSAResponse(None, Name(b"localhost"), 0)
        dn = b"/o=x/cn=Servers/cn=EXCH1"
        answer = await client.call(1, RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn).pack())
        assert RfrGetFQDNFromServerDNResponse.unpack(answer) == RfrGetFQDNFromServerDNResponse(b"localhost", 0)
        assert handler.calls == []

    with_client(tmp_path, RFR, work)


def test_what_does_not_fit_the_client_is_left_away_or_refused() -> None:
    """A server with more to say than MAXIMUM_AUX_BUFFER, and names that no response can hold."""
    asked: list[Ask] = []

    async def main() -> None:
        connected = ConnectResponse(0, 0, 1, 2, 3, b"/o=x/cn=", "Ω", bytes(0x900))

        async def ask(what: Ask) -> bytes:
            asked.append(what)
            if what.name == "Connect":
                return connected.pack()
            return ExecuteResponse(0, 0, 0, b"rops", bytes(0x900)).pack()

        bridge = MapiBridge(EMSMDB, SessionGroup(), ask, "exch")
        bridge.server_application = "Exchange/15.20.1.2"
        done = EcDoConnectExResponse.unpack(await bridge.call(10, CONNECT.pack()))
        assert (done.display_name, done.server_version) == (b"?", wire_version(15, 20, 1, 2))
        assert len(done.aux_out) == 0x900
        request = EcDoRpcExt2Request(done.cxh, 2, b"in", 4, b"aux", 0x10)
        answer = EcDoRpcExt2Response.unpack(await bridge.call(11, request.pack()))
        assert (answer.rgb_out, answer.aux_out) == (b"rops", b"")
        request.out_size = 3
        with pytest.raises(RpcFault) as caught:
            await bridge.call(11, request.pack())
        assert caught.value.status == FaultStatus.CALL_FAILED
        connected.auxiliary_buffer = bytes(0x2000)
        assert EcDoConnectExResponse.unpack(await bridge.call(10, CONNECT.pack())).aux_out == b""
        assert ConnectRequest.unpack(asked[0].body) == ConnectRequest(b"/o=alice", 0, 1251, 1049, 1049, b"")
        assert ExecuteRequest.unpack(asked[1].body) == ExecuteRequest(2, b"in", 4, b"aux")

    run(main)
