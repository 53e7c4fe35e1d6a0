"""Named pipes with Kerberos, at SMB and inside: a Samba domain whose controller's smbd hands a server's pipe over.

The server has the controller's name and keys, as the two are one machine to their clients. In front of it are proxies,
which come over the pipe as their callers, as the machine and as an account.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.interop.nodes import Node, ocpy
from tests.interop.samba_dc import (
    DC_NAME,
    MACHINE_ACCOUNT,
    MACHINE_PASSWORD,
    PASSWORD,
    REALM,
    SERVER_FQDN,
    SERVER_NAME,
    WORKGROUP,
    SambaDc,
    missing,
    own_address,
    running_dc,
)

pytestmark = [pytest.mark.xdist_group("samba_dc")]

#: The controller's own services without that of the pipe protected_storage.
OPTIONS: Final = {
    "server services": "rpc, ldap, cldap, kdc, s3fs, winbindd",
    "dcerpc endpoint servers": "epmapper, wkssvc, samr, netlogon, lsarpc, dssetup",
    "rpc start on demand helpers": "no",
}
SERVICES: Final = ("exchangeMDB", "exchangeRFR", "exchangeAB")

_COMMON: Final = """\
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
    ocpy:https port = off
    ocpy:minimum auth level = connect
    ocpy:keytab = {keytab}
    ocpy:domain controller = {controller}
    ocpy:machine password file = {place}/machine.password
"""
_SERVER: Final = """\
    dcerpc_mapiproxy:server = true
    ocpy:named pipes = samba
    ocpy:pipe names = protected_storage
    ncalrpc dir = {controllers}/ncalrpc
"""
_PROXY: Final = r"""
    dcerpc_mapiproxy:binding = ncacn_np:{controller}[\pipe\protected_storage,{flags},target_hostname={target}]
    {identity}
"""


class Pipes:
    """The server behind the controller's smbd, and what proxies in front of it are made of."""

    def __init__(self, dc: SambaDc, place: Path) -> None:
        self.dc, self.place = dc, place
        (place / "machine.password").write_text(MACHINE_PASSWORD + "\n")
        (place / "machine.password").chmod(0o600)
        (place / "users.password").write_text(PASSWORD + "\n")
        (place / "users.password").chmod(0o600)
        forwardable = place / "forwardable.conf"
        forwardable.write_text("[libdefaults]\n  forwardable = true\n")
        self.environment = dc.environment(place / "none") | {"KRB5_CONFIG": f"{forwardable}:{dc.krb5_conf}"}
        self.keytab = place / "controller.keytab"
        for service in SERVICES:
            dc.run("spn", "add", f"{service}/{dc.name}", f"{DC_NAME}$")
            dc.run("domain", "exportkeytab", str(self.keytab), f"--principal={service}/{dc.name}")
        names = {
            "name": DC_NAME.upper(),
            "fqdn": dc.name,
            "keytab": self.keytab,
            "controllers": dc.directory,
            "machine": MACHINE_ACCOUNT,
        }
        self.server = self.node("server", _COMMON + _SERVER, names)

    def node(self, name: str, template: str, names: dict[str, Any]) -> Node:
        """A node with a configuration of its own."""
        common = {"workgroup": WORKGROUP, "realm": REALM, "address": own_address(116), "place": self.place}
        config = self.place / f"{name}.conf"
        config.write_text(template.format(**common, controller=self.dc.address, **names))
        return Node(name, config, self.environment)

    def proxy(self, identity: str, flags: str) -> Node:
        """Which relays as `identity` says."""
        names = {"name": SERVER_NAME, "fqdn": SERVER_FQDN, "keytab": self.dc.keytab, "target": self.dc.name}
        more = {"identity": identity.format(place=self.place), "flags": flags}
        return self.node("proxy", _COMMON + _PROXY, names | more)

    def set_up(self) -> None:
        config = self.server.config
        ocpy("provision", "-c", config)
        # NTLM in the bind is checked by the server itself: the controller answers servers only about their own names.
        for user, secret in (("alice", PASSWORD), (MACHINE_ACCOUNT, MACHINE_PASSWORD)):
            kind = "--hidden" if user == MACHINE_ACCOUNT else "--mailbox"
            ocpy("newuser", "-c", config, "--create", kind, user, stdin=f"{secret}\n")
        ocpy("newuser", "-c", config, "--create", "--mailbox", "--no-password", "bob")
        ocpy("access", "-c", config, "alice", "--grant", MACHINE_ACCOUNT)
        letter = "Subject: over a pipe\nFrom: bob@openchange.test\n\nwith a ticket\n"
        for user in ("alice", "bob"):
            ocpy("deliver", "-c", config, user, stdin=letter)

    def kinit(self, user: str) -> None:
        """A ticket that can be forwarded."""
        variables = self.environment | {"KRB5CCNAME": f"FILE:{self.place}/{user}"}
        command = ["kinit", f"{user}@{REALM}"]
        subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True, env=variables)

    def subjects(self, *where: str | Path, user: str = "alice", check: bool = True) -> Any:
        """Those of an inbox as `ocpy client` lists them; what it said where it failed."""
        environment = self.environment | {"KRB5CCNAME": f"FILE:{self.place}/{user}"}
        done = ocpy("client", *where, "messages", "--json", variables=environment, check=check)
        return [m["subject"] for m in json.loads(done.stdout)["messages"]] if check else done.stderr


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipes]:
    """The controller, and the server; alice has a ticket that can be forwarded."""
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    if reason := missing():
        pytest.skip(f"no Samba domain controller: {reason}")
    if shutil.which("winbindd") is None:
        pytest.skip("no winbindd, without which a controller's smbd lets nobody in (Debian: winbind)")
    place = tmp_path_factory.mktemp("dc")
    with running_dc(place, own_address(80), OPTIONS) as dc:
        made = Pipes(dc, tmp_path_factory.mktemp("pipes"))
        made.set_up()
        with running(made.server):
            made.kinit("alice")
            made.kinit("bob")
            yield made


@contextlib.contextmanager
def running(node: Node) -> Iterator[Node]:
    try:
        node.start()
        node.wait_until_ready()
        yield node
        assert node.stop() == 0
    finally:
        node.abandon()


def directly(pipes: Pipes) -> list[str | Path]:
    return ["--server", pipes.dc.address, "--target", pipes.dc.name, "--transport", "np"]


def at(node: Node) -> list[str | Path]:
    return ["--endpoints", node.ready_file, "--target", SERVER_FQDN]


def by_password(pipes: Pipes, user: str) -> list[str | Path]:
    return ["--user", rf"{WORKGROUP}\{user}", "--password-file", pipes.place / "users.password"]


@pytest.mark.parametrize("more", [[], ["--spnego"], ["--level", "integrity"]])
def test_a_ticket_at_smb_and_inside(pipes: Pipes, more: list[str]) -> None:
    with pipes.server.log.expect(f"Kerberos logon of alice@{REALM} as alice"):
        assert pipes.subjects(*directly(pipes), "--kerberos", *more) == ["over a pipe"]


def test_the_domains_password_at_smb_and_inside(pipes: Pipes) -> None:
    assert pipes.subjects(*directly(pipes), *by_password(pipes, "alice")) == ["over a pipe"]


def test_without_a_ticket_nobody_is_let_in(pipes: Pipes) -> None:
    said = pipes.subjects(*directly(pipes), "--kerberos", "--user", f"bob@{REALM}", check=False)
    assert "Traceback" not in said
    assert "kinit" in said


def test_a_forwarded_ticket_goes_on_over_the_pipe(pipes: Pipes) -> None:
    """As alice, at SMB and in the bind, or with the hash that the directory has; nobody takes the place of bob."""
    with running(pipes.proxy("dcerpc_mapiproxy:delegated_auth = yes", "seal")) as proxy:
        ways = [
            rf"relayed to {service}/{pipes.dc.name} as {WORKGROUP}\\alice by forwarded ticket$"
            for service in ("cifs", "exchangeMDB", "exchangeAB")
        ]
        with proxy.log.expect(*ways), pipes.server.log.expect(f"Kerberos logon of alice@{REALM} as alice"):
            assert pipes.subjects(*at(proxy), "--kerberos", "--forward") == ["over a pipe"]
        with proxy.log.expect(rf"relayed to cifs/{pipes.dc.name} as {WORKGROUP}\\alice by NT hash"):
            assert pipes.subjects(*at(proxy), "--kerberos") == ["over a pipe"]
        with proxy.log.expect(rf"bob can't be relayed to cifs/{pipes.dc.name}: forwarded ticket: the client forwarded"):
            assert "0x00000721" in pipes.subjects(*at(proxy), "--kerberos", user="bob", check=False)


def test_constrained_delegation_goes_on_over_the_pipe(pipes: Pipes) -> None:
    """The administrator allows SMB's principal too; alice logs on at the proxy with a ticket, bob with NTLM."""
    dc = pipes.dc
    for service in ("cifs", *SERVICES):
        dc.delegation("add-service", MACHINE_ACCOUNT, f"{service}/{dc.name}")
    dc.delegation("for-any-protocol", MACHINE_ACCOUNT, "on")
    with running(pipes.proxy("dcerpc_mapiproxy:delegated_auth = yes", "sign,krb5")) as proxy:
        for user, who in (("alice", ["--kerberos"]), ("bob", by_password(pipes, "bob"))):
            way = rf"relayed to cifs/{dc.name} as {WORKGROUP}\\{user} by constrained delegation"
            with proxy.log.expect(way), pipes.server.log.expect(f"Kerberos logon of {user}@{REALM} as {user}"):
                assert pipes.subjects(*at(proxy), *who) == ["over a pipe"]


MACHINE: Final = "dcerpc_mapiproxy:use_machine_account = yes"
ALICE: Final = rf"""dcerpc_mapiproxy:username = alice
    dcerpc_mapiproxy:domain = {WORKGROUP}
    dcerpc_mapiproxy:password file = {{place}}/users.password"""


@pytest.mark.parametrize(
    ("identity", "flags", "logon"),
    [
        (MACHINE, "seal", rf"Kerberos logon of {SERVER_NAME}\$@{REALM}"),
        (MACHINE, "seal,ntlm", rf"logon of {SERVER_NAME}\$ from"),
        (ALICE, "sign,krb5,spnego", f"Kerberos logon of alice@{REALM}"),
        (ALICE, "seal", "logon of alice from"),
    ],
    ids=["machine-kerberos", "machine-ntlm", "account-kerberos", "account-ntlm"],
)
def test_one_account_for_all_goes_on_over_the_pipe(pipes: Pipes, identity: str, flags: str, logon: str) -> None:
    with running(pipes.proxy(identity, flags)) as proxy, pipes.server.log.expect(logon):
        assert pipes.subjects(*at(proxy), "--kerberos") == ["over a pipe"]
