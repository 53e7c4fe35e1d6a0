"""[MS-OXDSCLI] and [MS-ASCMD] documents: their examples' structure, headers, errors."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.autodiscover import pox
from openchange_py.servers.autodiscover.pox import MOBILESYNC, OUTLOOK, RESPONSE
from openchange_py.servers.autodiscover.settings import Finder, Offer
from tests.servers.autodiscover.conftest import ALICE, ALICE_DN, OFFER, SERVER_DN

SCHEMAS = "http://schemas.microsoft.com/exchange/autodiscover"
REQUEST = f"{SCHEMAS}/outlook/requestschema/2006"
MOBILE = f"{SCHEMAS}/mobilesync/requestschema/2006"
MAPI_HTTP = {"x-mapihttpcapability": "1"}


def request(address: str = "alice@example.test", extra: str = "", *, schema: str = OUTLOOK, ns: str = REQUEST) -> bytes:
    """The example of 4.1, for another address."""
    return f"""<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{ns}"><Request>
      <EMailAddress>{address}</EMailAddress>{extra}
      <AcceptableResponseSchema>{schema}</AcceptableResponseSchema></Request></Autodiscover>""".encode()


def ask(finder: Finder, body: bytes, headers: Mapping[str, str] | None = None, offer: Offer = OFFER) -> Element:
    return ElementTree.fromstring(pox.answer(offer, finder, ALICE, headers or {}, body))


def refusal(finder: Finder, body: bytes, offer: Offer = OFFER) -> int:
    with pytest.raises(pox.Refused) as refused:
        pox.answer(offer, finder, ALICE, {}, body)
    return refused.value.code


def structure(root: Element) -> list[str]:
    """Every element's path, without namespaces, in order."""
    found = []

    def visit(element: Element, path: str) -> None:
        for child in element:
            name = f"{path}/{child.tag.partition('}')[2]}"
            found.append(name)
            visit(child, name)

    visit(root, "")
    return found


def outlook(root: Element, path: str) -> list[Element]:
    return root.findall("/".join(f"{{{OUTLOOK}}}{step}" for step in path.split("/")))


def protocol(root: Element, kind: str) -> dict[str, str | None]:
    """The children of the Protocol section of that type."""
    for found in outlook(root, "Response/Account/Protocol"):
        children = {child.tag.partition("}")[2]: child.text for child in found}
        if children.get("Type") == kind:
            return children
    raise AssertionError(f"no {kind}")


def kinds(root: Element) -> list[str | None]:
    return [found.text for found in outlook(root, "Response/Account/Protocol/Type")]


def test_without_the_capability_a_client_gets_rpc_sections(finder: Finder) -> None:
    root = ask(finder, request())
    assert root.tag == f"{{{RESPONSE}}}Autodiscover"
    user = {child.tag.partition("}")[2]: child.text for child in outlook(root, "Response/User")[0]}
    assert user["DisplayName"] == "Alice <Ä & Co>"
    assert (user["LegacyDN"], user["AutoDiscoverSMTPAddress"]) == (ALICE_DN, "alice@example.test")
    assert kinds(root) == ["EXCH", "EXPR"]
    assert protocol(root, "EXCH") == {
        "Type": "EXCH",
        "Server": "exch1.example.test",
        "ServerDN": SERVER_DN,
        "ServerVersion": "738082D2",
        "MdbDN": f"{SERVER_DN}/cn=Microsoft Private MDB",
        "TTL": "1",
    }
    assert protocol(root, "EXPR") == {
        "Type": "EXPR",
        "Server": "mail.example.test",
        "TTL": "1",
        "SSL": "On",
        "AuthPackage": "ntlm",
        "CertPrincipalName": "msstd:mail.example.test",
    }


def test_the_elements_of_the_documents_example_are_all_there_in_their_places(finder: Finder) -> None:
    """POX Autodiscover response for Exchange, as far as it is not about web services and the web client."""
    example = [
        *("/Response", "/Response/User", "/Response/User/DisplayName", "/Response/User/LegacyDN"),
        *("/Response/User/DeploymentId", "/Response/Account", "/Response/Account/AccountType"),
        *("/Response/Account/Action", "/Response/Account/Protocol"),
        *(f"/Response/Account/Protocol/{name}" for name in ("Type", "Server", "ServerDN", "ServerVersion", "MdbDN")),
        *("/Response/Account/Protocol", "/Response/Account/Protocol/Type", "/Response/Account/Protocol/Server"),
    ]
    answered = iter(structure(ask(finder, request())))
    assert [path for path in example if path not in answered] == []


def test_with_the_capability_it_gets_mapi_over_http_and_no_rpc(finder: Finder, directory: EmbeddedDirectory) -> None:
    entry = directory.by_account("alice")
    assert entry is not None
    root = ask(finder, request(), MAPI_HTTP)
    (section,) = outlook(root, "Response/Account/Protocol")
    assert section.attrib == {"Type": "mapiHttp", "Version": "1"}
    assert kinds(root) == []
    path = f"?MailboxId={entry.mailbox_guid}@example.test"
    urls = {
        f"{store.tag.partition('}')[2]}/{url.tag.partition('}')[2]}": url.text for store in section for url in store
    }
    assert urls == {
        "MailStore/InternalUrl": f"https://exch1.example.test/mapi/emsmdb/{path}",
        "MailStore/ExternalUrl": f"https://mail.example.test/mapi/emsmdb/{path}",
        "AddressBook/InternalUrl": f"https://exch1.example.test/mapi/nspi/{path}",
        "AddressBook/ExternalUrl": f"https://mail.example.test/mapi/nspi/{path}",
    }


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        *(("1", True), (" 2 ", True), ("99", True), ("0", False), ("-1", False), ("1.0", False), ("", False)),
        *(("x", False), ("9" * 10000, False), ("\u0661", False)),
    ],
)
def test_which_capabilities_are_valid(value: str, valid: bool) -> None:
    """3.2.5.1; one that is not is as if it were not there."""
    assert pox.speaks_mapi_http({"x-mapihttpcapability": value}) is valid


def test_only_what_is_offered_is_told(finder: Finder) -> None:
    bare = dataclasses.replace(OFFER, mapi_http=False, rpc_http=False)
    assert kinds(ask(finder, request(), MAPI_HTTP, bare)) == ["EXCH"]


def test_what_a_client_says_that_it_can_handle(finder: Finder) -> None:
    able = ask(finder, request(), {"x-clientcanhandle": "negotiate , ExHttpInfo"})
    assert protocol(able, "EXPR")["AuthPackage"] == "negotiate"
    assert kinds(able) == ["EXCH", "EXPR", "EXHTTP", "EXHTTP"]


@pytest.mark.parametrize(
    ("authentication", "package"),
    [(("negotiate", "ntlm", "basic"), "ntlm"), (("basic",), "basic"), (("ntlm",), "ntlm"), (("negotiate",), None)],
)
def test_a_client_that_can_handle_nothing_new_is_told_of_something_old(
    finder: Finder, authentication: tuple[str, ...], package: str | None
) -> None:
    offer = dataclasses.replace(OFFER, authentication=authentication)
    assert protocol(ask(finder, request(), offer=offer), "EXPR").get("AuthPackage") == package


def test_a_legacy_dn_is_used_before_the_address(finder: Finder) -> None:
    root = ask(finder, request("bob@example.test", f"<LegacyDN>{ALICE_DN}</LegacyDN>"))
    assert outlook(root, "Response/User/LegacyDN")[0].text == ALICE_DN
    body = f"""<Autodiscover xmlns="{REQUEST}"><Request><LegacyDN>{ALICE_DN}</LegacyDN>
      <AcceptableResponseSchema>{OUTLOOK}</AcceptableResponseSchema></Request></Autodiscover>"""
    assert outlook(ask(finder, body.encode()), "Response/User/LegacyDN")[0].text == ALICE_DN


def test_redirects(finder: Finder) -> None:
    root = ask(finder, request("dora@example.test"))
    account = [(child.tag.partition("}")[2], child.text) for child in outlook(root, "Response/Account")[0]]
    assert account == [("Action", "redirectAddr"), ("RedirectAddr", "dora@other.test")]


def test_a_mailbox_on_another_server_is_asked_for_there(elsewhere: Finder) -> None:
    root = ask(elsewhere, request())
    account = [(child.tag.partition("}")[2], child.text) for child in outlook(root, "Response/Account")[0]]
    url = "https://exch2.example.test/autodiscover/autodiscover.xml"
    assert account == [("Action", "redirectUrl"), ("RedirectUrl", url)]
    # Devices are told the same wherever the mailbox is.
    device = ask(elsewhere, request(schema=MOBILESYNC, ns=MOBILE), offer=WITH_ACTIVESYNC)
    assert mobile(device, "Settings/Server/Url") == WITH_ACTIVESYNC.activesync_url


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (request("nobody@example.test"), 500),
        (request("ann@example.test"), 500),
        (request("staff@example.test"), 501),
        (request(""), 600),
        (b"", 600),
        (b"<html/>", 600),
        (request().replace(b"requestschema/2006", b"requestschema/1999"), 600),
        (f'<Autodiscover xmlns="{REQUEST}"/>'.encode(), 600),
        (b"<!DOCTYPE x>" + request(), 600),
        (request(schema="urn:other"), 601),
        (request(schema=""), 601),
        (request(schema=MOBILESYNC, ns=MOBILE), 601),
    ],
    ids=range(12),
)
def test_errors(finder: Finder, body: bytes, code: int) -> None:
    """2.2.4.1.1.3.2; 601 for devices, too, where no ActiveSync server is configured ([MS-ASCMD] 2.2.3.64)."""
    assert refusal(finder, body) == code


def test_a_directory_that_fails_is_an_internal_error(broken: Finder) -> None:
    assert refusal(broken, request()) == 603
    root = ask(broken, request(schema=MOBILESYNC, ns=MOBILE), offer=WITH_ACTIVESYNC)
    assert mobile(root, "Error/Message") == "The directory service could not be reached"


def test_an_error_document_is_as_the_example() -> None:
    root = ElementTree.fromstring(
        pox.error(600, "exch1.example.test", datetime.datetime(2026, 1, 2, 21, 25, 4, 889708))
    )
    (error,) = root.findall(f"{{{RESPONSE}}}Response/{{{RESPONSE}}}Error")
    assert error.attrib["Time"] == "21:25:04.889708"
    assert error.attrib["Id"].isdigit()
    assert [(child.tag, child.text) for child in error] == [
        (f"{{{RESPONSE}}}ErrorCode", "600"),
        (f"{{{RESPONSE}}}Message", "Invalid Request"),
        (f"{{{RESPONSE}}}DebugData", None),
    ]
    for code in (500, 501, 600, 601, 603):
        assert str(code).encode() in pox.error(code, "x")


def test_the_version_of_the_documents_example() -> None:
    assert pox.server_version((8, 0, 647, 0)) == "72008287"


# Mobile devices: [MS-ASCMD] 4.2

WITH_ACTIVESYNC = dataclasses.replace(OFFER, activesync_url="https://eas.example.test/Microsoft-Server-ActiveSync")


def mobile(root: Element, path: str) -> str | None:
    steps = "/".join(f"{{{MOBILESYNC}}}{step}" for step in f"Response/Action/{path}".split("/"))
    return root.findtext(steps)


def test_a_device_gets_the_configured_server(finder: Finder) -> None:
    root = ask(finder, request(schema=MOBILESYNC, ns=MOBILE), offer=WITH_ACTIVESYNC)
    assert structure(root) == [
        *("/Response", "/Response/Culture", "/Response/User", "/Response/User/DisplayName"),
        *("/Response/User/EMailAddress", "/Response/Action", "/Response/Action/Settings"),
        "/Response/Action/Settings/Server",
        *(f"/Response/Action/Settings/Server/{name}" for name in ("Type", "Url", "Name")),
    ]
    assert mobile(root, "Settings/Server/Type") == "MobileSync"
    assert mobile(root, "Settings/Server/Url") == WITH_ACTIVESYNC.activesync_url


def test_a_device_is_told_of_redirects_and_errors(finder: Finder) -> None:
    def tell(address: str) -> Element:
        return ask(finder, request(address, schema=MOBILESYNC, ns=MOBILE), offer=WITH_ACTIVESYNC)

    assert mobile(tell("dora@example.test"), "Redirect") == "dora@other.test"
    assert mobile(tell("nobody@example.test"), "Error/Status") == "2"
    assert refusal(finder, request("", schema=MOBILESYNC, ns=MOBILE), WITH_ACTIVESYNC) == 600
