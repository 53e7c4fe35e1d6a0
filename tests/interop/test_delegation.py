"""The caller's own identity through the proxy, and the machine's: a Samba KDC, a proxy and the server behind it.

All are processes of their own; rights to delegate are given as an administrator gives them, with `samba-tool`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from impacket.dcerpc.v5 import nspi
from impacket.dcerpc.v5.rpcrt import RPC_C_AUTHN_LEVEL_CONNECT, DCERPCException
from impacket.dcerpc.v5.transport import DCERPCTransportFactory

from openchange_py.auth.kerberos_initiator import Delegate, KerberosCredential, KerberosInitiator
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism, SpnegoInitiator
from openchange_py.client.connection import Channel
from openchange_py.client.emsmdb import CLIENT_VERSION, EmsmdbClient
from openchange_py.client.errors import LogonRefused, MapiError
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.fragments import fragments_of
from openchange_py.rpc.protection import Protection
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExRequest, EcDoConnectExResponse
from openchange_py.wire.pdu import (
    AlterContext,
    Auth3,
    Bind,
    BindAck,
    Fault,
    PresentationContextElement,
    Request,
    Response,
)
from tests.interop.nodes import PATIENCE, Node, ocpy
from tests.interop.samba_dc import (
    DEBIAN_PYTHON,
    MACHINE_ACCOUNT,
    MACHINE_PASSWORD,
    PASSWORD,
    REALM,
    SERVER_FQDN,
    SERVER_NAME,
    UPSTREAM_FQDN,
    UPSTREAM_NAME,
    WORKGROUP,
    SambaDc,
    own_address,
)
from tests.rpc.parties import pdus

pytestmark = [pytest.mark.xdist_group("samba_dc")]

#: Whose password only this organization's directory knows, and the domain not.
LOCAL_USER, LOCAL_PASSWORD = "dave", "Local-Passw0rd"
TARGET = f"exchangeMDB/{SERVER_FQDN}"
UPSTREAM = f"exchangeMDB/{UPSTREAM_FQDN}"
DN = "/o=First Organization/ou=First Administrative Group/cn=Recipients/cn="

_COMMON = """\
[global]
    netbios name = {name}
    workgroup = {workgroup}
    realm = {realm}
    interfaces = {address}
    bind interfaces only = yes
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:mail domain = openchange.test
    ocpy:fqdn = {fqdn}
    ocpy:endpoint mapper port = 0
    ocpy:minimum auth level = connect
    ocpy:keytab = {keytab}
"""
_UPSTREAM = "    dcerpc_mapiproxy:server = true\n"
_PROXY = """\
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:{upstream}[{port},{flags},target_hostname={upstream_fqdn}]
    ocpy:domain controller = {controller}
    ocpy:machine password file = {place}/machine.password
    {identity} = yes
"""


class Hops:
    """The server, and proxies in front of it: one that relays as its callers, one with the machine's account."""

    def __init__(self, dc: SambaDc, place: Path) -> None:
        self.dc = dc
        self.place = place
        self.krb5_conf = place / "forwardable.conf"
        self.krb5_conf.write_text("[libdefaults]\n  forwardable = true\n")
        (place / "machine.password").write_text(MACHINE_PASSWORD + "\n")
        (place / "machine.password").chmod(0o600)
        self.address = own_address(112)
        common = {"place": place, "workgroup": WORKGROUP, "realm": REALM, "address": self.address}
        self._upstream_names = common | {
            "name": UPSTREAM_NAME,
            "fqdn": UPSTREAM_FQDN,
            "keytab": dc.upstream_keytab,
        }
        self._names = common | {"name": SERVER_NAME, "fqdn": SERVER_FQDN, "keytab": dc.keytab}
        self.upstream = self._node("upstream", _COMMON + _UPSTREAM, self._upstream_names)

    @property
    def environment(self) -> dict[str, str]:
        return {"KRB5_CONFIG": f"{self.krb5_conf}:{self.dc.krb5_conf}", "KRB5CCNAME": f"FILE:{self.place}/absent"}

    def set_up(self) -> None:
        config = self.upstream.config
        ocpy("provision", "-c", config)
        for user in ("alice", "bob"):
            ocpy("newuser", "-c", config, "--create", "--mailbox", "--no-password", user)
        ocpy("newuser", "-c", config, "--create", "--mailbox", LOCAL_USER, stdin=LOCAL_PASSWORD + "\n")
        ocpy("newuser", "-c", config, "--create", "--hidden", "--no-password", MACHINE_ACCOUNT)
        ocpy("access", "-c", config, "bob", "--grant", MACHINE_ACCOUNT)

    def standalone(self, name: str) -> Node:
        """Another server of the first proxy's name: the end of a way with two hops."""
        mailboxes = f"    ocpy:database = sqlite:///{self.place}/{UPSTREAM_NAME}/mailboxes.db\n"
        return self._node(name, _COMMON + _UPSTREAM + mailboxes, self._names)

    def second_proxy(self, upstream: Node) -> Node:
        """Relays as its callers, with the name of the server behind the first proxy."""
        where = {"upstream": upstream.host, "port": upstream.rpc_port, "upstream_fqdn": SERVER_FQDN}
        others = {"controller": self.dc.address, "identity": "dcerpc_mapiproxy:delegated_auth", "flags": "seal"}
        return self._node("second", _COMMON + _PROXY, self._upstream_names | where | others)

    def proxy(self, name: str, identity: str, flags: str = "seal", upstream: Node | None = None) -> Node:
        server = upstream or self.upstream
        where = {"upstream": server.host, "port": server.rpc_port, "upstream_fqdn": UPSTREAM_FQDN}
        others = {"controller": self.dc.address, "identity": f"dcerpc_mapiproxy:{identity}", "flags": flags}
        return self._node(name, _COMMON + _PROXY, self._names | where | others)

    def _node(self, name: str, template: str, names: dict[str, object]) -> Node:
        config = self.place / f"{name}.conf"
        config.write_text(template.format(**names))
        return Node(name, config, self.environment)


@contextlib.contextmanager
def running(node: Node) -> Iterator[Node]:
    try:
        node.start()
        node.wait_until_ready()
        yield node
        assert node.stop() == 0
    finally:
        node.abandon()


@pytest.fixture(scope="module")
def hops(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hops]:
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    made = Hops(samba_dc, tmp_path_factory.mktemp("delegation"))
    made.set_up()
    with running(made.upstream), pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def proxy(hops: Hops) -> Iterator[Node]:
    """Relays as its callers."""
    with running(hops.proxy("proxy", "delegated_auth")) as node:
        yield node


@pytest.fixture
def no_rights(hops: Hops) -> Iterator[Callable[..., None]]:
    """The proxy may delegate nothing; the function gives it a right, and it is taken back afterwards."""
    undo: list[tuple[str, ...]] = []

    def grant(*, any_protocol: bool) -> None:
        hops.dc.delegation("add-service", MACHINE_ACCOUNT, UPSTREAM)
        undo.append(("del-service", MACHINE_ACCOUNT, UPSTREAM))
        if any_protocol:
            hops.dc.delegation("for-any-protocol", MACHINE_ACCOUNT, "on")
            undo.append(("for-any-protocol", MACHINE_ACCOUNT, "off"))

    yield grant
    for command in reversed(undo):
        hops.dc.delegation(*command)


def ticket(user: str, *, forward: bool, level: AuthLevel = AuthLevel.PRIVACY) -> Mechanism:
    """Logs on with a ticket, which the client gets with its password."""
    credential = KerberosCredential(f"{user}@{REALM}", PASSWORD)
    delegate = Delegate.ALWAYS if forward else Delegate.NO
    return KerberosInitiator(credential, TARGET, level=level, delegate=delegate)


def password(user: str, secret: str = PASSWORD, level: AuthLevel = AuthLevel.PRIVACY) -> Mechanism:
    return NtlmInitiator(NtlmCredential.from_password(user, WORKGROUP, secret), level=level, target_name=TARGET)


@contextlib.asynccontextmanager
async def channel(
    node: Node, context: Mechanism, level: AuthLevel = AuthLevel.PRIVACY, group: int = 0
) -> AsyncIterator[tuple[RpcClient, EmsmdbClient]]:
    client = await RpcClient.connect(
        node.host, node.rpc_port, EMSMDB, context=context, level=level, assoc_group=group, call_timeout=30
    )
    try:
        yield client, EmsmdbClient(Channel(client, EMSMDB, "refused"))
    finally:
        await client.close()


async def names_of(node: Node, context: Mechanism, user: str, level: AuthLevel = AuthLevel.PRIVACY) -> str:
    """Whom the server takes the client for, who may connect as nobody but himself."""
    async with channel(node, context, level) as (_, emsmdb):
        for other in {"alice", "bob", LOCAL_USER} - {user}:
            with pytest.raises(MapiError) as refused:
                await emsmdb.connect(DN + other)
            assert refused.value.code == ErrorCode.AccessDenied
        return (await emsmdb.connect(DN + user)).display_name.rstrip(b"\0").decode()


def as_caller(user: str, way: str) -> str:
    return rf"relayed to {UPSTREAM} as {WORKGROUP}\\{user} by {way}"


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PACKET, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("spnego", [False, True], ids=["raw", "spnego"])
def test_a_forwarded_ticket(hops: Hops, proxy: Node, level: AuthLevel, spnego: bool) -> None:
    context = ticket("alice", forward=True, level=level)
    with (
        hops.upstream.log.expect(f"Kerberos logon of alice@{REALM} as alice"),
        proxy.log.expect(as_caller("alice", "forwarded ticket$")),
    ):
        name = asyncio.run(names_of(proxy, SpnegoInitiator(context) if spnego else context, "alice", level))
    assert name == "alice"


def test_the_client_s_ticket_is_evidence(hops: Hops, proxy: Node, no_rights: Callable[..., None]) -> None:
    """Constrained delegation that the administrator allowed for Kerberos clients only."""
    no_rights(any_protocol=False)
    reason = r"constrained delegation \(forwarded ticket: the client forwarded no ticket\)"
    with (
        hops.upstream.log.expect(f"Kerberos logon of alice@{REALM} as alice"),
        proxy.log.expect(as_caller("alice", reason)),
    ):
        assert asyncio.run(names_of(proxy, ticket("alice", forward=False), "alice")) == "alice"


def test_a_ticket_in_the_name_of_an_ntlm_client(hops: Hops, proxy: Node, no_rights: Callable[..., None]) -> None:
    """S4U2self, for who the domain controller authenticated."""
    no_rights(any_protocol=True)
    reason = r"constrained delegation \(forwarded ticket: the client did not log on with Kerberos\)"
    with hops.upstream.log.expect(f"Kerberos logon of bob@{REALM} as bob"), proxy.log.expect(as_caller("bob", reason)):
        assert asyncio.run(names_of(proxy, password("bob"), "bob")) == "bob"


def test_the_hash_of_who_only_the_directory_knows(hops: Hops, proxy: Node, no_rights: Callable[..., None]) -> None:
    """Constrained delegation is not used for him, though it is allowed: the domain did not authenticate him."""
    no_rights(any_protocol=True)
    with (
        hops.upstream.log.expect(f"logon of {LOCAL_USER} from workstation"),
        proxy.log.expect(as_caller(LOCAL_USER, r"NT hash \(.*this server that authenticated")),
    ):
        name = asyncio.run(names_of(proxy, password(LOCAL_USER, LOCAL_PASSWORD), LOCAL_USER))
    assert name == LOCAL_USER


@pytest.mark.parametrize("kerberos", [True, False], ids=["kerberos", "ntlm"])
def test_where_nothing_works_the_call_is_refused(hops: Hops, proxy: Node, kerberos: bool) -> None:
    """No other account takes the caller's place: the upstream hears of nothing."""
    context = ticket("alice", forward=False) if kerberos else password("alice")
    before = len(hops.upstream.log.lines)
    refused = rf"{WORKGROUP}\\alice can't be relayed to {UPSTREAM}: forwarded ticket: .*NT hash: "
    with proxy.log.expect(refused), pytest.raises(RpcFault) as caught:
        asyncio.run(names_of(proxy, context, "alice"))
    assert caught.value.status == FaultStatus.SEC_PKG_ERROR
    assert not [line for line in hops.upstream.log.lines[before:] if "logon" in line]


def test_two_accounts_in_one_association_group(hops: Hops, proxy: Node) -> None:
    """Each has a connection upstream of its own, and the other's context handle is worth nothing."""

    async def check() -> None:
        async with channel(proxy, ticket("alice", forward=True)) as (first, alice):
            await alice.connect(DN + "alice")
            bobs = channel(proxy, ticket("bob", forward=True), group=first.assoc_group)
            async with bobs as (second, bob):
                assert second.assoc_group == first.assoc_group
                await bob.connect(DN + "bob")
                with pytest.raises(MapiError):
                    await bob.connect(DN + "alice")
                bob._cxh = alice._cxh
                with pytest.raises(RpcFault) as caught:
                    await bob.disconnect()
                assert caught.value.status == FaultStatus.CONTEXT_MISMATCH
            await alice.disconnect()

    with hops.upstream.log.expect(f"logon of alice@{REALM} as alice", f"logon of bob@{REALM} as bob"):
        asyncio.run(check())


def test_the_machine_account(hops: Hops) -> None:
    """One account for all, which the proxy authorizes for: bob gave it access to his mailbox, alice did not."""
    with running(hops.proxy("machine", "use_machine_account")) as node:
        with hops.upstream.log.expect(rf"Kerberos logon of {MACHINE_ACCOUNT[:-1]}\$@{REALM} as {SERVER_NAME}\$"):
            assert asyncio.run(names_of(node, password("bob"), "bob")) == "bob"

        async def alice() -> None:
            async with channel(node, ticket("alice", forward=True)) as (_, emsmdb):
                await emsmdb.connect(DN + "alice")

        with pytest.raises(MapiError) as caught:
            asyncio.run(alice())
        assert caught.value.code == ErrorCode.AccessDenied


def test_no_secret_and_no_ticket_is_on_disk_or_in_the_log(hops: Hops, proxy: Node) -> None:
    for node in (proxy, hops.upstream):
        text = "\n".join(node.log.lines)
        assert not [secret for secret in (MACHINE_PASSWORD, PASSWORD, LOCAL_PASSWORD) if secret in text]
    assert not list(hops.place.rglob("*ccache*"))


@pytest.fixture(scope="module")
def passing(hops: Hops) -> Iterator[Node]:
    """Relays as its callers, of whom it knows no password; the referral service is its own."""
    options = "delegated_auth = yes\n    dcerpc_mapiproxy:rfr_server = rfr\n    dcerpc_mapiproxy:pass ntlm through"
    node = hops.proxy("passing", options, "connect")
    node.config.write_text(
        "\n".join(line for line in node.config.read_text().splitlines() if "domain controller" not in line)
    )
    with running(node):
        yield node


def local_logon(secret: str = LOCAL_PASSWORD, level: AuthLevel = AuthLevel.CONNECT) -> Mechanism:
    return password(LOCAL_USER, secret, level)


@pytest.mark.parametrize("spnego", [False, True], ids=["raw", "spnego"])
def test_tokens_that_pass_unchanged(hops: Hops, passing: Node, spnego: bool) -> None:
    context = SpnegoInitiator(local_logon()) if spnego else local_logon()
    took = rf"logon of {WORKGROUP}\\{LOCAL_USER} passed, .* took it"
    with hops.upstream.log.expect(f"logon of {LOCAL_USER} from workstation"), passing.log.expect(took):
        assert asyncio.run(names_of(passing, context, LOCAL_USER, AuthLevel.CONNECT)) == LOCAL_USER


@pytest.mark.parametrize("spnego", [False, True], ids=["raw", "spnego"])
def test_the_upstream_s_no_is_the_answer(hops: Hops, passing: Node, spnego: bool) -> None:
    context = SpnegoInitiator(local_logon("wrong")) if spnego else local_logon("wrong")
    refused = f"logon of '{LOCAL_USER}' refused: wrong password"
    with hops.upstream.log.expect(refused), pytest.raises((LogonRefused, RpcFault)):
        asyncio.run(names_of(passing, context, LOCAL_USER, AuthLevel.CONNECT))


def test_what_passed_is_worth_nothing_here(passing: Node) -> None:
    """The referral service, which this node answers itself."""

    async def refer() -> None:
        async with channel(passing, local_logon(), AuthLevel.CONNECT) as (client, _):
            await client.call(0, bytes(16), interface=RFR)

    with passing.log.expect("refused: only the upstream knows"), pytest.raises(RpcFault) as caught:
        asyncio.run(refer())
    assert caught.value.status == FaultStatus.ACCESS_DENIED


def test_nothing_passes_above_level_connect(hops: Hops, passing: Node) -> None:
    """There it is this server that authenticates: here by the directory's hash."""
    with passing.log.expect(f"logon of {LOCAL_USER} from workstation", as_caller(LOCAL_USER, "NT hash")):
        sealed = local_logon(level=AuthLevel.PRIVACY)
        assert asyncio.run(names_of(passing, sealed, LOCAL_USER)) == LOCAL_USER


def test_connections_of_one_client_are_in_one_group_upstream(passing: Node) -> None:
    """The handle that one brought is good on the other; the upstream connections end with the client's."""

    async def check() -> None:
        async with channel(passing, local_logon(), AuthLevel.CONNECT) as (first, one):
            await one.connect(DN + LOCAL_USER)
            async with channel(passing, local_logon(), AuthLevel.CONNECT, first.assoc_group) as (_, other):
                other._cxh = one._cxh
                await first.close()
                await other.disconnect()

    with passing.log.expect("passed", "passed"):
        asyncio.run(check())


def connect_request(dn: str) -> bytes:
    """The stub of an EcDoConnectEx."""
    return EcDoConnectExRequest(
        user_dn=dn.encode(),
        flags=0,
        con_mod=0,
        limit=0,
        cpid=1252,
        lcid_string=0x409,
        lcid_sort=0x409,
        icxr_link=0xFFFFFFFF,
        can_convert_code_pages=1,
        client_version=CLIENT_VERSION,
        time_stamp=0,
    ).pack()


class Contexts:
    """A client that speaks raw PDUs, and has several security contexts on one connection."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.create_connection((node.host, node.rpc_port), PATIENCE)
        self._calls = itertools.count(1)
        self.protections: dict[str, Protection] = {}

    def close(self) -> None:
        self._socket.close()

    def log_on(self, user: str, context: Mechanism) -> None:
        """One more security context: the first by bind, the others by alter_context."""
        number = len(self.protections) + 1
        protection = Protection(context, context.auth_type, AuthLevel.PRIVACY, number, header_signing=False)
        kind: type[Bind] = AlterContext if self.protections else Bind
        self.protections[user] = protection
        token = context.step(b"")
        while not context.complete:
            answer = self._exchange(self._alter(kind, protection, token))
            assert answer.auth is not None, answer
            token, kind = context.step(answer.auth.auth_value), AlterContext
        if token:
            proof = protection.trailer(token)
            self._socket.sendall(Auth3(call_id=next(self._calls), padding=bytes(4), auth=proof).pack())

    def connect(self, user: str, dn: str) -> EcDoConnectExResponse | int:
        """EcDoConnectEx in the user's context; or the fault's status."""
        protection = self.protections[user]
        stub = connect_request(dn)
        request = Request(call_id=next(self._calls), context_id=0, opnum=10, stub=stub, alloc_hint=len(stub))
        self._socket.sendall(fragments_of(request, 4280, protection))
        raw = self._read()
        (answer,) = pdus(raw)
        if isinstance(answer, Fault):
            return answer.status
        assert isinstance(answer, Response)
        return EcDoConnectExResponse.unpack(protection.unprotect(raw, answer))

    def _alter(self, kind: type[Bind], protection: Protection, token: bytes) -> bytes:
        contexts = (PresentationContextElement(0, EMSMDB.syntax, (NDR20,)),)
        return kind(call_id=next(self._calls), contexts=contexts, auth=protection.trailer(token)).pack()

    def _exchange(self, data: bytes) -> BindAck:
        self._socket.sendall(data)
        (answer,) = pdus(self._read())
        assert isinstance(answer, BindAck), answer
        return answer

    def _read(self) -> bytes:
        head = self._receive(16)
        return head + self._receive(int.from_bytes(head[8:10], "little") - 16)

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, "the connection was closed"
            data += more
        return data


def test_several_accounts_on_one_connection(hops: Hops, proxy: Node) -> None:
    """Three security contexts, used in turn: each call is upstream its own account's."""
    client = Contexts(proxy)
    with hops.upstream.log.expect("logon of alice@", "logon of bob@", f"logon of {LOCAL_USER} from"):
        client.log_on("alice", ticket("alice", forward=True))
        client.log_on(LOCAL_USER, password(LOCAL_USER, LOCAL_PASSWORD))
        client.log_on("bob", ticket("bob", forward=True))
        for _ in range(2):
            for user in client.protections:
                for dn in client.protections:
                    answer = client.connect(user, DN + dn)
                    assert isinstance(answer, EcDoConnectExResponse)
                    expected = ErrorCode.Success if dn == user else ErrorCode.AccessDenied
                    assert answer.return_value == expected, (user, dn)
    client.close()


def test_two_hops(hops: Hops, samba_dc: SambaDc) -> None:
    """A forwarded ticket goes further only to a server that the domain trusts with delegation."""
    last = hops.standalone("last")
    with running(last):
        second = hops.second_proxy(last)
        with running(second), running(hops.proxy("first", "delegated_auth", upstream=second)) as first:
            refused = "relayed to .* as .*alice by forwarded ticket$", "alice can't be relayed to .*forwarded no ticket"
            with first.log.expect(refused[0]), second.log.expect(refused[1]), pytest.raises(RpcFault):
                asyncio.run(names_of(first, ticket("alice", forward=True), "alice"))
            samba_dc.delegation("for-any-service", f"{UPSTREAM_NAME}$", "on")
            try:
                with last.log.expect(f"Kerberos logon of alice@{REALM} as alice"):
                    name = asyncio.run(names_of(first, ticket("alice", forward=True), "alice"))
            finally:
                samba_dc.delegation("for-any-service", f"{UPSTREAM_NAME}$", "off")
    assert name == "alice"


def test_impacket_s_tokens_pass(hops: Hops, passing: Node) -> None:
    """A client that is not ours: NspiBind at level connect, and what the upstream says of a wrong password."""
    for secret in (LOCAL_PASSWORD, "wrong"):
        transport = DCERPCTransportFactory(f"ncacn_ip_tcp:{passing.host}[{passing.rpc_port}]")
        transport.set_credentials(LOCAL_USER, secret, WORKGROUP)
        transport.set_connect_timeout(PATIENCE)
        dce = transport.get_dce_rpc()
        dce.set_auth_level(RPC_C_AUTHN_LEVEL_CONNECT)
        dce.connect()
        dce.bind(nspi.MSRPC_UUID_NSPI)
        if secret == "wrong":
            with pytest.raises(DCERPCException, match="access_denied"):
                nspi.hNspiBind(dce)
        else:
            assert nspi.hNspiBind(dce)["contextHandle"] != bytes(20)
        dce.disconnect()


def test_who_must_not_be_delegated(hops: Hops, proxy: Node, no_rights: Callable[..., None]) -> None:
    """The KDC's word (UF_NOT_DELEGATED): neither his ticket nor his name goes further, though all rights are given."""
    no_rights(any_protocol=True)
    hops.dc.run("user", "sensitive", "bob", "on")
    try:
        for context in (ticket("bob", forward=True), password("bob")):
            with (
                proxy.log.expect(rf"{WORKGROUP}\\bob can't be relayed to {UPSTREAM}"),
                pytest.raises(RpcFault) as caught,
            ):
                asyncio.run(names_of(proxy, context, "bob"))
            assert caught.value.status == FaultStatus.SEC_PKG_ERROR
    finally:
        hops.dc.run("user", "sensitive", "bob", "off")


def test_ocpy_client_reads_mail_behind_the_proxy(hops: Hops, proxy: Node, tmp_path: Path) -> None:
    """Three processes: the client forwards its ticket, the proxy asks the server as alice for her folders."""
    environment = hops.environment | {"KRB5CCNAME": f"FILE:{tmp_path}/ccache"}
    kinit = ["kinit", "-f", f"alice@{REALM}"]
    subprocess.run(
        kinit,
        input=f"{PASSWORD}\n",
        text=True,
        env=os.environ | environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    arguments = ["--endpoints", proxy.ready_file, "--kerberos", "--target", SERVER_FQDN, "folders", "--json"]
    with hops.upstream.log.expect(f"Kerberos logon of alice@{REALM} as alice$"):
        forwarded = ocpy("client", "--forward", *arguments, variables=environment)
    assert "Inbox" in {folder["path"] for folder in json.loads(forwarded.stdout)}
    kept = ocpy("client", *arguments, variables=environment, check=False)
    assert kept.returncode == 1
    assert "0x00000721" in kept.stderr


_CONNECT_LIKE_SAMBA = """
import sys
from samba import credentials, param
from samba.dcerpc import mgmt
lp = param.LoadParm()
lp.load_default()
account = credentials.Credentials()
account.guess(lp)
account.set_kerberos_state(credentials.MUST_USE_KERBEROS)
mgmt.mgmt(sys.argv[1], lp, account).inq_if_ids()
"""


@pytest.mark.parametrize("mechanism", ["krb5", "spnego"])
def test_samba_s_client_forwards_where_the_domain_trusts_the_proxy(
    hops: Hops, proxy: Node, tmp_path: Path, mechanism: str
) -> None:
    """Not ours, and with Heimdal's library: as Windows it forwards by the KDC's policy (OK-AS-DELEGATE).

    Samba's Python can't call interfaces that it has no IDL of, so that this ends at the proxy.
    """
    binding = f"ncacn_ip_tcp:{proxy.host}[{proxy.rpc_port},{mechanism},seal,target_hostname={SERVER_FQDN}]"
    ccache = tmp_path / "ccache"
    environment = hops.dc.environment(ccache) | {"KRB5_CONFIG": hops.environment["KRB5_CONFIG"]}

    def connect(logged: str) -> None:
        kinit = ["kinit", "-f", f"alice@{REALM}"]
        command = [str(DEBIAN_PYTHON), "-c", _CONNECT_LIKE_SAMBA, binding]
        subprocess.run(kinit, input=f"{PASSWORD}\n", text=True, env=environment, check=True, timeout=60)
        with proxy.log.expect(f"Kerberos logon of alice@{REALM} as alice{logged}$"):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr

    connect("")
    hops.dc.delegation("for-any-service", MACHINE_ACCOUNT, "on")
    try:
        connect(" with a forwarded ticket")
    finally:
        hops.dc.delegation("for-any-service", MACHINE_ACCOUNT, "off")
