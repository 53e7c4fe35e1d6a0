"""What heads of MAPI over HTTP's requests and responses say, and what is wrong with one: [MS-OXCMAPIHTTP] 2.2.3."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Collection
from email.utils import formatdate
from typing import Final

from openchange_py.transports.http_message import Field
from openchange_py.transports.http_request import HttpRequest
from openchange_py.transports.oxcmapihttp_sessions import MapiSession
from openchange_py.wire.oxcmapihttp import CONTENT_TYPE, ResponseCode
from openchange_py.wire.oxcrpc import wire_version

CONTEXT_COOKIE: Final = "MapiContext"
SEQUENCE_COOKIE: Final = "MapiSequence"
#: Clients look for the version of an Exchange that has MAPI over HTTP: 2013 SP1.
SERVER_APPLICATION: Final = "Exchange/15.00.0847.4040"
#: 2.2.3.3.2: a GUID and a counter.
_REQUEST_ID: Final = re.compile(r"\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}:[0-9]{1,20}")
#: 2.2.3.3.7: `Outlook/15.0.4815.1002`.
_CLIENT_APPLICATION: Final = re.compile(r"[^/\s]{1,64}/(\d{1,3})\.(\d{1,3})\.(\d{1,5})\.(\d{1,5})")
_LONGEST_FIELD: Final = 1024


class Refused(Exception):
    """The request is answered with this X-ResponseCode, and the text for who reads it."""

    def __init__(self, code: ResponseCode, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


def check_head(request: HttpRequest, path: str, types: Collection[str]) -> None:
    """Raises `Refused` for what is not in order. `path` is the endpoint's, `types` its request types in lower case."""
    if request.method != "POST":
        raise Refused(ResponseCode.InvalidVerb, f"{request.method:.20} where POST is due")
    if request.path.rstrip("/").casefold() != path:
        raise Refused(ResponseCode.InvalidPath, "there is nothing below the endpoint")
    for name in ("content-type", "x-requesttype", "x-requestid"):
        if not request.headers.get(name):
            raise Refused(ResponseCode.MissingHeader, f"no {name}")
    if request.headers.get("content-type").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise Refused(ResponseCode.InvalidHeader, f"Content-Type is not {CONTENT_TYPE}")
    if not _REQUEST_ID.fullmatch(request.headers.get("x-requestid").strip()):
        raise Refused(ResponseCode.InvalidHeader, "X-RequestId is no {GUID}:NUMBER")
    if len(request.headers.get("x-clientinfo")) > _LONGEST_FIELD:
        raise Refused(ResponseCode.InvalidHeader, "X-ClientInfo is too long")
    if request.caller.is_anonymous:
        raise Refused(ResponseCode.AnonymousNotAllowed, "anonymous")
    if request_type(request) not in types:
        raise Refused(ResponseCode.InvalidRequestType, "this endpoint has no such request type")


def request_type(request: HttpRequest) -> str:
    """2.2.3.3.1, as it is compared: whatever its case."""
    return request.headers.get("x-requesttype").strip().lower()


def request_id(request: HttpRequest) -> str:
    """2.2.3.3.2."""
    return request.headers.get("x-requestid").strip()


def client_version(request: HttpRequest) -> tuple[int, int, int]:
    """EcDoConnectEx's rgwClientVersion, of X-ClientApplication. Raises `Refused`."""
    told = request.headers.get("x-clientapplication").strip()
    if not told:
        raise Refused(ResponseCode.MissingHeader, "no x-clientapplication")
    match = _CLIENT_APPLICATION.fullmatch(told)
    if match is None:
        raise Refused(ResponseCode.InvalidHeader, "X-ClientApplication is no NAME/A.B.C.D")
    major, minor, build, revision = (int(number) for number in match.groups())
    if max(major, minor) > 0xFF or build > 0x7FFF or revision > 0xFFFF:
        raise Refused(ResponseCode.InvalidHeader, "X-ClientApplication is no version")
    return wire_version(major, minor, build, revision)


def response_fields(
    request: HttpRequest, code: ResponseCode, pending: float, life: float, content_type: str = CONTENT_TYPE
) -> list[Field]:
    """What the client told of itself comes back as it came. `pending` and `life` are in seconds."""
    echoed = [
        (name, value)
        for name in ("X-RequestType", "X-RequestId", "X-ClientInfo")
        if (value := request.headers.get(name)) and len(value) <= _LONGEST_FIELD
    ]
    return [
        ("Cache-Control", "private"),
        ("Content-Type", content_type),
        *echoed,
        ("X-ResponseCode", str(int(code))),
        ("X-PendingPeriod", str(int(pending * 1000))),
        ("X-ExpirationInfo", str(int(life * 1000))),
        ("X-ServerApplication", SERVER_APPLICATION),
    ]


def cookie_fields(request: HttpRequest, path: str, session: MapiSession | None) -> list[Field]:
    """Set on every answer of a session; whose session ended is told to forget them."""
    if session is None:
        return []
    where = f"; Path={path}; HttpOnly" + ("; Secure" if request.channel.secure else "")
    if session.ended:
        where += "; Max-Age=0"
    pairs = ((CONTEXT_COOKIE, session.cookie), (SEQUENCE_COOKIE, session.sequence))
    return [("Set-Cookie", f"{name}={value}{where}") for name, value in pairs]


def last_fields(code: ResponseCode, started: float) -> list[Field]:
    """What stands behind DONE (2.2.7): the last word on how it went, and what it took (2.2.3.3.9, 2.2.3.3.10)."""
    elapsed = max(0, int((time.time() - started) * 1000))
    times = ("X-ElapsedTime", str(elapsed)), ("X-StartTime", formatdate(started, usegmt=True))
    return [("X-ResponseCode", str(int(code))), *times]


def diagnosis(refusal: Refused) -> bytes:
    """The body of a refusal, for a person."""
    words = f"X-ResponseCode {int(refusal.code)}, {refusal.code.name}: {refusal.text}"
    head = "<!DOCTYPE html><html><head><title>MAPI over HTTP</title></head>"
    return f"{head}<body><p>{html.escape(words)}</p></body></html>".encode("utf-8", "replace")
