"""The relay through an RPC proxy: real channels, TLS, the account's logon at the proxy and inside."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from openchange_py.config.routes import Credentials, MachineLogon
from openchange_py.proxy.credentials import KerberosLogons, MachineAccount, SpecifiedAccount
from openchange_py.proxy.upstream_rpch import RpchConnector
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.peers import address_of
from openchange_py.rpc.security import SecurityError
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


def test_basic_at_the_proxy_and_another_logon_inside(tmp_path: Path) -> None:
    async def main() -> None:
        async with proxying(tmp_path) as proxy:
            connector = RpchConnector(binding_of(tmp_path, proxy.port, ",basic,ntlm,localaddress=127.0.0.7"), account())
            client = await connector(Call(ECHO, 0, b"", Session("test", "client"), ALICE), 0)
            assert await client.call(WHO, b"") == b"echo EXAMPLE\\alice PRIVACY None"
            taken = proxy.metrics.authentications
            assert (taken["http basic", "success"], taken["http ntlm", "success"]) == (2, 0)
            assert {address_of(session.peer) for session in proxy.handler.sessions} == {"127.0.0.7"}
            await client.close()
            nobody_s = MachineAccount(MachineLogon("alice", "EXAMPLE", "", None, PASSWORD), KerberosLogons(1.0))
            with pytest.raises(SecurityError, match="name and password of an account"):
                RpchConnector(binding_of(tmp_path, proxy.port, ",basic"), nobody_s)

    run(main)


def test_the_pinned_certificate_and_no_other_one(tmp_path: Path) -> None:
    """Neither its name nor an authority counts: it is reached by an address, and signed by nobody."""

    async def main() -> None:
        async with proxying(tmp_path) as proxy:
            der = ssl.PEM_cert_to_DER_cert((tmp_path / "localhost.crt").read_text("ascii"))
            for pin, error in (
                (hashlib.sha256(der).hexdigest(), ""),
                ("00" * 32, "another certificate than the pinned"),
            ):
                text = f"ncacn_http:exch1[6001,RpcProxy=127.0.0.1:{proxy.port},pin={pin}]"
                connector = RpchConnector(Binding.parse(text), account())
                call = Call(ECHO, 0, b"", Session("test", "client"), ALICE)
                if error:
                    with pytest.raises(ConnectionLost, match=error):
                        await connector(call, 0)
                    continue
                client = await connector(call, 0)
                assert await client.call(REVERSE, b"abc") == b"cba"
                await client.close()
            assert proxy.metrics.authentications["http ntlm", "success"] == 2, "nobody logged on where it was another"
            named = f"ncacn_http:exch1[RpcProxy=127.0.0.1:{proxy.port},ca={tmp_path / 'localhost.crt'}{{}}]"
            for option, fits in ((",proxy_hostname=localhost", True), ("", False)):
                connector = RpchConnector(Binding.parse(named.format(option)), account())
                if not fits:
                    with pytest.raises(ConnectionLost, match="certificate verify failed"):
                        await connector(call, 0)
                    continue
                client = await connector(call, 0)
                await client.close()

    run(main)


def test_who_is_refused_at_the_proxy(tmp_path: Path) -> None:
    async def main() -> None:
        async with proxying(tmp_path) as proxy:
            connector = RpchConnector(binding_of(tmp_path, proxy.port), account("wrong"))
            with pytest.raises(ConnectionLost, match=r"401|refuse"):
                await connector(Call(ECHO, 0, b"", Session("test", "client"), ALICE), 0)

    run(main)
