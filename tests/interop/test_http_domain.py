"""Over HTTPS in a Samba domain: curl with the domain's tickets and passwords."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.nodes import Node, ocpy
from tests.interop.samba_dc import (
    MACHINE_PASSWORD,
    PASSWORD,
    REALM,
    SERVER_FQDN,
    SERVER_NAME,
    WORKGROUP,
    SambaDc,
    own_address,
)
from tests.interop.test_domain import CONF
from tests.interop.web import PAGES, page

pytestmark = [pytest.mark.xdist_group("samba_dc")]


@pytest.fixture(scope="module")
def node(samba_dc: SambaDc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A stand-alone server with a mailbox for alice, whose password only the domain knows."""
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")
    place = tmp_path_factory.mktemp("http_domain")
    (place / "machine.password").write_text(MACHINE_PASSWORD + "\n")
    config = place / "smb.conf"
    names = {"name": SERVER_NAME, "workgroup": WORKGROUP, "realm": REALM, "fqdn": SERVER_FQDN}
    where = {"place": place, "address": own_address(113), "controller": samba_dc.address, "keytab": samba_dc.keytab}
    config.write_text(CONF.format(**names, **where) + "    ocpy:https port = 0\n")
    ocpy("provision", "-c", config)
    ocpy("newuser", "-c", config, "--create", "--mailbox", "--no-password", "alice")
    started = Node("http_domain", config)
    try:
        started.start()
        started.wait_until_ready()
        yield started
        assert started.stop() == 0
    finally:
        started.abandon()


def ask(node: Node, path: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> int:
    """The status of a whole request to a page."""
    https = node.ready["https"]
    place = f"{SERVER_FQDN}:{https['port']}"
    certificate = node.config.parent / "data" / "tls" / "certificate.pem"
    resolved = ("--resolve", f"{place}:{https['host']}", "--cacert", certificate)
    return page(f"https://{place}", path, "alice@openchange.test", *resolved, *arguments, environment=environment)


@pytest.mark.parametrize("path", PAGES)
def test_a_ticket(node: Node, samba_dc: SambaDc, tmp_path: Path, path: str) -> None:
    """This curl names no TLS channel, with which it would not get in where all must: tests/auth/test_http has that."""
    ccache = samba_dc.kinit(tmp_path / "ccache")
    environment = samba_dc.environment(ccache)
    with node.log.expect(f"Kerberos logon of alice@{REALM} as alice"):
        assert ask(node, path, "--negotiate", "--user", ":", environment=environment) == 200
    assert ask(node, path, "--negotiate", "--user", ":", environment=samba_dc.environment(tmp_path / "none")) == 401


@pytest.mark.parametrize("path", PAGES)
def test_the_domain_s_password(node: Node, path: str) -> None:
    assert ask(node, path, "--basic", "--user", f"alice:{PASSWORD}") == 200
    with node.log.expect("logon of 'alice' refused"):
        assert ask(node, path, "--basic", "--user", "alice:wrong") == 401


@pytest.mark.parametrize("path", PAGES)
def test_ntlm_is_checked_by_the_domain_controller(node: Node, path: str) -> None:
    assert ask(node, path, "--ntlm", "--user", f"{WORKGROUP}\\alice:{PASSWORD}") == 200
    assert ask(node, path, "--ntlm", "--user", f"{WORKGROUP}\\alice:wrong") == 401
