"""What a request's head says: RFC 9110 and RFC 9112 3.2, as far as a resource wants to know. No socket is needed.

`h11` has checked the syntax of what comes in here; names and values of fields are Latin-1 text.
"""

from __future__ import annotations

import dataclasses
import functools
import http
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

Field = tuple[str, str]

#: scheme://authority in front of the path: the absolute form, which proxies send.
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
#: No usual name of a field is longer.
_USUAL: Final = 40
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


class HttpError(Exception):
    """Answer the request with this status, and with the text for who reads it. `fields` are added to the response."""

    def __init__(self, status: int, text: str = "", fields: Sequence[Field] = (), *, close: bool = False) -> None:
        super().__init__(f"{status} {text or reason_of(status)}")
        self.status = status
        self.text = text or reason_of(status)
        self.fields = fields
        #: The connection is of no more use.
        self.close = close


def reason_of(status: int) -> str:
    """The usual words for a status."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Status"


@functools.lru_cache(maxsize=128)
def _kept(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _name(name: bytes) -> str:
    """As it is compared. Clients have few names for their fields, and each is kept once."""
    return _kept(name) if len(name) <= _USUAL else name.decode("latin-1").lower()


class Headers:
    """The fields of a message in their order; names are compared whatever their case."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields = [(_name(name), value.decode("latin-1")) for name, value in fields]

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: str) -> bool:
        return any(name.lower() == known for known, _ in self._fields)

    def get(self, name: str, default: str = "") -> str:
        """The first field of that name."""
        wanted = name.lower()
        return next((value for known, value in self._fields if known == wanted), default)

    def all(self, name: str) -> list[str]:
        """All fields of that name."""
        wanted = name.lower()
        return [value for known, value in self._fields if known == wanted]

    def cookies(self) -> dict[str, str]:
        """The cookies that came along (RFC 6265 4.2.1); the first of a name counts."""
        found: dict[str, str] = {}
        for pair in "; ".join(self.all("cookie")).split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals:
                found.setdefault(name.strip(), value.strip().strip('"'))
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the path with its escapes undone, the query as it came, the host if it says one."""

    path: str
    query: str = ""
    host: str = ""

    @classmethod
    def parse(cls, target: str) -> Target:
        """Of a request line. `HttpError` (400) for what no resource can be named by."""
        host = ""
        if (absolute := _ABSOLUTE.match(target)) is not None:
            host, target = absolute[1], target[absolute.end() :] or "/"
            target = target if target.startswith("/") else f"/{target}"
        if target != "*" and not target.startswith("/"):
            raise HttpError(400, "the request target is no path")
        path, _, query = target.partition("?")
        path = unquote(path, errors="replace")
        if _CONTROLS.search(path):
            raise HttpError(400, "control characters in the path")
        return cls(path, query, host)
