"""`ocpy provision` prepares a real Samba domain, and a real OpenLDAP, and goes on where it was killed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from openchange_py.addressbook import exchange_schema
from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.containers import configuration
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.ldif import Addition
from openchange_py.addressbook.provisioning_steps import MARK, MARK_ATTRIBUTE
from tests.interop.nodes import environment, ocpy
from tests.interop.samba_dc import (
    ADMIN_PASSWORD,
    REALM,
    SERVER_FQDN,
    SambaDc,
    missing,
    own_address,
    running_dc,
)
from tests.slapd import ADMIN as SLAPD_ADMIN
from tests.slapd import ADMIN_PASSWORD as SLAPD_PASSWORD
from tests.slapd import BASE, find, make_certificates, running_slapd

ADMINISTRATOR: Final = f"administrator@{REALM.lower()}"
ALLOWED: Final = {"dsdb:schema update allowed": "yes"}
SECONDS: Final = 150

CONF: Final = """\
[global]
    netbios name = EXCH1
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}/data
    ocpy:mail domain = example.test
    ocpy:fqdn = {fqdn}
    ocpy:endpoint mapper port = 0
    ocpy:directory = {url}
    ocpy:ldap ca file = {ca_file}
    ldap admin dn = {admin}
    ocpy:ldap password file = {place}/ldap.password
    ocpy:user container = {container}
"""


@dataclasses.dataclass
class Directory:
    """A directory's server, and a configuration of ours that names it."""

    servers: LdapServers
    place: Path
    container: str = ""

    def __post_init__(self) -> None:
        (self.place / "ldap.password").write_text(f"{self.servers.password}\n")
        where = {"url": self.servers.urls[0], "ca_file": self.servers.ca_file, "admin": self.servers.bind_dn}
        text = CONF.format(place=self.place, fqdn=SERVER_FQDN, container=self.container, **where)
        self.config.write_text(text)

    @property
    def config(self) -> Path:
        return self.place / "smb.conf"

    def named(self, **options: str) -> Path:
        """A configuration with other options."""
        path = self.place / "other.conf"
        lines = "".join(
            f"    {name.replace('__', ':').replace('_', ' ')} = {value}\n" for name, value in options.items()
        )
        path.write_text(self.config.read_text() + lines)
        return path

    def provision(self, *options: str, config: Path | None = None) -> str:
        return ocpy("provision", "-c", config or self.config, *options, seconds=SECONDS).stdout

    def fails(self, *options: str, config: Path | None = None) -> str:
        done = ocpy("provision", "-c", config or self.config, *options, check=False, seconds=SECONDS)
        assert done.returncode == 1, done
        return done.stderr + done.stdout

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        session = Session(connect(self.servers, 30))
        try:
            yield session
        finally:
            session.close()

    def killed_when(self, reached: Callable[[Session], bool]) -> None:
        """Start it, and kill it once the directory is so far."""
        command = [sys.executable, "-m", "openchange_py", "provision", "-c", str(self.config)]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with process, self.session() as session:
            deadline = time.monotonic() + SECONDS
            try:
                while not reached(session):
                    assert process.poll() is None, f"it ended before: {process.communicate()[0]!r}"
                    assert time.monotonic() < deadline
                    time.sleep(0.1)  # a server tells nobody what comes
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL

    def everything(self) -> dict[str, list[tuple[str, list[str]]]]:
        """All of Exchange's tree, with what tells whether an entry was changed."""
        with self.session() as session:
            place = f"CN=Services,{configuration(session)}"
            found = session.search(place, "(objectClass=*)", ["*", "whenChanged", "uSNChanged", "entryCSN"])
            # Back links follow from other entries.
            return {
                one.dn: [(name, one.texts(name)) for name in sorted(one.attributes) if not name.endswith("bl")]
                for one in found
            }

    def modify(self, ldif: str) -> None:
        """Give it to `ldapmodify`."""
        tool = find("ldapmodify")
        assert tool is not None
        bind = ["-x", "-D", self.servers.bind_dn, "-y", str(self.place / "plain")]
        (self.place / "plain").write_text(self.servers.password)
        subprocess.run(
            [tool, "-H", self.servers.urls[0], *bind],
            input=ldif,
            text=True,
            check=True,
            capture_output=True,
            timeout=180,
            env={**os.environ, "LDAPTLS_CACERT": str(self.servers.ca_file)},
        )


def attributes(session: Session, number: int) -> bool:
    """Whether the first `number` attributes are in the schema."""
    return session.read(exchange_schema.attributes(session.root.schema)[number - 1].dn, ["cn"]) is not None


def entry(*names: str) -> Callable[[Session], bool]:
    """Whether there is an entry below CN=Services."""

    def there(session: Session) -> bool:
        path = "".join(f"CN={name}," for name in reversed(names))
        return session.read(f"{path}CN=Services,{configuration(session)}", ["cn"]) is not None

    return there


def classes(session: Session) -> list[Addition]:
    return exchange_schema.classes(session.root.schema)


ORGANIZATION: Final = ("Microsoft Exchange", "First Organization")
SERVER: Final = (*ORGANIZATION, "Administrative Groups", "First Administrative Group", "Servers", "EXCH1")


# Active Directory


@contextlib.contextmanager
def running(place: Path, network: int, options: Mapping[str, str]) -> Iterator[tuple[SambaDc, Directory]]:
    if reason := missing():
        pytest.skip(f"no Samba domain controller: {reason}")
    address = own_address(network)
    for name in ("tls", "dc", "node"):
        (place / name).mkdir()
    make_certificates(place / "tls", SambaDc("", place).name, [address])
    tls = {"certfile": "server.pem", "keyfile": "server.key", "cafile": "ca.pem"}
    certificates = {f"tls {name}": f"{place}/tls/{file}" for name, file in tls.items()}
    with running_dc(place / "dc", address, {**certificates, **options}) as dc:
        servers = LdapServers(
            [f"ldaps://{address}"], "", ADMINISTRATOR, ADMIN_PASSWORD, ca_file=place / "tls" / "ca.pem"
        )
        yield dc, Directory(servers, place / "node")


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A domain in which provisioning was killed twice, and `ldapmodify` did what a dry run said is left to do."""
    with running(tmp_path_factory.mktemp("domain"), 88, ALLOWED) as (_, directory):
        directory.killed_when(lambda session: attributes(session, 60))
        told = json.loads(ocpy("provision", "-c", directory.config, "--check", "--json", check=False).stdout)
        assert {step["state"] for step in told["steps"]} == {"there", "missing"}
        directory.killed_when(lambda session: session.read(classes(session)[6].dn, ["cn"]) is not None)
        directory.modify(directory.provision("--dry-run"))
        said = directory.provision()  # what is no directory's is made as well
        assert "Schema: attributes: 0 made" in said
        assert "there already, in ldaps://" in said
        yield directory


def test_a_domain_is_complete_after_that(domain: Directory) -> None:
    assert "are there, in ldaps://" in domain.provision("--check")
    with domain.session() as session:
        found = session.search(
            configuration(session), "(objectClass=msExchExchangeServer)", ["networkAddress", MARK_ATTRIBUTE]
        )
        (server,) = found
    assert f"ncacn_ip_tcp:{SERVER_FQDN}" in server.texts("networkAddress")
    assert server.text(MARK_ATTRIBUTE) == MARK


def test_accounts_of_the_domain_get_mailboxes_and_the_server_stays_for_them(domain: Directory) -> None:
    ocpy("newuser", "-c", domain.config, "--create", "--mailbox", "--no-password", "alice")
    try:
        assert "alice have mailboxes on EXCH1" in domain.fails("--deprovision", "--yes")
    finally:
        ocpy("newuser", "-c", domain.config, "--delete", "--yes", "alice")


def test_what_exchange_made_is_never_changed(domain: Directory) -> None:
    domain.provision("--deprovision", "--yes")
    assert not any("First Organization" in dn for dn in domain.everything())
    theirs(domain)
    before = domain.everything()
    assert "the Exchange organization Contoso is there already" in domain.fails()
    assert "the Exchange organization Contoso is there already" in domain.fails("--check")
    contoso = domain.named(ocpy__organization="Contoso")
    assert "Contoso is there already" in domain.fails(config=contoso)
    domain.provision("--additional", config=contoso)
    domain.provision("--additional", "--check", config=contoso)
    after = domain.everything()
    assert {dn: after[dn] for dn in before} == before
    assert any(dn.startswith("CN=EXCH1,CN=Servers,CN=First Administrative Group,") for dn in after)
    assert "was not made by ocpy provision" in domain.provision("--deprovision", "--yes", config=contoso)
    assert domain.everything() == before
    with domain.session() as session:
        for dn in sorted(before, key=len, reverse=True):
            if "Microsoft Exchange" in dn:
                session.delete(dn)
    for reached in (entry(*ORGANIZATION), entry(*ORGANIZATION, "Addressing", "Display-Templates"), entry(*SERVER)):
        domain.killed_when(reached)
    # It may have been killed behind its last entry.
    domain.provision()
    domain.provision("--check")


def theirs(directory: Directory) -> None:
    """An organization as Exchange's setup makes it: nothing says that it is ours."""
    with directory.session() as session:
        dn = f"CN=Microsoft Exchange,CN=Services,{configuration(session)}"
        session.add(dn, ["msExchConfigurationContainer"], {})
        for name, kind, more in (
            ("Contoso", "msExchOrganizationContainer", {"legacyExchangeDN": ["/o=Contoso"]}),
            ("Administrative Groups", "msExchAdminGroupContainer", {}),
            ("Exchange Administrative Group", "msExchAdminGroup", {}),
            ("Servers", "msExchServersContainer", {}),
            ("MAIL1", "msExchExchangeServer", {}),
        ):
            dn = f"CN={name},{dn}"
            session.add(dn, [kind], more)


def test_servers_come_and_go(domain: Directory) -> None:
    before = domain.everything()
    second = domain.named(netbios_name="EXCH2", ocpy__fqdn="exch2.openchange.test")
    assert "use --additional to add EXCH2" in domain.fails(config=second)
    domain.provision("--additional", config=second)
    now = domain.everything()
    assert {dn: now[dn] for dn in before} == before
    assert "it has other servers (EXCH1)" in domain.provision("--deprovision", "--yes", config=second)
    assert domain.everything().keys() == before.keys()


def test_a_controller_that_lets_nobody_extend_its_schema_says_what_it_takes(tmp_path: Path) -> None:
    with running(tmp_path, 89, {}) as (_, directory):
        error = directory.fails()
        for part in ("Schema: attributes: ", "OCDC here", "Schema Admins", "`dsdb:schema update allowed = yes`"):
            assert part in error, error
        with directory.session() as session:
            assert not attributes(session, 1)


# OpenLDAP


@pytest.fixture
def openldap(tmp_path: Path) -> Iterator[Directory]:
    for name in ("slapd", "node"):
        (tmp_path / name).mkdir()
    with running_slapd(tmp_path / "slapd") as slapd:
        servers = LdapServers([slapd.ldaps], BASE, SLAPD_ADMIN, SLAPD_PASSWORD, ca_file=slapd.ca_file)
        directory = Directory(servers, tmp_path / "node", f"ou=Users,{BASE}")
        error = directory.fails()
        assert "`ldapadd -Y EXTERNAL -H ldapi:/// -f " in error
        file = error.split(" -f ", 1)[1].split("`", 1)[0]
        tool = find("ldapadd")
        assert tool is not None
        subprocess.run(
            [tool, "-Q", "-Y", "EXTERNAL", "-H", slapd.ldapi, "-f", file], check=True, capture_output=True, timeout=30
        )
        yield directory


@pytest.mark.xdist_group("test_provisioning_openldap")
def test_an_openldap_from_nothing_to_a_mailbox_and_back(openldap: Directory) -> None:
    openldap.killed_when(entry(*ORGANIZATION, "Address Lists Container"))
    openldap.killed_when(entry(*SERVER))
    openldap.provision()
    assert "are there, in ldaps://" in openldap.provision("--check")
    account = ["newuser", "-c", openldap.config, "--create", "--mailbox", "kim"]
    ocpy(*account, stdin="Kim-secret-1\n")
    assert "kim have mailboxes on EXCH1" in openldap.fails("--deprovision", "--yes")
    ocpy("newuser", "-c", openldap.config, "--delete", "--yes", "kim")
    removed = openldap.provision("--deprovision", "--yes")
    assert "a directory's schema is never made smaller" in removed
    assert openldap.everything() == {}
