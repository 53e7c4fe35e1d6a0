"""The relay through an RPC proxy: real channels, TLS, the account's logon at the proxy and inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.config.routes import Credentials
from openchange_py.proxy.credentials import SpecifiedAccount
from openchange_py.proxy.upstream_rpch import RpchConnector
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, Session
from openchange_py.transports.tcp_client import ConnectionLost
from tests.auth.ntlm_parties import PASSWORD
from tests.proxy.parties import ALICE
from tests.rpc.echo import ECHO, REVERSE, WHO
from tests.transports.rpch_parties import proxying
from tests.transports.serving import run


def binding_of(folder: Path, port: int, flags: str = "") -> Binding:
    return Binding.parse(f"ncacn_http:exch1[6001,RpcProxy=localhost:{port},ca={folder / 'localhost.crt'}{flags}]")


def account(password: str = PASSWORD) -> SpecifiedAccount:
    return SpecifiedAccount(Credentials("alice", "EXAMPLE", password))


@pytest.mark.parametrize("flags", ["", ",sign,spnego"])
def test_calls_go_through_the_proxy_as_the_specified_account(tmp_path: Path, flags: str) -> None:
    async def main() -> None:
        async with proxying(tmp_path) as proxy:
            connector = RpchConnector(binding_of(tmp_path, proxy.port, flags), account())
            call = Call(ECHO, 0, b"", Session("test", "client"), ALICE)
            first = await connector(call, 0)
            second = await connector(call, first.assoc_group)
            assert first.assoc_group == second.assoc_group
            assert first.upstream == connector.upstream
            for client in (first, second):
                assert await client.call(REVERSE, b"text" * 3000) == b"txet" * 3000
                assert await client.call(WHO, b"") == b"echo EXAMPLE\\alice PRIVACY None"  # TLS is
                await client.close()
            await connector.probe(ECHO)
        with pytest.raises(ConnectionLost):
            await connector.probe(ECHO)

    run(main)


def test_who_is_refused_at_the_proxy(tmp_path: Path) -> None:
    async def main() -> None:
        async with proxying(tmp_path) as proxy:
            connector = RpchConnector(binding_of(tmp_path, proxy.port), account("wrong"))
            with pytest.raises(ConnectionLost, match=r"401|refuse"):
                await connector(Call(ECHO, 0, b"", Session("test", "client"), ALICE), 0)

    run(main)
