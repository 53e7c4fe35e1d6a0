"""[MS-OXWSADISC]: the examples of the documents, errors per user, per setting and per domain."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from openchange_py.servers.autodiscover import soap
from openchange_py.servers.autodiscover.settings import Finder, Offer
from openchange_py.servers.autodiscover.soap import SERVICE, SETTING_NAMES
from tests.servers.autodiscover.conftest import ALICE, ALICE_DN, OFFER, SERVER_DN

S = "{http://schemas.xmlsoap.org/soap/envelope/}"
A = f"{{{SERVICE}}}"
WSA = "{http://www.w3.org/2005/08/addressing}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


def envelope(operation: str, content: str, version: str = "Exchange2010") -> bytes:
    """The example of GetUserSettings, with another content."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:a="{SERVICE}" xmlns:wsa="http://www.w3.org/2005/08/addressing"
    xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
  <soap:Header><a:RequestedServerVersion>{version}</a:RequestedServerVersion>
    <wsa:Action>{SERVICE}/Autodiscover/{operation}</wsa:Action>
    <wsa:To>https://exch1.example.test/autodiscover/autodiscover.svc</wsa:To></soap:Header>
  <soap:Body><a:{operation}RequestMessage><a:Request>{content}</a:Request></a:{operation}RequestMessage></soap:Body>
</soap:Envelope>""".encode()


def users(*addresses: str, settings: tuple[str, ...] = ("UserDN",), version: str = "Exchange2010") -> bytes:
    wanted = "".join(f"<a:User><a:Mailbox>{address}</a:Mailbox></a:User>" for address in addresses)
    names = "".join(f"<a:Setting>{name}</a:Setting>" for name in settings)
    content = f"<a:Users>{wanted}</a:Users><a:RequestedSettings>{names}</a:RequestedSettings>"
    return envelope("GetUserSettings", content, version)


def ask(finder: Finder, body: bytes, offer: Offer = OFFER) -> Element:
    """The Response element."""
    status, answered = soap.answer(offer, finder, ALICE, body)
    assert status == 200
    root = ElementTree.fromstring(answered)
    (response,) = root.findall(f"{S}Body/*/{A}Response")
    return response


def settings(user: Element) -> dict[str | None, str | None]:
    found = user.findall(f"{A}UserSettings/{A}UserSetting")
    assert {each.get(f"{XSI}type") for each in found} <= {"StringSetting"}
    return {each.findtext(f"{A}Name"): each.findtext(f"{A}Value") for each in found}


def errors(user: Element) -> dict[str | None, str | None]:
    found = user.findall(f"{A}UserSettingErrors/{A}UserSettingError")
    return {each.findtext(f"{A}SettingName"): each.findtext(f"{A}ErrorCode") for each in found}


def test_the_documents_example(finder: Finder) -> None:
    names = ("UserDisplayName", "UserDN", "UserDeploymentId", "InternalMailboxServer", "MailboxDN")
    response = ask(
        finder,
        users("alice@example.test", settings=(*names, "ActiveDirectoryServer", "CasVersion", "EwsSupportedSchemas")),
    )
    assert [child.tag for child in response] == [f"{A}ErrorCode", f"{A}ErrorMessage", f"{A}UserResponses"]
    assert response.findtext(f"{A}ErrorCode") == "NoError"
    (user,) = response.findall(f"{A}UserResponses/{A}UserResponse")
    names_in_order = ("ErrorCode", "ErrorMessage", "RedirectTarget", "UserSettingErrors", "UserSettings")
    assert [child.tag for child in user] == [A + name for name in names_in_order]
    assert user[2].get(f"{XSI}nil") == "true"
    told = settings(user)
    assert told.pop("UserDeploymentId")
    assert told == {
        "UserDisplayName": "Alice <Ä & Co>",
        "UserDN": ALICE_DN,
        "InternalMailboxServer": "exch1.example.test",
        "MailboxDN": f"{SERVER_DN}/cn=Microsoft Private MDB",
        "CasVersion": "14.00.0722.000",
    }
    unavailable = "SettingIsNotAvailable"
    assert errors(user) == {"ActiveDirectoryServer": unavailable, "EwsSupportedSchemas": unavailable}


def test_the_header_tells_action_and_version(finder: Finder) -> None:
    root = ElementTree.fromstring(soap.answer(OFFER, finder, ALICE, users("alice@example.test"))[1])
    action = root.find(f"{S}Header/{WSA}Action")
    assert action is not None
    assert action.get(f"{S}mustUnderstand") == "1"
    assert action.text == f"{SERVICE}/Autodiscover/GetUserSettingsResponse"
    (version,) = root.findall(f"{S}Header/{A}ServerVersionInfo")
    assert [child.text for child in version] == ["14", "0", "722", "0", "Exchange2010"]


def test_every_user_and_every_setting_has_an_answer_of_its_own(finder: Finder) -> None:
    body = users(
        *("alice@example.test", "nobody@example.test", "dora@example.test", "staff@example.test", "bob@example.test"),
        settings=("UserDN", "NoSuchSetting", "InternalEwsUrl", "UserDN"),
    )
    found = ask(finder, body).findall(f"{A}UserResponses/{A}UserResponse")
    codes = [user.findtext(f"{A}ErrorCode") for user in found]
    assert codes == ["NoError", "InvalidUser", "RedirectAddress", "InvalidUser", "NoError"]
    assert errors(found[0]) == {"NoSuchSetting": "InvalidSetting", "InternalEwsUrl": "SettingIsNotAvailable"}
    assert list(settings(found[0])) == ["UserDN"]
    assert found[2].findtext(f"{A}RedirectTarget") == "dora@other.test"
    assert settings(found[1]) == settings(found[2]) == {}


def test_settings_that_are_all_unknown_have_their_errors_too(finder: Finder) -> None:
    (user,) = ask(finder, users("alice@example.test", settings=("Nothing", "Known"))).findall(f"{A}UserResponses/*")
    assert user.findtext(f"{A}ErrorCode") == "NoError"
    assert errors(user) == {"Nothing": "InvalidSetting", "Known": "InvalidSetting"}


def test_a_mailbox_on_another_server_is_asked_for_at_its_soap_service(elsewhere: Finder) -> None:
    (user,) = ask(elsewhere, users("alice@example.test")).findall(f"{A}UserResponses/*")
    assert user.findtext(f"{A}ErrorCode") == "RedirectUrl"
    assert user.findtext(f"{A}RedirectTarget") == "https://exch2.example.test/autodiscover/autodiscover.svc"


def test_all_known_settings_are_answered_one_way_or_the_other(finder: Finder) -> None:
    (user,) = ask(finder, users("alice@example.test", settings=SETTING_NAMES)).findall(f"{A}UserResponses/*")
    assert settings(user).keys() | errors(user).keys() == set(SETTING_NAMES)
    assert not settings(user).keys() & errors(user).keys()
    assert settings(user)["MapiHttpEnabled"] == "True"
    assert settings(user)["ExternalMailboxServer"] == "mail.example.test"
    assert set(errors(user).values()) == {"SettingIsNotAvailable"}


def test_rpc_over_http_is_told_only_where_it_is_offered(finder: Finder) -> None:
    names = ("ExternalMailboxServer", "ExternalMailboxServerAuthenticationMethods", "MapiHttpEnabled")
    bare = dataclasses.replace(OFFER, rpc_http=False, mapi_http=False)
    (user,) = ask(finder, users("alice@example.test", settings=names), bare).findall(f"{A}UserResponses/*")
    assert settings(user) == {"MapiHttpEnabled": "False"}
    (user,) = ask(finder, users("alice@example.test", settings=names)).findall(f"{A}UserResponses/*")
    assert settings(user)["ExternalMailboxServerAuthenticationMethods"] == "Negotiate, Ntlm, Basic"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (users("alice@example.test", version=""), "RequestedServerVersion"),
        (users("alice@example.test", version="V2015_10_05"), "RequestedServerVersion"),
        (users(), "user"),
        (users(*["alice@example.test"] * 101), "100"),
        (users("alice@example.test", settings=()), "setting"),
    ],
    ids=range(5),
)
def test_a_request_that_is_invalid_as_a_whole(finder: Finder, body: bytes, message: str) -> None:
    response = ask(finder, body)
    assert response.findtext(f"{A}ErrorCode") == "InvalidRequest"
    assert message in (response.findtext(f"{A}ErrorMessage") or "")
    assert response.find(f"{A}UserResponses") is None


def test_a_directory_that_fails_is_told_for_each_user(broken: Finder) -> None:
    (user,) = ask(broken, users("alice@example.test")).findall(f"{A}UserResponses/*")
    assert user.findtext(f"{A}ErrorCode") == "InternalServerError"


def test_settings_of_domains(finder: Finder) -> None:
    content = """<a:Domains><a:Domain>Example.Test</a:Domain><a:Domain>other.test</a:Domain></a:Domains>
      <a:RequestedSettings><a:Setting>ExternalEwsUrl</a:Setting><a:Setting>X</a:Setting></a:RequestedSettings>"""
    response = ask(finder, envelope("GetDomainSettings", content))
    own, other = response.findall(f"{A}DomainResponses/{A}DomainResponse")
    assert (own.findtext(f"{A}ErrorCode"), other.findtext(f"{A}ErrorCode")) == ("NoError", "InvalidDomain")
    found = own.findall(f"{A}DomainSettingErrors/{A}DomainSettingError")
    assert [each.findtext(f"{A}ErrorCode") for each in found] == ["SettingIsNotAvailable", "InvalidSetting"]
    assert ask(finder, envelope("GetDomainSettings", "")).findtext(f"{A}ErrorCode") == "InvalidRequest"


def test_there_is_no_federation(finder: Finder) -> None:
    content = "<a:Domain>example.test</a:Domain>"
    assert ask(finder, envelope("GetFederationInformation", content)).findtext(f"{A}ErrorCode") == "NotFederated"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "s:Client"),
        (b"<x/>", "s:Client"),
        (b"<!DOCTYPE x>" + users("alice@example.test"), "s:Client"),
        (f'<s:Envelope xmlns:s="{S[1:-1]}"><s:Body/></s:Envelope>'.encode(), "s:Client"),
        (envelope("GetEverything", ""), "a:ActionNotSupported"),
        (users("alice@example.test").replace(SERVICE.encode(), b"urn:other"), "a:ActionNotSupported"),
    ],
    ids=range(6),
)
def test_what_is_no_request_of_the_service_is_a_fault(finder: Finder, body: bytes, code: str) -> None:
    status, answered = soap.answer(OFFER, finder, ALICE, body)
    assert status == 500
    fault = ElementTree.fromstring(answered).find(f"{S}Body/{S}Fault")
    assert fault is not None
    assert fault.findtext("faultcode") == code
    assert fault.findtext("faultstring")
