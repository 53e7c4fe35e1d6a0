"""The relay over MAPI over HTTP: who logs on, who is refused before, and what is left when the server goes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openchange_py.auth import ntlm_crypto
from openchange_py.config.routes import Credentials, MachineLogon
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.credentials import KerberosLogons, MachineAccount, SpecifiedAccount, UpstreamCredentials
from openchange_py.proxy.delegated import DelegatedCredentials, UpstreamAuthorizes
from openchange_py.proxy.pool import UpstreamPool
from openchange_py.proxy.relay import Relay
from openchange_py.proxy.upstream_mapihttp import MapiHttpConnector
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import ANONYMOUS, SecurityError
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExResponse, EcDoRpcExt2Request, EcDoRpcExt2Response
from openchange_py.wire.oxnspi import NSPI, NspiBindRequest, NspiBindResponse
from openchange_py.wire.oxnspi_types import STAT
from tests.auth.ntlm_parties import PASSWORD
from tests.proxy.emsmdb_calls import connect, logon, rops, rpc
from tests.proxy.parties import ALICE, ALICE_DN, BOB_DN, people
from tests.transports.mapi_bridging import https_serving
from tests.transports.mapi_parties import Handler
from tests.transports.serving import run

ACCOUNT = SpecifiedAccount(Credentials("alice", "EXAMPLE", PASSWORD))


@contextlib.asynccontextmanager
async def upstream(folder: Path, flags: str = "") -> AsyncIterator[tuple[Handler, Binding]]:
    """A server, and the binding that leads there."""
    handler = Handler()
    async with https_serving(handler, folder) as endpoints:
        ca = folder / "localhost.crt"
        text = f"https://127.0.0.1:{endpoints.place.port}/mapi/[ca={ca},target_hostname=localhost{flags}]"
        yield handler, Binding.parse(text)


def call_of(session: Session, opnum: int, stub: bytes, interface: RpcInterface = EMSMDB) -> Call:
    return Call(interface, opnum, stub, session, ALICE)


@pytest.mark.parametrize("flags", ["", ",ntlm", ",spnego", ",basic"])
@pytest.mark.parametrize("kind", ["specified", "machine", "caller"])
def test_who_logs_on_upstream(tmp_path: Path, flags: str, kind: str) -> None:
    logons = KerberosLogons(1.0)
    accounts: dict[str, UpstreamCredentials] = {
        "specified": ACCOUNT,
        "machine": MachineAccount(MachineLogon("alice", "EXAMPLE", "", None, PASSWORD), logons),
        "caller": DelegatedCredentials(lambda _: ntlm_crypto.nt_hash(PASSWORD), None, "", logons),
    }

    async def main() -> None:
        async with upstream(tmp_path, flags) as (handler, binding):
            if flags == ",basic" and kind != "specified":
                with pytest.raises(SecurityError, match="needs the name and password"):
                    MapiHttpConnector(binding, accounts[kind])
                return
            authorizer = UpstreamAuthorizes() if kind == "caller" else Authorizer(people())
            relay = Relay(UpstreamPool([MapiHttpConnector(binding, accounts[kind])]), authorizer)
            session = Session("test", "client")
            call = connect(session, ALICE, ALICE_DN)
            await relay.call(call)
            assert EcDoConnectExResponse.unpack(call.reply_bytes()).return_value == 0
            assert handler.calls[0].caller.account == "alice"
            await relay.end_session(session)
            assert [call.opnum for call in handler.calls] == [10, 1]

    run(main)


def test_what_the_account_may_do_is_asked_here_for_each_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(tmp_path) as (handler, binding):
            relay = Relay(UpstreamPool([MapiHttpConnector(binding, ACCOUNT)]), Authorizer(people()))
            session, other = Session("test", "client"), Session("test", "other")
            refused = connect(session, ALICE, BOB_DN)
            await relay.call(refused)
            assert EcDoConnectExResponse.unpack(refused.reply_bytes()).return_value != 0
            with pytest.raises(RpcFault, match="access denied"):
                await relay.call(connect(session, ANONYMOUS, ALICE_DN))
            assert handler.calls == []
            call = connect(session, ALICE, ALICE_DN)
            await relay.call(call)
            cxh = EcDoConnectExResponse.unpack(call.reply_bytes()).cxh
            for dn, passes in ((BOB_DN, False), (ALICE_DN, True)):
                logging_on = rpc(session, ALICE, rops(logon(dn)), handle=cxh)
                await relay.call(logging_on)
                assert (len(handler.calls) == 2) is passes
            with pytest.raises(RpcFault, match="context handle mismatch"):
                await relay.call(rpc(other, ALICE, rops(logon(ALICE_DN)), handle=cxh))
            await relay.end_session(session)

    run(main)


def test_address_book_sessions_are_opened_again_where_the_server_came_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(tmp_path) as (handler, binding):
            relay = Relay(UpstreamPool([MapiHttpConnector(binding, ACCOUNT)]), Authorizer(people()))
            session = Session("test", "client")
            call = call_of(session, 0, NspiBindRequest(0, STAT()).pack(), NSPI)
            await relay.call(call)
            assert NspiBindResponse.unpack(call.reply_bytes()).return_value == 0
            assert relay.open_connections() == 1
            await relay.end_session(session)
            assert relay.open_connections() == 0
            assert [call.opnum for call in handler.calls] == [0, 1]

    run(main)


def test_a_server_that_is_gone_or_refuses(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(tmp_path) as (_, binding):
            wrong = SpecifiedAccount(Credentials("alice", "EXAMPLE", "wrong"))
            with pytest.raises(AuthenticationFailed, match="refuses the logon"):
                await MapiHttpConnector(binding, wrong)(call_of(Session("test", "client"), 10, b""), 0)
            connector = MapiHttpConnector(binding, ACCOUNT)
            assert connector.upstream == str(binding)
            await connector.probe(EMSMDB)
            relay = Relay(UpstreamPool([connector]), Authorizer(people()))
            session = Session("test", "client")
            await relay.call(connect(session, ALICE, ALICE_DN))
        with pytest.raises(ConnectionLost):
            await connector.probe(EMSMDB)
        with pytest.raises(RpcFault) as caught:
            await relay.call(connect(session, ALICE, ALICE_DN))
        assert caught.value.status in (FaultStatus.CALL_FAILED, FaultStatus.SERVER_UNAVAILABLE)
        await relay.end_session(session)

    run(main)


def test_a_server_that_says_nothing_is_dead(tmp_path: Path) -> None:
    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with silent:
            port = silent.sockets[0].getsockname()[1]
            connector = MapiHttpConnector(Binding.parse(f"http://127.0.0.1:{port}/mapi/"), ACCOUNT, 0.1)
            with pytest.raises(ConnectionLost, match="no answer within"):
                await connector.probe(NSPI)
            with pytest.raises(ConnectionLost, match="did not answer within"):
                await connector(call_of(Session("test", "client"), 0, b"", NSPI), 0)

    run(main)


def test_connections_of_a_group_share_their_sessions(tmp_path: Path) -> None:
    async def main() -> None:
        async with upstream(tmp_path) as (_, binding):
            connector, call = MapiHttpConnector(binding, ACCOUNT), call_of(Session("test", "client"), 10, b"")
            first = await connector(call, 0)
            second = await connector(call, first.assoc_group)
            alone = await connector(dataclasses.replace(call, opnum=11), 0)
            cxh = EcDoConnectExResponse.unpack(await first.call(10, connect(call.session, ALICE, ALICE_DN).stub)).cxh
            stub = EcDoRpcExt2Request(cxh, 0, b"x", 0x8000).pack()
            assert EcDoRpcExt2Response.unpack(await second.call(11, stub)).rgb_out == b"x"
            with pytest.raises(RpcFault, match="context handle mismatch"):
                await alone.call(11, stub)
            for client in (first, second, alone):
                await client.close()

    run(main)
