"""What is offered as configured, and how it looks without a server."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from openchange_py.cli import web
from openchange_py.cli.autodiscover import dns_records, https_port, offer
from openchange_py.config import load
from openchange_py.config.settings import Settings
from tests.cli.commands import Installation
from tests.node import running_node
from tests.transports.http_parties import make_pair
from tests.transports.serving import run

RELAYING = """\
    dcerpc_mapiproxy:server = false
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:upstream.example.test
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password = secret
"""
ALL = ("/autodiscover", "/mapi/emsmdb", "/mapi/nspi", "/rpc/rpcproxy.dll")


def settings_of(place: Path, extra: str = "") -> Settings:
    return load(Installation.make(place, extra).conf)


def test_what_is_served_is_offered(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    everything = offer(settings, ALL, 443)
    assert (everything.mapi_http, everything.rpc_http, everything.rpc_tcp) == (True, True, True)
    assert not everything.relays
    assert (everything.internal_host, everything.external_host) == ("exch1.example.test", "exch1.example.test")
    assert everything.authentication == ("negotiate", "ntlm", "basic")
    nothing = offer(settings, ("/autodiscover", "/mapi/emsmdb"), 443)
    assert (nothing.mapi_http, nothing.rpc_http) == (False, False)


def test_rpc_over_http_has_one_port(tmp_path: Path) -> None:
    assert not offer(settings_of(tmp_path), ALL, 8443).rpc_http


def test_a_relay_tells_its_own_names(tmp_path: Path) -> None:
    found = offer(settings_of(tmp_path, RELAYING + "    ocpy:external fqdn = Mail.Example.Test\n"), ALL, 443)
    assert (found.relays, found.hides_servers) == (True, True)
    as_they_are = settings_of(tmp_path, RELAYING + "    dcerpc_mapiproxy:replace names = no\n")
    assert not offer(as_they_are, ALL, 443).hides_servers
    assert (found.internal_host, found.external_host) == ("exch1.example.test", "mail.example.test")


@pytest.mark.parametrize(
    ("option", "bound", "port"),
    [("auto", [], 443), ("auto", [("127.0.0.1", 40001)], 40001), ("8443", [], 8443), ("0", [], 443), ("off", [], 443)],
)
def test_which_port_clients_are_told(tmp_path: Path, option: str, bound: list[tuple[str, int]], port: int) -> None:
    settings = settings_of(tmp_path, f"    ocpy:https port = {option}\n")
    assert https_port(settings, bound) == port


def test_the_records_of_the_organizations_domain(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert dns_records(settings, offer(settings, ALL, 443), "example.test") == [
        "autodiscover.example.test. IN CNAME exch1.example.test.",
        "_autodiscover._tcp.example.test. IN SRV 0 0 443 exch1.example.test.",
    ]
    assert dns_records(settings, offer(settings, ALL, 8443), "Example.test") == [
        "_autodiscover._tcp.Example.test. IN SRV 0 0 8443 exch1.example.test."
    ]
    assert dns_records(settings, offer(settings, ALL, 443), "other.test") == []


def test_testparm_shows_what_a_client_would_get(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    ocpy:external fqdn = mail.example.test\n").provisioned("alice")
    answers = json.loads(installation.ok("testparm", "--autodiscover", "alice@example.test", "--json"))
    assert answers["address"] == "alice@example.test"
    for document in ("pox", "pox_mapi_http", "soap"):
        assert answers[document]["status"] == 200
        ElementTree.fromstring(answers[document]["body"].encode())
        assert installation.entry("alice").legacy_exchange_dn in answers[document]["body"]
    assert "<Type>EXCH</Type>" in answers["pox"]["body"]
    url = json.loads(answers["json"]["body"])["Url"]
    assert url == "https://mail.example.test/autodiscover/autodiscover.xml"
    text = installation.ok("testparm", "--autodiscover", "alice@example.test")
    assert "<Server>exch1.example.test</Server>" in text
    assert "# SOAP, GetUserSettings" in text
    assert "IN SRV 0 0 443 mail.example.test." in text


def test_testparm_shows_errors_as_a_client_gets_them(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    ocpy:https port = off\n").provisioned("alice")
    text = installation.ok("testparm", "--autodiscover", "nobody@example.test")
    assert "<ErrorCode>500</ErrorCode>" in text
    assert "<ErrorCode>InvalidUser</ErrorCode>" in text
    assert "HTTPS is off here" in text
    text = installation.ok("testparm", "--autodiscover", "no address")
    assert "second version, Protocol=AutodiscoverV1 (HTTP status 400)" in text


def test_testparm_finds_who_is_hidden(tmp_path: Path) -> None:
    """It shows what the user himself would get."""
    installation = Installation.make(tmp_path).provisioned("alice")
    installation.ok("newuser", "--update", "alice", "--hidden")
    assert "<LegacyDN>" in installation.ok("testparm", "--autodiscover", "alice@example.test")


def test_testparm_says_what_to_do_before_all_is_provisioned(tmp_path: Path) -> None:
    assert "ocpy provision" in Installation.make(tmp_path).fails("testparm", "--autodiscover", "alice@example.test")


@pytest.mark.parametrize("interfaces", ["exchange_emsmdb exchange_nsp exchange_ds_rfr", "exchange_nsp exchange_ds_rfr"])
def test_a_node_serves_what_testparm_believes_that_it_serves(tmp_path: Path, interfaces: str) -> None:
    certificate, key = make_pair(tmp_path)
    options = [f"ocpy:tls certificate = {certificate}", f"ocpy:tls key = {key}", "ocpy:https port = 0"]

    async def main() -> None:
        async with running_node(tmp_path, options=[*options, f"dcerpc_mapiproxy:interfaces = {interfaces}"]) as node:
            ready = json.loads(node.ready_file.read_text())
            assert sorted(ready["http_paths"]) == sorted(web.served(load(tmp_path / "smb.conf")))

    run(main)
