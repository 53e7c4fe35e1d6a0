"""impacket as the foreign client: bind, fragments, endpoint mapper, mgmt, NTLM at every level."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from impacket.dcerpc.v5 import epm, mgmt, rpcrt, transport
from impacket.uuid import bin_to_uuidtup, uuidtup_to_bin

from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.rpc.reassembly import ANONYMOUS_CALL_LIMIT
from openchange_py.rpc.security import AuthLevel, AuthType
from openchange_py.transports.tcp import TcpServer
from openchange_py.wire.epm import EPMAPPER
from openchange_py.wire.mgmt import MGMT
from openchange_py.wire.ndr import RpcInterface
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.rpc.echo import ECHO, FAULT, OTHER, REVERSE, WHO, EchoHandler

LEVELS = {
    rpcrt.RPC_C_AUTHN_LEVEL_NONE: "NONE",
    rpcrt.RPC_C_AUTHN_LEVEL_CONNECT: "CONNECT",
    rpcrt.RPC_C_AUTHN_LEVEL_PKT_INTEGRITY: "INTEGRITY",
    rpcrt.RPC_C_AUTHN_LEVEL_PKT_PRIVACY: "PRIVACY",
}


class Machine:
    """An endpoint mapper and an echo server in a thread of their own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.echo_port, self.epm_port = self._run(self._start())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def _start(self) -> tuple[int, int]:
        mapper = EpmapperServer()
        minimum = {OTHER: AuthLevel.INTEGRITY}
        echo = TcpServer(
            EchoHandler(),
            authenticator(),
            minimum_level=lambda interface: minimum.get(interface, AuthLevel.NONE),
            principal_names={AuthType.KERBEROS: "host/exch1.example.test"},
        )
        epmapper = TcpServer(InlineHandler([mapper]), authenticator(allow_anonymous=True))
        self.servers = [echo, epmapper]
        ports = [(await server.start("127.0.0.1", 0))[1] for server in self.servers]
        for interface in (ECHO, OTHER):
            mapper.register(Endpoint(interface, ports[0], annotation=f"the {interface.name} interface"))
        return ports[0], ports[1]

    def stop(self) -> None:
        for server in self.servers:
            self._run(server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    running = Machine()
    yield running
    running.stop()


def impacket_id(interface: RpcInterface) -> bytes:
    syntax = interface.syntax
    return uuidtup_to_bin((str(syntax.uuid), f"{syntax.major}.{syntax.minor}"))


def connect(port: int, interface: RpcInterface, level: int = rpcrt.RPC_C_AUTHN_LEVEL_NONE, password: str = PASSWORD):
    connection = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]")
    connection.set_credentials("alice", password, "EXAMPLE")
    dce = connection.get_dce_rpc()
    if level != rpcrt.RPC_C_AUTHN_LEVEL_NONE:
        dce.set_auth_type(rpcrt.RPC_C_AUTHN_WINNT)
        dce.set_auth_level(level)
    dce.connect()
    dce.bind(impacket_id(interface))
    return dce


def ask(dce, opnum: int, stub: bytes = b"") -> bytes:
    dce.call(opnum, stub)
    return dce.recv()


@pytest.mark.parametrize("level", list(LEVELS), ids=list(LEVELS.values()))
def test_stubs_of_every_size_both_ways(machine: Machine, level: int) -> None:
    dce = connect(machine.echo_port, ECHO, level)
    largest = ANONYMOUS_CALL_LIMIT if level == rpcrt.RPC_C_AUTHN_LEVEL_NONE else 200 * 1024
    for size in (0, 100, 4096, largest):
        stub = bytes(i % 251 for i in range(size))
        assert ask(dce, REVERSE, stub) == stub[::-1]
    who = "anonymous" if level == rpcrt.RPC_C_AUTHN_LEVEL_NONE else "EXAMPLE\\alice"
    assert ask(dce, WHO).decode() == f"echo {who} {LEVELS[level]} None"
    dce.disconnect()


@pytest.mark.parametrize("level", list(LEVELS), ids=list(LEVELS.values()))
def test_small_fragments_of_the_client_s_choice(machine: Machine, level: int) -> None:
    dce = connect(machine.echo_port, ECHO, level)
    dce.set_max_fragment_size(64)
    stub = bytes(range(256)) * 8
    assert ask(dce, REVERSE, stub) == stub[::-1]
    dce.disconnect()


def test_a_second_interface_by_alter_context(machine: Machine) -> None:
    # impacket authenticates again in alter_context, as a second security context; so without authentication.
    dce = connect(machine.epm_port, EPMAPPER)
    other = dce.alter_ctx(impacket_id(MGMT))
    assert mgmt.his_server_listening(other)["status"] == 0
    dce.disconnect()


@pytest.mark.parametrize("level", list(LEVELS)[1:], ids=list(LEVELS.values())[1:])
def test_a_wrong_password(machine: Machine, level: int) -> None:
    dce = connect(machine.echo_port, ECHO, level, password="wrong")
    with pytest.raises(rpcrt.DCERPCException, match="access_denied"):
        ask(dce, REVERSE, b"ab")


def test_a_level_below_the_interface_s_minimum(machine: Machine) -> None:
    dce = connect(machine.echo_port, OTHER, rpcrt.RPC_C_AUTHN_LEVEL_CONNECT)
    with pytest.raises(rpcrt.DCERPCException, match="access_denied"):
        ask(dce, REVERSE, b"ab")


def test_faults_arrive_at_every_level(machine: Machine) -> None:
    for level in LEVELS:
        dce = connect(machine.echo_port, ECHO, level)
        for opnum, stub, text in ((FAULT, b"\xf7\6\0\0", "rpc_x_bad_stub_data"), (99, b"", "nca_s_op_rng_error")):
            with pytest.raises(rpcrt.DCERPCException, match=text):
                ask(dce, opnum, stub)
        assert ask(dce, REVERSE, b"ab") == b"ba"
        dce.disconnect()


def test_an_interface_that_is_not_there(machine: Machine) -> None:
    with pytest.raises(rpcrt.DCERPCException, match="abstract_syntax_not_supported"):
        connect(machine.epm_port, ECHO)


def unbound(port: int):
    """A connection only: impacket's endpoint mapper functions bind it themselves."""
    dce = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]").get_dce_rpc()
    dce.connect()
    return dce


def test_ept_map(machine: Machine) -> None:
    found = epm.hept_map("127.0.0.1", impacket_id(ECHO), protocol="ncacn_ip_tcp", dce=unbound(machine.epm_port))
    assert found == f"ncacn_ip_tcp:127.0.0.1[{machine.echo_port}]"
    absent, dce = impacket_id(EPMAPPER), unbound(machine.epm_port)
    with pytest.raises(rpcrt.DCERPCException, match="ept_s_not_registered"):
        epm.hept_map("127.0.0.1", absent, protocol="ncacn_ip_tcp", dce=dce)


def test_ept_lookup(machine: Machine) -> None:
    entries = epm.hept_lookup(None, dce=unbound(machine.epm_port))
    assert [entry["annotation"] for entry in entries] == [b"the echo interface\0", b"the other interface\0"]
    assert {epm.PrintStringBinding(entry["tower"]["Floors"]) for entry in entries} == {
        f"ncacn_ip_tcp:127.0.0.1[{machine.echo_port}]"
    }
    wanted = impacket_id(OTHER)
    found = epm.hept_lookup(None, inquiry_type=epm.RPC_C_EP_MATCH_BY_IF, ifId=wanted, dce=unbound(machine.epm_port))
    assert [entry["annotation"] for entry in found] == [b"the other interface\0"]


def test_mgmt(machine: Machine) -> None:
    dce = connect(machine.echo_port, MGMT)
    vector = mgmt.hinq_if_ids(dce)["if_id_vector"]["if_id"]
    listed = [bin_to_uuidtup(entry["Data"].getData())[0].lower() for entry in vector]
    assert listed == [str(interface.syntax.uuid) for interface in (ECHO, OTHER, MGMT)]
    assert mgmt.his_server_listening(dce)["status"] == 0
    statistics = mgmt.hinq_stats(dce)
    assert statistics["count"] == 4
    with pytest.raises(rpcrt.DCERPCException, match="access_denied"):
        mgmt.hstop_server_listening(dce)
    assert mgmt.hinq_princ_name(dce, 10)["status"] == 0x6D3
    named = mgmt.hinq_princ_name(dce, AuthType.KERBEROS, 100)
    assert named["status"] == 0
    assert b"".join(named["princ_name"]) == b"host/exch1.example.test\0"
    dce.disconnect()


def script(name: str) -> Path:
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"impacket's {name} is not installed beside {sys.executable}")
    return path


def test_rpcdump_sees_the_endpoints(machine: Machine) -> None:
    # rpcdump.py knows port 135 only: teach it ours.
    code = (
        "import runpy, sys; path, port = sys.argv[1], int(sys.argv[2])\n"
        "RPCDump = runpy.run_path(path)['RPCDump']\n"
        "RPCDump.KNOWN_PROTOCOLS[port] = {'bindstr': 'ncacn_ip_tcp:%s[' + str(port) + ']'}\n"
        "RPCDump(port=port).dump('127.0.0.1', '127.0.0.1')\n"
    )
    command = [sys.executable, "-c", code, str(script("rpcdump.py")), str(machine.epm_port)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    for interface in (ECHO, OTHER):
        syntax = interface.syntax
        assert f"{str(syntax.uuid).upper()} v{syntax.major}.{syntax.minor} the {interface.name} interface" in output
    assert output.count(f"ncacn_ip_tcp:127.0.0.1[{machine.echo_port}]") == 2


def test_rpcmap_sees_the_interfaces(machine: Machine) -> None:
    """Against the endpoint mapper with rpcmap's default, an anonymous NTLM logon at privacy level."""
    account = ["-auth-rpc", f"EXAMPLE/alice:{PASSWORD}"]
    for port, options, interfaces in (
        (machine.echo_port, account, (ECHO, OTHER, MGMT)),
        (machine.epm_port, [], (EPMAPPER, MGMT)),
    ):
        command = [sys.executable, str(script("rpcmap.py")), f"ncacn_ip_tcp:127.0.0.1[{port}]", *options]
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        for interface in interfaces:
            syntax = interface.syntax
            assert f"UUID: {str(syntax.uuid).upper()} v{syntax.major}.{syntax.minor}" in output
