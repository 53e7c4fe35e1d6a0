"""RPC over HTTP with real processes: `ocpy serve` on ports 80 and 443, where impacket wants its proxy, and clients."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from impacket.dcerpc.v5 import nspi, rpcrt, transport
from impacket.dcerpc.v5.rpch import RPCProxyClientException
from impacket.http import AUTH_BASIC, AUTH_NTLM

from openchange_py.auth.http_initiator import PasswordLogon
from openchange_py.client.connection import Account, Channel, Connector, Server
from openchange_py.client.profile import Profile
from openchange_py.transports.http_client import Place
from openchange_py.transports.rpch_client import RpcProxyPlace, connect
from openchange_py.transports.tls import ClientTls
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.conftest import ROOT
from tests.interop.capture import Capture, tool
from tests.interop.foreign import Session, interface_id
from tests.interop.nodes import PATIENCE, Node, environment
from tests.node import USERS, password_of, provision
from tests.transports.http_parties import make_pair

_CONF: Final = """\
[global]
    netbios name = EXCH1
    workgroup = EXAMPLE
    interfaces = {address}
    bind interfaces only = yes
    log level = 1
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}
    ocpy:mail domain = example.test
    ocpy:fqdn = exch1.example.test
    ocpy:endpoint mapper port = 0
    ocpy:https port = 443
    ocpy:http port = 80
    ocpy:tls certificate = {certificate}
    ocpy:tls key = {key}
"""


def free_address() -> str:
    """A loopback address whose ports 80 and 443 nobody has; skips where they can't be bound."""
    for _ in range(20):
        address = f"127.{100 + secrets.randbelow(100)}.{secrets.randbelow(250)}.{1 + secrets.randbelow(250)}"
        try:
            for port in (80, 443):
                socket.create_server((address, port)).close()
        except PermissionError:
            pytest.skip("ports 80 and 443, which impacket insists on, can't be bound: run as root")
        except OSError:
            continue
        return address
    pytest.skip("no loopback address has its ports 80 and 443 free")


class Served:
    """The node, and where it is."""

    def __init__(self, place: Path, address: str) -> None:
        self.address = address
        self.certificate, key = make_pair(place, "exch1.example.test")
        config = place / "smb.conf"
        config.write_text(
            _CONF.format(place=place, address=address, certificate=self.certificate, key=key), encoding="utf-8"
        )
        directory, store = provision(place, {})
        directory.close()
        store.close()
        self.node = Node("exch1", config)

    @contextlib.contextmanager
    def impacket(
        self,
        interface: bytes,
        port: int,
        *,
        user: str = "alice",
        password: str | None = None,
        scheme: str = AUTH_NTLM,
        level: int = rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
        https: bool = True,
    ) -> Iterator[Any]:
        """impacket through the proxy, bound; without a logon inside at level none."""
        factory = transport.DCERPCTransportFactory(
            f"ncacn_http:EXCH1[{port},RpcProxy={self.address}:{443 if https else 80}]"
        )
        secret = password_of(user) if password is None else password
        factory.set_credentials(user, secret, "EXAMPLE")
        factory.set_auth_type(scheme)
        dce = factory.get_dce_rpc()
        if level != rpcrt.RPC_C_AUTHN_LEVEL_NONE:
            dce.set_credentials(user, secret, "EXAMPLE")
            dce.set_auth_type(rpcrt.RPC_C_AUTHN_WINNT)
            dce.set_auth_level(level)
        dce.connect()
        try:
            dce.get_rpc_transport().get_socket_out().settimeout(PATIENCE)
            dce.bind(interface)
            yield dce
        finally:
            dce.disconnect()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("rpch"), free_address())
    found.node.start()
    try:
        found.node.wait_until_ready()
        yield found
        assert found.node.stop() == 0
    finally:
        found.node.abandon()


def exchanger(served: Served, *arguments: str, password: str | None = None) -> str:
    """What impacket's exchanger.py prints."""
    script = shutil.which("exchanger.py", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if script is None:
        pytest.skip("impacket's exchanger.py is not installed")
    secret = password_of("alice") if password is None else password
    who = f"EXAMPLE/alice:{secret}@{served.address}"
    done = subprocess.run(
        [sys.executable, script, "-rpc-hostname", "EXCH1", arguments[0], who, *arguments[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
        cwd=ROOT,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("option", ["-basic", "-debug"], ids=["basic", "ntlm"])
def test_exchanger_lists_the_address_book(served: Served, option: str) -> None:
    """Its connections are RPC_IN_DATA and RPC_OUT_DATA, with 100-continue, and NTLM again inside at privacy."""
    said = exchanger(served, option, "nspi", "list-tables", "-count")
    assert "Default Global Address List" in said, said
    said = exchanger(served, option, "nspi", "dump-tables", "-guid", guid_of(said), "-lookup-type", "FULL")
    for user, name in USERS.items():
        assert name in said, said
        assert f"{user}@example.test" in said


def guid_of(said: str) -> str:
    """The list of all users: the default one has no GUID."""
    found = re.search(r"All Users\n.*\nGuid: ([0-9a-f-]{36})\n", said)
    assert found is not None, said
    return found[1]


def test_exchanger_with_a_wrong_password(served: Served) -> None:
    said = exchanger(served, "-basic", "nspi", "list-tables", password="wrong")
    assert "401" in said or "authentication failed" in said, said


@pytest.mark.parametrize("scheme", [AUTH_BASIC, AUTH_NTLM])
@pytest.mark.parametrize(
    "level",
    [
        rpcrt.RPC_C_AUTHN_LEVEL_NONE,
        rpcrt.RPC_C_AUTHN_LEVEL_CONNECT,
        rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY,
        rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
    ],
)
def test_nspi_with_and_without_a_logon_inside(served: Served, scheme: str, level: int) -> None:
    """Through TLS all of them are as good as privacy, which the node demands by default."""
    with served.impacket(nspi.MSRPC_UUID_NSPI, 6004, scheme=scheme, level=level) as dce:
        answer = nspi.hNspiBind(dce, nspi.STAT())
        assert answer["ErrorCode"] == 0
        assert nspi.hNspiUnbind(dce, answer["contextHandle"])["ErrorCode"] == 1


def test_a_mailbox_through_port_6001(served: Served) -> None:
    with served.impacket(interface_id(EMSMDB), 6001, level=rpcrt.RPC_C_AUTHN_LEVEL_NONE) as dce:
        session = Session(dce)
        assert session.connect("alice").return_value == 0
        other = Session(dce)
        assert other.connect("bob").return_value != 0


def test_plain_http_takes_no_password_and_protects_nothing(served: Served) -> None:
    with (
        pytest.raises(RPCProxyClientException, match="authentication failed"),
        served.impacket(nspi.MSRPC_UUID_NSPI, 6004, scheme=AUTH_BASIC, https=False),
    ):
        raise AssertionError("it was let in")
    with (
        served.impacket(nspi.MSRPC_UUID_NSPI, 6004, level=rpcrt.RPC_C_AUTHN_LEVEL_CONNECT, https=False) as dce,
        pytest.raises(rpcrt.DCERPCException, match="access_denied"),
    ):
        nspi.hNspiBind(dce, nspi.STAT())
    with served.impacket(nspi.MSRPC_UUID_NSPI, 6004, https=False) as dce:
        assert nspi.hNspiBind(dce, nspi.STAT())["ErrorCode"] == 0


def test_a_port_that_there_is_not(served: Served) -> None:
    with (
        pytest.raises(RPCProxyClientException, match="6ba"),
        served.impacket(nspi.MSRPC_UUID_NSPI, 6003),
    ):
        raise AssertionError("it was let in")


class HttpConnector(Connector):
    """Opens channels through the proxy, with Basic over TLS and nothing inside."""

    def __init__(self, served: Served, user: str) -> None:
        super().__init__(Server(served.address), Account(user, "EXAMPLE", password_of(user)))
        proxy = Place(served.address, 443, ClientTls(served.certificate), "exch1.example.test")
        self._place = RpcProxyPlace(proxy, "EXCH1", 6001, logon=PasswordLogon(user, password_of(user)))

    async def connect(
        self, interface: RpcInterface, *, beside: Channel | None = None, call_timeout: float | None = None
    ) -> Channel:
        place = dataclasses.replace(self._place, endpoint=PORTS_OF.get(interface.name, 6001))
        group = 0 if beside is None else beside.assoc_group
        # Channels of 128 KiB: they are replaced while the mailbox is read.
        client = await connect(place, interface, lifetime=128 << 10, assoc_group=group, call_timeout=PATIENCE)
        return Channel(client, interface, "refused")


PORTS_OF: Final = {RFR.name: 6002, NSPI.name: 6004}


def test_our_client_reads_a_mailbox(served: Served) -> None:
    """Referral, address book and mailbox, each behind its port."""

    async def main() -> None:
        async with Profile(HttpConnector(served, "alice")) as profile:
            assert await profile.referral() == "exch1.example.test"
            assert (await profile.me())[p.PidTagAccount] == "alice"
            mailbox = await profile.mailbox()
            for _ in range(100):
                assert (await mailbox.find_folder("Inbox")).count == 0

    asyncio.run(main())


def test_tshark_sees_the_http_requests_and_their_pdus(served: Served, tmp_path: Path) -> None:
    """Plain HTTP is what it can read: both channels' requests, and the RTS PDUs that it finds in them."""
    tool("tshark")
    capture = Capture([80], tmp_path / "rpch.pcap")
    capture.mark(b"before")
    with served.impacket(nspi.MSRPC_UUID_NSPI, 6004, https=False) as dce:
        nspi.hNspiBind(dce, nspi.STAT())
    capture.mark(b"behind")
    capture.finish()
    done = subprocess.run(
        [
            tool("tshark"),
            "-r",
            tmp_path / "rpch.pcap",
            "-Y",
            "http.request",
            "-T",
            "fields",
            "-e",
            "http.request.method",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert {"RPC_IN_DATA", "RPC_OUT_DATA"} <= set(done.stdout.split())
