"""Texts in code pages, and times, as people read them."""

from __future__ import annotations

import datetime
from typing import Final

from openchange_py.wire.oxcdata.codepages import codec_name

_FALLBACK: Final = "cp1252"

_EPOCH: Final = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
_LAST: Final = datetime.datetime(9999, 12, 30, tzinfo=datetime.UTC)


def codec_of(code_page: int) -> str:
    """The Python codec of a Windows code page; Western European where there is none."""
    return codec_name(code_page) or _FALLBACK


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
