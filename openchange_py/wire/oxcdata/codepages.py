"""Windows code pages, which say what 8-bit texts are in, as Python's codecs."""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import Final

from openchange_py.wire.oxcdata import teletex

#: UTF-16, little- and big-endian: no 8-bit text can be in these.
UTF16_CODE_PAGES: Final = (1200, 1201)

#: Code pages have 16 bits. Python remembers each name that it found no codec for: it is not asked for any other.
_LARGEST: Final = 0xFFFF

#: Code pages whose codec has another name than `cpN`, and which are not those of ISO 8859 (28591 and on).
_NAMES: Final = {
    0: "cp1252",  # CP_ACP: the server's own
    37: "cp037",
    1361: "johab",
    10000: "mac_roman",
    10001: "shift_jis",
    10002: "big5",
    10003: "euc_kr",
    10004: "mac_arabic",
    10006: "mac_greek",
    10007: "mac_cyrillic",
    10008: "gb2312",
    10010: "mac_romanian",
    10029: "mac_latin2",
    10079: "mac_iceland",
    10081: "mac_turkish",
    10082: "mac_croatian",
    20127: "ascii",
    20261: teletex.NAME,
    20273: "cp273",
    20424: "cp424",
    20866: "koi8-r",
    20932: "euc_jp",
    20936: "gb2312",
    20949: "euc_kr",
    21866: "koi8-u",
    38598: "iso8859-8",
    50220: "iso2022_jp",
    50221: "iso2022_jp",
    50222: "iso2022_jp",
    50225: "iso2022_kr",
    51932: "euc_jp",
    51936: "gb2312",
    51949: "euc_kr",
    52936: "hz",
    54936: "gb18030",
    65000: "utf-7",
    65001: "utf-8",
}


@lru_cache(maxsize=256)
def codec_name(code_page: int) -> str | None:
    """The codec for 8-bit texts in that code page; None where Python has none, and for UTF-16."""
    if code_page in UTF16_CODE_PAGES or code_page > _LARGEST:
        return None
    name = f"iso8859-{code_page - 28590}" if 28591 <= code_page <= 28606 else _NAMES.get(code_page, f"cp{code_page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None
