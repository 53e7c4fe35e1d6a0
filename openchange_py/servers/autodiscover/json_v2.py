"""Autodiscover's second version: which URL a protocol has for a mail address, as JSON.

    GET /autodiscover/autodiscover.json?Email=ADDRESS&Protocol=AutodiscoverV1
    GET /autodiscover/autodiscover.json/v1.0/ADDRESS?Protocol=AutodiscoverV1

Microsoft has not published a specification; this is what Exchange 2016 and its clients do. Clients ask before they have
anybody's password, so nobody is authenticated, and the answer is the same for every address: who exists stays unknown.

Not done: EWS, REST and Microsoft's further protocols, which this installation has not; they are answered as unknown.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from openchange_py.servers.autodiscover.settings import Offer, is_smtp_address

_LONGEST_QUERY = 2048


def answer(offer: Offer, path: str, query: str) -> tuple[int, bytes]:
    """HTTP status and JSON document. `path` is what stands behind /autodiscover/autodiscover.json, escapes undone."""
    given = _parameters(query)
    version, _, address = path.strip("/").partition("/")
    if path.strip("/") and version.casefold() != "v1.0":
        return _error(404, "InvalidRequest", "There is no such version of the service")
    address = address or given.get("email", "")
    if not is_smtp_address(address):
        return _error(400, "MandatoryParameterMissing", "A valid smtp address must be provided")
    protocol = given.get("protocol", "")
    if not protocol:
        return _error(400, "MandatoryParameterMissing", "A valid value must be provided for the parameter 'Protocol'")
    urls = _urls(offer)
    for name, url in urls.items():
        if name.casefold() == protocol.casefold():
            return 200, json.dumps({"Protocol": name, "Url": url}).encode()
    supported = ",".join(urls)
    return _error(
        400,
        "InvalidProtocol",
        f"The given protocol value '{protocol[:100]}' is invalid. Supported values are '{supported}'",
    )


def _urls(offer: Offer) -> dict[str, str]:
    """By the protocol's name. Who asks may be anywhere, so that the external name is told."""
    urls = {"AutodiscoverV1": offer.url(offer.external_host, "/autodiscover/autodiscover.xml")}
    if offer.activesync_url:
        urls["ActiveSync"] = offer.activesync_url
    return urls


def _parameters(query: str) -> dict[str, str]:
    """The first of each name, whatever its case; nothing where there are too many."""
    if len(query) > _LONGEST_QUERY:
        return {}
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, errors="replace"):
        found.setdefault(name.casefold(), value.strip())
    return found


def _error(status: int, code: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"ErrorCode": code, "ErrorMessage": message}).encode()
