"""The SOAP service at /autodiscover/autodiscover.svc: [MS-OXWSADISC], and Microsoft's reference of its elements.

GetUserSettings tells what POX tells, setting by setting (3.1.4.4). GetDomainSettings (3.1.4.1) has no setting of a
domain to tell, GetFederationInformation (3.1.4.2) no federation; both answer so. SOAP 1.1 alone.

Not done: settings of web services, web client, offline address book, unified messaging, POP, IMAP, SMTP, public folders
and alternate mailboxes, which this installation has not (SettingIsNotAvailable); GetOrganizationRelationshipSettings,
which is Exchange's own (a fault); WS-Security.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final
from xml.etree.ElementTree import Element

from openchange_py.addressbook.base import DirectoryError
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover.markup import Markup, MarkupError, document, element, parse
from openchange_py.servers.autodiscover.settings import VERSION, Finder, Mailbox, NoSettings, Offer, Redirect

SERVICE: Final = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_FAULTS: Final = "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher"

#: What one request may ask for, as with Exchange.
MAXIMUM_USERS: Final = 100
_MAXIMUM_DOMAINS: Final = 100
_MAXIMUM_SETTINGS: Final = 256

_VERSIONS: Final = frozenset(
    {
        *("Exchange2010", "Exchange2010_SP1", "Exchange2010_SP2", "Exchange2012", "Exchange2013", "Exchange2013_SP1"),
        *("Exchange2015", "Exchange2016"),
    }
)

Getter = Callable[[Offer, Mailbox], str | None]

#: Every setting that there is an answer for.
_SETTINGS: Final[dict[str, Getter]] = {
    "UserDisplayName": lambda _, mailbox: mailbox.display_name,
    "UserDN": lambda _, mailbox: mailbox.legacy_dn,
    "UserDeploymentId": lambda _, mailbox: mailbox.deployment_id,
    "AutoDiscoverSMTPAddress": lambda _, mailbox: mailbox.smtp_address,
    "InternalMailboxServer": lambda offer, _: offer.internal_host,
    "InternalRpcClientServer": lambda offer, _: offer.internal_host,
    "InternalMailboxServerDN": lambda _, mailbox: mailbox.server_dn,
    "MailboxDN": lambda _, mailbox: mailbox.mdb_dn,
    "ExternalMailboxServer": lambda offer, _: offer.external_host if offer.rpc_http else None,
    "ExternalMailboxServerRequiresSSL": lambda offer, _: "True" if offer.rpc_http else None,
    "ExternalMailboxServerAuthenticationMethods": lambda offer, _: _methods(offer) if offer.rpc_http else None,
    "CasVersion": lambda *_: "{:02}.{:02}.{:04}.{:03}".format(*VERSION),
    "MapiHttpEnabled": lambda offer, _: str(offer.mapi_http),
    "UserMSOnline": lambda *_: "False",
    "CrossOrganizationSharingEnabled": lambda *_: "False",
}

#: Settings that the documents know and this installation has not.
_OTHERS: Final = frozenset(
    f"{side}{name}"
    for side in ("Internal", "External")
    for name in (
        *("EwsUrl", "OABUrl", "UMUrl", "WebClientUrls", "Pop3Connections", "Imap4Connections", "SmtpConnections"),
        *("ServerExclusiveConnect", "EcpUrl", "EcpVoicemailUrl", "EcpEmailSubscriptionsUrl", "EcpTextMessagingUrl"),
        *("EcpDeliveryReportUrl", "EcpRetentionPolicyTagsUrl", "EcpPublishingUrl", "EcpPhotoUrl", "PhotosUrl"),
        *("EcpConnectUrl", "EcpTeamMailboxUrl", "EcpTeamMailboxCreatingUrl", "EcpTeamMailboxEditingUrl"),
        *("EcpTeamMailboxHidingUrl", "EcpExtensionInstallationUrl"),
    )
) | frozenset(
    {
        *("PublicFolderServer", "ActiveDirectoryServer", "AlternateMailboxes", "EwsSupportedSchemas", "ExchangeRpcUrl"),
        *("EcpVoicemailUrlFragment", "EcpEmailSubscriptionsUrlFragment", "EcpTextMessagingUrlFragment"),
        *("EcpDeliveryReportUrlFragment", "EcpRetentionPolicyTagsUrlFragment", "EcpPublishingUrlFragment"),
        *("EcpPhotoUrlFragment", "EcpConnectUrlFragment", "EcpTeamMailboxUrlFragment"),
        *("EcpTeamMailboxCreatingUrlFragment", "EcpTeamMailboxEditingUrlFragment", "EcpTeamMailboxHidingUrlFragment"),
        *("EcpExtensionInstallationUrlFragment", "ShowGalAsDefaultView", "InteropExternalEwsUrl"),
        *("ExternalEwsVersion", "InteropExternalEwsVersion", "MobileMailboxPolicyInterop", "MobileMailboxPolicy"),
        *("GroupingInformation", "EwsPartnerUrl", "DocumentSharingLocations", "PublicFolderInformation"),
        *("TeamMailbox", "SPMySiteHostURL", "SiteMailboxCreationURL"),
    }
)
SETTING_NAMES: Final = (*_SETTINGS, *sorted(_OTHERS))

_DOMAIN_SETTINGS: Final = frozenset({"ExternalEwsUrl", "ExternalEwsVersion"})


def _methods(offer: Offer) -> str:
    return ", ".join(name.capitalize() for name in offer.authentication)


def answer(offer: Offer, finder: Finder, caller: Identity, body: bytes) -> tuple[int, bytes]:
    """HTTP status and response document: 200, or 500 with a fault for what is no request of this service."""
    try:
        envelope = parse(body)
    except MarkupError as error:
        return _fault(f"The message is not well-formed: {error}")
    message = envelope.find(f"{{{_ENVELOPE}}}Body/*")
    if envelope.tag != f"{{{_ENVELOPE}}}Envelope" or message is None:
        return _fault("The message is no SOAP 1.1 envelope with a body")
    name = message.tag.removeprefix(f"{{{SERVICE}}}").removesuffix("RequestMessage")
    operation = _OPERATIONS.get(name)
    if operation is None:
        return _fault("The message cannot be processed: its operation is not known", code="a:ActionNotSupported")
    version = (envelope.findtext(f"{{{_ENVELOPE}}}Header/{{{SERVICE}}}RequestedServerVersion") or "").strip()
    if version not in _VERSIONS:
        content = _status("InvalidRequest", "The RequestedServerVersion header is missing or invalid.")
    else:
        content = operation(offer, finder, caller, message)
    return 200, _respond(name, content)


def request_all(address: str) -> bytes:
    """A request for all that can be told of a user, to look at it."""
    settings = [element("Setting", name) for name in _SETTINGS]
    asked = element(
        "Request",
        element("Users", element("User", element("Mailbox", address))),
        element("RequestedSettings", *settings),
    )
    version = element("RequestedServerVersion", "Exchange2010", xmlns=SERVICE)
    body = element("GetUserSettingsRequestMessage", asked, xmlns=SERVICE)
    return _envelope(element("s:Header", version), element("s:Body", body))


# GetUserSettings


def _get_user_settings(offer: Offer, finder: Finder, caller: Identity, message: Element) -> Markup:
    users = _texts(message, "Request/Users/User/Mailbox")
    names = list(dict.fromkeys(_texts(message, "Request/RequestedSettings/Setting")))
    if not users:
        return _status("InvalidRequest", "No user was requested.")
    if len(users) > MAXIMUM_USERS:
        return _status("InvalidRequest", f"At most {MAXIMUM_USERS} users can be requested at a time.")
    if not names or len(names) > _MAXIMUM_SETTINGS:
        return _status("InvalidRequest", "No setting was requested, or too many.")
    responses = [_user_response(offer, finder, caller, user, names) for user in users]
    return _status("NoError", "", element("UserResponses", *responses))


def _user_response(offer: Offer, finder: Finder, caller: Identity, user: str, names: list[str]) -> Markup:
    try:
        found = finder.find(caller, user)
    except NoSettings as missing:
        return _user("InvalidUser", str(missing))
    except DirectoryError:
        return _user("InternalServerError", "The directory service could not be reached.")
    if isinstance(found, Redirect):
        if found.address:
            return _user("RedirectAddress", "Redirection.", target=found.address)
        return _user("RedirectUrl", "Redirection.", target=f"https://{found.host}/autodiscover/autodiscover.svc")
    values = {name: _SETTINGS[name](offer, found) for name in names if name in _SETTINGS}
    settings = [_string_setting("UserSetting", "StringSetting", name, value) for name, value in values.items() if value]
    errors = [_setting_error("UserSettingError", name, _OTHERS) for name in names if not values.get(name)]
    return _user("NoError", "No error.", errors=errors, settings=settings)


def _user(
    code: str, message: str, *, target: str = "", errors: Iterable[Markup] = (), settings: Iterable[Markup] = ()
) -> Markup:
    return element(
        "UserResponse",
        element("ErrorCode", code),
        element("ErrorMessage", message),
        element("RedirectTarget", target) if target else element("RedirectTarget", i_nil="true"),
        element("UserSettingErrors", *errors),
        element("UserSettings", *settings),
    )


def _string_setting(kind: str, type_: str, name: str, value: str) -> Markup:
    return element(kind, element("Name", name), element("Value", value), i_type=type_)


def _setting_error(kind: str, name: str, documented: frozenset[str]) -> Markup:
    if name in documented or name in _SETTINGS:
        code, why = "SettingIsNotAvailable", "The setting is not available."
    else:
        code, why = "InvalidSetting", "The setting is not known."
    return element(kind, element("ErrorCode", code), element("ErrorMessage", why), element("SettingName", name[:100]))


# GetDomainSettings, GetFederationInformation


def _get_domain_settings(offer: Offer, _finder: Finder, _caller: Identity, message: Element) -> Markup:
    domains = _texts(message, "Request/Domains/Domain")
    names = list(dict.fromkeys(_texts(message, "Request/RequestedSettings/Setting")))
    if not domains or len(domains) > _MAXIMUM_DOMAINS or not names or len(names) > _MAXIMUM_SETTINGS:
        return _status("InvalidRequest", "No domain or no setting was requested, or too many.")
    responses = [_domain_response(offer, domain, names) for domain in domains]
    return _status("NoError", "", element("DomainResponses", *responses))


def _domain_response(offer: Offer, domain: str, names: list[str]) -> Markup:
    known = domain.casefold() == offer.mail_domain.casefold()
    errors = [_setting_error("DomainSettingError", name, _DOMAIN_SETTINGS) for name in names] if known else []
    return element(
        "DomainResponse",
        element("ErrorCode", "NoError" if known else "InvalidDomain"),
        element("ErrorMessage", "No error." if known else "The domain is not this organization's."),
        element("DomainSettingErrors", *errors),
        element("DomainSettings"),
        element("RedirectTarget", i_nil="true"),
    )


def _get_federation_information(_offer: Offer, _finder: Finder, _caller: Identity, _message: Element) -> Markup:
    return _status("NotFederated", "The organization is not federated.")


_OPERATIONS: Final[dict[str, Callable[[Offer, Finder, Identity, Element], Markup]]] = {
    "GetUserSettings": _get_user_settings,
    "GetDomainSettings": _get_domain_settings,
    "GetFederationInformation": _get_federation_information,
}


# Messages


def _texts(message: Element, path: str) -> list[str]:
    """The texts of the elements there, in the service's namespace."""
    found = message.findall("/".join(f"{{{SERVICE}}}{step}" for step in path.split("/")))
    return [(each.text or "").strip() for each in found]


def _status(code: str, message: str, content: Markup | None = None) -> Markup:
    return element("Response", element("ErrorCode", code), element("ErrorMessage", message), content, xmlns_i=_INSTANCE)


def _respond(operation: str, response: Markup) -> bytes:
    major, minor, build, revision = VERSION
    version = element(
        "h:ServerVersionInfo",
        element("h:MajorVersion", str(major)),
        element("h:MinorVersion", str(minor)),
        element("h:MajorBuildNumber", str(build)),
        element("h:MinorBuildNumber", str(revision)),
        element("h:Version", "Exchange2010"),
        xmlns_h=SERVICE,
    )
    action = element("a:Action", f"{SERVICE}/Autodiscover/{operation}Response", s_mustUnderstand="1")
    return _envelope(
        element("s:Header", action, version),
        element("s:Body", element(f"{operation}ResponseMessage", response, xmlns=SERVICE)),
    )


def _fault(reason: str, code: str = "s:Client") -> tuple[int, bytes]:
    """SOAP 1.1, 4.4 and 6.2: a fault goes with status 500."""
    fault = element(
        "s:Fault",
        element("faultcode", code, **({"xmlns_a": _FAULTS} if code.startswith("a:") else {})),
        element("faultstring", reason[:500], xml_lang="en-US"),
    )
    return 500, _envelope(element("s:Body", fault))


def _envelope(*parts: Markup) -> bytes:
    return document(element("s:Envelope", *parts, xmlns_s=_ENVELOPE, xmlns_a=_ADDRESSING))
