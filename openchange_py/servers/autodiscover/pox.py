"""Plain old XML, at /autodiscover/autodiscover.xml: [MS-OXDSCLI] for Outlook, [MS-ASCMD] 2.2.1.1 for mobile devices.

A client that announces MAPI over HTTP (X-MapiHttpCapability, 3.2.5.1) gets that and nothing else where it is offered;
other clients get EXCH (RPC, within the network) and EXPR (RPC over HTTP) sections, and EXHTTP ones where they can
handle them (X-ClientCanHandle, 2.2.2.3).

Not done: the server does not guess from the User-Agent that a client can MAPI over HTTP (a SHOULD of 3.2.5.1); no web
services, web client, offline address book, POP, IMAP or SMTP is offered, and no public folders, so that these elements
are left out.
"""

from __future__ import annotations

import datetime
import re
import zlib
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

from openchange_py.addressbook.base import DirectoryError
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover.markup import Markup, MarkupError, document, element, parse, text_of
from openchange_py.servers.autodiscover.settings import (
    VERSION,
    Finder,
    Mailbox,
    NoSettings,
    Offer,
    Problem,
    Redirect,
    is_smtp_address,
)

_SCHEMAS: Final = "http://schemas.microsoft.com/exchange/autodiscover"
RESPONSE: Final = f"{_SCHEMAS}/responseschema/2006"
OUTLOOK: Final = f"{_SCHEMAS}/outlook/responseschema/2006a"
MOBILESYNC: Final = f"{_SCHEMAS}/mobilesync/responseschema/2006"
REQUESTS: Final = (f"{_SCHEMAS}/outlook/requestschema/2006", f"{_SCHEMAS}/mobilesync/requestschema/2006")

#: The versions of the mapiHttp Protocol element that there are (3.2.5.1).
_MAPI_HTTP_VERSION: Final = 1

#: 2.2.4.1.1.3.2.
NOT_FOUND, NO_OPTIONS, INVALID_REQUEST, NO_PROVIDER, INTERNAL_ERROR = 500, 501, 600, 601, 603
_MESSAGES: Final = {
    NOT_FOUND: Problem.UNKNOWN.value,
    NO_OPTIONS: Problem.NO_MAILBOX.value,
    INVALID_REQUEST: "Invalid Request",
    NO_PROVIDER: "Provider is not available",
    INTERNAL_ERROR: "Internal error",
}


class Refused(Exception):
    """An Error element of the response, with its error code; the text is for the log."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


def answer(offer: Offer, finder: Finder, caller: Identity, headers: Mapping[str, str], body: bytes) -> bytes:
    """The response document. `headers` have lower-case names. Raises `Refused`."""
    request = _request(body)
    schema = text_of(request.element, f"{{{request.namespace}}}AcceptableResponseSchema")
    address = text_of(request.element, f"{{{request.namespace}}}EMailAddress")
    if schema == MOBILESYNC and offer.activesync_url:
        return _autodiscover(_mobilesync(offer, finder, caller, address))
    if schema != OUTLOOK:
        raise Refused(NO_PROVIDER, f"no provider of {schema[:200]!r}")
    legacy_dn = text_of(request.element, f"{{{request.namespace}}}LegacyDN")
    if not address and not legacy_dn:
        raise Refused(INVALID_REQUEST, "neither EMailAddress nor LegacyDN")
    return _autodiscover(_outlook(offer, finder, caller, headers, address, legacy_dn))


class _Request:
    def __init__(self, request: Element, namespace: str) -> None:
        self.element = request
        self.namespace = namespace


def _request(body: bytes) -> _Request:
    try:
        root = parse(body)
    except MarkupError as error:
        raise Refused(INVALID_REQUEST, str(error)) from error
    for namespace in REQUESTS:
        request = root.find(f"{{{namespace}}}Request")
        if root.tag == f"{{{namespace}}}Autodiscover" and request is not None:
            return _Request(request, namespace)
    raise Refused(INVALID_REQUEST, f"root element {root.tag[:200]!r}, or no Request in it")


def error(code: int, host: str, now: datetime.datetime | None = None) -> bytes:
    """The document of an error: 2.2.4.1.1.3. The Id is of the server, the same at all times."""
    now = now or datetime.datetime.now(datetime.UTC)
    return _autodiscover(
        element(
            "Response",
            element(
                "Error",
                element("ErrorCode", str(code)),
                element("Message", _MESSAGES[code]),
                element("DebugData"),
                Time=now.strftime("%H:%M:%S.%f"),
                Id=str(zlib.crc32(host.casefold().encode())),
            ),
            xmlns=RESPONSE,
        )
    )


def _autodiscover(response: Markup) -> bytes:
    return document(element("Autodiscover", response, xmlns=RESPONSE))


# Outlook


def _outlook(
    offer: Offer, finder: Finder, caller: Identity, headers: Mapping[str, str], address: str, legacy_dn: str
) -> Markup:
    try:
        found = finder.find(caller, address, legacy_dn)
    except NoSettings as missing:
        raise Refused(NOT_FOUND if missing.problem is Problem.UNKNOWN else NO_OPTIONS, str(missing)) from missing
    except DirectoryError as failure:
        raise Refused(INTERNAL_ERROR, str(failure)) from failure
    if isinstance(found, Redirect):
        return element("Response", _redirect(found), xmlns=OUTLOOK)
    return element("Response", _user(found), _account(offer, found, headers), xmlns=OUTLOOK)


def _redirect(found: Redirect) -> Markup:
    """2.2.4.1.1.2.2: redirectAddr and redirectUrl. Not a 302 (3.2.5), which many clients follow with a GET."""
    if found.address:
        return element("Account", element("Action", "redirectAddr"), element("RedirectAddr", found.address))
    url = f"https://{found.host}/autodiscover/autodiscover.xml"
    return element("Account", element("Action", "redirectUrl"), element("RedirectUrl", url))


def _user(mailbox: Mailbox) -> Markup:
    return element(
        "User",
        element("DisplayName", mailbox.display_name),
        element("LegacyDN", mailbox.legacy_dn),
        element("AutoDiscoverSMTPAddress", mailbox.smtp_address),
        element("DeploymentId", mailbox.deployment_id),
    )


def _account(offer: Offer, mailbox: Mailbox, headers: Mapping[str, str]) -> Markup:
    if offer.mapi_http and speaks_mapi_http(headers):
        protocols = [_mapi_http(offer, mailbox)]
    else:
        protocols = _rpc_protocols(offer, mailbox, _abilities(headers))
    return element(
        "Account",
        element("AccountType", "email"),
        element("Action", "settings"),
        element("MicrosoftOnline", "False"),
        *protocols,
    )


def speaks_mapi_http(headers: Mapping[str, str]) -> bool:
    """Whether X-MapiHttpCapability is valid: a number that is not below the version that there is (3.2.5.1)."""
    value = headers.get("x-mapihttpcapability", "").strip()
    return re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) is not None and int(value) >= _MAPI_HTTP_VERSION


def _abilities(headers: Mapping[str, str]) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in headers.get("x-clientcanhandle", "").split(","))


def _mapi_http(offer: Offer, mailbox: Mailbox) -> Markup:
    def urls(name: str, path: str) -> Markup:
        target = f"{path}?MailboxId={mailbox.mailbox_id}"
        return element(
            name,
            element("InternalUrl", offer.url(offer.internal_host, target)),
            element("ExternalUrl", offer.url(offer.external_host, target)),
        )

    return element(
        "Protocol",
        urls("MailStore", "/mapi/emsmdb/"),
        urls("AddressBook", "/mapi/nspi/"),
        Type="mapiHttp",
        Version=str(_MAPI_HTTP_VERSION),
    )


def _rpc_protocols(offer: Offer, mailbox: Mailbox, abilities: frozenset[str]) -> list[Markup]:
    protocols = []
    if offer.rpc_tcp or offer.rpc_http:
        # Behind RPC over HTTP, too, this is the server that the client asks the RPC proxy for.
        protocols.append(_exch(offer, mailbox))
    if offer.rpc_http:
        protocols.append(_rpc_http("EXPR", offer.external_host, offer, abilities))
        if "exhttpinfo" in abilities:
            hosts = dict.fromkeys((offer.internal_host, offer.external_host))
            protocols += [_rpc_http("EXHTTP", host, offer, abilities) for host in hosts]
    return protocols


def _exch(offer: Offer, mailbox: Mailbox) -> Markup:
    """Without AuthPackage: Kerberos or NTLM (2.2.4.1.1.2.6.4)."""
    return element(
        "Protocol",
        element("Type", "EXCH"),
        element("Server", offer.internal_host),
        element("ServerDN", mailbox.server_dn),
        element("ServerVersion", server_version(VERSION)),
        element("MdbDN", mailbox.mdb_dn),
        element("TTL", "1"),
    )


def _rpc_http(kind: str, host: str, offer: Offer, abilities: frozenset[str]) -> Markup:
    """2.2.4.1.1.2.6.4: "negotiate" is for those only who can handle it."""
    package = next((name for name in offer.authentication if name != "negotiate" or name in abilities), None)
    return element(
        "Protocol",
        element("Type", kind),
        element("Server", host),
        element("TTL", "1"),
        element("SSL", "On"),
        element("AuthPackage", package) if package else None,
        element("CertPrincipalName", f"msstd:{host}"),
    )


def server_version(version: tuple[int, int, int, int]) -> str:
    """The 32 bits of ServerVersion, hexadecimal: 7, then major (6 bits), minor (6), a set bit, build (15)."""
    major, minor, build, _ = version
    return f"{7 << 28 | major << 22 | minor << 16 | 1 << 15 | build:08X}"


# Mobile devices


def _mobilesync(offer: Offer, finder: Finder, caller: Identity, address: str) -> Markup:
    if not is_smtp_address(address):
        raise Refused(INVALID_REQUEST, "no EMailAddress")
    try:
        found = finder.find(caller, address)
    except NoSettings as missing:
        return _mobile_response(element("EMailAddress", address), _mobile_error(missing.problem.value, "User"))
    except DirectoryError:
        what = "The directory service could not be reached"
        return _mobile_response(element("EMailAddress", address), _mobile_error(what, "MailUser"))
    if isinstance(found, Redirect):
        # No other server is named but by an address: what a device asks is the same for all of an organization.
        if not found.address:
            return _mobile_response(element("EMailAddress", address), _mobile_settings(offer))
        return _mobile_response(element("EMailAddress", address), element("Redirect", found.address))
    user = (element("DisplayName", found.display_name), element("EMailAddress", found.smtp_address))
    return _mobile_response(Markup("".join(user)), _mobile_settings(offer))


def _mobile_settings(offer: Offer) -> Markup:
    url = offer.activesync_url
    server = element("Server", element("Type", "MobileSync"), element("Url", url), element("Name", url))
    return element("Settings", server)


def _mobile_error(message: str, data: str) -> Markup:
    """[MS-ASCMD] 2.2.3.63 and 2.2.3.177.1: 2 is the one status of an error."""
    return element("Error", element("Status", "2"), element("Message", message), element("DebugData", data))


def _mobile_response(user: Markup, action: Markup) -> Markup:
    return element(
        "Response", element("Culture", "en:us"), element("User", user), element("Action", action), xmlns=MOBILESYNC
    )
