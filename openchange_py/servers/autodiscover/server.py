"""What answers below /autodiscover: a request's parts in, status, fields and body out. No socket, no thread.

    POST /autodiscover/autodiscover.xml     Outlook's and mobile devices' XML      pox.py
    POST /autodiscover/autodiscover.svc     SOAP                                   soap.py
    GET  /autodiscover/autodiscover.json    the second version                     json_v2.py
    GET  /autodiscover/autodiscover.xml     over plain HTTP: go to HTTPS           [MS-OXDISCO]

Plain HTTP tells where HTTPS is, and nothing else without authentication: who asks has not seen our certificate yet.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from openchange_py.addressbook.base import Directory
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover import json_v2, pox, soap
from openchange_py.servers.autodiscover.settings import AskUpstream, Finder, Offer

logger = logging.getLogger(__name__)

PREFIX: Final = "/autodiscover"
_XML: Final = "text/xml; charset=utf-8"
_JSON: Final = "application/json; charset=utf-8"

#: Clients look for these before they choose a protocol: which services there are.
SERVICES: Final = (("X-SOAP-Enabled", "True"), ("X-WSSecurity-Enabled", "False"))


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a request says. `path` has its escapes undone, `headers` have lower-case names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    #: Nobody on the way can read along.
    secure: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: int
    body: bytes = b""
    fields: Sequence[tuple[str, str]] = ()


class AutodiscoverServer:
    """Answers requests below `PREFIX`; from any thread."""

    def __init__(
        self, directory: Directory, offer: Callable[[], Offer], ask_upstream: AskUpstream | None = None
    ) -> None:
        """What is offered is asked for each time: the ports are known once all listen."""
        self._directory = directory
        self._offer = offer
        self._ask_upstream = ask_upstream

    def _finder(self, offer: Offer) -> Finder:
        return Finder(self._directory, offer, self._ask_upstream)

    def answer_anybody(self, request: Request) -> Answer | None:
        """The answer that needs no authentication; None where the caller must be known, and the body read."""
        page = _page(request.path)
        if page.startswith("autodiscover.json"):
            return self._json(request, page.removeprefix("autodiscover.json"))
        if page not in ("autodiscover.xml", "autodiscover.svc"):
            return Answer(404)
        if request.method not in ("GET", "HEAD", "POST"):
            return _not_allowed("GET, HEAD, POST, OPTIONS")
        if page == "autodiscover.xml" and request.method != "POST" and not request.secure:
            offer = self._offer()
            url = offer.url(offer.external_host, f"{PREFIX}/{page}")
            return Answer(302, fields=(("Location", url),))
        return None

    def answer(self, request: Request, caller: Identity, body: bytes) -> Answer:
        """The answer for an authenticated caller."""
        if caller.is_anonymous:
            raise ValueError("nobody is told anything without authentication")
        if _page(request.path) == "autodiscover.svc":
            if request.method != "POST":
                return _not_allowed("POST, OPTIONS")
            offer = self._offer()
            status, document = soap.answer(offer, self._finder(offer), caller, body)
            return Answer(status, document, (("Content-Type", _XML), *SERVICES))
        return Answer(200, self._pox(request, caller, body), (("Content-Type", _XML), *SERVICES))

    def _pox(self, request: Request, caller: Identity, body: bytes) -> bytes:
        offer = self._offer()
        try:
            if request.method != "POST":
                raise pox.Refused(pox.INVALID_REQUEST, f"method {request.method}")
            return pox.answer(offer, self._finder(offer), caller, request.headers, body)
        except pox.Refused as refused:
            logger.info("autodiscover of %s: %s", caller, refused)
            return pox.error(refused.code, offer.internal_host)

    def _json(self, request: Request, rest: str) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD, OPTIONS")
        if rest and not rest.startswith("/"):
            return Answer(404)
        status, document = json_v2.answer(self._offer(), rest, request.query)
        return Answer(status, document, (("Content-Type", _JSON), ("Cache-Control", "no-store")))


def _page(path: str) -> str:
    """What stands behind the prefix. The addresses in it keep their case."""
    page = path[len(PREFIX) :].lstrip("/")
    name, slash, rest = page.partition("/")
    return f"{name.casefold()}{slash}{rest}"


def _not_allowed(methods: str) -> Answer:
    return Answer(405, fields=(("Allow", methods),))
