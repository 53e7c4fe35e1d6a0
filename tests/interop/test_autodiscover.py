"""Autodiscover over the real listener, asked by curl: who is told what, over which channel."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from openchange_py.cli.autodiscover import answers_for
from openchange_py.config import load
from openchange_py.servers.autodiscover.pox import OUTLOOK
from tests.node import node_in_thread, password_of
from tests.servers.autodiscover.test_pox import request as outlook_request
from tests.servers.autodiscover.test_soap import users
from tests.transports.http_parties import make_pair

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

RELAYING = (
    "dcerpc_mapiproxy:server = false",
    "dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[9]",
    "dcerpc_mapiproxy:username = relay",
    "dcerpc_mapiproxy:password = secret",
    "netbios name = PROXY1",
    "ocpy:fqdn = proxy1.example.test",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    status: int
    #: Lower-case names; the last of each.
    fields: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """Where a node serves, and its certificate."""

    place: Path
    https: int
    http: int
    certificate: Path

    def curl(self, path: str, *options: str, body: bytes | None = None, plain: bool = False) -> Reply:
        """The last response's status, fields and body."""
        url = f"http://localhost:{self.http}{path}" if plain else f"https://localhost:{self.https}{path}"
        command = ["curl", "-sS", "-i", "--max-time", "30", "--noproxy", "*", "--cacert", str(self.certificate)]
        command += ["-4", *options]
        if body is not None:
            command += ["-H", "Content-Type: text/xml", "--data-binary", "@-"]
        done = subprocess.run([*command, url], input=body, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        rest = done.stdout
        while True:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            # Challenges and 100 Continue come before the last answer.
            if not rest.startswith(b"HTTP/1.1 "):
                break
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Reply(int(first.split()[1]), fields, rest)


@contextlib.contextmanager
def serving(place: Path, *options: str) -> Iterator[Served]:
    certificate, key = make_pair(place)
    lines = [f"ocpy:tls certificate = {certificate}", f"ocpy:tls key = {key}"]
    lines += ["ocpy:https port = 0", "ocpy:http port = 0", *options]
    with node_in_thread(place, options=lines) as node:
        ready = json.loads(node.ready_file.read_text())
        yield Served(place, ready["https"]["port"], ready["http"]["port"], certificate)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("node")) as found:
        yield found


def credentials(user: str = "alice") -> tuple[str, str]:
    return "-u", f"{user}:{password_of(user)}"


@pytest.mark.parametrize("scheme", ["--basic", "--ntlm"])
def test_outlook_is_answered_whoever_it_says_it_is(served: Served, scheme: str) -> None:
    reply = served.curl("/Autodiscover/Autodiscover.xml", scheme, *credentials(), body=outlook_request())
    assert (reply.status, reply.fields["content-type"]) == (200, "text/xml; charset=utf-8")
    assert "<AutoDiscoverSMTPAddress>alice@example.test</AutoDiscoverSMTPAddress>" in reply.text
    assert "<Server>exch1.example.test</Server>" in reply.text


def test_one_may_ask_about_another(served: Served) -> None:
    reply = served.curl("/autodiscover/autodiscover.xml", *credentials("bob"), body=outlook_request())
    assert "<AutoDiscoverSMTPAddress>alice@example.test<" in reply.text
    unknown = outlook_request("nobody@example.test")
    reply = served.curl("/autodiscover/autodiscover.xml", *credentials("bob"), body=unknown)
    assert (reply.status, "<ErrorCode>500</ErrorCode>" in reply.text) == (200, True)


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/autodiscover/autodiscover.svc"])
def test_strangers_are_told_nothing_but_which_services_there_are(served: Served, path: str) -> None:
    for options in ((), ("-u", "alice:wrong"), ("-u", "nobody:x")):
        reply = served.curl(path, *options, body=outlook_request())
        assert reply.status == 401
        assert "www-authenticate" in reply.fields
        assert reply.fields["x-soap-enabled"] == "True"
        assert "alice" not in reply.text


def test_soap(served: Served) -> None:
    body = users("alice@example.test", "nobody@example.test", settings=("UserDN", "ExternalEwsUrl"))
    reply = served.curl("/autodiscover/autodiscover.svc", *credentials(), body=body)
    assert reply.status == 200
    assert "/cn=Recipients/cn=alice</Value>" in reply.text
    assert "<ErrorCode>InvalidUser</ErrorCode>" in reply.text
    assert served.curl("/autodiscover/autodiscover.svc", *credentials(), body=b"<x/>").status == 500
    assert served.curl("/autodiscover/autodiscover.svc", *credentials()).status == 405


def test_the_second_version_leads_to_the_first(served: Served) -> None:
    reply = served.curl("/autodiscover/autodiscover.json?Email=nobody%40example.test&Protocol=AutodiscoverV1")
    assert reply.status == 200
    url = f"https://exch1.example.test:{served.https}/autodiscover/autodiscover.xml"
    assert json.loads(reply.body) == {"Protocol": "AutodiscoverV1", "Url": url}
    reply = served.curl("/autodiscover/autodiscover.json/v1.0/alice@example.test?Protocol=Ews")
    assert (reply.status, json.loads(reply.body)["ErrorCode"]) == (400, "InvalidProtocol")


def test_plain_http_leads_to_https(served: Served) -> None:
    reply = served.curl("/autodiscover/autodiscover.xml", plain=True)
    assert reply.status == 302
    assert reply.fields["location"] == f"https://exch1.example.test:{served.https}/autodiscover/autodiscover.xml"
    # A password that everybody could read is not taken.
    reply = served.curl("/autodiscover/autodiscover.xml", *credentials(), body=outlook_request(), plain=True)
    assert reply.status == 401


HOSTILE = [
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    b"<a>" * 50_000,
    b"\xff\xfe\x00",
    b"",
    b"<?xml version='1.0' encoding='utf-7'?><a/>",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_xml_is_an_invalid_request(served: Served, body: bytes) -> None:
    reply = served.curl("/autodiscover/autodiscover.xml", *credentials(), body=body)
    assert (reply.status, "<ErrorCode>600</ErrorCode>" in reply.text) == (200, True)
    assert "root:" not in reply.text


def test_what_is_too_large_is_not_read(served: Served) -> None:
    reply = served.curl("/autodiscover/autodiscover.xml", *credentials(), body=b"x" * (300 << 10))
    assert reply.status == 413


def test_testparm_tells_what_the_server_tells(served: Served) -> None:
    told = answers_for(load(served.place / "smb.conf"), "alice@example.test")
    path = "/autodiscover/autodiscover.xml"
    with_capability = ("-H", "X-MapiHttpCapability: 1")
    reply = served.curl(path, *credentials(), body=outlook_request())
    # RPC over HTTP is offered at port 443 alone, where testparm takes a proxy to stand in front of port 0.
    assert reply.text == re.sub(r"<Protocol><Type>EX(?:PR|HTTP)</Type>.*?</Protocol>", "", told["pox"]["body"])
    reply = served.curl(path, *credentials(), *with_capability, body=outlook_request())
    assert reply.text.replace(f":{served.https}/", "/") == told["pox_mapi_http"]["body"]


def test_the_urls_lead_to_what_is_served(served: Served) -> None:
    headers = ("-H", "X-MapiHttpCapability: 1")
    reply = served.curl("/autodiscover/autodiscover.xml", *credentials(), *headers, body=outlook_request())
    root = ElementTree.fromstring(reply.body)
    urls = [url.text or "" for url in root.iter(f"{{{OUTLOOK}}}InternalUrl")]
    assert len(urls) == 2
    asked = ["X-RequestType: PING", "X-RequestId: {00000000-0000-0000-0000-000000000001}:1", "X-ClientInfo: test"]
    asked += ["Content-Type: application/mapi-http", "X-ClientApplication: Outlook/15.0.4815.1002"]
    options = [part for header in asked for part in ("-H", header)]
    for url in urls:
        start = f"https://exch1.example.test:{served.https}"
        assert url.startswith(f"{start}/mapi/")
        ping = served.curl(url.removeprefix(start), *credentials(), *options, "-X", "POST")
        assert (ping.status, ping.fields["x-responsecode"]) == (200, "0")


def test_a_relay_leads_clients_to_itself(tmp_path: Path) -> None:
    """The directory is the one that the relayed server, EXCH1, has as well; the server need not run for it."""
    with serving(tmp_path, *RELAYING) as relay:
        reply = relay.curl("/autodiscover/autodiscover.xml", *credentials(), body=outlook_request())
        soap = relay.curl("/autodiscover/autodiscover.svc", *credentials(), body=users("alice@example.test"))
    assert "<Server>proxy1.example.test</Server>" in reply.text
    assert "/cn=Servers/cn=PROXY1</ServerDN>" in reply.text
    assert "exch1" not in (reply.text + soap.text).casefold()
    assert "127.0.0.1" not in reply.text
