"""Texts in code pages, and times, as people read them."""

from __future__ import annotations

import codecs
import datetime
from typing import Final

#: Windows code pages whose Python codec has another name than `cpN`.
_NAMES: Final = {
    1200: "utf-16-le",
    20127: "ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    28605: "iso8859-15",
    50220: "iso2022_jp",
    51932: "euc_jp",
    51949: "euc_kr",
    52936: "hz",
    54936: "gb18030",
    65000: "utf-7",
    65001: "utf-8",
}
_FALLBACK: Final = "cp1252"

_EPOCH: Final = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
_LAST: Final = datetime.datetime(9999, 12, 30, tzinfo=datetime.UTC)


def codec_of(code_page: int) -> str:
    """The Python codec of a Windows code page; Western European where there is none."""
    name = _NAMES.get(code_page)
    if name is None:
        name = f"iso8859-{code_page - 28590}" if 28591 <= code_page <= 28606 else f"cp{code_page}"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return _FALLBACK


def decode(value: str | bytes | None, code_page: int = 1252) -> str:
    """A text from the wire; what is wrong in an 8-bit one is replaced."""
    if isinstance(value, bytes):
        return value.decode(codec_of(code_page), "replace")
    return value or ""


def time_of(filetime: int | None) -> datetime.datetime | None:
    """A PtypTime (100 ns since 1601-01-01 UTC) as an aware UTC time; None for none and for what no calendar has."""
    if not filetime:
        return None
    try:
        time = _EPOCH + datetime.timedelta(microseconds=filetime // 10)
    except OverflowError:
        return None
    return time if time < _LAST else None
