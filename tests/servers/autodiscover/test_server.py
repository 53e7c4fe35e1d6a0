"""Which request is answered by what, and who must be known."""

from __future__ import annotations

import json

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.rpc.security import ANONYMOUS, Identity
from openchange_py.servers.autodiscover.server import AutodiscoverServer, Request
from tests.conftest import json_lines, shared_path
from tests.servers.autodiscover.conftest import ALICE, OFFER, ORGANIZATION
from tests.servers.autodiscover.test_pox import request as outlook_request
from tests.servers.autodiscover.test_soap import users

RECORDINGS = ("mapihttp-nspi.jsonl", "mapihttp-probe.jsonl.gz", "mapihttp-probe-compressed.jsonl.gz")


@pytest.fixture
def server(directory: EmbeddedDirectory) -> AutodiscoverServer:
    return AutodiscoverServer(directory, lambda: OFFER)


def to(path: str, method: str = "POST", *, query: str = "", secure: bool = True) -> Request:
    return Request(method, path, query, {}, secure)


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
def test_outlooks_document_is_for_those_who_are_known(server: AutodiscoverServer, path: str) -> None:
    assert server.answer_anybody(to(path)) is None
    answer = server.answer(to(path), ALICE, outlook_request())
    assert answer.status == 200
    assert ("Content-Type", "text/xml; charset=utf-8") in answer.fields
    assert b"<Type>EXCH</Type>" in answer.body
    with pytest.raises(ValueError, match="authentication"):
        server.answer(to(path), ANONYMOUS, outlook_request())


def test_soap_is_for_those_who_are_known(server: AutodiscoverServer) -> None:
    path = "/autodiscover/autodiscover.svc"
    assert server.answer_anybody(to(path)) is None
    assert server.answer_anybody(to(path, "GET", secure=False)) is None
    assert b"UserResponse" in server.answer(to(path), ALICE, users("alice@example.test")).body
    assert server.answer(to(path, "GET"), ALICE, b"").status == 405
    assert server.answer(to(path), ALICE, b"").status == 500


def test_the_second_version_is_for_everybody(server: AutodiscoverServer) -> None:
    query = "Protocol=AutodiscoverV1"
    answer = server.answer_anybody(to("/autodiscover/AutoDiscover.json/v1.0/a@b.test", "GET", query=query))
    assert answer is not None
    assert json.loads(answer.body)["Url"] == "https://mail.example.test/autodiscover/autodiscover.xml"
    refused = server.answer_anybody(to("/autodiscover/autodiscover.json", "POST"))
    assert refused is not None
    assert refused.status == 405


def test_over_plain_http_a_client_is_told_where_https_is(server: AutodiscoverServer) -> None:
    for method in ("GET", "HEAD"):
        answer = server.answer_anybody(to("/autodiscover/autodiscover.xml", method, secure=False))
        assert answer is not None
        assert (answer.status, answer.body) == (302, b"")
        assert answer.fields == (("Location", "https://mail.example.test/autodiscover/autodiscover.xml"),)
    assert server.answer_anybody(to("/autodiscover/autodiscover.xml", "POST", secure=False)) is None


def test_a_get_asks_for_nothing(server: AutodiscoverServer) -> None:
    answer = server.answer(to("/autodiscover/autodiscover.xml", "GET"), ALICE, b"")
    assert answer.status == 200
    assert b"<ErrorCode>600</ErrorCode>" in answer.body


@pytest.mark.parametrize(
    "path",
    [
        *("/autodiscover", "/autodiscover/", "/autodiscover/x", "/autodiscover/autodiscover.xml/x"),
        *("/autodiscover/autodiscover.jsonx", "/autodiscover/../x"),
    ],
)
def test_there_is_nothing_else(server: AutodiscoverServer, path: str) -> None:
    answer = server.answer_anybody(to(path, "GET"))
    assert answer is not None
    assert answer.status == 404


def test_other_methods_are_not_allowed(server: AutodiscoverServer) -> None:
    answer = server.answer_anybody(to("/autodiscover/autodiscover.xml", "DELETE"))
    assert answer is not None
    assert (answer.status, answer.fields) == (405, (("Allow", "GET, HEAD, POST, OPTIONS"),))


@pytest.mark.parametrize("recording", RECORDINGS)
def test_recorded_requests_are_answered(directory: EmbeddedDirectory, recording: str) -> None:
    from tests.mailboxes import exchange_attributes

    mail = "user1@example.test"
    directory.create(Kind.USER, "user1", exchange_attributes(ORGANIZATION, "EXCH1", "user1", mail, "User One"))
    server = AutodiscoverServer(directory, lambda: OFFER)
    found = 0
    for line in json_lines(shared_path("wire") / recording):
        if "autodiscover" not in line["path"].casefold():
            continue
        found += 1
        headers = {name.casefold(): value for name, value in line["request_headers"]}
        asked = Request(line["method"], line["path"], "", headers, secure=True)
        assert server.answer_anybody(asked) is None
        answer = server.answer(asked, Identity("user1"), bytes.fromhex(line["request_body_hex"]))
        assert b'<Protocol Type="mapiHttp" Version="1">' in answer.body
        assert b"<AutoDiscoverSMTPAddress>user1@example.test<" in answer.body
    assert found
