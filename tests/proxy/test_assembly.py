"""The proxy of a configuration, driven over real sockets: client, hybrid, and the server relayed to."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from openchange_py.auth import kerberos
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.config import ConfigError, Settings, load
from openchange_py.proxy.assembly import INTERFACES, assemble, make_renamer, own_names, reconfigure
from openchange_py.proxy.dispatcher import Dispatcher, LocalServer
from openchange_py.proxy.loading import plugin_options
from openchange_py.proxy.relay import Relay
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.security import ANONYMOUS, AuthLevel
from openchange_py.transports.tcp import RpcClient, TcpServer
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR, Name, RfrGetNewDSARequest, RfrGetNewDSAResponse
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExResponse, EcDoRpcExt2Response
from openchange_py.wire.oxnspi import NSPI
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.proxy.emsmdb_calls import HANDLE, connect, connected, logon, rops, rpc, rpc_answer
from tests.proxy.parties import ALICE, ALICE_DN, BOB_DN, people, status_of


class Canned:
    """A local server that answers every call of its interface alike."""

    def __init__(self, interface: RpcInterface, name: str, *replies: bytes) -> None:
        self.interface, self.name = interface, name
        self.replies = list(replies)
        self.calls: list[Call] = []
        self.ended: list[Session] = []

    def call(self, call: Call) -> None:
        self.calls.append(call)
        call.answer(self.replies[len(self.calls) % len(self.replies) - 1])

    def end_session(self, session: Session) -> None:
        self.ended.append(session)


def settings_of(path: Path, text: str) -> Settings:
    path.write_text(text)
    path.chmod(0o600)
    return load(path, plugin_options(path))


def servers(*found: Canned) -> Mapping[str, LocalServer]:
    return {server.name: server for server in found}


REFERRAL = RfrGetNewDSAResponse(None, Name(b"hybrid.example.test"), 0)

HYBRID = """
dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},print]
dcerpc_mapiproxy:username = alice
dcerpc_mapiproxy:password = {password}
dcerpc_mapiproxy:domain = EXAMPLE
dcerpc_mapiproxy:nspi_server = nspi
dcerpc_mapiproxy:rfr_server = rfr
dcerpc_mapiproxy:modules = dummy
"""


async def client_of(port: int, interface: RpcInterface) -> RpcClient:
    context = NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD))
    return await RpcClient.connect("127.0.0.1", port, interface, context=context, level=AuthLevel.PRIVACY)


def test_a_hybrid_answers_what_is_local_and_relays_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def work() -> Canned:
        mailboxes = Canned(EMSMDB, "emsmdb", connected(), rpc_answer(rops()))
        standalone = settings_of(tmp_path / "exchange.conf", "dcerpc_mapiproxy:server = yes")
        local = servers(mailboxes, Canned(NSPI, "nspi", b"?"), Canned(RFR, "rfr", b"?"))
        exchange = await assemble(standalone, local, people())
        upstream = TcpServer(exchange, authenticator(), waits=exchange.waits, minimum_level=exchange.minimum_level)
        _, port = await upstream.start("127.0.0.1")
        text = HYBRID.format(port=port, password=PASSWORD)
        referrals = Canned(RFR, "rfr", REFERRAL.pack())
        settings = settings_of(tmp_path / "hybrid.conf", text)
        hybrid = await assemble(settings, servers(Canned(NSPI, "nspi", b"?"), referrals), people())
        front = TcpServer(hybrid, authenticator(), waits=hybrid.waits, minimum_level=hybrid.minimum_level)
        _, front_port = await front.start("127.0.0.1")
        try:
            await drive(front_port)
            assert len(referrals.calls) == 1
        finally:
            await front.stop()
            await upstream.stop()
            hybrid.close()
            exchange.close()
        return mailboxes

    async def drive(port: int) -> None:
        client, other = await client_of(port, EMSMDB), await client_of(port, RFR)
        session = Session("unused", "unused")
        opened = EcDoConnectExResponse.unpack(await client.call(10, connect(session, ALICE, ALICE_DN).stub))
        assert opened.cxh == HANDLE
        assert await client.call(11, rpc(session, ALICE, rops(logon(ALICE_DN))).stub) == rpc_answer(rops())
        # bob's mailbox is refused by the hybrid, though the account that it relays with might open it.
        assert EcDoConnectExResponse.unpack(await client.call(10, connect(session, ALICE, BOB_DN).stub)).cxh.is_null
        refused = EcDoRpcExt2Response.unpack(await client.call(11, rpc(session, ALICE, rops(logon(BOB_DN))).stub))
        assert (refused.return_value, refused.cxh) == (0, HANDLE)
        request = RfrGetNewDSARequest(0, ALICE_DN.encode(), Name(None), Name(None))
        assert await other.call(0, request.pack()) == REFERRAL.pack()
        await client.close()
        await other.close()

    mailboxes = asyncio.run(work())
    assert [call.name for call in mailboxes.calls] == ["EcDoConnectEx", "EcDoRpcExt2"]
    assert len(mailboxes.ended) == 1
    for line in (
        "exchange_emsmdb: relay to ncacn_ip_tcp:127.0.0.1[",
        "exchange_nsp: local server nspi",
        "module dummy loaded",
        "RopLogonRequest",
        f"may not open the mailbox of '{BOB_DN}'",
    ):
        assert line in caplog.text
    assert PASSWORD not in caplog.text


def test_a_server_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    text = "dcerpc_mapiproxy:server = yes\ndcerpc_mapiproxy:nspi_server = npsi"
    local = servers(Canned(NSPI, "nspi", b"?"), Canned(RFR, "rfr", b"?"), Canned(EMSMDB, "emsmdb", b"?"))
    with pytest.raises(ConfigError) as caught:
        asyncio.run(assemble(settings_of(tmp_path / "smb.conf", text), local, people()))
    reason = "dcerpc_mapiproxy:nspi_server: no local server 'npsi' for exchange_nsp; known: nspi"
    assert str(caught.value) == f"{tmp_path}/smb.conf:2: {reason}"


def test_minimum_levels(tmp_path: Path) -> None:
    text = "dcerpc_mapiproxy:server = yes\nocpy:minimum auth level = integrity"
    local: dict[str, Any] = {name: Canned(INTERFACES[interface], name, b"?") for name, interface in NAMES.items()}

    async def work() -> Dispatcher:
        dispatcher = await assemble(settings_of(tmp_path / "smb.conf", text), local, people())
        for interface in dispatcher.interfaces():
            with pytest.raises(RpcFault) as caught:
                await dispatcher.handle(Call(interface, 0, b"", Session("test", "client"), ANONYMOUS))
            assert status_of(caught) == 5
        return dispatcher

    dispatcher = asyncio.run(work())
    levels = {interface.name: dispatcher.minimum_level(interface) for interface in dispatcher.interfaces()}
    assert levels == {
        "exchange_emsmdb": AuthLevel.INTEGRITY,
        "exchange_nsp": AuthLevel.INTEGRITY,
        "exchange_ds_rfr": AuthLevel.CONNECT,
    }
    dispatcher.close()


def test_servers_that_are_down_are_shown_and_a_reload_begins_anew(tmp_path: Path) -> None:
    metrics = Metrics()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        text = HYBRID.format(port=nobody.getsockname()[1], password=PASSWORD)
        settings = settings_of(tmp_path / "hybrid.conf", text)

        async def work() -> None:
            local = servers(Canned(NSPI, "nspi", b"?"), Canned(RFR, "rfr", b"?"))
            dispatcher = await assemble(settings, local, people(), metrics=metrics)
            down = next(value for name, _, value in metrics.gauges if name == "upstreams_down")
            assert down() == 0
            with pytest.raises(RpcFault) as caught:
                await dispatcher.handle(connect(Session("test", "client"), ALICE, ALICE_DN))
            assert status_of(caught) == FaultStatus.SERVER_UNAVAILABLE
            assert down() == 1
            reconfigure(dispatcher, settings)
            assert down() == 0
            dispatcher.close()

        asyncio.run(work())


NAMES = {"emsmdb": "exchange_emsmdb", "nspi": "exchange_nsp", "rfr": "exchange_ds_rfr"}


BY_ADDRESS = "ncacn_ip_tcp:192.0.2.1[target_hostname=ex2.corp.test,target_principal=exchangeMDB/ex3.corp.test@TEST]"
NAMED_SERVERS = f"""
netbios name = PROXY
workgroup = EXAMPLE
ocpy:fqdn = proxy.example.test
dcerpc_mapiproxy:binding = ncacn_ip_tcp:ex1.corp.test, {BY_ADDRESS}
dcerpc_mapiproxy:username = relay
dcerpc_mapiproxy:password = secret
"""


def test_the_names_of_a_configuration(tmp_path: Path) -> None:
    renamer = make_renamer(
        settings_of(tmp_path / "smb.conf", NAMED_SERVERS + "dcerpc_mapiproxy:upstream names = OLD, old.corp")
    )
    assert renamer is not None
    assert renamer.book.own.bindings == ("netbios:PROXY", "ncacn_ip_tcp:proxy.example.test")
    for upstream, server in (
        ("ncacn_ip_tcp:ex1.corp.test", "ex1.corp.test"),
        (
            BY_ADDRESS,
            "ex2.corp.test",
        ),
    ):
        names = renamer.book.names(upstream)
        assert names.to_upstream("proxy.example.test") == server
        for hidden in ("ex1.corp.test", "ex2.corp.test", "ex3.corp.test", "192.0.2.1", "old.corp"):
            assert names.to_client(hidden) == "proxy.example.test"
    assert names.name_to_client("OLD") == "PROXY"


def test_named_pipes_are_among_the_bindings(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "smb.conf", NAMED_SERVERS + "ocpy:named pipes = samba")
    assert own_names(settings).bindings[2:] == ("ncacn_np:PROXY",)


def test_names_pass_where_the_administrator_wants_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "smb.conf", NAMED_SERVERS + "dcerpc_mapiproxy:replace names = no")
    assert make_renamer(settings) is None


def test_what_can_be_no_name(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "smb.conf", NAMED_SERVERS + 'dcerpc_mapiproxy:upstream names = "a b"')
    with pytest.raises(ConfigError, match="'a b' is neither a server's name nor an address"):
        make_renamer(settings)


RELAYING = "dcerpc_mapiproxy:binding = ncacn_ip_tcp:192.0.2.1[1]\n"
SPECIFIED = "dcerpc_mapiproxy:username = relay\ndcerpc_mapiproxy:password = secret\n"
DELEGATED = "dcerpc_mapiproxy:delegated_auth = yes\n"


def test_who_relays_does_not_change_while_calls_are_relayed(tmp_path: Path) -> None:
    """What is checked with one account for all is not checked where the callers' own are used, and the other way."""

    async def check() -> None:
        for before, after in ((SPECIFIED, DELEGATED), (DELEGATED, SPECIFIED)):
            settings = settings_of(tmp_path / "smb.conf", RELAYING + before)
            dispatcher = await assemble(settings, {}, people())
            assert isinstance(dispatcher.relay, Relay)
            connect = dispatcher.relay.connect
            with pytest.raises(ConfigError, match="restart"):
                reconfigure(dispatcher, settings_of(tmp_path / "smb.conf", RELAYING + after))
            assert dispatcher.relay.connect is connect
            reconfigure(dispatcher, settings)
            assert dispatcher.relay.connect is not connect
            dispatcher.close()

    asyncio.run(check())


def test_kerberos_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerberos, "gss", None)
    text = "realm = EXAMPLE.TEST\ndcerpc_mapiproxy:binding = ncacn_ip_tcp:192.0.2.1[1,krb5]\n" + SPECIFIED
    with pytest.raises(ConfigError, match=r"flag krb5: .*pip install 'openchange-py\[kerberos\]'"):
        asyncio.run(assemble(settings_of(tmp_path / "smb.conf", text), {}, people()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[ca={place}/none.pem]", "no certificates of authorities in .*none.pem"),
        ("[basic]\ndcerpc_mapiproxy:use_machine_account = yes\nocpy:machine password file = {place}/pw", "flag basic"),
    ],
)
def test_a_binding_by_url_that_can_not_be_used(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "pw").write_text("secret")
    (tmp_path / "pw").chmod(0o600)
    text = "dcerpc_mapiproxy:binding = https://192.0.2.1/mapi/" + text.format(place=tmp_path) + "\n"
    with pytest.raises(ConfigError, match=reason):
        asyncio.run(
            assemble(settings_of(tmp_path / "smb.conf", text + ("" if "machine" in text else SPECIFIED)), {}, people())
        )
